"""Which cluster is meant by ``--cluster``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.errors import UserError

WORKERS_LIMIT = 1000


@dataclass(frozen=True)
class Spec:
    """``count`` workers here, the scheduler at ``address``, the hosts of these names, or ``slurm`` jobs of Slurm."""

    address: str = ""
    count: int = 0
    hosts: tuple[str, ...] = ()
    slurm: int = 0

    @property
    def expected(self) -> int:
        """How many workers are waited for before the work begins."""
        return self.count or len(self.hosts) or 1

    @property
    def wanted(self) -> int:
        """How many there will be as far as is known; of a scheduler that is there already at least two."""
        return self.count or len(self.hosts) or self.slurm or 2


def parse(text: str) -> Spec:
    """``local:4``, ``ssh:one,two``, ``slurm:8``, or ``tcp://HOST:PORT`` (``tls://`` for a scheduler of ``lab hosts
    up``, or where Dask is configured for it).

    Raises :class:`UserError`.
    """
    counted = re.fullmatch(r"(local|slurm)(?::(\d{1,4}))?", text)
    if counted:
        count = int(counted[2] or "1")
        if not 1 <= count <= WORKERS_LIMIT:
            raise UserError(f"--cluster {text}: 1 to {WORKERS_LIMIT} workers")
        return Spec(count=count) if counted[1] == "local" else Spec(slurm=count)
    if re.fullmatch(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}", text):
        return Spec(address=text)
    if text.startswith("ssh:") and (names := tuple(filter(None, text[4:].split(",")))):
        return Spec(hosts=tuple(dict.fromkeys(names)))
    hint = "local:N, ssh:NAME,NAME of 'lab hosts', slurm:N, or tcp://HOST:PORT of a Dask scheduler"
    raise UserError(f"--cluster {text!r}: no cluster", hint=hint)
