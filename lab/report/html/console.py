"""A console as a page shows it: lines with their numbers, in stages that fold, findings marked, control bytes visible.

Everything here comes from a guest and may be hostile. It is cut to what a browser takes easily: what was left out is
counted, and the whole text is a file beside the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lab.history.records import Attempt, Seen, StageTime

LINE_LIMIT = 1000
"""Characters of a line that are shown; printk's own limit is 1024 with its prefix."""
EDGE = 300
"""Lines that are shown of a long console's begin and of its end."""
AROUND = 60
"""Lines that are shown before a finding, and at least after its first line."""
FINDING_LINES = 200
FINDINGS = 20
"""Findings that a cut console shows the lines of."""
MARKED = 100
"""Findings whose lines are marked."""
WHOLE = 2 * EDGE + 200
"""A console of so many lines is not cut."""
READ = 4 << 20
"""Bytes of a console that are looked at, half of them at its end."""

UNSEEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def visible(text: str) -> str:
    """``text`` with what a browser would not show, or what would turn the text's direction, as symbols: control bytes
    as ``␛`` and its kin, others by their number. A tab stays."""
    return UNSEEN.sub(_symbol, text)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


@dataclass(frozen=True)
class Line:
    """A line: ``number`` counts from 1; ``finding`` is the index of the finding it is part of, -1 for none."""

    number: int
    text: str
    finding: int = -1
    first: bool = False


@dataclass(frozen=True)
class Gap:
    """So many lines that are left out."""

    lines: int


@dataclass
class Part:
    """The lines of a stage; ``seconds`` after QEMU's start when it began, ``None`` where nothing tells."""

    stage: str
    seconds: float | None
    items: list[Line | Gap] = field(default_factory=list)
    lines: int = 0
    marked: bool = False

    def skip(self, lines: int) -> None:
        """Take note of lines that are left out here."""
        if lines:
            self.items.append(Gap(lines))

    @property
    def cut(self) -> bool:
        """Whether lines of it are left out."""
        return any(isinstance(item, Gap) for item in self.items)


@dataclass(frozen=True)
class Console:
    """What is shown of a console. ``lines`` and ``bytes`` are those of the whole."""

    parts: tuple[Part, ...]
    lines: int
    bytes: int
    cut: bool


def console_view(data: bytes, attempt: Attempt) -> Console:
    """The console of ``attempt`` in stages. Lines are parted by newlines alone, as the scanner counts them."""
    total = data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1)
    kept = _wanted(total, attempt.findings)
    raw = _raw_lines(data, total)
    numbers = iter(sorted(number for number in kept if raw.get(number) is not None))
    marks = _marks(attempt.findings, kept)
    parts = _parts(attempt.stages, total)
    number = next(numbers, None)
    for (start, part), (end, _) in pairwise([*parts, (total + 1, Part("", None))]):
        part.lines = end - start
        at = start
        while number is not None and number < end:
            part.skip(number - at)
            finding = marks.get(number, -1)
            first = finding >= 0 and attempt.findings[finding].line == number
            part.items.append(Line(number, _text(raw.get(number) or b""), finding, first))
            part.marked |= finding >= 0
            at = number + 1
            number = next(numbers, None)
        part.skip(end - at)
    shown = tuple(part for _, part in parts if part.lines)
    return Console(shown, total, len(data), any(part.cut for part in shown))


@dataclass(frozen=True)
class RawLines:
    """The lines at a console's begin and at its end; those between them are not looked at."""

    head: list[bytes]
    tail: list[bytes]
    total: int

    def get(self, number: int) -> bytes | None:
        """A line by its number."""
        if number <= len(self.head):
            return self.head[number - 1]
        back = self.total - number
        return self.tail[-1 - back] if back < len(self.tail) else None


def _raw_lines(data: bytes, total: int) -> RawLines:
    if len(data) <= READ:
        return RawLines(data.split(b"\n")[:total], [], total)
    half = READ // 2
    tail = data[-half:].split(b"\n")[1:]
    return RawLines(data[:half].split(b"\n")[:-1], tail[:-1] if data.endswith(b"\n") else tail, total)


def _text(raw: bytes) -> str:
    raw = raw.removesuffix(b"\r")
    text = visible(raw[: 4 * LINE_LIMIT].decode("utf-8", "backslashreplace"))
    if len(text) > LINE_LIMIT or len(raw) > 4 * LINE_LIMIT:
        return f"{text[:LINE_LIMIT]} … (a line of {len(raw)} bytes)"
    return text


def _wanted(total: int, findings: Sequence[Seen]) -> Collection[int]:
    """The numbers of the lines that are shown."""
    if total <= WHOLE:
        return range(1, total + 1)
    kept = {*range(1, EDGE + 1), *range(total - EDGE + 1, total + 1)}
    for one in findings[:FINDINGS]:
        last = min(max(one.last_line, one.line + AROUND // 3), one.line + FINDING_LINES)
        kept.update(range(max(one.line - AROUND, 1), min(last + 10, total) + 1))
    return kept


def _marks(findings: Sequence[Seen], kept: Collection[int]) -> dict[int, int]:
    """Which finding a line is part of: the first that claims it; a finding's first line is its own."""
    marks: dict[int, int] = {}
    told = list(enumerate(findings[:MARKED]))
    for index, one in told:
        for number in range(one.line, min(max(one.last_line, one.line), one.line + 4 * FINDING_LINES) + 1):
            if number in kept:
                marks.setdefault(number, index)
    marks.update({one.line: index for index, one in reversed(told) if one.line in kept})
    return marks


def _parts(stages: Iterable[StageTime], total: int) -> list[tuple[int, Part]]:
    """Where each part begins. What comes before the first stage is a part without a name."""
    parts = [(1, Part("", None))]
    for stage in sorted(stages, key=lambda one: one.line):
        line = min(max(stage.line, 1), total + 1)
        parts.append((line, Part(visible(stage.stage)[:40], stage.seconds)))
    return parts
