"""``lab bases``."""

from __future__ import annotations

import click

from lab.cli.common import emit, output_options


@click.command()
@output_options
def bases(*, as_json: bool) -> int:
    """List the bases: which are here and need no network, which would be fetched, and what proves the real one.

    Nothing is fetched. Exits 0.

    \b
    lab bases
    lab bases --json | jq -r '.bases[] | select(.offline) | .name'
    """
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
