"""``lab boot``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.common import (
    BOARD,
    BOOT,
    BUILD,
    ON,
    TREE,
    Wishes,
    chosen_case,
    emit,
    output_options,
    point_index,
    tell_stand_in,
    tell_unmet,
    unmet_of,
    wishes,
    working,
)

if TYPE_CHECKING:
    from lab.case import Case
    from lab.guest.ahead import Ahead
    from lab.guest.programs import Program
    from lab.guest.types import Boot
    from lab.kernel.types import BuildFailure
    from lab.line import Line, Setup, Target

DEFAULT_MACHINE = "two-nodes"


@click.command()
@click.argument("case", required=False)
@click.option(
    "--kernel", type=click.Path(dir_okay=False, path_type=Path), help="A bzImage or vmlinux, instead of CASE."
)
@click.option("--at", type=click.IntRange(0), metavar="N", help="The point of CASE; default: the series' end.")
@click.option("--with-fix", is_flag=True, help="CASE's series plus its fix.")
@click.option("--append", default="", metavar="WORDS", help="More words for the kernel's command line.")
@click.option("--live", is_flag=True, help="Show the console while the guest runs.")
@click.option(
    "--program",
    "wanted",
    multiple=True,
    metavar="'FILE.c [WORD…]'",
    help="A test program for the guest: a C file, compiled here, or a static executable. Can be repeated.",
)
@click.option(
    "--program-timeout",
    type=click.FloatRange(1, 604800),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the test programs may take together.",
)
@click.option("--shell", is_flag=True, help="A shell in the guest; Ctrl-] ends it.")
@wishes(TREE, ON, BOARD, *BUILD, *BOOT)
@output_options
def boot(
    *,
    case: str | None,
    kernel: Path | None,
    at: int | None,
    with_fix: bool,
    append: str,
    live: bool,
    shell: bool,
    wanted: tuple[str, ...],
    program_timeout: float,
    wishes: Wishes,
    as_json: bool,
) -> int:
    """Boot one kernel, a point of CASE or any --kernel IMAGE, and say how far it came.

    With --board on a real board that labgrid drives; without CASE and --kernel what that board boots by itself.

    Exits by the verdict: 0 good (user space ran and saw every node; each --program passed), 1 bad, 125 skip.

    \b
    lab boot early-policy --at 0
    lab boot --kernel arch/x86/boot/bzImage --machine far --live
    lab boot early-policy --on cellar --live
    lab boot early-policy --at 0 --board qemu-two-nodes
    lab boot --board ./imx8.yaml --live
    lab boot --kernel bzImage --shell
    lab boot --kernel bzImage --program ./test.c --program './stress.c 60' --json | jq '.programs[].summary'
    """
    if (case is None) == (kernel is None) and (case or not wishes.board):
        raise click.UsageError("name either a CASE or a --kernel IMAGE")
    if shell and wishes.board:
        raise click.UsageError("--shell is for guests; labgrid-client console is a board's")
    if shell and as_json:
        raise click.UsageError("--shell is for a person, --json for a program")
    if shell and wanted:
        raise click.UsageError("--shell and --program exclude each other")
    if wishes.on and (kernel or shell or wanted):
        raise click.UsageError("--on boots a point of a CASE there, without --kernel, --shell or --program")
    from lab.line import Target, boot_target

    ahead: Ahead | None = click.get_current_context().obj
    with working(wishes, quiet=as_json or live or shell) as setup:
        programs = read_wishes(wanted, setup)
        line: Line | None = None
        if wishes.on:
            return boot_on(chosen_case(str(case), wishes), setup, wishes, at, append, flags=(with_fix, live, as_json))
        if setup.board and not case:
            target: Target | BuildFailure = Target(kernel, setup.board.machine, append)
        elif kernel:
            target = of_image(kernel, wishes.machine, append, ahead)
        else:
            line, target = of_case(chosen_case(str(case), wishes), setup, at=at, with_fix=with_fix, append=append)
        if not isinstance(target, Target):
            return tell_failure(target, line, as_json=as_json)
        if shell:
            return enter_shell(target, setup)
        run = boot_target(
            target,
            setup,
            write_console if live else None,
            programs,
            program_timeout,
            meanwhile=import_documents if as_json else import_terminal,
            ahead=ahead if kernel else None,
        )
    return tell_boot(case, run, line, as_json=as_json)


def tell_boot(case: str | None, run: Boot, line: Line | None, *, as_json: bool) -> int:
    """Judge a boot and print it; the exit code."""
    from lab.verdict import judge_boot

    verdict = judge_boot(run)
    if as_json:
        from lab.report.documents import boot_document

        emit({"case": case, **boot_document(run, verdict), **base_of(line)})
    else:
        from lab.report.terminal import show_boot

        show_boot(run, verdict)
        tell_stand_in(line)
    return verdict.exit_code


def boot_on(
    case: Case, setup: Setup, wishes: Wishes, at: int | None, append: str, *, flags: tuple[bool, bool, bool]
) -> int:
    """Boot a point of ``case`` on another host; ``flags``: with the fix, live, as JSON."""
    from dataclasses import replace

    from lab.cli.on import on_host

    with_fix, live, as_json = flags
    wanted = replace(case, append=f"{case.append} {append}".strip())
    points = (point_index(case, at, with_fix=with_fix),)
    done = on_host(wanted, "boot", points, setup=setup, wishes=wishes, live=live)
    probe = done.probes[0]
    if probe.failure:
        return tell_failure(probe.failure, done.line, as_json=as_json)
    assert probe.boot is not None  # noqa: S101 - a point that builds is booted
    return tell_boot(case.name, probe.boot, done.line, as_json=as_json)


def read_wishes(wanted: tuple[str, ...], setup: Setup) -> tuple[Program, ...]:
    """The test programs that were asked for, compiled; no module of theirs is needed for none."""
    if not wanted:
        return ()
    from lab.guest.programs import read_wish

    return tuple(read_wish(text, setup.paths) for text in wanted)


def import_documents() -> None:
    """What a result is written with, imported while the guest runs."""
    import lab.report.documents
    import lab.verdict  # noqa: F401


def import_terminal() -> None:
    """What a result is shown with, imported while the guest runs."""
    import lab.report.terminal
    import lab.verdict  # noqa: F401


def of_image(image: Path, machine: str | None, append: str, ahead: Ahead | None) -> Target:
    """Any image of the user's, on the machine that was named or the default one."""
    from lab.guest.machine import find_machine, load_machine
    from lab.line import Target
    from lab.paths import data_folder

    name, folder = machine or DEFAULT_MACHINE, data_folder("qemu")
    if ahead:
        ahead.files.append(str(find_machine(name, folder).absolute()))
    return Target(image, load_machine(name, folder), append)


