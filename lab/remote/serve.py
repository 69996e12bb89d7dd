"""The lab over there: one process for each connection, ``python -m lab.remote.serve``, that speaks on its standard
streams. Jobs outlive it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import select
import sys
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from lab.errors import InfrastructureError, LabError, UserError
from lab.paths import Paths, user_paths
from lab.remote import frames
from lab.remote.frames import (
    Ask,
    BadFrame,
    Beat,
    Begun,
    Cancel,
    Cancelled,
    Ended,
    Examine,
    Examined,
    File,
    Get,
    Have,
    Refused,
    Source,
    Taken,
    Welcome,
)
from lab.remote.jobs import EVENTS, RESULT, Run, begin, end, following

BEAT_SECONDS = 10.0
SILENT_SECONDS = 60.0
"""Who asked and is not heard of for so long is gone; the job goes on."""

LOOK_SECONDS = 0.1
EVENT_BYTES = 16 << 20


class Gone(Exception):
    """Who asked is gone."""


class Wire:
    """Standard input and output as the protocol needs them."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.buffer = bytearray()

    def wait(self, seconds: float) -> bool:
        """Whether something more came within so many seconds."""
        if self.buffer:
            return True
        return bool(select.select([self.source], [], [], max(seconds, 0.0))[0])

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes, :class:`Gone` where they don't come."""
        while len(self.buffer) < count:
            if not select.select([self.source], [], [], SILENT_SECONDS)[0]:
                raise Gone
            data = os.read(self.source, 1 << 16)
            if not data:
                raise Gone
            self.buffer += data
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def next(self) -> Any:
        """The next document."""
        return frames.read_frame(self.read, frames.from_here)

    def say(self, message: Any) -> None:
        """Send a document."""
        self.raw(frames.packed(message))

    def raw(self, data: bytes) -> None:
        """Send bytes, as long as they are taken."""
        view = memoryview(data)
        while view:
            if not select.select([], [self.sink], [], SILENT_SECONDS)[1]:
                raise Gone
            try:
                view = view[os.write(self.sink, view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Gone from None


def main() -> None:
    """Answer until nobody asks any more."""
    sink = os.dup(1)
    os.set_blocking(sink, False)
    os.dup2(2, 1)  # whatever a library prints must not come between
    wire = Wire(0, sink)
    with contextlib.suppress(Gone):
        wire.raw(frames.MAGIC)
        serve(wire, user_paths())
    sys.stderr.flush()
    os._exit(0)


def serve(wire: Wire, paths: Paths) -> None:
    """Say who is here, then answer one question after the other."""
    wire.say(Welcome(sys.version.split()[0], Path(__file__).resolve().parents[2].name))
    run: Run | None = None
    while True:
        try:
            message = wire.next()
        except BadFrame as bad:
            wire.say(Refused("user", f"not understood: {bad}"))
            return
        try:
            run = answer(message, wire, paths, run)
        except BadFrame as bad:
            wire.say(Refused("user", f"not understood: {bad}"))
            return
        except LabError as error:
            kind: Literal["user", "infrastructure"] = "user" if isinstance(error, UserError) else "infrastructure"
            wire.say(Refused(kind, error.message, error.hint))
        except OSError as error:
            wire.say(Refused("infrastructure", f"{error.filename or 'the disk'}: {error.strerror or error}"))


def answer(message: Any, wire: Wire, paths: Paths, run: Run | None) -> Run | None:
    """Answer one question; the run that is followed after it."""
    match message:
        case Have():
            from lab.remote.sources import find_source, known_commits, place_for

            repo = find_source(message.commit, paths)
            place = repo or place_for(message.name, message.commit, paths)
            wire.say(Source(repo is not None, str(place), () if repo else known_commits(place)))
        case Examine():
            from lab.doctor import examine
            from lab.settings import load_settings
            from lab.share.where import chosen

            share = chosen(None, load_settings(paths.config_file).share)
            wire.say(Examined(tuple(examine(paths, share=share))))
        case Ask():
            return asked(message, wire, paths)
        case Get():
            send(message, wire, paths)
        case Taken() if run is not None:
            run.take()
            wire.say(Beat())
        case Cancel():
            wire.say(Cancelled(False))
        case Beat():
            pass
        case _:
            raise UserError("asked out of turn")
    return run


def asked(message: Ask, wire: Wire, paths: Paths) -> Run:
    """Begin the job or find it, and tell what goes on until it ends."""
    if not 0 < message.size <= frames.FRAME_BYTES:
        raise UserError("a request of that size is none")
    data = wire.read(message.size)
    if hashlib.sha256(data).hexdigest() != message.key:
        raise InfrastructureError("the request was damaged on its way")
    run, found = begin(message.key, data, paths)
    wire.say(Begun(run.number, found))
    with following(run) as follower:
        follow(run, follower, wire)
    return run


def follow(run: Run, follower: int, wire: Wire) -> None:
    """Tell what goes on in ``run`` until it ends or is cancelled."""
    heard = said = time.monotonic()
    with (run.folder / EVENTS).open("rb") as events:
        while True:
            alive = run.alive  # asked first: what it wrote before it ended is told below
            if tell(events, wire):
                said = time.monotonic()
            if not alive:
                finish(run, wire)
                return
            if wire.wait(LOOK_SECONDS):
                heard = time.monotonic()
                if isinstance(wire.next(), Cancel):
                    wire.say(Cancelled(end(run, follower)))
                    return
            now = time.monotonic()
            if now - heard > SILENT_SECONDS:
                raise Gone
            if now - said > BEAT_SECONDS:
                wire.say(Beat())
                said = now


def tell(events: Any, wire: Wire) -> bool:
    """Send the documents that came since; whether there were any. A last line that is not whole yet waits."""
    told = False
    while True:
        at = events.tell()
        line = events.readline(EVENT_BYTES)
        if not line.endswith(b"\n"):
            events.seek(at)
            return told
        try:
            document = frames.event.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        wire.say(document)
        told = True


def finish(run: Run, wire: Wire) -> None:
    """Send the result, or why there is none."""
    try:
        data = (run.folder / RESULT).read_bytes()
    except OSError:
        data = b""
    if not data or len(data) > frames.FRAME_BYTES:
        run.take()
        why = "its result is larger than any" if data else run.last_words() or "it was killed, or the host went down"
        wire.say(Ended(0, why))
        return
    wire.say(Ended(len(data)))
    wire.raw(data)


def send(message: Get, wire: Wire, paths: Paths) -> None:
    """Send a file of a kernel or of a boot, and no other."""
    path: Path | None = None
    if message.kind == "kernel" and re.fullmatch(frames.KEY, message.key) and message.name in frames.KERNEL_FILES:
        path = paths.kernels / message.key[:2] / message.key / message.name
    elif message.kind == "boot" and re.fullmatch(frames.BOOT_ID, message.key) and message.name == "console.log":
        path = paths.boots / message.key / message.name
    if path is None or not path.is_file():
        wire.say(File(-1))
        return
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        wire.say(File(size))
        left = size
        while left:
            data = file.read(min(left, frames.PIECE_BYTES))
            wire.raw(data or b"\0" * min(left, frames.PIECE_BYTES))  # it shrank: the hash will tell
            left -= len(data) or min(left, frames.PIECE_BYTES)


if __name__ == "__main__":
    main()
