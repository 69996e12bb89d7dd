"""Following a running guest: its console into the log and the scanner, its monitor's events, and the clock.

The edge of the package: what was seen goes to :mod:`lab.guest.watch`, which decides. Imported only once QEMU has been
started, so that importing asyncio costs the boot nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu.qmp import EventListener, QMPClient, QMPError, Runstate

from lab.errors import InfrastructureError
from lab.guest.qemu import Guest
from lab.guest.types import Outcome
from lab.guest.watch import Decision, Sight, decide

if TYPE_CHECKING:
    from lab.console.scanner import Scanner

CHUNK = 1 << 18
GATHER_SECONDS = 0.003
"""The console is read this often at most, in place of some 10,000 times a second: a core's time that guests need."""
LOG_BYTES = 64 << 20
"""A console's log on disk ends here; what comes after it is still read and judged."""
ERRORS_BYTES = 1 << 16
TRACE_BYTES = 4 << 20
"""What is kept of a trace: its end, where a guest that dies does so."""
CONNECT_SECONDS = 30.0
"""QEMU answers within 0.1 s; with memory that is allocated in advance it takes longer."""
ASK_SECONDS = 2.0
HEARTBEAT_SECONDS = 1.0
"""Waking later than this after it was due, the lab itself was not running: the host slept, or was paused as a guest is.
That time does not count."""
HOST_DELAY_MOST = 4
"""Waiting for a core of the host makes a deadline later, but by no more than this many times itself."""
GONE = (QMPError, EOFError, OSError, TimeoutError)
"""What a monitor raises that went away, or does not answer, in the middle of anything."""
EVENTS = ("SHUTDOWN", "STOP", "GUEST_PANICKED")


@dataclass(frozen=True)
class Seen:
    """What came of a run, before it is put together. Times in seconds since QEMU was started."""

    outcome: Outcome
    sight: Sight
    scanner: Scanner
    seconds: float
    first_byte: float | None
    marker: float | None
    console_bytes: int
    errors: str
    status: int | None
    registers: str = ""
    trace: bytes = b""
    memory: str = ""
    ended: float | None = None


def follow(
    guest: Guest,
    *,
    log: int,
    deadline: float,
    on_console: Callable[[bytes], None] | None = None,
    wait_for_exit: bool = False,
    inspect: Callable[[bytes], str] | None = None,
    meanwhile: Callable[[], None] | None = None,
    hold: float = 0.0,
    stop: int = -1,
) -> Seen:
    """Let ``guest`` run until it has shown enough, at most ``deadline`` seconds, and end it.

    Seconds in which the guest waited for a core of an overloaded host don't count, up to four times the deadline, nor
    do those in which the host itself stood still.

    ``log`` is the open file for the console. ``inspect`` gets the trace of a guest that died and answers with a
    monitor command whose answer becomes ``memory``. ``meanwhile`` is called once the guest runs, while nothing can
    have come of it yet: imports that are needed at the end cost nothing there. ``hold`` is how many seconds longer the
    guest has once its marker came; it is ended when there is something to read on ``stop``, or its other end is closed.
    """
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)  # what goes wrong there is told by Seen
    run = Run(guest, log, deadline, on_console, wait_for_exit, hold=hold, stop=stop)
    return asyncio.run(run.all(inspect, meanwhile or nothing))


