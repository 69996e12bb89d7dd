"""Reading a console as it comes: a cheap search for the rules' needles, the careful parser only where one was hit.

Memory is bounded whatever comes: a line is cut at ``CARRY`` bytes, a report at ``REPORT_LINES`` lines, and of findings at most
``FINDINGS`` are kept. Nothing heavy is imported before it is needed: a short live console is searched with ``bytes.find``, a long one
with hyperscan.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lab.console import lines, section
from lab.console.rules import Rule, all_rules
from lab.console.section import Numbered
from lab.console.types import Finding, Marker, Report, Stage, StageName

BLOCK = 1 << 20
CARRY = 1 << 16
REPORT_LINES = 500
QUIET_LINES = 40
FINDINGS = 200

# The first line that shows each stage: needle and stage.
STAGE_NEEDLES: tuple[tuple[bytes, StageName], ...] = (
    (b"SeaBIOS", "firmware"),
    (b"Booting from ROM", "firmware"),
    (b"Decompressing Linux", "decompress"),
    (b"Uncompressing Linux", "decompress"),
    (b"Linux version ", "early"),
    (b"Memory: ", "memory"),
    (b"Booting Node", "smp"),
    (b"Brought up ", "smp"),
    (b"smp: Bring", "smp"),
    (b"NET: Registered ", "initcalls"),
    (b"devtmpfs: initialized", "initcalls"),
    (b"Freeing unused kernel", "init"),
    (b"as init process", "init"),
    (b"reboot: Power down", "shutdown"),
    (b"Power down.", "shutdown"),
    (b"reboot: Restarting system", "shutdown"),
    (b"Restarting system.", "shutdown"),
)
MARKER = b"lab: userspace"


@cache
def _needles() -> tuple[bytes, ...]:
    """What to look for: the rules' needles, the stages', the marker."""
    found = dict.fromkeys(needle.encode() for rule in all_rules() for needle in rule.needles)
    found.update(dict.fromkeys(needle for needle, _ in STAGE_NEEDLES))
    found[MARKER] = None
    return tuple(found)


@cache
def _by_needle() -> tuple[tuple[str, Rule], ...]:
    return tuple((needle, rule) for rule in all_rules() for needle in rule.needles)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def header(text: str) -> tuple[Rule, dict[str, str]] | None:
    """The rule that a cleaned line is a header of, with its groups."""
    for needle, rule in _by_needle():
        if needle in text and (found := _compiled(rule.pattern).search(text)):
            return rule, {key: value or "" for key, value in found.groupdict().items()}
    return None


class _Open:
    """A report that is being read."""

    __slots__ = ("dirty", "ended", "groups", "lines", "primary", "quiet", "rule")

    def __init__(self, rule: Rule, groups: dict[str, str], line: Numbered, primary: bool) -> None:
        self.rule = rule
        self.groups = groups
        self.lines = [line]
        self.primary = primary
        self.quiet = 0
        self.ended = False
        self.dirty = True


class Scanner:
    """Reads a console in pieces of any size; ``fatal``, ``complete`` and ``marker`` may be asked at any time."""

    def __init__(self) -> None:
        self.marker: Marker | None = None
        self.complete = False
        self._carry = b""
        self._lines = 0
        self._open: _Open | None = None
        self._cut: list[Numbered] = []
        self._findings: list[Finding] = []
        self._fatal: Finding | None = None
        self._stages: dict[StageName, Stage] = {}
        self._release = ""
        self._tail = b""

    @property
    def fatal(self) -> Finding | None:
        """The first finding after which no kernel lives on, as far as it was read; nothing before its header came."""
        if self._fatal:
            return self._fatal
        if self._open and self._open.rule.fatal:
            return self._finding(self._open)
        return None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the console."""
        data = self._carry + chunk if self._carry else chunk
        end = data.rfind(b"\n") + 1
        if not end and len(data) < CARRY:
            self._carry = data
            return
        if len(data) - end >= CARRY:
            end = len(data)
        self._carry = data[end:]
        self._block(data[:end] if self._carry else data)
        self._tail = (self._tail + data[max(0, end - 16384) : end])[-16384:]

    def close(self) -> Report:
        """End of the console: everything that was found."""
        if self._carry:
            self._block(self._carry)
            self._tail = (self._tail + self._carry)[-16384:]
            self._carry = b""
        self._finish()
        last = ""
        for raw in reversed(self._tail.splitlines()):
            if text := lines.clean(raw).text.strip():
                last = text[:400]
                break
        order = sorted(self._stages.values(), key=lambda stage: stage.line)
        return Report(
            findings=tuple(self._findings),
            stages=tuple(order),
            marker=self.marker,
            lines=self._lines,
            last_sign_of_life=last,
            kernel_release=self._release,
        )

    def _block(self, block: bytes) -> None:
        """Whole lines (or a piece of one that is too long): go from hit to hit, line by line inside a report."""
        counted = position = 0
        hits = _hits(block)
        while position < len(block):
            if self._open is None:
                hit = next((hit for hit in hits if hit >= position), None)
                if hit is None:
                    break
                position = block.rfind(b"\n", position, hit) + 1 or position
            end = block.find(b"\n", position) + 1 or len(block)
            self._lines += block.count(b"\n", counted, end)
            counted = end
            number = self._lines + (0 if block[end - 1] == 10 else 1)
            raw = block[position : min(end, position + lines.LIMIT)]
            for piece in lines.split(raw):
                self._line(number, piece)
            position = end
        self._lines += block.count(b"\n", counted)

    def _line(self, number: int, raw: bytes) -> None:
        text, time, _ = lines.clean(raw)
        self._stage(number, raw, text, time)
        line = Numbered(number, text)
        if found := header(text):
            self._header(line, *found)
        elif self._open:
            self._continue(line)

    def _header(self, line: Numbered, rule: Rule, groups: dict[str, str]) -> None:
        current = self._open
        if current and rule.role == "part" and not current.ended:
            self._continue(line)
            return
        self._finish()
        primary = not (rule.role == "after" and self._findings) and self._fatal is None
        self._open = _Open(rule, groups, line, primary)

    def _continue(self, line: Numbered) -> None:
        current = self._open
        if current is None:
            return
        if len(current.lines) < REPORT_LINES:
            current.lines.append(line)
        current.dirty = True
        if section.HARD_END.search(line.text):
            self._finish()
            self.complete = self.complete or self._fatal is not None
        elif line.text[:1] in (" ", "[") or "+0x" in line.text or "0000" in line.text:
            current.quiet = 0
        else:
            current.quiet += 1
            if current.quiet > QUIET_LINES:
                self._finish()

    def _finding(self, current: _Open) -> Finding:
        return section.build(current.rule, current.groups, current.lines, primary=current.primary)

    def _finish(self) -> None:
        current, self._open = self._open, None
        if current is None:
            return
        finding = self._finding(current)
        if finding.fatal and self._fatal is None:
            self._fatal = finding
        if len(self._findings) < FINDINGS:
            self._findings.append(finding)

    def _stage(self, number: int, raw: bytes, text: str, time: float | None) -> None:
        for needle, name in STAGE_NEEDLES:
            if name not in self._stages and needle in raw:
                self._stages[name] = Stage(name, number, time)
                if name == "early":
                    self._release = (text.partition("Linux version ")[2].split() or [""])[0][:100]
        if self.marker is None and text.startswith("lab: userspace"):
            fields = tuple(
                (key, value) for key, found, value in (word.partition("=") for word in text.split()[2:40]) if found
            )
            self.marker = Marker(number, fields)
            self._stages.setdefault("userspace", Stage("userspace", number, time))


def _hits(block: bytes) -> Iterator[int]:
    """Where needles stand in a block, in order."""
    found: list[int] = []
    for needle in _needles():
        at = block.find(needle)
        while at >= 0:
            found.append(at)
            at = block.find(needle, at + len(needle))
    found.sort()
    return iter(found)


def scan_file(source: str | os.PathLike[str] | int) -> Report:
    """Read a whole console from a path or a file descriptor. ``OSError`` where it can't be read."""
    scanner = Scanner()
    file = (
        os.fdopen(source, "rb", buffering=0, closefd=False)
        if isinstance(source, int)
        else Path(source).open("rb", buffering=0)
    )
    with file:
        while chunk := file.read(BLOCK):
            scanner.feed(chunk)
    return scanner.close()
