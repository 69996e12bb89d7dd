"""``lab case``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.common import emit, output_options

if TYPE_CHECKING:
    from lab.draft.read import Evidence


@click.group()
def case() -> None:
    """Draft cases."""


@case.command(name="from-report")
@click.argument("report", metavar="FILE|URL")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to make; default: report-NAME here.",
)
@click.option("--series", metavar="CASE", help="The series that the reporter had applied: its patches and its base.")
@click.option("--exact", is_flag=True, help="The machine as large as in the report, whatever this host has.")
@output_options
def from_report(*, report: str, output: Path | None, series: str | None, exact: bool, as_json: bool) -> int:
    """Draft a case from a bug report: a console log, a mail with one in it, a mailbox, or the URL of a mail.

    Kernel version, command line, memory map, NUMA layout, CPUs, hints of the config and the crash are read from it, and
    written as series.toml, machine.toml and report.config.j2, each with its evidence, for 'lab repro' to run.

    Exits 0 when the draft was written.

    \b
    lab case from-report console.txt --series numa-foundation
    lab case from-report https://lore.kernel.org/linux-mm/MESSAGE-ID/ --output my-crash
    lab case from-report --json console.txt | jq .machine
    """
    from lab.draft.write import write_draft
    from lab.guest.machine import available_memory
    from lab.paths import data_folder

    evidence = read(report)
    chosen = None
    if series:
        from lab.case import load_case

        chosen = load_case(series, data_folder("patches"))
    folder = output or Path(f"report-{Path(report.rstrip('/')).stem[:60] or 'draft'}")
    room = 1 << 62 if exact else available_memory() * 3 // 4
    draft = write_draft(folder.absolute(), evidence, room=room, series=chosen)
    if as_json:
        from lab.report.mailed import draft_document

        emit(draft_document(draft))
    else:
        from lab.report.mailed import show_draft

        show_draft(draft)
    return 0


def read(report: str) -> Evidence:
    """The evidence in a file, or in a mail of an archive."""
    from lab.draft.read import of_thread, read_report
    from lab.errors import UserError
    from lab.tree.importing.ingest import is_remote

    if is_remote(report):
        from lab.paths import user_paths
        from lab.tree.importing.lore import from_lore

        mails, asked = from_lore(report, paths=user_paths())
        own = [raw.data for raw in mails.raws if f"<{asked}>".encode() in raw.data[:20_000].split(b"\n\n")[0]]
        return of_thread(report, [*own, *(raw.data for raw in mails.raws)])
    path = Path(report)
    if not path.is_file():
        raise UserError(f"{report}: no such file")
    return read_report(path)
