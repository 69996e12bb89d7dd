"""``lab kconfig``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from lab.cli.common import BUILD, CC, TREE, Wishes, chosen_case, emit, output_options, tell_unmet, wishes, working


@click.group()
def kconfig() -> None:
    """Render, resolve, check and import kconfigs."""


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
    from lab.report.documents import base_document

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
              "asked": dict(resolved.asked), "unmet": resolved.unmet, "config": resolved.text,
              "base": base_document(line.tree.base)})  # fmt: skip
        return 0
    tell_unmet(resolved.unmet)
    if line.tree.base.stand_in:
        click.echo(line.tree.base.stand_in, err=True)
    if not output:
        click.echo(resolved.text, nl=False)
    return 0


@kconfig.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--case", metavar="CASE", help="Say what the tree of this case makes of it, at --at.")
@click.option("--at", type=click.IntRange(0), metavar="N", help="The point to resolve it at; default: the series' end.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the kconfig there.")
@wishes(TREE, CC)
@output_options
def import_(*, file: Path, case: str | None, at: int | None, output: Path | None, wishes: Wishes, as_json: bool) -> int:
    """Make a kconfig of a .config that you have: FILE as scripts/kconfig wrote it, plain or gzipped.

    The kconfig goes to standard output (or to --output); give that file to --kconfig, or name it in series.toml. With
    --case it is resolved in that case's tree, and what the tree does not know or gives another value is told on
    standard error, with the dependency that did it. Missing symbols get the tree's defaults.

    \b
    lab kconfig import /boot/config-6.1.0-18-amd64 --case early-policy --output debian.config
    lab repro early-policy --kconfig debian.config
    lab kconfig import config.gz --case numa-foundation --tree ~/linux --json | jq .dropped
    """
    from lab.kernel.fragment import import_config
    from lab.kernel.imported import about, as_kconfig, check_arch, judge
    from lab.line import kconfig_of, point_at, prepare
    from lab.report.documents import line_document
    from lab.report.imported import lines
    from lab.report.plain import one_line

    if case is None and (at is not None or wishes.tree or wishes.cc):
        raise click.UsageError("--at, --tree and --cc say where a case is resolved: give --case too")
    fragment = import_config(file)
    text = as_kconfig(fragment, file.name)
    judged = None
    document: dict[str, Any] = {}
    if case is not None:
        wanted = replace(chosen_case(case, wishes), kconfig=str(file))
        with working(wishes, quiet=as_json) as setup:
            line = prepare(wanted, setup)
            check_arch(fragment, line.toolchain.arch, str(file))
            point = point_at(line, line.series_end if at is None else at)
            judged = judge(fragment, kconfig_of(line, point, setup))
            document = {"point": point.index, **asdict(judged), **line_document(line)}
    if output:
        from lab.files import write_atomic

        write_atomic(output, text.encode())
    if as_json:
        emit({"file": file, "name": fragment.name, "made_for": about(fragment.text), "base": fragment.base,
              "symbols": len(fragment.asked), "output": output, "config": text, "case": case, **document})  # fmt: skip
        return 0
    stand_in = document["base"]["stand_in"] if document else ""
    for told in (*lines(fragment, judged), *([stand_in] if stand_in else [])):
        click.echo(one_line(told), err=True)
    if not output:
        click.echo(text, nl=False)
    return 0
