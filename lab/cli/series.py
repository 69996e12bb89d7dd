"""``lab series``."""

from __future__ import annotations

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, chosen_case, emit, output_options, wishes, working


@click.group()
def series() -> None:
    """Look after the patches of a series."""


@series.command()
@click.argument("case")
@wishes(TREE, *BUILD, *BOOT)
@output_options
def check(*, case: str, wishes: Wishes, as_json: bool) -> int:
    """Check every point of CASE: it applies, builds, boots as the case says, warns of nothing new, changes the kernel.

    Exits 0 when every point is what the case says of it, else 1. New warnings are told and don't count.

    \b
    lab series check early-policy
    lab series check early-policy --json | jq '.points[] | select(.image_changed == false)'
    """
    from lab.line import prepare
    from lab.series_check import check_series

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        line = prepare(wanted, setup)
        if as_json:
            from lab.report.documents import line_document, series_document

            checked = check_series(line, setup)
            emit({**series_document(wanted.name, checked), **line_document(line)})
        else:
            from lab.report.terminal import show_checked, show_line

            show_line(line)
            checked = check_series(line, setup, seen=show_checked)
    return 0 if all(row.as_expected for row in checked) else 1
