"""``lab compare``."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli.common import emit, output_options

LOG = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("report", type=LOG)
@click.argument("console", type=LOG)
@output_options
def compare(*, report: Path, console: Path, as_json: bool) -> int:
    """Put the console of a bug REPORT beside a CONSOLE of your own: what agrees, what differs, what the report lost.

    Either may be kept in any form that lab scan reads: compressed, UTF-16, HTML, a journal, a mail.

    Exits 0 when both show the same crash (title, signature and call chain), else 1.

    \b
    lab compare reporter-console.txt console.log
    lab compare --json report.txt console.log | jq '.rows[] | select(.how == "differs")'
    """
    from lab.console.compare import compare as rows_of
    from lab.console.compare import facts_in, same_crash
    from lab.errors import UserError

    def facts(path: Path) -> dict[str, str]:
        try:
            return facts_in(path)
        except UserError as error:
            raise UserError(f"{path}: {error.message}", hint=error.hint) from None

    rows = rows_of(facts(report), facts(console))
    same = same_crash(rows)
    if as_json:
        emit({"report": report, "console": console, "same_crash": same, "rows": rows})
    else:
        from lab.report.terminal import show_comparison

        show_comparison(report.name, console.name, rows, same)
    return 0 if same else 1
