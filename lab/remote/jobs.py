"""Jobs on the machine that does them: each run has a folder, goes on when nobody listens, and is found again.

``<cache>/jobs/<key>/<run>/`` holds ``request.json``, ``events.jsonl`` (what goes on, a document a line), ``output``
(what the process said beside that), ``result.json`` (written whole at the end), ``taken`` (who asked has it) and two
locks: ``alive`` is held by the process for as long as it lives, ``followers`` shared by everyone who waits for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InfrastructureError
from lab.files import locked, write_atomic
from lab.paths import Paths

REQUEST, EVENTS, OUTPUT, RESULT, TAKEN = "request.json", "events.jsonl", "output", "result.json", "taken"
ALIVE, FOLLOWERS = "alive", "followers"
KEPT_SECONDS = 7 * 24 * 3600.0
"""So long a run's folder stays after its end."""

END_SECONDS = 20.0
"""What a job gets to end its children before it is killed; its guards end them then."""

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """One run of a job. ``number`` counts the runs of the same request."""

    folder: Path

    @property
    def number(self) -> int:
        """Its place among the runs of the same request."""
        return int(self.folder.name)

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return (self.folder / RESULT).is_file()

    @property
    def taken(self) -> bool:
        """Whether who asked has the result, or gave it up."""
        return (self.folder / TAKEN).exists()

    @property
    def alive(self) -> bool:
        """Whether its process lives: it holds the lock alone, and the kernel drops it when that dies."""
        try:
            fd = os.open(self.folder / ALIVE, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(fd)

    def take(self) -> None:
        """Mark it: the next same request begins anew."""
        write_atomic(self.folder / TAKEN, "")

    def last_words(self) -> str:
        """The last line that its process said beside its events."""
        with contextlib.suppress(OSError), (self.folder / OUTPUT).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read(4096).decode(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""


def jobs_folder(paths: Paths) -> Path:
    """Where jobs are."""
    return paths.cache / "jobs"


def runs(job: Path) -> list[Run]:
    """The runs of one request, in the order in which they began."""
    found = [path for path in job.glob("*") if path.name.isdecimal() and path.is_dir()]
    return [Run(path) for path in sorted(found, key=lambda path: int(path.name))]


def begin(key: str, request: bytes, paths: Paths) -> tuple[Run, bool]:
    """The run that answers ``request``, whose hash is ``key``: one that is under way or whose result nobody took yet
    (and True), else a new one."""
    job = jobs_folder(paths) / key
    with locked(job / "lock", WAIT_SECONDS):
        sweep(jobs_folder(paths), keep=job)
        known = runs(job)
        if known and not known[-1].taken and (known[-1].alive or known[-1].done):
            return known[-1], True
        folder = job / f"{known[-1].number + 1 if known else 1:06d}"
        folder.mkdir()
        write_atomic(folder / REQUEST, request)
        (folder / EVENTS).touch()
        start(folder)
        return Run(folder), False


def start(folder: Path) -> None:
    """Start the process of the run in ``folder``, in a session of its own; it holds the lock from the beginning."""
    fd = os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with (folder / OUTPUT).open("ab") as output:
            subprocess.Popen(
                [sys.executable, "-m", "lab.remote.job", str(folder), str(fd)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(fd,),
                start_new_session=True,
            )
    except OSError as error:
        raise InfrastructureError(f"the job could not be started: {error.strerror or error}") from None
    finally:
        os.close(fd)


@contextlib.contextmanager
def following(run: Run) -> Iterator[int]:
    """Be one of those who wait for ``run``; the descriptor is for :func:`end`."""
    fd = os.open(run.folder / FOLLOWERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield fd
    finally:
        os.close(fd)


def end(run: Run, follower: int) -> bool:
    """End ``run`` and all its children, unless somebody else waits for it too. Whether it was ended."""
    try:
        fcntl.flock(follower, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    run.take()
    limit = time.monotonic() + END_SECONDS
    signalled = False
    while run.alive:
        process = pid_of(run)
        late = time.monotonic() > limit
        if process and (late or not signalled):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
            signalled = True
        if time.monotonic() > limit + END_SECONDS:
            raise InfrastructureError(f"process {process} does not end", hint=f"kill -9 {process}")
        time.sleep(0.02)
    return True


def pid_of(run: Run) -> int:
    """The process of ``run``, which lives; 0 where it has not said so yet."""
    with contextlib.suppress(OSError, ValueError):
        return int((run.folder / "pid").read_text())
    return 0


def sweep(folder: Path, *, keep: Path) -> None:
    """Remove runs that ended long ago. What a clock that lies makes older or younger is only kept too long. Jobs have a
    hash for a name: the cases of clusters, which are beside them, are another matter."""
    for job in folder.glob("[0-9a-f]" * 64):
        for run in runs(job) if job != keep else []:
            with contextlib.suppress(OSError):
                age = time.time() - run.folder.stat().st_mtime
                if age > KEPT_SECONDS and not run.alive:
                    shutil.rmtree(run.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            if job != keep and not runs(job) and time.time() - job.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(job, ignore_errors=True)
