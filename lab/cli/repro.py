"""``lab repro``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lab.cli.common import BOARD, BOOT, BUILD, ON, TREE, Wishes, emit, output_options, wishes, working

if TYPE_CHECKING:
    from lab.line import Setup
    from lab.repro import Repro
    from lab.tree.importing.take import Taken


def parse_points(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, ...]:
    """``3``, ``3,5`` or ``0-16`` as point numbers."""
    points: list[int] = []
    for part in (value or "").split(","):
        first, dash, last = part.strip().partition("-")
        if not part.strip():
            continue
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            raise click.BadParameter(f"{part!r} is not a point: give 3, 3,5 or 0-16")
        end = int(last) if dash else int(first)
        if end - int(first) > 10_000:
            raise click.BadParameter(f"{part!r} names more points than any series has")
        points += range(int(first), end + 1)
    return tuple(dict.fromkeys(points))


@click.command()
@click.argument("case")
@click.option("--at", "at", callback=parse_points, metavar="N[,N|-N]", help="These points only: 0 is the base.")
@click.option("--with-fix", is_flag=True, help="The series plus its fix, and the case's test programs on it.")
@click.option("--genuine", is_flag=True, help="The series on the mailing list that CASE is written after.")
@wishes(TREE, ON, BOARD, *BUILD, *BOOT)
@output_options
def repro(*, case: str, at: tuple[int, ...], with_fix: bool, genuine: bool, wishes: Wishes, as_json: bool) -> int:
    """Reproduce CASE: build and boot the series' end, and its base for comparison.

    CASE is the name of a folder in patches/, a path to a folder with a series.toml, a bundle of 'lab bundle', or what
    'lab series import' takes: a Message-Id or URL, an mbox or maildir, a folder or tarball of patches. Of mails a case
    is made in one go, on the base that fits best among the trees at hand, with the kconfig tiny-numa on two nodes.

    Exits 0 when what the case expects happened (the bug at the end and not at the base; with --with-fix no bug, and no
    failure of the case's test programs), 1 when something else did. A series that came by mail expects nothing: there
    the verdict on its end counts, 0 good, 1 bad, 125 skip.

    \b
    lab repro early-policy
    lab repro early-policy --at 4-5
    lab repro early-policy --with-fix --json
    lab repro ./my-series --tree ~/src/linux
    lab repro thread.mbox --tree ~/src/linux
    lab repro early-policy --on cellar
    lab repro early-policy --board lab-x86
    """
    from lab.line import prepare
    from lab.repro import conclude, plan, reproduce

    if at and with_fix:
        raise click.UsageError("--at and --with-fix exclude each other: --at can name the fix's point itself")
    with working(wishes, quiet=as_json) as given:
        taken = take_any(case, given, genuine=genuine)
        own = taken.case
        wanted = replace(own, kconfig=wishes.kconfig or own.kconfig, machine=wishes.machine or own.machine)
        if with_fix and not wanted.fix:
            raise click.UsageError(f"{wanted.name} has no fix: its series.toml names none")
        setup = replace(given, tree=taken.tree)
        points = plan(wanted, len(wanted.patches) + len(wanted.fix), at, with_fix)
        if wishes.on:
            from lab.cli.on import on_host

            done = on_host(wanted, "repro", points, setup=setup, wishes=wishes, with_programs=with_fix)
            result = conclude(done.line, done.probes, done.tests)
        else:
            result = reproduce(prepare(wanted, setup), points, setup, with_programs=with_fix)
    if as_json:
        from lab.report.documents import repro_document

        document = repro_document(result)
        if taken.imported:
            from lab.report.mailed import imported_document

            document["import"] = imported_document(taken.imported)
        emit(document)
    else:
        from lab.report.terminal import show_repro

        if taken.imported:
            from lab.report.mailed import show_imported

            show_imported(taken.imported, brief=True)
        show_repro(result)
    return exit_code(result)


def take_any(name: str, setup: Setup, *, genuine: bool) -> Taken:
    """The case that ``name`` is or that is made of it; with ``genuine`` the series that it is written after."""
    from lab.tree.importing.take import genuine as take_genuine
    from lab.tree.importing.take import take

    options: Any = {"tree": setup.tree, "progress": setup.progress}
    taken = take(name, setup.paths, setup.settings.bases, **options)
    return take_genuine(taken.case, setup.paths, setup.settings.bases, **options) if genuine else taken


def exit_code(result: Repro) -> int:
    """Whether what the case expects happened; where it expects nothing, the verdict on the series' end."""
    expect = result.line.case.expect
    end = next((probe for probe in result.probes if probe.point.index == result.line.series_end), None)
    if result.line.case.origin is not None and end is not None and not (expect.signature or expect.title):
        return end.verdict.exit_code
    return 0 if result.as_expected else 1
