"""A TCP line on loopback that delays, stalls as one does that loses packets, is narrow, and is cut: for kernels that
have no netem. What TCP makes of a lost packet is a pause of everything behind it, and that is what is played here."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator

PACKET = 1448
RETRANSMIT_SECONDS = 0.2
"""Linux's smallest retransmission timeout."""


class Line:
    """Leads to ``target`` (a port here). ``delay`` and ``jitter`` in seconds each way, ``loss`` as the part of packets
    that come by a second try only, ``rate`` in bytes a second (0: no limit), ``cut_after`` bytes from there to here the
    line is cut once, and then stays down if ``stays_down``."""

    def __init__(
        self,
        target: int,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        rate: float = 0.0,
        cut_after: int = 0,
    ) -> None:
        self.target, self.delay, self.jitter, self.loss, self.rate = target, delay, jitter, loss, rate
        self.cut_after = cut_after
        self.stays_down = False
        self.up = True
        self.port = 0
        self.passed = 0
        self.stalls = 0
        self.cuts = 0
        self.connections = 0
        self.random = random.Random(8)
        self.writers: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        self.began = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        async def begin() -> None:
            server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self.began.set()

        self.loop.run_until_complete(begin())
        self.loop.run_forever()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, far_writer}
        await asyncio.gather(self.pump(reader, far_writer, back=False), self.pump(far_reader, writer, back=True))
        self.writers -= {writer, far_writer}

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        """Carry bytes one way; each piece comes after the one before it, however late that was."""
        due = 0.0
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if back:
                    self.passed += len(data)
                    if self.cut_after and self.passed > self.cut_after:
                        self.cut_after = 0
                        self.up = not self.stays_down
                        self.cut_now()
                        return
                now = self.loop.time()
                lost = sum(self.random.random() < self.loss for _ in range(1 + len(data) // PACKET))
                self.stalls += lost
                takes = self.delay + self.random.uniform(-self.jitter, self.jitter) + lost * RETRANSMIT_SECONDS
                due = max(due + 1e-6, now + takes)
                due += len(data) / self.rate if self.rate else 0.0
                self.loop.call_at(due, self.deliver, writer, data)
        self.loop.call_at(due + 1e-6, self.ended, writer)

    @staticmethod
    def deliver(writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)

    @staticmethod
    def ended(writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()

    def cut_now(self) -> None:
        """Break all connections (in the line's own thread)."""
        self.cuts += 1
        for writer in self.writers:
            writer.transport.abort()

    def cut(self) -> None:
        """Break all connections, and let no new one through until :meth:`mend`."""
        self.up = False
        self.loop.call_soon_threadsafe(self.cut_now)

    def mend(self) -> None:
        """Let connections through again."""
        self.up = True


@contextlib.contextmanager
def line_to(target: int, **spoilt: float) -> Iterator[Line]:
    """A line to port ``target`` for as long as the context lasts."""
    line = Line(target, **spoilt)  # type: ignore[arg-type]
    line.thread.start()
    assert line.began.wait(10)
    try:
        yield line
    finally:
        line.loop.call_soon_threadsafe(line.cut_now)
        line.loop.call_soon_threadsafe(line.loop.stop)
        line.thread.join(10)