def of_case(
    case: Case, setup: Setup, *, at: int | None, with_fix: bool, append: str
) -> tuple[Line, Target | BuildFailure]:
    """A point of a case, built where it has to be, and the line it is on."""
    from dataclasses import replace

    from lab.kernel.types import Kernel
    from lab.line import kernel_of, point_at, prepare, target_of

    line = prepare(replace(case, append=f"{case.append} {append}".strip()), setup)
    point = point_at(line, point_index(case, at, with_fix=with_fix))
    kernel = kernel_of(line, point, setup)
    tell_unmet(unmet_of(line, point, setup))
    return line, target_of(line, kernel) if isinstance(kernel, Kernel) else kernel


def base_of(line: Line | None) -> dict[str, object]:
    """The base that was really found, for a document; nothing for an image of the user's."""
    if line is None:
        return {}
    from lab.report.documents import base_document

    return {"base": base_document(line.tree.base)}


def tell_failure(failure: BuildFailure, line: Line | None, *, as_json: bool) -> int:
    """There is nothing to boot: a result, and a skip."""
    from lab.verdict import judge_build

    verdict = judge_build(failure)
    if as_json:
        from lab.report.documents import kernel_document

        document = {"verdict": verdict.word, "reason": verdict.reason, "kernel": kernel_document(failure)}
        emit({**document, **base_of(line)})
    else:
        from lab.report.terminal import show_kernel

        show_kernel(failure)
        tell_stand_in(line)
    return verdict.exit_code


def enter_shell(target: Target, setup: Setup) -> int:
    """Hand the terminal to a shell in the guest."""
    from lab.guest.shell import interact

    assert target.image is not None  # noqa: S101 - a guest
    return interact(target.image, target.machine, paths=setup.paths, requested=setup.accel, append=target.append)


def write_console(chunk: bytes) -> None:
    """What the guest printed, made harmless, on standard output as it comes."""
    from lab.report.plain import harmless

    sys.stdout.write(harmless(chunk.decode(errors="replace").replace("\r", "")))
    sys.stdout.flush()
