"""Starting the QEMU of a command line that was run before, while Python still imports what reads that line.

Importing what parses a command line, a machine and a kernel's header takes the lab as long as QEMU takes to come up,
and both can go on at the same time. So ``lab boot`` notes which QEMU a command line came to and what the files were
that it came from. The next one with the same words, in the same folder, and with the same files, starts that QEMU
first and then goes its usual way. It takes that QEMU only if it is, word for word, the one that it comes to again, and
ends it otherwise: nothing here decides anything.

Whatever is imported here is waited for: so no dataclass, no :mod:`subprocess`, no :mod:`pathlib` and no :mod:`json`.
"""

from __future__ import annotations

import os
import time

from lab.xdg import cache_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

QEMU = "qemu-system-x86_64"
GO = b'{"execute":"qmp_capabilities","id":"go"}\n{"execute":"cont","id":"go"}\n'
"""Lets a stopped guest go (QEMU: docs/interop/qmp-spec.txt). It is in the monitor's socket before QEMU looks there, so
that no guest waits for the lab; what happens to it then is in the socket until the lab looks there."""
CONSOLE_BUFFER_BYTES = 1 << 20
FORMAT = "1"
FILES = 1021
"""There are no more notes than this; of two command lines with one number, the last one is known."""
FD = "@fd@"
"""Stands in a note for the number of the monitor's socket."""

F_SETPIPE_SZ = 1031
PR_SET_PDEATHSIG = 1
SIGKILL, SIGPIPE, SIGXFSZ = 9, 13, 25
"""Numbers of Linux on x86-64 (fcntl(2), prctl(2), signal(7)), whose modules would have to be imported."""


class Forked:
    """A child of this process, as far as the lab needs a :class:`subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its status, minus a signal's number where one ended it; ``None`` while it runs."""
        return self.reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Its status, once it has one. Raises :class:`TimeoutError` after ``timeout`` seconds."""
        if timeout is None:
            return self.reap(0) or 0
        limit = time.monotonic() + timeout
        while self.reap(os.WNOHANG) is None:
            if time.monotonic() > limit:
                raise TimeoutError
            time.sleep(0.001)
        return self.returncode or 0

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.poll() is None:
            os.kill(self.pid, SIGKILL)

    def reap(self, options: int) -> int | None:
        """Ask for its status, with waitpid(2)'s ``options``."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Early:
    """A QEMU that was started ahead, and the lab's ends of its wires; ``fd`` is what QEMU calls its monitor's."""

    def __init__(self, argv: list[str], pid: int, *, console: int, errors: int, qmp: _socket.socket, fd: int) -> None:
        self.argv, self.process, self.fd = argv, Forked(pid), fd
        self.console, self.errors, self.qmp = console, errors, qmp
        self.started = time.monotonic()

    def drop(self) -> None:
        """End it; nobody wants it."""
        self.process.kill()
        self.process.wait()
        os.close(self.console)
        os.close(self.errors)
        self.qmp.close()


