"""The keeper of a board: a process of its own that holds labgrid's drivers, for as long as somebody waits for it.

It is a process because drivers block, for ever where it comes to that, and because the power has to be cut also when
the lab is killed. It is told what to do on its standard input; when that is closed, it interrupts whatever driver is
at work, cuts the power and ends. What the console says goes to its standard output as it comes, who of labgrid's
drivers has read it ever. A shell in its process group ends what drivers leave behind.

``python -m lab.board.keeper FD``: FD is where it tells (:mod:`lab.board.wire`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import msgspec

from lab.board.wire import LINE_BYTES, OFF_SECONDS, Order, Said
from lab.process import GUARD

QUIET_SECONDS = 0.3
NOISY_SECONDS = 5.0
"""A console that goes on for so long with the power cut is not that of a board without power."""
READ_SECONDS = 0.2
PAUSE_SECONDS = 0.02


class Ended(BaseException):
    """Nobody waits any more. Not an :class:`Exception`: no driver is to catch it."""


class Refused(Exception):
    """The board cannot be run; the text says why."""


class Keeper:
    """One run of one board: guards its drivers, and how it is told to end."""

    def __init__(self, order: Order, console: int, telling: int) -> None:
        self.order = order
        self.out = console
        self.telling = telling
        self.target: Any = None
        self.power: Any = None
        self.console: Any = None
        self.listening = False
        self.tapped = 0
        self.ending = False

    def tell(self, word: Any, text: str = "") -> None:
        """One line to who waits."""
        line = msgspec.json.encode(Said(word, " ".join(text.split())[:2000])) + b"\n"
        with contextlib.suppress(OSError):
            os.write(self.telling, line)

    def run(self, control: int) -> None:
        """All of it. Whatever happens, the power is cut at last; ``control`` is closed once nobody waits any more."""
        signal.signal(signal.SIGTERM, self.on_term)
        try:
            try:
                threading.Thread(target=watch, args=(control,), daemon=True).start()
                self.boot()
            finally:
                self.ending = True
        except Ended:
            pass
        except Exception as error:
            self.tell("failed", words(error))
        self.tell("ended", self.cut())

    def on_term(self, _signum: int, _frame: FrameType | None) -> None:
        """Leave what is being done, once."""
        if not self.ending:
            self.ending = True
            raise Ended

    def boot(self) -> NoReturn:
        """Get the drivers, cut the power, switch it on, and hand on what the console says."""
        self.open()
        self.power.off()
        self.tell("off")
        self.drain()
        self.tell("quiet")
        self.listening = True
        self.tell("switching")
        if self.order.state:
            strategy(self.target).transition(self.order.state)
        else:
            self.power.on()
        self.tell("running")
        self.target.activate(self.console)
        while True:
            if not self.read():
                time.sleep(PAUSE_SECONDS)

    def open(self) -> None:
        """The drivers. A console may be one that is only there once the board has power."""
        from labgrid import Environment
        from labgrid.driver import ManualPowerDriver
        from labgrid.exceptions import NoDriverFoundError
        from labgrid.step import steps

        steps.subscribe(self.on_step)
        self.target = Environment(self.order.file, interact=by_hand).get_target(self.order.target)
        if self.target is None:
            raise Refused(f"the environment has no target {self.order.target}")
        for kind, name in (("power", self.order.power), ("console", self.order.console)):
            try:
                driver = self.target.get_driver(f"{kind.capitalize()}Protocol", name=name or None, activate=False)
            except NoDriverFoundError as error:
                raise Refused(f"the environment has no {kind} driver that could be taken: {words(error)}") from None
            setattr(self, kind, driver)
        if isinstance(self.power, ManualPowerDriver):
            raise Refused("its power is switched by hand, which the lab cannot do")
        if self.order.state:
            strategy(self.target)
        self.target.activate(self.power)

    def drain(self) -> None:
        """Throw away what the console has from before: an earlier boot's last words are none of this one's."""
        try:
            self.target.activate(self.console)
            until = time.monotonic() + NOISY_SECONDS
            quiet = time.monotonic()
            while quiet < until and time.monotonic() - quiet < QUIET_SECONDS:
                if self.read():
                    quiet = time.monotonic()
                else:
                    time.sleep(PAUSE_SECONDS)
        except Exception:  # a console that can't be read without power has nothing from before
            return
        if quiet >= until:
            raise Refused("its console goes on with the power cut: is it this board's, and is that its power?")

    def read(self) -> bool:
        """Read what the console has, at most for a moment; whether there was any."""
        from pexpect import TIMEOUT

        before = self.tapped
        try:
            data = self.console.read(size=1, timeout=READ_SECONDS if self.listening else 0.05)
        except TIMEOUT:
            return False
        if data and self.tapped == before:  # a driver that is none of labgrid's own
            self.on_data(bytes(data))
        return bool(data)

    def on_step(self, event: Any) -> None:
        """labgrid tells of each step: what was read from the console, by whichever driver, is one's result."""
        step = event.step
        was_read = step.tag == "console" and step.title == "read" and event.data.get("state") == "stop"
        if was_read and step.result and step.source is self.console:
            self.on_data(bytes(step.result))

    def on_data(self, data: bytes) -> None:
        """Hand on what the console says."""
        self.tapped += len(data)
        view = memoryview(data)
        while view and self.listening:
            view = view[os.write(self.out, view) :]

    def cut(self) -> str:
        """Cut the power and let go of the drivers; what went wrong, or nothing."""
        from labgrid.binding import BindingState

        trouble = ""
        if self.power is not None and self.power.state == BindingState.active:
            trouble = attempt(self.power.off)
        elif self.power is not None:  # a strategy let go of it
            trouble = attempt(lambda: (self.target.activate(self.power), self.power.off()))
        if self.target is not None:
            attempt(self.target.cleanup)
        return trouble


