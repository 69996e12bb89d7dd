"""``lab scan``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.common import emit, output_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.console.types import Report


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("--signature", default="", help="Judge by this bug alone, such as bug:policy_zonelist.")
@click.option(
    "--vmlinux",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The kernel's own vmlinux: files and lines for the trace, and whether the console is of another build.",
)
@click.option(
    "--module",
    "modules",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --vmlinux: a module's .ko file, for the frames in it. May be given again.",
)
@output_options
def scan(
    *, logs: tuple[str, ...], signature: str, vmlinux: Path | None, modules: tuple[Path, ...], as_json: bool
) -> int:
    """Findings, stages and the verdict of each console LOG; - is standard input.

    A LOG may be compressed (gzip, xz, bzip2, zstd), UTF-16, HTML, a journal's export or JSON, a mail or a mailbox: of
    mails each part is a console of its own.

    With several logs and --json, one document a line. Exits by the verdict, with several logs by the worst: 0 good
    (user space said so), 1 bad, 125 skip.

    \b
    lab scan console.log
    dmesg | lab scan -
    lab scan --vmlinux vmlinux --module drivers/net/dummy.ko console.log
    lab scan thread.mbox.gz
    lab scan --json *.log | jq -r '.findings[].title'
    """
    from lab.case import Expect
    from lab.console.render import report_json
    from lab.verdict import judge_report

    if modules and not vmlinux:
        raise click.UsageError("--module needs --vmlinux")
    codes = []
    for log in logs:
        for part, report in read(log, vmlinux, modules):
            verdict = judge_report(report, Expect(signature=signature))
            codes.append(verdict.exit_code)
            if as_json:
                head = {"file": log, "part": part, "verdict": verdict.word, "reason": verdict.reason}
                emit({**head, **report_json(report)})
            else:
                from lab.report.findings import show_findings

                show_findings(f"{log}: {part}" if part else log, report, verdict)
    return next((code for code in (1, 125) if code in codes), 0)


def read(log: str, vmlinux: Path | None, modules: Sequence[Path] = ()) -> Iterator[tuple[str, Report]]:
    """The report of a log, with symbols where there is a ``vmlinux`` (and ``modules``, named by their files); of mails
    one for each part in which something was found, with the part's name, and of none the first part's. A log that can't
    be read is the user's to mend."""
    first: tuple[str, Report] | None = None
    found = False
    for part, report in parts(log):
        first = first or (part, report)
        if report.findings or not part:
            found = True
            yield part, annotated(report, vmlinux, modules)
    if first and not found:
        yield first


def parts(log: str) -> Iterator[tuple[str, Report]]:
    """Each part of a log, with its name where there is more than one."""
    from lab.console.scanner import scan_parts
    from lab.errors import UserError

    try:
        yield from scan_parts(sys.stdin.fileno() if log == "-" else log)
    except OSError as error:
        raise UserError(f"{log}: {error.strerror or error}") from None
    except UserError as error:
        raise UserError(f"{log}: {error}") from None


def annotated(report: Report, vmlinux: Path | None, modules: Sequence[Path]) -> Report:
    """The report with what the kernel's own files tell, where there are any."""
    if vmlinux is None:
        return report
    from lab.console.annotate import annotate

    return annotate(report, vmlinux, {path.name.partition(".")[0]: path for path in modules})
