"""A boot in lines of plain text, for a test that failed: what was found, decoded, and what the console showed there.

Nothing that a guest printed reaches a terminal as it came: escapes are made visible.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.console.render import finding_text, where
from lab.console.types import Finding, Report
from lab.report.plain import harmless

LINE_CHARACTERS = 400
FULL = 3
"""Findings that are told whole; of the rest only the titles."""
REGION_BEFORE = 6
TAIL_BYTES = 1 << 18


@dataclass(frozen=True)
class Shown:
    """What there is to tell of a boot, also of one that still runs: ``console`` is what it printed, at most its last
    part, ``path`` where all of it is."""

    label: str
    head: str
    report: Report
    console: bytes
    path: Path | None = None
    vmlinux: Path | None = None


def explained(shown: Shown) -> list[str]:
    """The boot in a line, then each finding."""
    lines = [f"{shown.label}: {shown.head}"]
    for count, finding in enumerate(decoded(shown)):
        if count < FULL:
            lines += [f"  {line}" for line in finding_text(finding)]
        else:
            lines.append(f"  {finding.title}  ({where(finding)})")
    lines += [f"  note: {note}" for note in shown.report.notes]
    if shown.path:
        lines.append(f"  console: {shown.path}")
    return [harmless(line)[:LINE_CHARACTERS] for line in lines]


def decoded(shown: Shown) -> tuple[Finding, ...]:
    """The findings, with what the kernel's vmlinux adds where it can be read."""
    from lab.errors import LabError

    if shown.vmlinux is not None and shown.report.findings:
        from lab.console.annotate import annotate

        with contextlib.suppress(LabError, OSError):
            return annotate(shown.report, shown.vmlinux).findings
    return shown.report.findings


def excerpt(shown: Shown, limit: int) -> str:
    """``limit`` lines of the console: those around the first finding, else the last ones."""
    if limit <= 0:
        return ""
    lines = shown.console.decode(errors="backslashreplace").replace("\r", "").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    first = shown.report.first
    whole = shown.report.lines <= len(lines)  # else its first lines are gone, and no line's number is known
    begin = max(0, first.line - 1 - min(REGION_BEFORE, limit // 4)) if first and whole else max(0, len(lines) - limit)
    end = min(len(lines), begin + limit)
    above = [f"… {begin} line(s) before"] if begin else []
    below = [f"… {len(lines) - end} line(s) after"] if end < len(lines) else []
    return "\n".join(harmless(line)[:LINE_CHARACTERS] for line in (*above, *lines[begin:end], *below))


def tail(path: Path, limit: int = TAIL_BYTES) -> bytes:
    """The last ``limit`` bytes of a file; nothing where it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - limit))
        return file.read(limit)
    return b""


def joined(groups: Iterable[list[str]]) -> str:
    """Several boots' lines, one after the other."""
    return "\n".join("\n".join(lines) for lines in groups)