def attempt(action: Callable[[], object]) -> str:
    """Do it; what went wrong, or nothing."""
    try:
        action()
    except Exception as error:
        return words(error)
    return ""


def strategy(target: Any) -> Any:
    """The environment's one strategy."""
    from labgrid.exceptions import NoStrategyFoundError

    try:
        return target.get_strategy()
    except NoStrategyFoundError as error:
        raise Refused(f"a state is named, but there is no strategy to bring the board there: {words(error)}") from None


def words(error: BaseException) -> str:
    """An error for people: its own words, of what it came from where it has none, and what the failed command said."""
    if error.__cause__ is not None and type(error).__name__ == "StrategyError":
        return words(error.__cause__)
    said = [str(error) or type(error).__name__]
    for output in (getattr(error, "stdout", None), getattr(error, "stderr", None), getattr(error, "output", None)):
        if isinstance(output, bytes):
            said.append(output.decode(errors="replace"))
    name = type(error).__name__
    return " ".join(dict.fromkeys(said)) if isinstance(error, Refused) else f"{name}: {' '.join(dict.fromkeys(said))}"


def by_hand(message: str) -> NoReturn:
    """labgrid wants a person to do something."""
    raise Refused(f"the environment asks for a person: {message}")


def watch(control: int) -> None:
    """Wait until nobody waits any more, then have the main thread told, which at last must come to an end."""
    with contextlib.suppress(OSError):
        while os.read(control, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(OFF_SECONDS)
    os._exit(3)


def guard() -> None:
    """Have a shell in this process's group kill the group once this process is gone, however that comes."""
    theirs, _ours = os.pipe()
    subprocess.Popen(["sh", "-c", GUARD], stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(theirs)


def main() -> NoReturn:
    """Run one order to its end."""
    telling = int(sys.argv[1])
    os.set_inheritable(telling, False)
    line = sys.stdin.buffer.readline(LINE_BYTES)
    order = msgspec.json.decode(line, type=Order)
    # What drivers start, and print, must reach neither the pipe that says when to end nor the console.
    control, console = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    guard()
    Keeper(order, console, telling).run(control)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
