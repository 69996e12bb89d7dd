"""The fixture ``guest``: a guest to work in, in words of a test's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

from lab.console.types import Report
from lab.errors import InfrastructureError
from lab.guest.channel import OUTPUT_BYTES, PULL_BYTES, ChannelLost, Ran
from lab.report.plain import harmless, one_line
from lab.testing.booted import Booted, Findings
from lab.testing.explain import Shown, explained, joined

if TYPE_CHECKING:
    import pytest

    from lab.console.ktap import Tap
    from lab.guest.live import Live
    from lab.guest.types import Boot
    from lab.kernel.types import Kernel
    from lab.line import Setup
    from lab.testing.session import CaseAt

P = ParamSpec("P")
T = TypeVar("T")

COMMAND_SECONDS = 60.0
PROGRAM_SECONDS = 300.0
SAID_CHARACTERS = 4000
INPUT = "/tmp/.lab-input"  # noqa: S108 - the guest's, which nobody else is in
SLOW = 4
"""A busy host makes a guest this many times slower before the lab gives it up."""


class CommandFailed(AssertionError):
    """A command in a guest that was to succeed and did not; ``ran`` is what came of it."""

    def __init__(self, ran: Ran) -> None:
        self.ran = ran
        said = [(name, data.decode(errors="backslashreplace")) for name, data in streams(ran) if data]
        parts = [f"{' '.join(ran.argv)}: {ran.how}"]
        parts += [f"{name}:\n{harmless(text)[-SAID_CHARACTERS:].rstrip()}" for name, text in said]
        super().__init__("\n".join(parts))


class GuestDied(AssertionError):
    """The guest ended, or stopped answering, while something was asked of it."""


def streams(ran: Ran) -> tuple[tuple[str, bytes], ...]:
    """What a command printed, by name."""
    return (("standard output", ran.stdout), ("standard error", ran.stderr))


class Guest:
    """A running guest. Where it dies, what was asked of it raises :class:`GuestDied`, and the test's report shows why;
    what the guest itself refuses (no such file) raises :class:`OSError`, as it would here."""

    def __init__(self, at: CaseAt, kernel: Kernel, live: Live, setup: Setup, request: pytest.FixtureRequest) -> None:
        self.label = at.label
        self.kernel = kernel
        self.machine = at.line.machine
        self._live = live
        self._setup = setup
        self._request = request

    def __repr__(self) -> str:
        return f"<guest {self.label}>"

    def run(
        self,
        *argv: str,
        check: bool = True,
        deadline: float = COMMAND_SECONDS,
        input: bytes = b"",
        limit: int = OUTPUT_BYTES,
    ) -> Ran:
        """Run a program to its end, at most ``deadline`` seconds, and keep ``limit`` bytes of each of its outputs.

        Raises :class:`CommandFailed` where it does not end with status 0 by itself, unless ``check`` is false.
        """
        __tracebackhide__ = True
        if not argv:
            raise ValueError("run() needs a program")
        channel, asked, stdin = self._live.channel, " ".join(argv), ""
        if input:
            stdin = INPUT  # one file for all: /tmp is the guest's memory
            self._ask(asked, channel.push, input, stdin)
        ran = self._ask(asked, channel.run, argv, deadline=deadline, limit=limit, stdin=stdin, most=SLOW)
        if check and not ran.ok:
            raise CommandFailed(ran)
        return ran

    def sh(self, script: str, *, check: bool = True, deadline: float = COMMAND_SECONDS) -> Ran:
        """Run a line, or a script, of the guest's shell (busybox ash)."""
        __tracebackhide__ = True
        return self.run("/bin/sh", "-c", script, check=check, deadline=deadline)

    def push(self, source: Path | str | bytes, path: str, mode: int | None = None) -> None:
        """Copy a file of the host (or ``bytes`` as they are) to ``path`` in the guest, whole or not at all.

        ``mode`` is the file's own unless it is given; of bytes, 0o644.
        """
        __tracebackhide__ = True
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        if mode is None:
            mode = 0o644 if isinstance(source, bytes) else Path(source).stat().st_mode & 0o777
        self._ask(f"push to {path}", self._live.channel.push, data, path, mode)

    def pull(self, path: str, target: Path | str | None = None, limit: int = PULL_BYTES) -> bytes:
        """The bytes of the guest's file ``path``, ``limit`` at most; written to ``target`` too, where one is given."""
        __tracebackhide__ = True
        data = self._ask(f"pull {path}", self._live.channel.pull, path, limit)
        if target is not None:
            from lab.files import write_atomic

            write_atomic(Path(target), data)
        return data

    def read(self, path: str) -> str:
        """A text file of the guest's, such as ``/proc/vmstat``, without its last line end."""
        __tracebackhide__ = True
        return self.pull(path).decode(errors="replace").removesuffix("\n")

    def write(self, path: str, text: str) -> None:
        """Write to a file of the guest's in one go: ``guest.write("/proc/sys/vm/drop_caches", "3")``."""
        __tracebackhide__ = True
        self._ask(f"write to {path}", self._live.channel.write, path, text.encode())

    def sysfs(self, path: str) -> str:
        """A file below ``/sys``: ``guest.sysfs("devices/system/node/online")`` is ``0-1``."""
        __tracebackhide__ = True
        return self.read(f"/sys/{path.removeprefix('/sys/').lstrip('/')}")

    def ktap(self, program: Path | str, *arguments: str, deadline: float = PROGRAM_SECONDS) -> Tap:
        """Run a test program (a C file, which is compiled here, or a static executable; a relative path is from the
        test's folder on) and tell each of its results as a subtest."""
        __tracebackhide__ = True
        from lab.console.ktap import read
        from lab.guest.programs import make_program
        from lab.testing.tap import teller

        made = make_program(self._request.path.parent / program, self._setup.paths, arguments)
        path = f"/tmp/{made.name}"  # noqa: S108 - the guest's
        self.push(made.file, path, 0o755)
        ran = self.run(path, *arguments, check=False, deadline=deadline)
        lines = (ran.stdout + ran.stderr).decode(errors="replace").replace("\r", "").split("\n")
        tap = read(made.name, lines, None if ran.late else shell_status(ran.status))
        teller(self._request)(tap)
        return tap

    @property
    def console(self) -> bytes:
        """What the guest has printed so far; its last part, where that is much."""
        return bytes(self._live.console)

    @property
    def report(self) -> Report:
        """What is to be read from the console so far."""
        if self._live.result is not None:
            return self._live.result.report
        from lab.console.scanner import Scanner

        scanner = Scanner()
        scanner.feed(self.console)
        return scanner.close()

    @property
    def findings(self) -> Findings:
        """What was recognised on the console so far."""
        return Findings(self.label, self.report.findings)

    def end(self) -> Booted:
        """End the guest; the boot that it was."""
        return Booted(self.label, self._live.end(), self.kernel)

    def shown(self) -> Shown:
        """What there is to tell of it now."""
        boot = self._live.result
        head = boot.detail if boot else "the guest still runs"
        path = boot.console if boot else None
        return Shown(self.label, head, self.report, self.console, path, self.kernel.vmlinux)

    def _ask(self, asked: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``call`` the guest's agent. A line that is lost is told as the guest's death, with what was asked of it."""
        __tracebackhide__ = True
        try:
            return call(*args, **kwargs)
        except OSError as error:
            raise error.with_traceback(None) from None
        except ChannelLost as lost:
            boot = self._live.end()
            why = boot.report.first.title if boot.report.first else f"{lost.message}; {boot.detail}"
            raise GuestDied(one_line(f"{self.label}: {asked}: {why}")) from None


def refuse(boot: Boot, guest: Guest) -> NoReturn:
    """Say why there is no guest to work in: a fault of the world's (QEMU, the agent), or of the kernel."""
    import pytest

    from lab.guest.types import FAULTS

    if boot.outcome in FAULTS:
        raise InfrastructureError(f"{guest.label}: {boot.detail}", hint=f"console: {boot.console}")
    if boot.report.marker is not None and not guest.findings.serious:
        why = "the guest came up, and the lab's agent in it did not: it needs a second serial port (SERIAL_8250)"
        raise InfrastructureError(f"{guest.label}: {why}", hint=f"console: {boot.console}")
    pytest.fail(joined([explained(guest.shown())]), pytrace=False)


def shell_status(status: int) -> int:
    """A status as a shell has it: 128 and the signal where one ended the program."""
    return 128 - status if status < 0 else status


@contextlib.contextmanager
def working(at: CaseAt, kernel: Kernel, setup: Setup, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest, up and answering; whatever came of it is kept for the test's report."""
    from lab.line import live_target, target_of
    from lab.testing.attach import SHOWN, add
    from lab.testing.session import WORK_SECONDS

    shown = request.node.stash.setdefault(SHOWN, {})
    with live_target(target_of(at.line, kernel), setup, WORK_SECONDS) as live:
        guest = Guest(at, kernel, live, setup, request)
        shown[guest.label] = guest.shown
        try:
            if live.result is not None:
                refuse(live.result, guest)
            yield guest
        finally:
            booted = guest.end()
            shown.pop(guest.label)
            add(request.node, booted)
