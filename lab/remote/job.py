"""The process of a job: does what the request says, and writes the answer. ``python -m lab.remote.job FOLDER FD``."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lab.errors import InfrastructureError, LabError, UserError
from lab.files import write_atomic
from lab.line import Line, Setup, kernel_of, known_kconfig, point_at, prepare
from lab.remote import wire
from lab.remote.frames import KERNEL_FILES, Console, Noted, Progress
from lab.remote.jobs import EVENTS, REQUEST, RESULT

if TYPE_CHECKING:
    from lab.kernel.types import BuildFailure, Kernel
    from lab.tree.types import Point

EVENTS_BYTES = 256 << 20
ROOM, ROOM_BYTES = "room", 64 << 10
LEAST_SECONDS = 0.1
"""Progress of a build comes no more often than this: a compiler names a hundred files a second."""


class Notes:
    """What goes on, as documents in a file."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.room = EVENTS_BYTES
        self.last = ("", 0.0)

    def add(self, document: Progress | Console | Noted) -> None:
        """One document more; none where the disk is full, for this is only for who looks on."""
        line = msgspec.json.encode(document, enc_hook=str) + b"\n"
        self.room -= len(line)
        if self.room > 0:
            with contextlib.suppress(OSError):
                os.write(self.fd, line)

    def progress(self, step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """A :class:`lab.progress.Progress`."""
        now = time.monotonic()
        if step != self.last[0] or now - self.last[1] >= LEAST_SECONDS or step in ("bisect", "verdict"):
            self.last = (step, now)
            self.add(Progress(step, detail[:500], done, total))

    def console(self, data: bytes) -> None:
        """A piece of a console."""
        self.add(Console(data))


def main() -> None:
    """Do the job in the folder of the first argument; its lock is the descriptor of the second."""
    folder, fd = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(fd, False)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    write_atomic(folder / "pid", f"{os.getpid()}\n")
    keep_room(folder)
    notes = Notes(folder / EVENTS)
    answer = answered(lambda: work(wire.request.decode((folder / REQUEST).read_bytes()), folder, notes))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hand_in(answer, folder)


def keep_room(folder: Path) -> None:
    """Keep some of the disk for :func:`hand_in`."""
    with contextlib.suppress(OSError), (folder / ROOM).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)


def hand_in(answer: wire.Answer, folder: Path) -> None:
    """Write the answer. Where the disk is full by now, it says so, or what it came to, in the room that was kept."""
    try:
        write_atomic(folder / RESULT, msgspec.json.encode(answer, enc_hook=str))
    except InfrastructureError as error:
        (folder / ROOM).unlink(missing_ok=True)
        problem = answer.problem or wire.Problem("infrastructure", error.message, error.hint)
        short = msgspec.structs.replace(problem, message=problem.message[:2000], hint=problem.hint[:500])
        write_atomic(folder / RESULT, msgspec.json.encode(wire.Answer(problem=short)))
    (folder / ROOM).unlink(missing_ok=True)


def stop(_signum: int, _frame: object) -> None:
    """SIGTERM ends the job as Ctrl-C would."""
    raise KeyboardInterrupt


def answered(do: Callable[[], wire.Answer]) -> wire.Answer:
    """What ``do`` gives; what it raises, as a problem."""
    from lab.__main__ import as_lab_error

    try:
        return do()
    except KeyboardInterrupt:
        return wire.Answer(problem=wire.Problem("interrupted", "the job was ended"))
    except Exception as error:
        if not isinstance(error, LabError):
            import traceback

            traceback.print_exc()
        told = as_lab_error(error)
        kind: Literal["user", "infrastructure"] = "user" if isinstance(told, UserError) else "infrastructure"
        return wire.Answer(problem=wire.Problem(kind, told.message, told.hint))


def work(request: wire.Request, folder: Path, notes: Notes) -> wire.Answer:
    """Do what ``request`` says."""
    if request.format != wire.FORMAT:
        raise UserError(f"a request of format {request.format}, and this lab knows {wire.FORMAT}")
    setup = setup_of(request, notes)
    case = wire.unpack(request, folder / "case")
    line = prepare(case, setup)
    if request.kind == "bisect":
        return bisected(line, setup, request, notes)
    probes = [probed(line, point_at(line, index), setup, request, notes) for index in request.points]
    tests = tested(line, request.points[-1], setup) if request.with_programs and case.programs else ()
    return wire.Answer(
        toolchain=line.toolchain,
        trees=tuple(point.tree for point in line.tree.points),
        probes=tuple(probes),
        tests=tests,
    )


