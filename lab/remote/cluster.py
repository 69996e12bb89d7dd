"""Many machines by Dask: what ``--cluster`` names, as a client of its scheduler, and what its workers have.

What goes over to a worker is a request and a number, what comes back is a document: both small, so that the scheduler
has nothing to do but schedule. Dask itself trusts its workers: it unpickles what they send.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lab.errors import InfrastructureError, UserError
from lab.paths import Paths
from lab.progress import Progress
from lab.remote.spec import Spec
from lab.remote.steady import GONE, said
from lab.remote.tuning import NO_DASHBOARD, settle
from lab.remote.worker import resources, shared
from lab.tree.types import Base

if TYPE_CHECKING:
    from distributed import Client

EXTRA = "pip install 'kernel-boot-lab[cluster]'"
START_SECONDS = 120.0
"""So long a scheduler is waited for, at first and when it went away."""

CLOSE_SECONDS = 15.0
ANSWER_SECONDS = 30.0
ALONE_SECONDS = 300.0
"""So long a cluster may be without any worker before the work is given up."""

NAMED = 5
"""So many machines are named in one line."""


@contextlib.contextmanager
def cluster(
    spec: Spec,
    bases: Sequence[Base],
    paths: Paths,
    progress: Progress,
    tell: Callable[[str], None] = lambda _text: None,
) -> Iterator[Client]:
    """A client of the cluster for as long as the context lasts; workers of its own end with it. ``tell`` gets a line
    for each host over SSH whose worker ends before that."""
    try:
        import distributed
    except ImportError:
        raise InfrastructureError("--cluster needs Dask, which is not installed", hint=EXTRA) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settle()
    with contextlib.ExitStack() as stack:
        address: Any = spec.address
        security = None
        if spec.hosts:
            from lab.remote.hosts import find_host
            from lab.remote.overssh import hosts_as_workers

            named = [find_host(name, paths) for name in spec.hosts]
            address, security = stack.enter_context(hosts_as_workers(named, bases, progress, tell))
        if spec.slurm:
            from lab.remote.slurm import jobs_as_workers

            address, security = stack.enter_context(jobs_as_workers(spec.slurm, paths, progress))
        if spec.address:
            from lab.remote.up import at, reached

            known_here = at(spec.address, paths)
            security = reached(known_here, bases, paths, progress) if known_here else own_security(spec.address)
        try:
            if spec.count:
                address = distributed.LocalCluster(
                    n_workers=spec.count,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    scheduler_kwargs=NO_DASHBOARD,
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    resources=shared(resources(paths), spec.count),
                )
                stack.callback(closed, address)
            client = distributed.Client(address, timeout=START_SECONDS, set_as_default=False, security=security)
        except OSError as error:
            raise InfrastructureError(f"the scheduler {spec.address or 'here'} does not answer: {error}") from None
        stack.callback(closed, client)
        yield client


def own_security(address: str) -> Any:
    """What Dask is configured with; :class:`UserError` where ``address`` asks for certificates and there are none."""
    import dask

    if address.startswith("tls://") and not dask.config.get("distributed.comm.tls.client.cert", None):
        hint = (
            "'lab hosts up' keeps them where it is called; else DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and its kin"
        )
        raise UserError(f"{address}: there are no certificates for it here", hint=hint)
    return None


def closed(one: Any) -> None:
    """Close a client or a cluster. One that does not answer any more must not hide why this ends: its workers watch
    their parent and end by themselves."""
    with contextlib.suppress(Exception):
        one.close(timeout=CLOSE_SECONDS)


def is_gone(client: Client) -> bool:
    """Whether the scheduler was looked for in vain for as long as it is looked for."""
    return client.status in ("closed", "closing")


def known(client: Client) -> list[dict[str, float]]:
    """The resources of each worker that there is now."""
    return list(present(client).values())


def present(client: Client) -> dict[str, dict[str, float]]:
    """The workers that there are now: their addresses, and what each has."""

    if is_gone(client):
        raise InfrastructureError(GONE)
    scheduler: Any = client.scheduler

    async def identity() -> Any:
        return await scheduler.identity(n_workers=-1)

    try:
        told = client.sync(identity, callback_timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError) as error:
        raise InfrastructureError(f"the scheduler does not answer: {said(error)}") from None
    return {address: dict(one.get("resources") or {}) for address, one in told["workers"].items()}


def workers(client: Client, resource: str) -> int:
    """How many workers with that resource there are now."""
    return sum(bool(one.get(resource)) for one in known(client))


def workers_by(client: Client, resource: str, limit: float) -> int:
    """As :func:`workers`; none where the scheduler does not answer now, but may until ``limit``."""
    try:
        return workers(client, resource)
    except InfrastructureError:
        if time.monotonic() > limit or is_gone(client):
            raise
        return 0


def await_workers(client: Client, resource: str, count: int, seconds: float = START_SECONDS) -> int:
    """Wait until there are ``count`` workers that have ``resource``; fewer where no more come in time."""
    limit = time.monotonic() + seconds
    while (found := workers_by(client, resource, limit)) < count:
        if time.monotonic() > limit:
            if found:
                return found
            raise InfrastructureError(
                f"in {seconds:g} s no worker of the cluster came that builds with this machine's compiler ({resource})",
                hint="kernels have to come from one compiler; start workers by: lab hosts worker ADDRESS",
            )
        time.sleep(0.1)
    return found


class Roll:
    """Tells who comes to a cluster and who leaves it, from the second look on."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.there: frozenset[str] | None = None

    def call(self, addresses: Collection[str]) -> None:
        """These are the workers that there are now."""
        there = frozenset(addresses)
        before = there if self.there is None else self.there
        self.there = there
        if before - there:
            self.tell(f"gone from the cluster: {workers_at(before - there)}; {len(there)} left")
        if there - before:
            self.tell(f"come to the cluster: {workers_at(there - before)}; {len(there)} now")


def workers_at(addresses: Collection[str]) -> str:
    """How many workers of which machines, in words."""
    counts = Counter(one.rpartition("//")[2].rpartition(":")[0] or one for one in addresses)
    named = [f"{count} on {host}" for host, count in sorted(counts.items())]
    more = f" and {len(named) - NAMED} more machines" if len(named) > NAMED else ""
    return f"{len(addresses)} worker(s) ({', '.join(named[:NAMED])}{more})"


class Lonely:
    """Gives up where a cluster has had no worker for long. A scheduler that is away may come back in the meantime."""

    def __init__(self, client: Client, resource: str, tell: Callable[[str], None] = lambda _text: None) -> None:
        self.client = client
        self.resource = resource
        self.roll = Roll(tell)
        self.seen = time.monotonic()

    def check(self) -> None:
        """Called again and again while work is under way."""
        if is_gone(self.client):
            raise InfrastructureError(GONE)
        found = 0
        with contextlib.suppress(Exception):  # it is being reached again
            if self.client.status == "running":
                there = present(self.client)
                self.roll.call(there)
                found = sum(bool(one.get(self.resource)) for one in there.values())
        now = time.monotonic()
        if found:
            self.seen = now
        elif now - self.seen > ALONE_SECONDS:
            raise InfrastructureError(f"the cluster has had no worker for {ALONE_SECONDS:g} s")
