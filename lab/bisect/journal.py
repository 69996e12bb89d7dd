"""The journal of a bisect: every build and boot is on disk before the next begins.

One JSON document a line, only ever added to, and each line synchronised before it counts. A last line that a power
failure tore is cut off when the journal is opened the next time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from lab.bisect.records import Event, Question
from lab.errors import InfrastructureError, UserError
from lab.files import locked, sync_folder

LIMIT_BYTES = 256 << 20
WAIT_SECONDS = 2.0
EVENT = msgspec.json.Decoder(Event)


class Journal:
    """The events of one bisect, and where they are kept; without a ``path`` they are kept in memory alone."""

    def __init__(self, path: Path | None = None, events: Sequence[Event] = (), *, lost: int = 0) -> None:
        self.path = path
        self.events = list(events)
        self.lost = lost

    def add(self, event: Event) -> None:
        """Take ``event`` down. When this returns it is on disk."""
        if self.path is not None:
            append(self.path, event)
        self.events.append(event)


def append(path: Path, event: Event) -> None:
    """Add ``event`` to the file, which is made when it is missing."""
    line = msgspec.json.encode(event, enc_hook=str) + b"\n"
    new = not path.exists()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(fd, line)
            while written < len(line):
                written += os.write(fd, line[written:])
            os.fsync(fd)
        finally:
            os.close(fd)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def opened(path: Path, *, wait: float = WAIT_SECONDS) -> Iterator[Journal]:
    """The journal in ``path`` for as long as the context lasts; no other process writes to it meanwhile.

    Raises :class:`InfrastructureError` naming the process that has been at the same bisect for ``wait`` seconds.
    """
    with locked(path.with_suffix(".lock"), wait):
        mend(path)
        events, lost = read(path) if path.exists() else ([], 0)
        yield Journal(path, events, lost=lost)


def mend(path: Path) -> None:
    """Cut off a last line that was not written to its end."""
    try:
        with path.open("r+b") as file:
            data = file.read(LIMIT_BYTES)
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)
                os.fsync(file.fileno())
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be read: {error.strerror or error}") from None


def read(path: Path) -> tuple[list[Event], int]:
    """The events in a file, and how many lines nobody can read: they are as if they had not been, which costs time
    alone."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    if len(data) > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a bisect's journal")
    events: list[Event] = []
    lost = 0
    for line in data.splitlines():
        try:
            events.append(EVENT.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            lost += 1
    return events, lost


def question_of(events: Sequence[Event]) -> Question | None:
    """The question that a journal begins with."""
    return next((event for event in events if isinstance(event, Question)), None)
