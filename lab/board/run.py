"""One run of one kernel on a board, to the same :class:`Boot` that a guest's is."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.board.environment import APPEND, INITRAMFS, KERNEL, Board
from lab.errors import InfrastructureError, UserError
from lab.files import locked
from lab.guest.command import COMMAND_LINE_BYTES
from lab.guest.run import DISK_HINT, doing, make_folder, programs_in, save
from lab.paths import Paths
from lab.progress import Progress
from lab.report.plain import one_line

if TYPE_CHECKING:
    from lab.board.follow import Seen
    from lab.console.types import Report
    from lab.guest.types import Boot, Outcome

ACCEL = "labgrid"
HEAD_BYTES = 0x8000 + 0x10000
"""Of a bzImage: its header, and where that says that the kernel's version stands (Documentation/arch/x86/boot.rst)."""
LOCK_SECONDS = 2.0
"""Who finds the board in use is told so, and does not wait."""
FROM_INIT = ("init", "userspace", "shutdown")
WORDS = {"off": "its power is off", "switching": "switching it on", "running": "it is on"}
"""What a person is told of what the keeper tells."""


@dataclass(frozen=True)
class Ask:
    """What is to be run on a board; ``image`` is ``None`` for what it boots by itself."""

    board: Board
    image: Path | None
    initramfs: Path | None
    append: str
    deadline: float
    vmlinux: Path | None = None
    programs: tuple[str, ...] = ()


def check(board: Board, *, kernel: bool, append: str, programs: bool) -> None:
    """Refuse what the board would not get: its boot would be told of a kernel, or words, that it never saw."""
    if kernel and KERNEL not in board.takes:
        raise UserError(
            f"{board.file}: names no ${KERNEL}, so no kernel of the lab's gets to this board",
            hint=f"'lab boot --board {board.name}' alone watches what it boots by itself; docs/boards.md",
        )
    if not kernel and KERNEL in board.takes:
        raise UserError(f"{board.file}: names ${KERNEL}: this board boots what it is given; name a CASE or --kernel")
    if append and APPEND not in board.takes:
        raise UserError(f"{board.file}: names no ${APPEND}, so {append!r} would not reach the kernel's command line")
    if programs and INITRAMFS not in board.takes:
        raise UserError(f"{board.file}: names no ${INITRAMFS}, so no test program gets to this board")


