"""Following a board: its keeper's words, its console and the clock, until the verdict is sure or the time is up."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lab.board.gate import Gate
from lab.board.wire import LINE_BYTES, OFF_SECONDS, Order, Said
from lab.errors import InfrastructureError
from lab.guest.follow import ERRORS_BYTES, LOG_BYTES, read_some, write_all
from lab.guest.watch import Sight, decide
from lab.process import exited, kill_group

if TYPE_CHECKING:
    from lab.console.types import Report
    from lab.guest.types import Outcome

LATE_SECONDS = 1.0
"""How much longer than a guest's a console must be silent after a fatal finding: serial lines are slow."""
REPORT_SECONDS = 10.0
"""How much longer a report may take that goes on and on."""
HEARTBEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """How long what may take, in seconds: until the power is on and the strategy is done; then until user space."""

    switching: float
    booting: float


@dataclass(frozen=True)
class Seen:
    """What came of a run. Times in seconds since the board was switched on; ``fault``: what of the board, not of its
    kernel, broke; ``power``: why its power could not be cut at the end."""

    outcome: Outcome
    report: Report
    seconds: float
    first_byte: float | None
    last_byte: float | None
    fatal: float | None
    marker: float | None
    console_bytes: int
    damaged: int
    earlier: int
    confirmed: bool
    fault: str
    power: str
    errors: str


@dataclass
class Wires:
    """The lab's ends of a keeper's pipes, and the keeper; ``control`` is -1 once it was told to end."""

    process: subprocess.Popen[bytes]
    control: int
    console: int
    said: int
    errors: int
    kept: bytearray = field(default_factory=bytearray)
    line: bytearray = field(default_factory=bytearray)
    open: bool = True
    power: str | None = None


@contextlib.contextmanager
def kept(
    order: Order, variables: Mapping[str, str], folder: Path, on_power: Callable[[str], object]
) -> Iterator[Wires]:
    """A keeper with ``order``, and ``variables`` in its environment. When this is left, the keeper has been told to cut
    the power and was waited for, and ``on_power`` was told why it could not, or an empty text."""
    with contextlib.ExitStack() as stack:
        theirs: list[int] = []
        ours: list[int] = []
        for writes in (True, False, False, False):
            read, write = os.pipe()
            mine, other = (write, read) if writes else (read, write)
            theirs.append(other)
            ours.append(mine)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "lab.board.keeper", str(theirs[2])],
                stdin=theirs[0],
                stdout=theirs[1],
                stderr=theirs[3],
                pass_fds=(theirs[2],),
                env={**os.environ, **variables, "PYTHONPATH": python_path()},
                cwd=folder,
                start_new_session=True,
            )
        finally:
            for fd in theirs:
                os.close(fd)
        wires = Wires(process, ours[0], ours[1], ours[2], ours[3])
        for fd in ours[1:]:
            stack.callback(os.close, fd)
            os.set_blocking(fd, False)
        stack.callback(lambda: on_power(wires.power or ""))
        stack.callback(end, wires)
        write_all(wires.control, msgspec.json.encode(order) + b"\n")
        yield wires