def setup_of(request: wire.Request, notes: Notes) -> Setup:
    """This host's folders and settings, and what is wished for."""
    from lab.paths import user_paths
    from lab.remote.sources import find_source
    from lab.settings import load_settings
    from lab.share.where import share_of

    paths = user_paths()
    settings = load_settings(paths.config_file)
    repo = find_source(request.base.commit, paths)
    if repo is None:
        raise UserError(f"the source of base {request.base.name} is not here any more", hint="ask again: it is pushed")
    return Setup(
        paths=paths,
        settings=settings,
        progress=notes.progress,
        cc=request.cc or settings.cc or None,
        jobs=request.jobs or settings.jobs or None,
        accel=request.accel or settings.accel,
        timeout=request.timeout,
        base=wire.unwired(request.base, repo),
        share=share_of(request.share or None, settings, lambda text: notes.add(Progress("share", text[:500]))),
    )


def probed(line: Line, point: Point, setup: Setup, request: wire.Request, notes: Notes) -> wire.ProbeWire:
    """Build ``point`` and, but for a build alone, boot it."""
    from lab.kernel.types import Kernel
    from lab.line import boot_target, target_of

    started = time.monotonic()
    built = kernel_of(line, point, setup)
    seconds = time.monotonic() - started
    if not isinstance(built, Kernel):
        return wire.ProbeWire(point.index, seconds, failure=failure_wire(built))
    kernel = kernel_wire(line, point, built, setup)
    if request.kind == "build":
        return wire.ProbeWire(point.index, seconds, kernel=kernel)
    setup.progress("boot", f"{point.index} {point.subject}")
    run = boot_target(target_of(line, built), setup, notes.console if request.live else None)
    return wire.ProbeWire(point.index, seconds, run.seconds, kernel=kernel, boot=wire.boot_wire(run))


def kernel_wire(line: Line, point: Point, kernel: Kernel, setup: Setup) -> wire.KernelWire:
    """A kernel by the hashes of its files."""
    kconfig = known_kconfig(line, point, setup)
    files = {name: wire.blob(kernel.folder / name) for name in KERNEL_FILES if (kernel.folder / name).is_file()}
    return wire.KernelWire(kernel.key, kconfig.text if kconfig else "", files, kernel.seconds, kernel.from_store)


def failure_wire(failure: BuildFailure) -> wire.FailureWire:
    """A failure, with the end of its log."""
    log = ""
    with contextlib.suppress(OSError):
        log = failure.log.read_bytes()[-(1 << 20) :].decode(errors="replace")
    key = failure.key
    return wire.FailureWire(key, failure.message, failure.file, failure.line, failure.seconds, log)


def tested(line: Line, index: int, setup: Setup) -> tuple[wire.TestWire, ...]:
    """The case's test programs on the last of the points."""
    from lab.guest_tests import make_ready, run_guest_tests

    assert line.case.programs is not None  # noqa: S101 - the caller looked
    ready = make_ready(line, line.case.programs, setup)
    return tuple(
        wire.TestWire(
            test.program,
            test.machine,
            test.verdict.word,
            test.verdict.reason,
            wire.boot_wire(test.boot) if test.boot else None,
        )
        for test in run_guest_tests(ready, index, setup)
    )


def bisected(line: Line, setup: Setup, request: wire.Request, notes: Notes) -> wire.Answer:
    """Bisect; each build and boot is told as it is written down."""
    from lab.bisect.records import Boot as Booted
    from lab.bisect.records import Build
    from lab.bisect.run import Options, bisect
    from lab.report.bisect_live import Lines

    class Telling(Lines):
        def done(self, event: Build | Booted) -> None:
            notes.add(Noted(event))
            super().done(event)

    watcher = Telling()
    watcher.progress = notes.progress
    wish = request.bisecting
    options = Options(wish.rules, wish.workers, wish.other, wish.revert, wish.fresh)
    result = bisect(line, setup, options, watcher=watcher)
    return wire.Answer(
        toolchain=line.toolchain,
        trees=tuple(point.tree for point in line.tree.points),
        bisect=result,
        consoles=consoles(result, setup),
    )


def consoles(result: Any, setup: Setup) -> dict[str, wire.Blob]:
    """The consoles that a result names and that are still here, by the names of their boots."""
    found = {}
    for text in wire.consoles_of(msgspec.to_builtins(result, enc_hook=str)):
        path = Path(text)
        if path.parent.parent.resolve() == setup.paths.boots.resolve() and path.is_file():
            found[path.parent.name] = wire.blob(path)
    return found


if __name__ == "__main__":
    main()
