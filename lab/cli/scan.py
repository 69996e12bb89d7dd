"""``lab scan``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.common import emit, output_options

if TYPE_CHECKING:
    from lab.console.types import Report


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("--signature", default="", help="Judge by this bug alone, such as bug:policy_zonelist.")
@click.option(
    "--vmlinux",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The kernel's own vmlinux: files and lines for the trace, and whether the console is of another build.",
)
@output_options
def scan(*, logs: tuple[str, ...], signature: str, vmlinux: Path | None, as_json: bool) -> int:
    """Findings, stages and the verdict of each console LOG; - is standard input.

    With several logs and --json, one document a line. Exits by the verdict, with several logs by the worst: 0 good
    (user space said so), 1 bad, 125 skip.

    \b
    lab scan console.log
    dmesg | lab scan -
    lab scan --vmlinux vmlinux console.log
    lab scan --json *.log | jq -r '.findings[].title'
    """
    from lab.case import Expect
    from lab.console.render import report_json
    from lab.verdict import judge_report

    codes = []
    for log in logs:
        report = read(log, vmlinux)
        verdict = judge_report(report, Expect(signature=signature))
        codes.append(verdict.exit_code)
        if as_json:
            emit({"file": log, "verdict": verdict.word, "reason": verdict.reason, **report_json(report)})
        else:
            from lab.report.terminal import show_findings

            stages = "  ".join(stage.name for stage in report.stages)
            show_findings(log, report.findings, stages, verdict)
    return next((code for code in (1, 125) if code in codes), 0)


def read(log: str, vmlinux: Path | None) -> Report:
    """The report of one log, with symbols where there is a ``vmlinux``; a log that can't be read is the user's to
    mend."""
    from lab.console.scanner import scan_file
    from lab.errors import UserError

    try:
        report = scan_file(sys.stdin.fileno() if log == "-" else log)
    except OSError as error:
        raise UserError(f"{log}: {error.strerror or error}") from None
    if vmlinux is None:
        return report
    from lab.console.annotate import annotate

    return annotate(report, vmlinux)