def python_path() -> str:
    """Where the keeper finds this lab, wherever it is started from."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part)


def follow(
    wires: Wires,
    gate: Gate,
    *,
    log: int,
    limits: Limits,
    on_console: Callable[[bytes], None] | None = None,
    on_word: Callable[[str], None] = lambda _word: None,
    wait_for_run: bool = False,
) -> Seen:
    """Follow a board until it has shown enough, at most as long as ``limits`` say, and have its power cut.

    ``log`` is the open file for the console, ``on_word`` is told what the keeper does. With ``wait_for_run`` the marker
    does not end the run, but the end of ``/lab/run``. Raises :class:`InfrastructureError` where the board was never
    switched on, by power or its strategy, and no kernel of this run was seen to come up or die.
    """
    run = Run(wires, gate, limits, log=log, on_console=on_console, on_word=on_word, wait_for_run=wait_for_run)
    return run.all()


class Run:
    """One board while it runs: guards what was read, and when."""

    def __init__(
        self,
        wires: Wires,
        gate: Gate,
        limits: Limits,
        *,
        log: int,
        on_console: Callable[[bytes], None] | None,
        on_word: Callable[[str], None],
        wait_for_run: bool,
    ) -> None:
        self.wires = wires
        self.gate = gate
        self.log = log
        self.limits = limits
        self.on_console = on_console
        self.on_word = on_word
        self.wait_for_run = wait_for_run
        self.started = time.monotonic()
        self.switched: float | None = None
        self.deadline = limits.switching
        self.console_bytes = 0
        self.first_byte: float | None = None
        self.last_byte: float | None = None
        self.fatal: float | None = None
        self.marker: float | None = None
        self.fault = ""
        self.word = "start"

    def now(self) -> float:
        """Seconds since the board was switched on, or since the keeper was started where it was not yet."""
        return time.monotonic() - (self.switched or self.started)

    def sight(self) -> Sight:
        """What was seen so far."""
        return Sight(
            now=self.now(),
            deadline=self.deadline,
            last_byte=self.last_byte,
            fatal=self.fatal,
            complete=self.gate.scanner.complete,
            marker=self.marker is not None,
            wait_for_exit=self.wait_for_run,
            shutdown="guest-shutdown" if self.gate.ran else "",
            late=REPORT_SECONDS,
            late_quiet=LATE_SECONDS,
        )

    def all(self) -> Seen:
        """Watch it, have the power cut, and say what was seen."""
        with selectors.DefaultSelector() as selector:
            for fd, take in ((self.wires.console, self.on_bytes), (self.wires.said, self.on_said)):
                selector.register(fd, selectors.EVENT_READ, take)
            selector.register(self.wires.errors, selectors.EVENT_READ, lambda: take_errors(self.wires))
            outcome = self.watch(selector)
        seconds = self.now()
        end(self.wires, self.on_bytes)
        self.gate.close()
        self.look()
        if outcome in ("hang", "board") and self.marker is not None and not self.wait_for_run and self.fatal is None:
            outcome = "userspace"  # it was among the last bytes
        errors = self.wires.kept.decode(errors="replace").strip()
        if self.word != "running" and outcome in ("hang", "board"):
            what = self.fault or f"it could not be switched on within {self.limits.switching:g} s (at: {self.word})"
            raise InfrastructureError(f"{what}{last_line(errors)}")
        return Seen(
            outcome=outcome,
            report=self.gate.scanner.close(),
            seconds=seconds,
            first_byte=self.first_byte,
            last_byte=self.last_byte,
            fatal=self.fatal,
            marker=self.marker,
            console_bytes=self.console_bytes,
            damaged=self.gate.damaged,
            earlier=self.gate.earlier,
            confirmed=self.gate.confirmed,
            fault=self.fault and f"{self.fault}{last_line(errors)}",
            power=self.wires.power or "",
            errors=errors,
        )

    def watch(self, selector: selectors.BaseSelector) -> Outcome:
        """Wait until the verdict is sure, or no more can come of it."""
        while True:
            decision = decide(self.sight())
            if decision.outcome and self.on_bytes() is not True:
                return decision.outcome
            if self.fault and self.on_bytes() is not True:
                return "died" if self.fatal is not None else "board"
            for key, _ in selector.select(min(max(decision.wait, 0.001), HEARTBEAT_SECONDS)):
                if key.data() is False:
                    selector.unregister(key.fd)
                    if key.fd == self.wires.said and not self.fault:
                        self.fault = "what drives the board has ended without a word"

    def on_bytes(self) -> bool | None:
        """The next bytes of the console; false at its end, ``None`` where there are none now."""
        chunk = read_some(self.wires.console)
        if not chunk:
            return None if chunk is None else False
        self.last_byte = self.now()
        if self.first_byte is None:
            self.first_byte = self.last_byte
        if self.console_bytes < LOG_BYTES:
            write_all(self.log, chunk[: LOG_BYTES - self.console_bytes])
        self.console_bytes += len(chunk)
        self.gate.feed(chunk)
        self.look()
        if self.on_console:
            self.on_console(chunk)
        return True

    def look(self) -> None:
        """Note when what the scanner knows by now came."""
        at = self.last_byte if self.last_byte is not None else self.now()
        if self.fatal is None and self.gate.fatal:
            self.fatal = at
        if self.marker is None and self.gate.scanner.marker:
            self.marker = at

    def on_said(self) -> bool:
        """What the keeper tells; false at its end."""
        for said in take_said(self.wires):
            if said.word == "failed":
                self.fault = said.text or "no reason was given"
            elif said.word == "switching":
                self.switched = time.monotonic()
            elif said.word == "running":
                self.deadline = self.now() + self.limits.booting
            if said.word not in ("failed", "ended"):
                self.word = said.word
            self.on_word(said.word)
        return self.wires.open


def last_line(errors: str) -> str:
    """The last thing that drivers or what they started printed, to go behind a message."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f"; last printed: {lines[-1][:300]}" if lines else ""


def take_said(wires: Wires) -> Iterator[Said]:
    """The whole lines that the keeper has told; how its power ended is kept."""
    data = read_some(wires.said)
    wires.open = data != b""
    wires.line += data or b""
    *lines, rest = wires.line.split(b"\n")
    wires.line = bytearray(rest[-LINE_BYTES:])
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            said = msgspec.json.decode(line, type=Said)
            if said.word == "ended":
                wires.power = said.text
            yield said


def take_errors(wires: Wires) -> bool:
    """What drivers print; the last part is kept. False at its end."""
    data = read_some(wires.errors)
    wires.kept += data or b""
    del wires.kept[:-ERRORS_BYTES]
    return data != b""


def end(wires: Wires, on_bytes: Callable[[], object] | None = None) -> None:
    """Tell the keeper to cut the power and wait until it has; then nothing that it started is left. Once only."""
    if wires.control < 0:
        return
    os.close(wires.control)
    wires.control = -1
    limit = time.monotonic() + OFF_SECONDS + 2.0
    while not exited(wires.process) and time.monotonic() < limit:
        drained(wires, on_bytes)
        time.sleep(0.01)
    drained(wires, on_bytes)
    kill_group(wires.process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        wires.process.wait(timeout=2)
    if wires.power is None:
        wires.power = f"what drives the board did not say within {OFF_SECONDS:g} s that it was cut"


def drained(wires: Wires, on_bytes: Callable[[], object] | None) -> None:
    """Take what the keeper still writes, so that it never waits for a reader."""
    for _ in range(64):
        if not (on_bytes() if on_bytes else read_some(wires.console)):
            break
    for _ in take_said(wires):
        pass
    take_errors(wires)