def boot(
    ask: Ask,
    *,
    paths: Paths,
    progress: Progress,
    on_console: Callable[[bytes], None] | None = None,
) -> Boot:
    """Have the board boot and watch it until the verdict is sure, at most ``ask.deadline`` seconds and those that its
    environment adds; then its power is cut, also on Ctrl-C and when this process is killed.

    What the kernel does is a result, and so is a console that is lost or says nothing. Raised are :class:`UserError`
    (what the board does not take) and :class:`InfrastructureError` (it could not be switched on, a full disk).
    """
    from lab.board.follow import Limits, follow, kept
    from lab.board.gate import WORD, Gate
    from lab.board.wire import Order
    from lab.console.scanner import Scanner

    board, options = ask.board, ask.board.options
    check(board, kernel=ask.image is not None, append=ask.append, programs=bool(ask.programs))
    if ask.image is not None and not ask.image.is_file():
        raise UserError(f"{ask.image}: no such file", hint="give the image that this board boots")
    token = secrets.token_hex(4) if APPEND in board.takes else ""
    variables = variables_of(ask, f"{WORD}{token}" if token else "")
    folder = make_folder(paths)
    log = os.open(folder / "console.log", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    order = Order(
        file=str(board.file), target=board.target, state=options.state, console=options.console, power=options.power
    )
    power: list[str] = []
    try:
        with locked(lock_of(board, paths), LOCK_SECONDS), kept(order, variables, folder, power.append) as wires:
            seen = follow(
                wires,
                Gate(token, Scanner(), strict=INITRAMFS in board.takes),
                log=log,
                limits=Limits(options.provision_seconds, ask.deadline + options.firmware_seconds),
                on_console=on_console,
                on_word=lambda word: progress("board", f"{board.name}: {WORDS[word]}") if word in WORDS else None,
                wait_for_run=bool(ask.programs),
            )
    except KeyboardInterrupt:
        save(empty(ask, folder))
        raise
    except InfrastructureError as error:
        raise InfrastructureError(f"board {board.name}: {error.message}", hint=error.hint) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InfrastructureError(f"{folder}: cannot be written: {error.strerror}", hint=DISK_HINT) from None
    finally:
        os.close(log)
        for trouble in filter(None, power):
            print(f"lab: board {board.name}: its power could not be cut: {one_line(trouble, 400)}", file=sys.stderr)
    result = conclude(ask, seen, folder)
    save(result)
    return result


def lock_of(board: Board, paths: Paths) -> Path:
    """What keeps two runs of this user's from switching one board."""
    key = hashlib.sha256(str(board.file.resolve()).encode()).hexdigest()[:12]
    return paths.cache / "boards" / f"{board.name[:60]}-{key}.lock"


def variables_of(ask: Ask, word: str) -> dict[str, str]:
    """What the environment's templates are filled with; the word that tells this boot comes first, so that no kernel
    cuts it off."""
    append = " ".join(part for part in (word, ask.board.options.append, ask.append) if part)
    if not append.isprintable():
        raise UserError("append: the kernel command line has a line end or another control character")
    if len(append.encode()) > COMMAND_LINE_BYTES:
        raise UserError(f"append: the kernel command line is longer than the kernel's {COMMAND_LINE_BYTES} bytes")
    files = {KERNEL: ask.image, INITRAMFS: ask.initramfs}
    given = {name: str(path.absolute()) for name, path in files.items() if path is not None}
    return {name: value for name, value in {**given, APPEND: append}.items() if name in ask.board.takes}


def conclude(ask: Ask, seen: Seen, folder: Path) -> Boot:
    """What was seen, as a result."""
    from lab.guest.follow import LOG_BYTES

    outcome, detail = ended(ask, seen)
    notes = []
    if seen.power:
        notes.append(f"the board's power could not be cut: {seen.power}")
    if seen.earlier:
        notes.append("the console also showed an earlier boot; it does not count")
    if seen.damaged:
        notes.append(f"{seen.damaged} marker(s) from user space came damaged, or without this run's word")
    if seen.console_bytes > LOG_BYTES:
        notes.append(f"the board printed {seen.console_bytes >> 20} MiB; console.log ends after {LOG_BYTES >> 20} MiB")
    return replace(
        empty(ask, folder),
        outcome=outcome,
        detail=detail,
        report=seen.report,
        seconds=round(seen.seconds, 4),
        first_byte_seconds=seen.first_byte,
        marker_seconds=seen.marker,
        fatal_seconds=seen.fatal,
        last_byte_seconds=seen.last_byte,
        notes=tuple(notes),
        programs=programs_in(folder / "console.log", ask.programs) if ask.programs else (),
    )


def ended(ask: Ask, seen: Seen) -> tuple[Outcome, str]:
    """What ended the run, in a word and a sentence. Where it may be the board, its line or its loader that is to blame,
    that is what is said: the kernel is not."""
    report = seen.report
    stage = report.stage or "nothing on the console"
    if other := another_kernel(ask, report):
        return "board", other
    if seen.outcome == "userspace":
        marker = report.marker
        told = f"{marker.get('nodes', '?')} node(s), {marker.get('cpus', '?')} CPU(s)" if marker else "no marker"
        return "userspace", f"user space ran: {told}"
    if seen.outcome == "died":
        return "died", f"{report.first.title if report.first else 'the kernel died'} (stage {stage})"
    if seen.outcome == "board":
        return "board", f"the board's console or drivers failed (stage {stage}): {seen.fault}"
    within = f"within {ask.deadline + ask.board.options.firmware_seconds:g} s"
    if excuse := excuse_of(ask, seen):
        return "board", f"{excuse[0]} {within} (stage {stage}): {excuse[1]}"
    waited = "the board did not end" if report.marker else "no marker from user space"
    return "hang", f"{waited} {within} (stage {stage}{doing(report)})"


def excuse_of(ask: Ask, seen: Seen) -> tuple[str, str] | None:
    """Why a board that did not come to the marker in time need not have hung: what was seen, and what it may be."""
    if not seen.console_bytes:
        return "the console said nothing", "is it this board's, and its speed right?"
    if not seen.confirmed:
        died = seen.report.first
        return "no kernel with this run's command line was seen", died.title if died else "nothing was found"
    if seen.report.marker is not None:
        return None
    if seen.damaged:
        return "user space spoke, but no marker came whole and with this run's word", "the line may lose bytes"
    if seen.report.stage in FROM_INIT and INITRAMFS not in ask.board.takes:
        return "no marker", "this board's user space is its own; docs/boards.md has what makes it tell"
    return None


def another_kernel(ask: Ask, report: Report) -> str:
    """That the board ran another kernel than it was given, where that is sure: by the build id that user space told, or
    by the release, of which a line that loses bytes may have lost some."""
    marker = report.marker
    running = marker.get("build") if marker else ""
    wanted = build_id(ask.vmlinux) if ask.vmlinux and running else ""
    if running and wanted:
        return "" if running == wanted else f"the board ran another kernel: build id {running[:12]}, not {wanted[:12]}"
    told = (marker.get("release") if marker else "") or report.kernel_release
    asked = release_of(ask.image) if ask.image and told else ""
    if not told or not asked or is_subsequence(told, asked):
        return ""
    return f"the board ran another kernel: Linux {told}, not {asked}"


def build_id(vmlinux: Path) -> str:
    """The build id that the linker gave a kernel, in hex; empty where it has none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import NoteSection

    try:
        with vmlinux.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                for note in section.iter_notes() if isinstance(section, NoteSection) else ():
                    if note["n_name"] == "GNU" and note["n_type"] == "NT_GNU_BUILD_ID":
                        return str(note["n_desc"])
    except (ELFError, OSError, ValueError, KeyError):
        pass
    return ""


def release_of(image: Path) -> str:
    """The release of a bzImage, from its header's ``kernel_version``; empty for other files."""
    with image.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[0x202:0x206] != b"HdrS":
        return ""
    at = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    return head[at : at + 200].partition(b"\0")[0].decode(errors="replace").split(" ")[0]


def is_subsequence(short: str, whole: str) -> bool:
    """Whether ``short`` is ``whole`` with characters lost."""
    rest = iter(whole)
    return all(character in rest for character in short)


def empty(ask: Ask, folder: Path) -> Boot:
    """A result of which nothing is known yet."""
    from lab.console.types import Report
    from lab.guest.types import Boot

    return Boot(
        outcome="interrupted",
        detail="the run was ended from outside",
        report=Report(),
        machine=ask.board.name,
        nodes=ask.board.options.nodes,
        accel=ACCEL,
        argv=(),
        folder=folder,
        console=folder / "console.log",
        seconds=0.0,
    )