class Ahead:
    """What is known about one command line: its ``note``, and the QEMU that was started for it, if one was.

    ``files`` is for what reads the command line to name the files that it read for it.
    """

    def __init__(self, words: Sequence[str], env: dict[str, str]) -> None:
        self.key = [FORMAT, env.get("PATH", ""), os.getcwd(), *words]  # noqa: PTH109 - pathlib is to be imported later
        folder = cache_folder(env)
        number = int.from_bytes("\0".join(self.key).encode(errors="surrogateescape"), "big") % FILES
        self.note = f"{folder}/ahead/{number:03x}" if folder else ""
        self.files: list[str] = []
        self.early: Early | None = None

    def start(self) -> None:
        """Start QEMU, where it is known which one. Nothing that goes wrong here matters."""
        argv = read_note(self.note, self.key)
        if argv:
            try:
                self.early = spawn(argv)
            except OSError:
                self.drop()

    def take(self, wanted: Callable[[int], list[str]]) -> Early | None:
        """The QEMU that was started, if it is what ``wanted`` makes of its monitor's number and still runs."""
        early, self.early = self.early, None
        if early is None:
            return None
        if early.process.poll() is None and early.argv == wanted(early.fd):
            return early
        early.drop()
        return None

    def remember(self, argv: Sequence[str], files: Iterable[str]) -> None:
        """Note that this command line comes to ``argv`` (with ``@fd@``) as long as its files are what they are now."""
        stamps = [text for file in (*self.files, *files) for text in (file, stamp(file))]
        counts = [str(len(self.key)), str(len(stamps))]
        data = "\0".join([*counts, *self.key, *stamps, *argv]).encode(errors="surrogateescape")
        if not self.note or argv[0] != QEMU:
            return
        beside = f"{self.note}.{os.getpid()}.tmp"
        try:
            os.makedirs(os.path.dirname(self.note), exist_ok=True)  # noqa: PTH103, PTH120
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
            os.rename(beside, self.note)  # noqa: PTH104
        except OSError:  # then the next one starts a little later
            return

    def drop(self) -> None:
        """End what was started and not taken."""
        if self.early:
            self.early.drop()
            self.early = None


def read_note(note: str, key: list[str]) -> list[str]:
    """The QEMU arguments in ``note``, where it is about ``key`` and its files are as they were; else none."""
    if not note:
        return []
    try:
        fd = os.open(note, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        parts = os.read(fd, 1 << 20).decode(errors="surrogateescape").split("\0")
    finally:
        os.close(fd)
    try:
        keys, stamps = int(parts[0]), int(parts[1])
    except (ValueError, IndexError):
        return []
    about, rest = parts[2 : 2 + keys], parts[2 + keys :]
    files, argv = rest[:stamps], rest[stamps:]
    same = about == key and all(stamp(file) == was for file, was in zip(files[::2], files[1::2], strict=False))
    return argv if same and argv and argv[0] == QEMU else []


def stamp(file: str) -> str:
    """Changes whenever ``file`` does."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return "-"
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def spawn(argv: list[str]) -> Early:
    """Start QEMU with ``argv``, its monitor's number put in, and let its guest go.

    It leads a session, so that Ctrl-C reaches the lab alone, and dies when the lab does.
    """
    import _socket  # socket itself imports selectors and enum

    qmp, qmp_end = _socket.socketpair()
    console, console_end = os.pipe()
    errors, errors_end = os.pipe()
    fd = qmp_end.fileno()
    words = [word.replace(FD, str(fd)) for word in argv]
    widen(console)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        become(words, fd, console_end, errors_end, parent)
    os.close(console_end)
    os.close(errors_end)
    qmp_end.close()
    for ours in (console, errors, qmp.fileno()):
        os.set_blocking(ours, False)
    early = Early(words, pid, console=console, errors=errors, qmp=qmp, fd=fd)
    qmp.send(GO)
    return early


def widen(pipe: int) -> None:
    """Let ``pipe`` hold as much as a user's pipe may: QEMU writes the console byte by byte."""
    import fcntl

    try:  # noqa: SIM105 - contextlib is to be imported later
        fcntl.fcntl(pipe, F_SETPIPE_SZ, CONSOLE_BUFFER_BYTES)
    except OSError:  # above the user's limit: 64 KiB do as well
        pass


def become(argv: list[str], qmp: int, console: int, errors: int, parent: int) -> NoReturn:
    """In the child: be QEMU, or nothing."""
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else it died before the call above
            for ignored in (SIGPIPE, SIGXFSZ):  # by Python, and what is ignored stays so across exec
                libc.signal(ignored, None)
            os.setsid()
            null = os.open(os.devnull, os.O_RDONLY)
            for theirs, number in ((null, 0), (console, 1), (errors, 2)):
                os.dup2(theirs, number)
            os.set_inheritable(qmp, True)
            os.execvp(argv[0], argv)  # noqa: S606
    finally:
        os._exit(127)
