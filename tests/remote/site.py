"""A Dask scheduler that can be killed and come back, and the lab's workers of it; each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .conftest import free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Site:
    """Where it is, and what runs."""

    folder: Path
    address: str = field(default_factory=lambda: f"tcp://127.0.0.1:{free_port()}")
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        own = {"LAB_CACHE": str(self.folder / "cache"), "LAB_CONFIG": str(self.folder / "config")}
        return {**os.environ, **own, "PYTHONPATH": str(ROOT), "LAB_DATA": str(self.folder / "data")}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *words], env=self.environment, stdout=log, stderr=log, process_group=0
            )

    def begin(self, workers: int = 2) -> None:
        self.begin_scheduler()
        self.workers += [self.start("lab", "hosts", "worker", self.address) for _ in range(workers)]

    def begin_scheduler(self) -> None:
        self.scheduler = self.start("distributed.cli.dask_scheduler", "--host", self.address, "--no-dashboard")

    def restart_scheduler(self, seconds: float = 1.0) -> None:
        """Kill it, and have another one at the same place after a while."""
        assert self.scheduler is not None
        kill(self.scheduler)
        time.sleep(seconds)
        self.begin_scheduler()


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def site(folder: Path, workers: int = 2) -> Iterator[Site]:
    """A site in ``folder``, which is gone afterwards."""
    folder.mkdir(exist_ok=True)
    one = Site(folder)
    try:
        one.begin(workers)
        yield one
    finally:
        for process in [*one.workers, one.scheduler]:
            if process is not None:
                kill(process)
