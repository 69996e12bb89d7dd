"""``lab bases``."""

from __future__ import annotations

import re

import click

from lab.cli.common import Wishes, emit, output_options, working


@click.group(invoke_without_command=True)
@output_options
@click.pass_context
def bases(context: click.Context, *, as_json: bool) -> int:
    """List the bases: which are here and need no network, which would be fetched, and what proves the real one.

    Nothing is fetched; 'lab bases add' gets one. Exits 0.

    \b
    lab bases
    lab bases --json | jq -r '.bases[] | select(.offline) | .name'
    lab bases add v6.12.3
    """
    if context.invoked_subcommand is not None:
        return 0
    from lab.paths import user_paths
    from lab.settings import load_settings
    from lab.tree.stock import stock

    paths = user_paths()
    rows = stock(paths, load_settings(paths.config_file).bases)
    if as_json:
        emit({"bases": rows})
        return 0
    from rich.table import Table

    from lab.report.plain import harmless
    from lab.report.terminal import out

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("base", "version", "state", "checked by", "where"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        where = row.where + (f"\n{row.how}" if row.how else "")
        table.add_row(*map(harmless, (row.name, row.version, row.state, row.check)), harmless(where))
    out().print(table, markup=False)
    return 0


@bases.command()
@click.argument("source")
@click.option("--sha256", default="", metavar="HEX", help="The SHA-256 that the .dsc or tarball must have.")
@output_options
def add(*, source: str, sha256: str, as_json: bool) -> int:
    """Get a base now, so that it is here when it is needed, and say what it is called.

    SOURCE is the URL or file of a .dsc (a source package of Debian or Ubuntu; its files lie beside it), a tarball of a
    kernel source, or the name of a base or release. What is here already is not fetched again.

    Exits 0 when the base is here.

    \b
    lab bases add https://archive.example.org/pool/main/l/linux/linux_6.1.176-1.dsc
    lab bases add ~/linux_5.15.0-100.110.dsc --sha256 3a1f…
    lab bases add v6.12.3
    """
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise click.BadParameter("a SHA-256 has 64 hexadecimal digits", param_hint="'--sha256'")
    from lab.tree.get import get_base

    with working(Wishes(), quiet=as_json) as setup:
        base = get_base(source, setup.paths, setup.settings, sha256=sha256.lower(), progress=setup.progress)
    if as_json:
        emit(base)
    else:
        from lab.report.plain import one_line

        click.echo(one_line(f"{base.name}: Linux {base.version}, {base.source}"))
        click.echo(f'Use it as base = "{base.name}" in a series.toml, or with lab series import --base {base.name}')
    return 0
