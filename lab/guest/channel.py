"""The host's end of the line to the agent in a guest (``agent.c`` says what goes over it): commands and files.

Every answer is waited for with a deadline, and of every answer no more is kept than was asked for.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time
import zlib
from dataclasses import dataclass
from mmap import mmap

from lab.errors import InfrastructureError, UserError

HELLO = b"\2lab agent 1\3"
HEADER = struct.Struct(">cLL")
PIECE = 1024
"""What is sent at once: the kernel keeps 4 KiB of a serial line for a slow reader and drops what comes after."""
MESSAGE_BYTES = 1 << 16
DATA_BYTES = 1 << 14
SHARED_BYTES = 1 << 20
LARGE_BYTES = 256
ACK = b"\6"
CUT_OUT, CUT_ERR, LATE = 1, 2, 4
ANSWER_SECONDS = 30.0
"""What the agent may take beyond a command's own deadline: it has to be scheduled, by the guest and by the host."""
PIECE_SECONDS = 30.0
PULL_BYTES = 64 << 20
OUTPUT_BYTES = 1 << 20


class ChannelLost(InfrastructureError):
    """The agent does not answer any more: its guest died or was ended, hangs, or damages what is sent."""


@dataclass(frozen=True)
class Ran:
    """A command that was run in a guest. ``status`` is its exit status, or minus the signal that ended it; ``late``: it
    was killed at its deadline; ``cut``: it printed more than was kept (the first bytes are). ``seconds`` are the
    guest's."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    late: bool = False
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.status == 0 and not self.late

    @property
    def text(self) -> str:
        """Its standard output as text, without the last line end; bytes that are no UTF-8 show as U+FFFD."""
        return self.stdout.decode(errors="replace").removesuffix("\n")

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if self.late:
            return f"killed at its deadline, after {self.seconds:.1f} s"
        return f"ended by signal {-self.status}" if self.status < 0 else f"status {self.status}"


class Channel:
    """A line to an agent, and how far reading from it came. ``line`` is an open file (a socket, a terminal) that stays
    its owner's, or -1 once that has closed it. Not for more than one thread."""

    def __init__(self, line: int, shared: mmap | None = None) -> None:
        """``shared`` is memory that the guest's agent has too, ``SHARED_BYTES`` of it; it is used where the agent finds
        it."""
        os.set_blocking(line, False)
        self.line = line
        self.offered = shared
        self.shared: mmap | None = None
        self.pending = bytearray()

    def greet(self, deadline: float) -> None:
        """Wait until the agent is there, at most ``deadline`` seconds; what a driver's probing sent is passed over."""
        limit = time.monotonic() + deadline
        while (at := self.pending.find(HELLO)) < 0:
            del self.pending[: -len(HELLO)]
            self.fill(limit, f"the guest's agent did not come up within {deadline:g} s")
        del self.pending[: at + len(HELLO)]
        kind, body = self.receive(limit)
        if kind != b"H" or len(body) != 8 or body[:4] != struct.pack(">L", 1):
            raise ChannelLost(f"the guest's agent speaks another language: {kind!r} {body[:40]!r}")
        if struct.unpack(">L", body[4:])[0] >= SHARED_BYTES:
            self.shared = self.offered

    def run(
        self, argv: tuple[str, ...], *, deadline: float, limit: int = OUTPUT_BYTES, stdin: str = "", most: int = 1
    ) -> Ran:
        """Run ``argv`` in the guest to its end, at most ``deadline`` seconds, with the guest's file ``stdin`` as its
        input, and keep ``limit`` bytes of each of its outputs.

        The host waits ``most`` times as long, for a guest that it keeps from running. Raises :class:`OSError` for a
        program that cannot be started.
        """
        words = [os.fsencode(word) for word in (stdin, *argv)]
        if any(b"\0" in word for word in words):
            raise UserError(f"{argv[0]!r}: an argument with a zero byte in it")
        millis = min(max(1, round(deadline * 1000)), 2**31 - 1)
        body = struct.pack(">LL", millis, min(limit, 2**31)) + b"".join(word + b"\0" for word in words)
        self.send(b"R", body)
        kept = {b"O": bytearray(), b"X": bytearray()}
        until = time.monotonic() + deadline * max(1, most) + ANSWER_SECONDS
        while True:
            kind, body = self.receive(until, f"{argv[0]} did not end within {deadline:g} s, nor could it be killed")
            if kind in kept:
                kept[kind] += body
            elif kind == b"S":
                status, flags, millis = struct.unpack(">LLL", body)
                break
            else:
                raise self.refusal(kind, body, argv[0])
        return Ran(
            argv,
            os.waitstatus_to_exitcode(status),
            bytes(kept[b"O"]),
            bytes(kept[b"X"]),
            millis / 1000,
            late=bool(flags & LATE),
            cut=bool(flags & (CUT_OUT | CUT_ERR)),
        )

    def push(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Make ``data`` the guest's file ``path``, whole or not at all; :class:`OSError` says why not."""
        self.send(b"P", struct.pack(">L", mode) + name(path))
        self.done(path)
        step = SHARED_BYTES if self.shared is not None else DATA_BYTES
        for at in range(0, len(data), step):
            self.send_data(data[at : at + step])
        self.send(b"F", b"")
        self.done(path)

    def pull(self, path: str, limit: int = PULL_BYTES, deadline: float = 120.0) -> bytes:
        """The content of the guest's file ``path``, also of one that only the kernel knows the length of.

        Raises :class:`OSError` as opening it here would, and for one that is larger than ``limit`` bytes.
        """
        self.send(b"G", struct.pack(">L", min(limit, 2**31)) + name(path))
        data = bytearray()
        until = time.monotonic() + deadline
        while True:
            kind, body = self.receive(until, f"{path} did not come within {deadline:g} s")
            if kind != b"D":
                break
            data += body
        if kind != b"K":
            raise self.refusal(kind, body, path)
        if struct.unpack(">L", body)[0]:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
        return bytes(data)

    def write(self, path: str, data: bytes) -> None:
        """Write ``data`` to the file ``path`` of the guest in one call, as sysfs and sysctl want it."""
        self.send(b"W", name(path) + b"\0" + data)
        self.done(path)

    def done(self, path: str) -> None:
        """The answer that it was done, or the :class:`OSError` that it was not."""
        kind, body = self.receive(time.monotonic() + ANSWER_SECONDS)
        if kind != b"K":
            raise self.refusal(kind, body, path)

    def refusal(self, kind: bytes, body: bytes, what: str) -> Exception:
        """What an answer means that is not the one that was hoped for."""
        if kind == b"E" and len(body) == 4:
            number = struct.unpack(">L", body)[0]
            return OSError(number, os.strerror(number), what)
        return ChannelLost(f"the guest's agent answers with {kind!r}, which makes no sense here")

    def send_data(self, data: bytes) -> None:
        """A piece of a file: through shared memory, where there is any."""
        if self.shared is None or len(data) < LARGE_BYTES:
            self.send(b"D", data)
            return
        self.shared[: len(data)] = data
        self.send(b"M", HEADER.pack(b"D", len(data), zlib.crc32(data)))
        self.acknowledged(time.monotonic() + ANSWER_SECONDS)

    def send(self, kind: bytes, body: bytes) -> None:
        """One message, in pieces that are acknowledged one by one."""
        if len(body) > MESSAGE_BYTES:
            raise UserError(f"a request of {len(body)} bytes; the guest's agent takes {MESSAGE_BYTES}")
        pieces = [HEADER.pack(kind, len(body), zlib.crc32(body))]
        pieces += [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
        for piece in pieces:
            limit = time.monotonic() + PIECE_SECONDS
            self.put(piece, limit)
            self.acknowledged(limit)

    def acknowledged(self, limit: float) -> None:
        """Take the agent's word that it has what was sent."""
        if self.exactly(1, limit) != ACK:
            raise ChannelLost("the guest's agent answers out of turn")

    def put(self, piece: bytes, limit: float) -> None:
        """Write ``piece`` to the line."""
        left = memoryview(piece)
        while left:
            self.wait(limit, writing=True)
            try:
                left = left[os.write(self.line, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise ChannelLost("the guest has ended") from None

    def receive(self, limit: float, late: str = "") -> tuple[bytes, bytes]:
        """The next message, at :func:`time.monotonic` ``limit`` the latest."""
        kind, length, crc = HEADER.unpack(self.exactly(HEADER.size, limit, late))
        if length > MESSAGE_BYTES:
            raise ChannelLost("the line to the guest's agent is out of step")
        body = self.exactly(length, limit, late)
        if zlib.crc32(body) != crc:
            raise ChannelLost("what the guest's agent sent came damaged")
        return self.fetch(body, limit) if kind == b"M" else (kind, body)

    def fetch(self, where: bytes, limit: float) -> tuple[bytes, bytes]:
        """What the agent has laid into the shared memory: its type, and a copy."""
        if self.shared is None or len(where) != HEADER.size:
            raise ChannelLost("the guest's agent tells of shared memory that there is none of")
        kind, length, crc = HEADER.unpack(where)
        body = bytes(self.shared[: min(length, SHARED_BYTES)])
        if len(body) != length or zlib.crc32(body) != crc:
            raise ChannelLost("what the guest's agent shared came damaged")
        self.put(ACK, limit)
        return kind, body

    def exactly(self, size: int, limit: float, late: str = "") -> bytes:
        """The next ``size`` bytes."""
        while len(self.pending) < size:
            self.fill(limit, late)
        data = bytes(self.pending[:size])
        del self.pending[:size]
        return data

    def fill(self, limit: float, late: str) -> None:
        """Some more bytes."""
        self.wait(limit, late=late)
        try:
            data = os.read(self.line, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise ChannelLost("the guest has ended")
        self.pending += data

    def wait(self, limit: float, *, writing: bool = False, late: str = "") -> None:
        """Until the line can be read, or written."""
        if self.line < 0:
            raise ChannelLost("the guest has ended")
        poll = select.poll()
        poll.register(self.line, select.POLLOUT if writing else select.POLLIN)
        if not poll.poll(max(0.0, limit - time.monotonic()) * 1000):
            raise ChannelLost(late or "the guest's agent does not answer")


def name(path: str) -> bytes:
    """A path in the guest, as bytes."""
    raw = os.fsencode(path)
    if not path.startswith("/") or b"\0" in raw:
        raise UserError(f"{path!r}: a path in the guest begins with / and has no zero byte in it")
    return raw
