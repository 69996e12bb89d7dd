"""``lab kconfig``."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli.common import BUILD, TREE, Wishes, chosen_case, emit, output_options, wishes, working


@click.group()
def kconfig() -> None:
    """Render, resolve and check kconfigs."""


@kconfig.command()
@click.argument("case")
@click.option("--at", type=click.IntRange(0), metavar="N", help="The point to resolve it at; default: the series' end.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the .config there.")
@wishes(TREE, *BUILD)
@output_options
def render(*, case: str, at: int | None, output: Path | None, wishes: Wishes, as_json: bool) -> int:
    """Print the resolved .config of CASE, and what was asked for and did not come.

    The .config goes to standard output (or to --output); symbols that did not get their value are told on standard
    error with the dependency that took it away.

    \b
    lab kconfig render early-policy > .config
    lab kconfig render early-policy --json | jq .unmet
    """
    from lab.line import kconfig_of, point_at, prepare
    from lab.report.plain import one_line

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        line = prepare(wanted, setup)
        point = point_at(line, line.series_end if at is None else at)
        resolved = kconfig_of(line, point, setup)
    if output:
        from lab.files import write_atomic

        write_atomic(output, resolved.text.encode())
    if as_json:
        emit({"case": wanted.name, "point": point.index, "name": resolved.name, "key": resolved.key,
              "asked": dict(resolved.asked), "unmet": resolved.unmet, "config": resolved.text})  # fmt: skip
        return 0
    for unmet in resolved.unmet:
        got = unmet.got or "not set"
        click.echo(one_line(f"{unmet.symbol}={unmet.asked} asked, {got} came: {unmet.why}"), err=True)
    if not output:
        click.echo(resolved.text, nl=False)
    return 0
