"""Files that other processes of the lab see too: written whole or not at all, and locked while they change."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lab.errors import InfrastructureError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to ``path``: readers see the old file or the whole new one, also after a crash.

    Missing folders are made. Raises :class:`InfrastructureError` naming the path, for a full disk too.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror or error}") from None


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` last: a rename is only on disk once its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, deadline: float, *, shared: bool = False) -> Iterator[None]:
    """Hold ``flock(2)`` on file ``path`` (made when missing, never removed), waiting at most ``deadline`` seconds.

    The kernel drops the lock when its holder dies. It is not reentrant: a second ``locked`` on the same path waits
    also in the same thread. Raises :class:`InfrastructureError` when the deadline passes; its message names the holder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be locked: {error.strerror}") from None
    try:
        wait_for_lock(fd, path, deadline, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        if not shared:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def wait_for_lock(fd: int, path: Path, deadline: float, kind: int) -> None:
    """Take the lock on ``fd``, asking again until ``deadline`` seconds have passed."""
    limit = time.monotonic() + deadline
    pause = 0.005
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= limit:
                holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
                who = f"process {holder}" if holder.isdecimal() else "another process"
                raise InfrastructureError(
                    f"{path}: {who} has held this lock for {deadline:g} s", hint="wait for it, or end it"
                ) from None
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
