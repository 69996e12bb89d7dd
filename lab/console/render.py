"""A report for people and for JSON. Nothing here prints; text has no terminal escapes in it (the scanner took them
off).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.console.types import Finding, Frame, Report, Stage

FRAMES = 24
WIDTH = 84


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
        "banner": report.banner,
        "last_sign_of_life": report.last_sign_of_life,
        "last_lines": list(report.last_lines),
        "last_initcall": report.last_initcall,
        "kernel_offset": report.kernel_offset,
        "lines": report.lines,
        "notes": list(report.notes),
        "incomplete": report.incomplete,
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
                "address": frame.address,
                "inlined": frame.inlined,
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


def finding_text(finding: Finding, *, frames: int = FRAMES) -> Iterator[str]:
    """A finding in lines of plain text, its title first: place, what it followed from, what damaged it, the trace, the
    registers, the code around the fault. ``frames``: so many of the trace at most."""
    yield finding.title
    yield f"  at {where(finding)}" + (f", {finding.time:.6f} s" if finding.time is not None else "")
    fatal = ", fatal" if finding.fatal else ""
    yield f"  kind: {finding.kind}{fatal}; signature {finding.signature}"
    if finding.alternatives:
        yield f"  also known as: {'; '.join(finding.alternatives)}"
    if not finding.primary:
        yield "  follows from an earlier finding"
    if finding.damaged:
        yield f"  damaged: {', '.join(finding.damaged)}"
    if finding.taint is not None:
        yield f"  taint: {finding.taint or 'none'}"
    if finding.frames:
        yield "  call trace:"
        yield from (f"    {frame_text(frame)}" for frame in finding.frames[:frames])
    if len(finding.frames) > frames:
        yield f"    … {len(finding.frames) - frames} more"
    yield from _registers_text(finding)
    yield from _code_text(finding)


def frame_text(frame: Frame) -> str:
    """A frame of a trace: ``? foo+0x1/0x20 [mod]  mm/foo.c:12``."""
    name = frame.function or f"{frame.address:#x}"
    offset = f"+{frame.offset:#x}/{frame.size:#x}" if frame.size else ""
    module = f" [{frame.module}]" if frame.module else ""
    inlined = " (inlined)" if frame.inlined else ""
    source = f"  {frame.file}:{frame.line}" if frame.file else ""
    return f"{'' if frame.sure else '? '}{name}{offset}{module}{inlined}{source}"


def _registers_text(finding: Finding) -> Iterator[str]:
    """As many registers a line as fit there."""
    names = [f"{name} {value}" for name, value in finding.registers]
    lines: list[str] = []
    for one in names:
        if lines and len(lines[-1]) + len(one) < WIDTH:
            lines[-1] += f"  {one}"
        else:
            lines.append(one)
    for at, line in enumerate(lines):
        yield f"  {'registers:' if not at else '          '} {line}"


def _code_text(finding: Finding) -> Iterator[str]:
    """The instructions around the fault; the bytes where there are none."""
    if not finding.code:
        return
    trap = next((at for at, line in enumerate(finding.disassembly) if "<--" in line), None)
    if trap is None:
        yield f"  code: {finding.code[:WIDTH]}{' …' if len(finding.code) > WIDTH else ''}"
        return
    yield "  code:"
    yield from (f"    {line}" for line in finding.disassembly[max(0, trap - 5) : trap + 3])


def ending_text(report: Report) -> Iterator[str]:
    """What the boot came to: its stages with their times, the last sign of life, and what was wrong with the log."""
    for stage in report.stages:
        yield f"stage {stage.name}: line {stage.line}" + (f", {stage.time:.6f} s" if stage.time is not None else "")
    if report.last_initcall:
        yield f"last initcall that did not return: {report.last_initcall}"
    for at, line in enumerate(report.last_lines):
        yield f"{'last lines:' if not at else '           '} {line}"
    yield from report.notes


def report_text(report: Report) -> Iterator[str]:
    """A whole report in lines of plain text."""
    for finding in report.findings:
        yield from finding_text(finding)
        yield ""
    yield from ending_text(report)