class Run:
    """One guest while it runs: guards the loop's readers and what they saw."""

    def __init__(
        self,
        guest: Guest,
        log: int,
        deadline: float,
        on_console: Callable[[bytes], None] | None,
        wait_for_exit: bool,
        *,
        hold: float = 0.0,
        stop: int = -1,
    ) -> None:
        self.guest = guest
        self.log = log
        self.deadline = deadline
        self.on_console = on_console
        self.wait_for_exit = wait_for_exit
        self.hold = hold
        self.stop = stop
        self.stopped = False
        self.scanner: Scanner
        self.client = QMPClient("guest")
        self.client.negotiate = False  # that and "cont" are in the socket since before QEMU was started
        self.changed = asyncio.Event()
        self.failure: BaseException | None = None
        self.errors = bytearray()
        self.trace = bytearray()
        self.console_bytes = 0
        self.first_byte: float | None = None
        self.last_byte: float | None = None
        self.fatal: float | None = None
        self.marker: float | None = None
        self.delays = (0.0, 0.0)
        self.stalled = 0.0
        self.shutdown = ""
        self.broken = False
        self.exited = False
        self.ended: float | None = None

    def now(self) -> float:
        """Seconds since QEMU was started."""
        return time.monotonic() - self.guest.started

    def sight(self) -> Sight:
        """What was seen so far."""
        now = self.now()
        deadline = self.deadline + self.stalled
        if now >= deadline:
            deadline += min(host_delay(self.guest.process.pid), HOST_DELAY_MOST * self.deadline)
        delay = host_delay(self.guest.process.pid) if self.fatal is not None and not self.scanner.complete else 0.0
        return Sight(
            now=now,
            deadline=deadline,
            last_byte=self.last_byte,
            fatal=self.fatal,
            complete=self.scanner.complete,
            marker=self.marker is not None,
            wait_for_exit=self.wait_for_exit,
            shutdown=self.shutdown,
            broken=self.broken,
            exited=self.exited,
            hold=self.hold,
            stopped=self.stopped,
            late=max(0.0, delay - self.delays[0]),
            late_quiet=max(0.0, delay - self.delays[1]),
        )

    async def all(self, inspect: Callable[[bytes], str] | None, meanwhile: Callable[[], None]) -> Seen:
        """Connect, let the guest go, watch it, end it."""
        pidfd = os.pidfd_open(self.guest.process.pid)
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(pidfd, self.reading, self.on_exit, pidfd)
            loop.add_reader(self.guest.errors, self.reading, self.on_errors)
            if self.guest.trace >= 0:
                loop.add_reader(self.guest.trace, self.reading, self.on_trace)
            if self.stop >= 0:
                loop.add_reader(self.stop, self.reading, self.on_stop)
            await self.connect()
            self.scanner = new_scanner()
            self.listen_again()
            meanwhile()
            get_warm()
            decision = await self.watch()
            registers = await self.ask("info registers -a") if decision.outcome == "hang" else ""
            memory = ""
            if inspect and decision.outcome in ("died", "hang"):
                self.drain()
                command = inspect(bytes(self.trace))
                memory = await self.ask(command) if command else ""
            seconds = self.now()
            await self.end(decision.outcome in ("hang", "accelerator"))
            self.drain()
            late = self.marker is not None and self.fatal is None
            if decision.outcome == "died" and late:  # it was among the last bytes
                decision = Decision("userspace")
        finally:
            os.close(pidfd)
        assert decision.outcome  # noqa: S101 - watch() ends with one
        return Seen(
            outcome=decision.outcome,
            sight=self.sight(),
            scanner=self.scanner,
            seconds=seconds,
            first_byte=self.first_byte,
            marker=self.marker,
            console_bytes=self.console_bytes,
            errors=self.errors.decode(errors="replace"),
            status=self.guest.process.poll(),
            registers=registers,
            trace=bytes(self.trace),
            memory=memory,
            ended=self.ended,
        )

    async def connect(self) -> None:
        """Connect to the monitor, which lets the guest go; a QEMU that does not come so far ends by itself."""
        listener = EventListener(names=EVENTS)
        self.client.register_listener(listener)
        self.events = asyncio.create_task(self.listen(listener))
        try:
            await asyncio.wait_for(self.client.connect(self.guest.qmp), CONNECT_SECONDS)
        except GONE:
            try:
                await asyncio.wait_for(self.wait_exit(), ASK_SECONDS)
            except TimeoutError:
                raise InfrastructureError(f"QEMU's monitor does not answer: {self.said()}") from None

    async def listen(self, listener: EventListener) -> None:
        """Take the monitor's events as they come."""
        async for event in listener:
            if event["event"] == "SHUTDOWN":
                data: Any = event["data"]
                self.shutdown = str(data.get("reason", "unknown"))
            elif event["event"] == "STOP" and not self.shutdown:
                status: Any = None
                with contextlib.suppress(*GONE):
                    status = await self.client.execute("query-status")
                self.broken = isinstance(status, dict) and status.get("status") == "internal-error"
            self.changed.set()

    async def watch(self) -> Decision:
        """Wait until the verdict is sure."""
        while True:
            if self.failure:
                raise self.failure
            if self.exited:
                await self.last_events()
            decision = decide(self.sight())
            if decision.outcome:
                if not self.drain():
                    return decision
                decision = decide(self.sight())
                if decision.outcome:
                    return decision
            self.changed.clear()
            wait = min(max(decision.wait, 0.001), HEARTBEAT_SECONDS)
            began = self.now()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), wait)
            late = self.now() - began - wait
            if late > HEARTBEAT_SECONDS:
                self.stalled += late

    async def last_events(self) -> None:
        """QEMU has ended: take what its monitor sent before that."""
        limit = time.monotonic() + ASK_SECONDS
        while self.client.runstate == Runstate.RUNNING and not self.shutdown and time.monotonic() < limit:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)

    async def ask(self, command: str) -> str:
        """The monitor's answer to a command for people, or nothing where it does not come."""
        with contextlib.suppress(*GONE):
            arguments: dict[str, object] = {"command-line": command}
            answer = self.client.execute("human-monitor-command", arguments)
            return str(await asyncio.wait_for(answer, ASK_SECONDS))
        return ""

    async def end(self, stuck: bool) -> None:
        """End QEMU with a signal, there is nothing of it to be saved; by its monitor where its trace is to be whole."""
        if self.guest.trace >= 0 and not self.exited and not stuck:
            with contextlib.suppress(*GONE):
                await asyncio.wait_for(self.client.execute("quit"), ASK_SECONDS)
                await asyncio.wait_for(self.wait_exit(), ASK_SECONDS)
        if not self.exited:
            self.guest.process.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait_exit(), ASK_SECONDS)
        self.events.cancel()
        with contextlib.suppress(*GONE):
            await asyncio.wait_for(self.client.disconnect(), ASK_SECONDS)

    async def wait_exit(self) -> None:
        """Until QEMU has ended."""
        while not self.exited:
            self.changed.clear()
            await self.changed.wait()

    def said(self) -> str:
        """What QEMU printed about itself."""
        return self.errors.decode(errors="replace").strip()[:400] or "QEMU says nothing"

    def reading(self, take: Callable[..., object], *arguments: object) -> None:
        """Run a reader of the loop; what it raises is raised again where the run is waited for."""
        try:
            take(*arguments)
        except BaseException as failure:
            self.failure = failure
        self.changed.set()

    def listen_again(self) -> None:
        """Wait for the console's next bytes."""
        asyncio.get_running_loop().add_reader(self.guest.console, self.reading, self.on_readable)

    def on_readable(self) -> None:
        """Take what the console has, then let more come together: QEMU sends each byte by itself."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.guest.console)
        if self.on_bytes() or not self.exited:
            loop.call_later(GATHER_SECONDS, self.listen_again)

    def on_exit(self, pidfd: int) -> None:
        """QEMU has ended."""
        asyncio.get_running_loop().remove_reader(pidfd)
        self.exited = True
        self.guest.process.wait()
        self.ended = self.now()

    def on_stop(self) -> None:
        """Its user is done with the guest."""
        asyncio.get_running_loop().remove_reader(self.stop)
        self.stopped = True

    def on_bytes(self) -> bool:
        """The next bytes of the console; false where there are none now."""
        chunk = read_some(self.guest.console)
        if not chunk:
            return False
        self.last_byte = self.now()
        if self.first_byte is None:
            self.first_byte = self.last_byte
        if self.console_bytes < LOG_BYTES:
            write_all(self.log, chunk[: LOG_BYTES - self.console_bytes])
        self.console_bytes += len(chunk)
        self.scanner.feed(chunk)
        if self.fatal is None and self.scanner.fatal:
            self.fatal = self.last_byte
            self.delays = (host_delay(self.guest.process.pid),) * 2
        elif self.fatal is not None:
            self.delays = (self.delays[0], host_delay(self.guest.process.pid))
        if self.marker is None and self.scanner.marker:
            self.marker = self.last_byte
        if self.on_console:
            self.on_console(chunk)
        return True

    def on_errors(self) -> bool:
        """What QEMU says about itself; only the first part is kept, all of it is read."""
        data = read_some(self.guest.errors)
        if data == b"":
            asyncio.get_running_loop().remove_reader(self.guest.errors)
        self.errors += (data or b"")[: ERRORS_BYTES - len(self.errors)]
        return bool(data)

    def on_trace(self) -> bool:
        """The next piece of the trace."""
        data = read_some(self.guest.trace)
        if data == b"":
            asyncio.get_running_loop().remove_reader(self.guest.trace)
        self.trace += data or b""
        if len(self.trace) > 2 * TRACE_BYTES:
            del self.trace[:-TRACE_BYTES]
        return bool(data)

    def drain(self) -> bool:
        """Read what is there now of the console; whether there was any.

        A guest that prints faster than this reads is not followed for ever.
        """
        limit = time.monotonic() + 1.0
        count = 0
        while self.on_bytes() and time.monotonic() < limit:
            count += 1
        for take, fd in ((self.on_errors, self.guest.errors), (self.on_trace, self.guest.trace)):
            while fd >= 0 and take() and time.monotonic() < limit:
                pass
        return count > 0


def host_delay(pid: int) -> float:
    """How long the busiest thread of a process has waited for a core of this host, in seconds.

    The second number in ``/proc/PID/task/TID/schedstat`` (Documentation/scheduler/sched-stats.rst), in nanoseconds. On
    a host that is overloaded a guest may take many times as long; that is not the kernel's fault.
    """
    delays = [0.0]
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            delays.append(int(path.read_text(encoding="ascii").split()[1]) / 1e9)
    return max(delays)


def new_scanner() -> Scanner:
    """Imported here because a guest takes longer to its first byte than this does."""
    from lab.console.scanner import Scanner

    return Scanner()


def get_warm() -> None:
    """Have the scanner ready for a report, while the guest is still with its firmware."""
    from lab.console.warm import warm

    warm()


def nothing() -> None:
    """What there is to do meanwhile unless somebody says so."""


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data`` now."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_some(fd: int) -> bytes | None:
    """What can be read now: nothing at the end, ``None`` where there is nothing yet."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
