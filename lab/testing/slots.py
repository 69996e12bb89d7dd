"""How many guests run at once on this machine, whatever number of test processes ask."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lab.errors import InfrastructureError

PAUSE_SECONDS = 0.05


@contextlib.contextmanager
def slot(folder: Path, count: int, deadline: float) -> Iterator[None]:
    """Hold one of ``count`` places, waiting at most ``deadline`` seconds for one; each is a lock that its holder's end
    releases, whatever ends it. Raises :class:`InfrastructureError` when none comes free."""
    limit = time.monotonic() + deadline
    fds: list[int] = []
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for at in range(count):
                fds.append(os.open(folder / f"guest-{at}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise InfrastructureError(f"{folder}: cannot be locked: {error.strerror}") from None
        while not any(taken(fd) for fd in fds):
            if time.monotonic() >= limit:
                raise InfrastructureError(
                    f"{count} guests have been running for {deadline:g} s, and that is how many may at once",
                    hint="wait for them, or allow more with --lab-boots",
                )
            time.sleep(PAUSE_SECONDS)
        yield
    finally:
        for fd in fds:
            os.close(fd)


def taken(fd: int) -> bool:
    """Whether the lock could be had."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
