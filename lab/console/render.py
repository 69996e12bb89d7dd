"""A report for people and for JSON. Nothing here prints; text has no terminal escapes in it (the scanner took them
off).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.console.types import Finding, Report, Stage

EXCERPT = 14


def report_json(report: Report) -> dict[str, Any]:
    """The report as plain values: ``findings``, ``stages``, ``marker``, ``first`` (the finding to blame, its index)."""
    first = report.first
    return {
        "findings": [finding_json(finding) for finding in report.findings],
        "first": report.findings.index(first) if first else None,
        "stages": [stage_json(stage) for stage in report.stages],
        "stage": report.stage,
        "marker": dict(report.marker.fields) if report.marker else None,
        "kernel_release": report.kernel_release,
        "last_sign_of_life": report.last_sign_of_life,
        "last_initcall": report.last_initcall,
        "lines": report.lines,
        "notes": list(report.notes),
    }


def stage_json(stage: Stage) -> dict[str, Any]:
    """A stage as plain values; ``time`` is the kernel's, in seconds."""
    return {"name": stage.name, "line": stage.line, "time": stage.time}


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding as plain values."""
    return {
        "title": finding.title,
        "kind": finding.kind,
        "signature": finding.signature,
        "function": finding.function,
        "functions": list(finding.functions),
        "alternatives": list(finding.alternatives),
        "line": finding.line,
        "last_line": finding.last_line,
        "time": finding.time,
        "fatal": finding.fatal,
        "primary": finding.primary,
        "damaged": list(finding.damaged),
        "file": finding.file,
        "file_line": finding.file_line,
        "taint": finding.taint,
        "machine": finding.machine,
        "frames": [
            {
                "function": frame.function,
                "offset": frame.offset,
                "size": frame.size,
                "sure": frame.sure,
                "module": frame.module,
                "file": frame.file,
                "line": frame.line,
            }
            for frame in finding.frames
        ],
        "registers": dict(finding.registers),
        "code": finding.code,
        "disassembly": list(finding.disassembly),
    }


def where(finding: Finding) -> str:
    """One phrase: ``mm/mempolicy.c:1785, lines 8 to 41 of the console``."""
    span = (
        f"line {finding.line}" if finding.line == finding.last_line else f"lines {finding.line} to {finding.last_line}"
    )
    source = f"{finding.file}:{finding.file_line}, " if finding.file else ""
    return f"{source}{span} of the console"


def finding_head(finding: Finding) -> Iterator[str]:
    """The first lines of a finding: title, place, whether it followed from another, what damaged it."""
    yield finding.title
    yield f"  at {where(finding)}"
    if not finding.primary:
        yield "  follows from an earlier finding"
    if finding.damaged:
        yield f"  damaged: {', '.join(finding.damaged)}"


def finding_text(finding: Finding, *, excerpt: int = EXCERPT) -> Iterator[str]:
    """A finding in lines of plain text: title, place, what it followed from, the trace, the code around the fault."""
    yield from finding_head(finding)
    if finding.taint:
        yield f"  taint: {finding.taint}"
    for frame in finding.frames[:excerpt]:
        source = f"  {frame.file}:{frame.line}" if frame.file else ""
        yield f"    {'  ' if frame.sure else '? '}{frame.function}{source}"
    if len(finding.frames) > excerpt:
        yield f"    … {len(finding.frames) - excerpt} more"
    trap = next((at for at, line in enumerate(finding.disassembly) if "<--" in line), None)
    if trap is not None:
        yield "  code:"
        yield from (f"    {line}" for line in finding.disassembly[max(0, trap - 5) : trap + 3])


def report_text(report: Report) -> Iterator[str]:
    """A whole report in lines of plain text."""
    for finding in report.findings:
        yield from finding_text(finding)
        yield ""
    for stage in report.stages:
        yield f"stage {stage.name}: line {stage.line}" + (f", {stage.time:.6f} s" if stage.time is not None else "")
    if report.last_initcall:
        yield f"last initcall that did not return: {report.last_initcall}"
    if report.last_sign_of_life:
        yield f"last line: {report.last_sign_of_life}"
    yield from report.notes
