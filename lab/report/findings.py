"""What a console says, for a person at a terminal: each finding with all that is known of it."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from lab.console.render import finding_text
from lab.console.types import Finding, Report
from lab.report.plain import harmless
from lab.report.terminal import doing, facts, out, word
from lab.verdict import Verdict

WHOLE = 20
"""Findings that are told whole; of the rest only the titles, as of those that another like them came before."""


def show_findings(path: Path | str, report: Report, verdict: Verdict) -> None:
    """One log of ``lab scan``."""
    console = out()
    head = Text.assemble((harmless(str(path)), "bold"), "  ", word(verdict.word), "  ", harmless(verdict.reason))
    console.print(head)
    console.print(facts(ending(report)))
    seen: set[str] = set()
    for finding in report.findings:
        again = finding.signature in seen or len(seen) >= WHOLE
        seen.add(finding.signature)
        title, *more = finding_text(finding)
        if again or not finding.frames:
            more = [line for line in more if line.startswith(("  at ", "  follows", "  damaged", "  also"))]
        if again:
            title += "  (again)"
        console.print(Text(f"\n{harmless(title)}", style=_style(finding)))
        for line in more:
            console.print(Text(harmless(line), style="dim"))


def _style(finding: Finding) -> str:
    return "bold red" if finding.fatal else "bold yellow"


def ending(report: Report) -> list[tuple[str, str]]:
    """How far the boot came, and when; where it did not come to user space, what it was doing."""
    stages = [one.name + (f" {one.time:.2f}s" if one.time is not None else "") for one in report.stages]
    rows = [("stages", "  ".join(stages) or "none")]
    if report.kernel_release:
        rows.insert(0, ("kernel", report.kernel_release))
    if report.marker is None:
        rows += doing(report)
    return [*rows, *(("note", note) for note in report.notes)]
