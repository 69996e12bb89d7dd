"""Running other programs: bounded in time, bounded in output, and never outliving the lab.

A child gets a process group of its own, so that it can be ended together with all it started, and so that Ctrl-C
reaches the lab alone, which then ends the child. Should the lab itself be killed, a guard ends the group: a shell that
leads it, and waits on a pipe which only the lab holds open. (``prctl(2)`` with ``PR_SET_PDEATHSIG`` reaches one process
only, and asking for it between fork and exec makes Python copy its whole address space: ten times the cost.)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from lab.errors import InfrastructureError

LIMIT_BYTES = 16 << 20
"""What is kept of each output stream unless a caller says otherwise."""

LINE_LIMIT_BYTES = 64 << 10
"""A longer line of a stream is handed on in pieces."""

GRACE_SECONDS = 2.0
"""What a child gets between SIGTERM and SIGKILL: git removes its locks then, make its half-written targets."""

PR_SET_PDEATHSIG = 1
GUARD = 'trap "" HUP INT TERM; read -r _; kill -s KILL 0'

_libc = ctypes.CDLL(None, use_errno=True)


class ToolMissing(InfrastructureError):
    """A program is not installed; the hint is the command that installs it."""


class DeadlinePassed(InfrastructureError):
    """A program or a lock took longer than it may."""


class Process(Protocol):
    """A child, as far as ending it needs to know one; :class:`subprocess.Popen` is one."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Its status, ``None`` while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Its status, once it has one."""

    def kill(self) -> None:
        """SIGKILL."""


@dataclass(frozen=True)
class Completed:
    """A program that ended by itself. ``returncode`` is its status, or minus the signal that ended it; ``cut`` says
    that it wrote more than was kept (the first bytes are kept)."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended with status 0."""
        return self.returncode == 0


def run(
    argv: Sequence[str],
    *,
    deadline: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | Iterable[bytes] = b"",
    limit: int = LIMIT_BYTES,
    guard: bool = True,
    hint: str = "",
) -> Completed:
    """Run ``argv`` to its end, at most ``deadline`` seconds, and keep ``limit`` bytes of each output stream.

    ``env`` is the child's whole environment (the lab's own when None). ``input`` may be a generator, which is read as
    the child takes it. ``guard=False`` saves a millisecond; it is for programs that end by themselves in a moment.
    Raises :class:`ToolMissing` (with ``hint``), :class:`DeadlinePassed`, :class:`InfrastructureError`; a status that is
    not 0 is a result. On any exception, Ctrl-C too, the child and its group are gone when this returns.
    """
    out, err = Kept(limit), Kept(limit)
    child = Child(tuple(argv), deadline, cwd, env, guard, hint)
    code, seconds = supervise(child, input, (out.add, err.add))
    return Completed(tuple(argv), code, bytes(out.data), bytes(err.data), seconds, out.cut or err.cut)


def stream(
    argv: Sequence[str],
    on_line: Callable[[bytes], None],
    *,
    deadline: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | Iterable[bytes] = b"",
    limit: int = LIMIT_BYTES,
    guard: bool = True,
    hint: str = "",
) -> Completed:
    """Like :func:`run`, with standard error joined to standard output and ``on_line`` called for each line as it
    comes, without its line end. An exception from ``on_line`` ends the child and passes on."""
    kept, lines = Kept(limit), Lines(on_line)

    def add(data: bytes) -> None:
        kept.add(data)
        lines.add(data)

    child = Child(tuple(argv), deadline, cwd, env, guard, hint)
    code, seconds = supervise(child, input, (add, None))
    lines.end()
    return Completed(tuple(argv), code, bytes(kept.data), b"", seconds, kept.cut)


def die_with_parent(sig: int = signal.SIGKILL) -> Callable[[], None]:
    """A ``preexec_fn`` for a :class:`subprocess.Popen` that outlives a function: the child gets ``sig`` when the thread
    that started it ends (``prctl(2)``, ``PR_SET_PDEATHSIG``)."""
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(128 + sig)

    return prepare


