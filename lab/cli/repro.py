"""``lab repro``."""

from __future__ import annotations

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, chosen_case, emit, output_options, wishes, working


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
@wishes(TREE, *BUILD, *BOOT)
@output_options
def repro(*, case: str, at: tuple[int, ...], with_fix: bool, wishes: Wishes, as_json: bool) -> int:
    """Reproduce CASE: build and boot the series' end, and its base for comparison.

    CASE is the name of a folder in patches/, or a path to a folder with a series.toml.

    Exits 0 when what the case expects happened (the bug at the end and not at the base; with --with-fix no bug, and no
    failure of the case's test programs), 1 when something else did.

    \b
    lab repro early-policy
    lab repro early-policy --at 4-5
    lab repro early-policy --with-fix --json
    lab repro ./my-series --tree ~/src/linux
    """
    from lab.line import prepare
    from lab.repro import plan, reproduce

    if at and with_fix:
        raise click.UsageError("--at and --with-fix exclude each other: --at can name the fix's point itself")
    wanted = chosen_case(case, wishes)
    if with_fix and not wanted.fix:
        raise click.UsageError(f"{wanted.name} has no fix: its series.toml names none")
    with working(wishes, quiet=as_json) as setup:
        line = prepare(wanted, setup)
        points = plan(wanted, line.fix_end, at, with_fix)
        result = reproduce(line, points, setup, with_programs=with_fix)
    if as_json:
        from lab.report.documents import repro_document

        emit(repro_document(result))
    else:
        from lab.report.terminal import show_repro

        show_repro(result)
    return 0 if result.as_expected else 1
