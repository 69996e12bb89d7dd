"""Starting and ending QEMU: its console, monitor and messages come over pipes and a socket that only the lab holds.

No name in the file system, no port: nothing is left behind whatever ends the lab, and nobody else can connect. The
console is QEMU's standard output, a pipe: QEMU writes it byte by byte, of which a socket between two processes takes
some 200 until it is full (each counts as a whole buffer, unix(7)), and then slows the guest down.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.errors import InfrastructureError
from lab.guest.ahead import CONSOLE_BUFFER_BYTES, GO, Ahead
from lab.process import Process, ToolMissing, die_with_parent, end_group

QEMU_HINT = "sudo apt-get install --no-install-recommends qemu-system-x86"


@dataclass(frozen=True)
class Wires:
    """QEMU's ends: what its arguments have to name. ``qmp`` is the socket's number or stands for it; ``trace`` is -1
    where nothing is traced."""

    qmp: int | str
    trace: int


@dataclass(frozen=True)
class Guest:
    """A QEMU that was started, and the lab's ends of its wires; ``started`` as of :func:`time.monotonic`."""

    process: Process
    console: int
    qmp: socket.socket
    errors: int
    trace: int
    started: float


@contextlib.contextmanager
def started(
    arguments: Callable[[Wires], list[str]],
    *,
    traced: bool = False,
    ahead: Ahead | None = None,
    passed: Sequence[int] = (),
) -> Iterator[Guest]:
    """QEMU with what ``arguments`` makes of its wires; it is gone when this is left, however that happens.

    QEMU starts its guest stopped, and what lets it go is in its monitor's socket. The QEMU of ``ahead`` is taken where
    it has the same arguments. The files ``passed`` are QEMU's too, under the same numbers. Raises :class:`ToolMissing`
    where there is no QEMU, with the command that installs it.
    """
    import time

    with contextlib.ExitStack() as ours:
        early = ahead.take(lambda fd: arguments(Wires(fd, -1))) if ahead else None
        if early:
            ours.callback(os.close, early.console)
            ours.callback(os.close, early.errors)
            qmp = ours.enter_context(socket.socket(fileno=early.qmp.detach()))
            ours.callback(end_group, early.process, 0.0)
            yield Guest(early.process, early.console, qmp, early.errors, -1, early.started)
            return
        with contextlib.ExitStack() as theirs:
            console, console_end = pipe(ours, theirs)
            with contextlib.suppress(OSError):  # above the user's limit: 64 KiB do as well
                fcntl.fcntl(console, fcntl.F_SETPIPE_SZ, CONSOLE_BUFFER_BYTES)
            qmp, qmp_end = pair(ours, theirs)
            qmp.send(GO)
            errors, errors_end = pipe(ours, theirs)
            trace, trace_end = pipe(ours, theirs) if traced else (-1, -1)
            argv = list(arguments(Wires(qmp_end.fileno(), trace_end)))
            files = [qmp_end.fileno(), *([trace_end] if traced else []), *passed]
            began = time.monotonic()
            process = spawn(argv, files, console_end, errors_end)
            ours.callback(end_group, process, 0.0)
        yield Guest(process, console, qmp, errors, trace, began)


def pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, each closed by its side; the lab's does not block."""
    one, other = socket.socketpair()
    ours.enter_context(one)
    theirs.enter_context(other)
    one.setblocking(False)
    return one, other


def pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe's two ends, each closed by its side; the lab's does not block."""
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    os.set_blocking(read, False)
    return read, write


def spawn(argv: Sequence[str], passed: Sequence[int], console: int, errors: int) -> subprocess.Popen[bytes]:
    """Start QEMU as the leader of a session: Ctrl-C reaches the lab alone, and QEMU dies when the lab does."""
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=errors,
            pass_fds=passed,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - nothing in it takes a lock
        )
    except (FileNotFoundError, PermissionError) as error:
        raise ToolMissing(f"{argv[0]}: cannot be run ({error.strerror})", hint=QEMU_HINT) from None
    except OSError as error:
        raise InfrastructureError(f"{argv[0]}: cannot be started: {error.strerror}") from None