@contextlib.contextmanager
def guarded() -> Iterator[int]:
    """Inside, there is a process group for children to join. It is killed when the block ends, and when this process
    does, by whatever signal and at whatever moment."""
    theirs, ours = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        try:
            shell = subprocess.Popen(
                ["sh", "-c", GUARD],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        finally:
            os.close(theirs)
        stack.callback(shell.wait)
        stack.callback(kill_group, shell.pid)
        yield shell.pid


def end_group(process: Process, grace: float = GRACE_SECONDS, group: int = 0) -> None:
    """End ``process`` and its ``group`` (0: the one it leads): SIGTERM, ``grace`` seconds, SIGKILL; then reap it."""
    if process.returncode is not None:
        return
    for sig, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        kill_group(group or process.pid, sig)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if exited(process):
                break
            time.sleep(0.005)
        if exited(process):
            break
    # The leader may be gone but is not reaped yet, so its id cannot belong to another group by now.
    kill_group(group or process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired, TimeoutError):
        process.wait(timeout=1)


def kill_group(group: int, sig: int = signal.SIGKILL) -> None:
    """Signal a process group; its leader must not have been reaped yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sig)


class Kept:
    """The first ``limit`` bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()
        self.cut = False

    def add(self, data: bytes) -> None:
        """Take what was read."""
        room = self.limit - len(self.data)
        self.data += data[:room]
        self.cut = self.cut or len(data) > room


class Lines:
    """Cuts a stream into lines."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self.on_line = on_line
        self.rest = b""

    def add(self, data: bytes) -> None:
        """Take what was read, hand on what is complete."""
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.on_line(line.removesuffix(b"\r"))
        if len(self.rest) > LINE_LIMIT_BYTES:
            self.end()

    def end(self) -> None:
        """Hand on what has no line end."""
        rest, self.rest = self.rest, b""
        if rest:
            self.on_line(rest)


Sink = Callable[[bytes], None]


@dataclass(frozen=True)
class Child:
    """What is to be run, and how; the fields mean what the parameters of :func:`run` mean."""

    argv: tuple[str, ...]
    deadline: float
    cwd: Path | None
    env: Mapping[str, str] | None
    guard: bool
    hint: str


def supervise(child: Child, input: bytes | Iterable[bytes], sinks: tuple[Sink, Sink | None]) -> tuple[int, float]:
    """Start ``child``, feed it, hand its output to ``sinks`` (no second sink: both streams go to the first), and wait.

    Returns its status and the seconds it took.
    """
    began = time.monotonic()
    with guarded() if child.guard else contextlib.nullcontext(0) as group:
        process = start(child, group, joined=sinks[1] is None)
        try:
            pump(child, process, input, sinks)
            process.wait()
        except BaseException:
            end_group(process, group=group)
            raise
        finally:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
    return process.returncode, time.monotonic() - began


def start(child: Child, group: int, *, joined: bool) -> subprocess.Popen[bytes]:
    """Start ``child`` in process group ``group`` (0: it leads its own)."""
    program = child.argv[0]
    try:
        return subprocess.Popen(
            child.argv,
            cwd=child.cwd,
            env=child.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if joined else subprocess.PIPE,
            bufsize=0,
            process_group=group,
        )
    except FileNotFoundError as error:
        if child.cwd is not None and not child.cwd.is_dir():
            raise InfrastructureError(f"{child.cwd}: the folder to run {program} in is gone") from None
        raise ToolMissing(f"{program}: no such program ({error.strerror})", hint=child.hint) from None
    except PermissionError:
        raise ToolMissing(f"{program}: may not be run", hint=child.hint) from None
    except OSError as error:
        raise InfrastructureError(f"{program}: cannot be started: {error.strerror}") from None


def pump(
    child: Child,
    process: subprocess.Popen[bytes],
    input: bytes | Iterable[bytes],
    sinks: tuple[Sink, Sink | None],
) -> None:
    """Move bytes until the process has ended and its output is read; :class:`DeadlinePassed` at its deadline."""
    limit = time.monotonic() + child.deadline
    assert process.stdin is not None  # noqa: S101 - start() made the pipes
    assert process.stdout is not None  # noqa: S101
    chunks = iter((input,) if isinstance(input, bytes) else input)
    pending = memoryview(b"")
    pidfd = os.pidfd_open(process.pid)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, pidfd)
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(pidfd, selectors.EVENT_READ)
        selector.register(process.stdout, selectors.EVENT_READ, sinks[0])
        if process.stderr is not None:
            selector.register(process.stderr, selectors.EVENT_READ, sinks[1])
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        ended = False
        while True:
            left = limit - time.monotonic()
            if left < 0:
                raise DeadlinePassed(f"{Path(child.argv[0]).name} did not end within {child.deadline:g} s")
            # A daemon may keep the output open after the end: then what is there now is all that counts.
            events = selector.select(0 if ended else left)
            if ended and not any(key.fileobj in (process.stdout, process.stderr) for key, _ in events):
                return
            for key, _ in events:
                if key.fd == pidfd:
                    ended = True
                    # What the leader left behind would hold files and locks of a command that counts as done.
                    kill_group(os.getpgid(process.pid))
                    selector.unregister(pidfd)
                elif key.fileobj is process.stdin:
                    pending = feed(process.stdin, pending, chunks, selector)
                else:
                    data = os.read(key.fd, 1 << 16)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)


def feed(pipe: IO[bytes], pending: memoryview, chunks: Iterator[bytes], selector: selectors.BaseSelector) -> memoryview:
    """Write what the pipe takes; close it when there is no more or nobody reads. Returns what is left over."""
    try:
        while not pending:
            pending = memoryview(next(chunks))
        return pending[os.write(pipe.fileno(), pending) :]
    except StopIteration:
        pass
    except BlockingIOError:
        return pending
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
    selector.unregister(pipe)
    pipe.close()
    return memoryview(b"")


def exited(process: Process) -> bool:
    """Whether the process has ended, without reaping it."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
