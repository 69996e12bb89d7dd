"""Reading a console as it comes: the cheap search everywhere, the careful parser only where a header was hit.

Memory is bounded whatever comes: a line is cut at ``lines.LIMIT`` bytes, what is kept of an unfinished one at
``CARRY``, a report at ``REPORT_LINES`` lines, and of findings at most ``FINDINGS`` are kept. Nothing heavy is
imported before it is needed.
"""

from __future__ import annotations

import os
from dataclasses import replace

from lab.console import finding as judge
from lab.console import lines
from lab.console.finding import Open
from lab.console.parse import Numbered, is_end
from lab.console.patterns import compiled
from lab.console.relate import follows, is_consequence
from lab.console.rules import Rule
from lab.console.search import Hit, Search, table
from lab.console.stages import BOOT_SIGNS, MARKER, OFFSET, STAGES, last_initcall, marker, offset, release
from lab.console.types import STAGES as ORDER
from lab.console.types import Finding, Marker, Report, Stage, StageName

BLOCK = 1 << 18
CARRY = 1 << 16
TAIL = 1 << 14
REPORT_LINES = 600
QUIET_LINES = 60
UNTRACED_LINES = 8
FINDINGS = 200
OPEN = 16


class _Reading:
    """A report that is being read."""

    __slots__ = (
        "built",
        "caller",
        "flags",
        "frames",
        "groups",
        "lines",
        "quiet",
        "rule",
        "seen",
        "start",
        "time",
        *("outer", "traced", "twice"),
    )

    def __init__(self, rule: Rule, groups: dict[str, str], line: Numbered, caller: str, time: float | None) -> None:
        self.rule = rule
        self.groups = groups
        self.lines = [line]
        self.start = line.number
        self.caller = caller
        self.time = time
        self.quiet = 0
        self.seen = 1
        self.traced = False
        self.frames = 0
        self.twice = 0
        self.outer: _Reading | None = None
        self.flags: tuple[str, ...] = ()
        self.built: tuple[int, Finding] | None = None

    def flag(self, word: str) -> None:
        """Note a damage of the report."""
        if word not in self.flags:
            self.flags = (*self.flags, word)
            self.built = None


class Scanner:
    """Reads a console in pieces of any size; ``fatal``, ``complete`` and ``marker`` may be asked at any time."""

    def __init__(self) -> None:
        self.marker: Marker | None = None
        self._search = Search()
        self._carry = bytearray()
        self._lines = 0
        self._open: dict[str, _Reading] = {}
        self._findings: list[Finding] = []
        self._dropped = 0
        self._fatal: Finding | None = None
        self._complete = False
        self._stages: dict[StageName, Stage] = {}
        self._boots: dict[bytes, int] = {}
        self._release = ""
        self._offset: int | None = None
        self._tail = b""
        self._before = ""

    @property
    def fatal(self) -> Finding | None:
        """The first finding after which no kernel lives on, as far as it was read (the last third of a report that is
        still coming may be missing); nothing before its header came."""
        if self._fatal is None:
            for reading in self._open.values():
                if reading.rule.fatal and reading.rule.role != "prelude":
                    return self._so_far(reading)
        return self._fatal

    @property
    def complete(self) -> bool:
        """Whether the end of the fatal report was seen (end trace, end of panic, reboot)."""
        return self._complete

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the console."""
        for at in range(0, len(chunk), BLOCK):
            piece = chunk[at : at + BLOCK]
            self._carry += piece
            if b"\n" in piece or len(self._carry) >= CARRY:
                end = self._take(self._carry, len(self._carry))
                del self._carry[:end]

    def read(self, descriptor: int) -> None:
        """Take all that a file descriptor gives until its end, without copying it. ``OSError`` where it can't be
        read.
        """
        buffer = bytearray(CARRY + BLOCK)
        kept = len(self._carry)
        buffer[:kept] = self._carry
        with memoryview(buffer) as view:
            while got := os.readv(descriptor, [view[kept : kept + BLOCK]]):
                size = kept + got
                end = self._take(buffer, size)
                kept = size - end
                view[:kept] = view[end:size]
            self._carry = bytearray(view[:kept])

    def _take(self, data: bytes | bytearray, size: int) -> int:
        """Read the whole lines of ``data[:size]``; how many bytes that were. A line that grows too long is cut."""
        end = data.rfind(b"\n", 0, size) + 1
        if size - end >= CARRY:
            end = size
        if end:
            self._block(data, end)
            tail = bytes(data[max(0, end - TAIL) : end])
            self._tail = tail if len(tail) == TAIL else (self._tail + tail)[-TAIL:]
        return end

    def close(self, *, disassemble: bool = True) -> Report:
        """End of the console: everything that was found. ``disassemble`` turns code bytes into instructions, for which
        a library is loaded (some 50 ms)."""
        if self._carry:
            self._block(self._carry, len(self._carry))
            self._tail = bytes(self._tail + self._carry)[-TAIL:]
            self._lines += 1
            self._carry.clear()
        for caller in list(self._open):
            self._finish(caller, closed=False)
        tail = self._tail.splitlines()
        calls = [lines.clean(raw).text for raw in tail] if b"calling  " in self._tail else []
        last = next((text for raw in reversed(tail) if (text := lines.clean(raw).text.strip())), "")
        found = sorted(self._findings, key=lambda one: one.line)
        notes = [f"{self._dropped} more findings were not kept"] if self._dropped else []
        if not found and not self._stages and is_binary(self._tail):
            notes.append("this is a binary file, not the text of a console")
        return Report(
            findings=tuple(_explained(one) if disassemble else one for one in found),
            stages=tuple(sorted(self._stages.values(), key=lambda stage: ORDER.index(stage.name))),
            marker=self.marker,
            lines=self._lines,
            last_sign_of_life=last[:400],
            kernel_release=self._release,
            notes=tuple(notes),
            last_initcall=last_initcall(calls),
            kernel_offset=self._offset,
        )

    def _block(self, block: bytes | bytearray, size: int) -> None:
        """Whole lines (or a piece of one that is too long): from hit to hit, line by line inside a report."""
        counted = position = index = 0
        hits = self._search.hits(block, size)
        while position < size:
            while index < len(hits) and hits[index].at < position:
                index += 1
            if not self._open:
                while index < len(hits) and self._known(hits[index].needle):
                    index += 1
                if index == len(hits):
                    break
                position = block.rfind(b"\n", position, hits[index].at) + 1 or position
            end = block.find(b"\n", position, size) + 1 or size
            upto = index
            while upto < len(hits) and hits[upto].at < end:
                upto += 1
            self._lines += block.count(b"\n", counted, end)
            counted = end
            number = self._lines + (block[end - 1] != 10)
            self._raw(number, bytes(block[position : min(end, position + lines.LIMIT)]), hits[index:upto])
            index = upto
            position = end
        self._lines += block.count(b"\n", counted, size)

    def _known(self, needle: int) -> bool:
        """Whether a needle says nothing new, so that its line need not be looked at: one more boot, after one that
        ended as it should."""
        sign = table().coarse[needle]
        if sign not in BOOT_SIGNS or not self._boots.get(sign) or not self._told():
            return False
        self._search.muted.add(needle)
        return True

    def _raw(self, number: int, raw: bytes, hits: list[Hit]) -> None:
        """One line as it came, with the needles that stand in it."""
        pieces = lines.split(raw)
        for piece in pieces:
            text, time, caller = lines.clean(piece)
            rules: dict[int, Rule] = {}
            for coarse in {hit.needle for hit in hits} if hits else ():
                for needle in table().covered[coarse]:
                    if needle.text in piece:
                        rules.update(needle.rules)
                        if needle.extra and (needle.text == table().coarse[coarse]):
                            self._stage(number, needle.text, text, time)
            self._line(Numbered(number, text, len(pieces) > 1), time, caller, rules)

    def _line(self, line: Numbered, time: float | None, caller: str, rules: dict[int, Rule]) -> None:
        if line.text and line.text == self._before and self._open and not rules:
            if reading := self._reading(caller):
                reading.twice += 1
                if reading.twice > 3 and reading.twice * 3 > reading.seen:
                    reading.flag("printed twice")
            return
        self._before = line.text
        for _, rule in sorted(rules.items()) if rules else ():
            if found := compiled(rule.pattern).search(line.text):
                groups = {key: value or "" for key, value in found.groupdict().items()}
                self._header(line, rule, groups, caller, time)
                return
        if self._open:
            self._continue(line, caller)

    def _reading(self, caller: str) -> _Reading | None:
        """The report that a line of ``caller`` belongs to: its own, else one that other processors speak in too."""
        if reading := self._open.get(caller):
            return reading
        for reading in reversed(self._open.values()):
            if not caller or not reading.caller or reading.rule.blame in ("stall", "hung"):
                return reading
        return None

    def _header(self, line: Numbered, rule: Rule, groups: dict[str, str], caller: str, time: float | None) -> None:
        current = self._open.get(caller)
        if current and current.rule.role == "prelude" and rule.role != "after":
            if rule.role == "prelude":
                self._continue(line, caller)
                if rule.word != "cut-here":
                    current.rule = rule
                return
            reading = _Reading(rule, groups, line, caller, time)
            reading.lines = [*current.lines, line] if len(current.lines) < 12 else [line]
            reading.groups = groups
            del self._open[caller]
            self._begin(caller, reading)
            return
        if current and rule.role in ("part", "prelude") and self._belongs(current, rule):
            self._continue(line, caller)
            return
        if current and rule.role == "after" and not current.traced and is_consequence(line.text):
            # panic() speaks before the trace that the report is to have
            self._keep(replace(self._finding(_Reading(rule, groups, line, caller, time)), primary=False), rule)
            self._continue(line, caller)
            return
        if current and current.rule == rule and not current.traced and _goes_on(current.lines):
            self._continue(line, caller)
            return
        if current:
            if rule.role == "start" and not current.traced and (not current.rule.fatal or rule.fatal):
                current.flag("nested")
            if rule.role == "start" and self._interrupted(current):
                del self._open[caller]
            else:
                self._finish(caller)
                current = None
        self._begin(caller, _Reading(rule, groups, line, caller, time))
        self._open[caller].outer = current
        if rule.alone:
            self._finish(caller)

    @staticmethod
    def _interrupted(current: _Reading) -> bool:
        """Whether a report that another one begins in has not come to its trace, so that the other's must tell."""
        rule = current.rule
        waits = rule.role == "start" and rule.blame != "none" and not rule.fatal and not rule.trace
        return waits and not current.frames and current.seen <= UNTRACED_LINES and current.outer is None

    @staticmethod
    def _belongs(current: _Reading, rule: Rule) -> bool:
        """Whether a header that may be a part of the report before it is one."""
        if rule.role == "prelude":
            return current.rule.role != "prelude" and not current.traced and rule.word != "cut-here"
        if current.rule.role == "after":
            return False  # another processor's
        return not (
            current.traced and current.rule.kind in ("warning", "lockdep", "stall", "hang", "sanitizer", "memory")
        )

    def _begin(self, caller: str, reading: _Reading) -> None:
        if len(self._open) >= OPEN:
            self._finish(next(iter(self._open)))
        self._open[caller] = reading

    def _continue(self, line: Numbered, caller: str) -> None:
        current = self._reading(caller)
        if current is None:
            for caller_, reading in list(self._open.items()):
                self._quiet(caller_, reading)
            return
        current.seen += 1
        if len(current.lines) < REPORT_LINES:
            current.lines.append(line)
        text = line.text
        if is_end(text):
            self._finish(current.caller)
            self._complete = self._complete or self._fatal is not None
            return
        if "+0x" in text or "race:" in text:
            current.frames += 1
            current.traced = current.traced or current.frames > 2 or "race:" in text
            current.quiet = 0
        elif text[:1] in (" ", "[", "-", "=", ">", "<", "#") or "0000" in text:
            current.quiet = 0
        else:
            self._quiet(current.caller, current)
        if current.seen > (UNTRACED_LINES if current.rule.trace and not current.traced else 4 * REPORT_LINES):
            self._finish(current.caller)

    def _quiet(self, caller: str, reading: _Reading) -> None:
        reading.quiet += 1
        if reading.quiet > QUIET_LINES or (reading.rule.role == "prelude" and reading.quiet > 8):
            self._finish(caller)

    def _so_far(self, reading: _Reading) -> Finding:
        """The finding of a report that is still coming. It is built anew only when the report grew by half, so that
        asking at every piece takes no more than a few times the work of asking once."""
        if reading.built and 2 * reading.seen <= 3 * reading.built[0]:
            return reading.built[1]
        return self._finding(reading)

    def _finding(self, reading: _Reading, *, closed: bool = True) -> Finding:
        if reading.built is None or reading.built[0] != reading.seen:
            open_ = Open(reading.rule, reading.groups, reading.lines, reading.start, closed, reading.flags)
            reading.built = (reading.seen, judge.build(open_, reading.time))
        return reading.built[1]

    def _finish(self, caller: str, *, closed: bool = True) -> None:
        reading = self._open.pop(caller, None)
        if reading is None or (reading.rule.role == "prelude" and not reading.traced) or not reading.rule.title:
            return
        if not closed:
            reading.built = None
        found = self._finding(reading, closed=closed)
        if outer := reading.outer:
            outer.lines.extend(reading.lines[: REPORT_LINES - len(outer.lines)])
            outer.seen += len(reading.lines)
            whole = replace(self._finding(outer), last_line=reading.start - 1)
            self._keep(whole, outer.rule)
            found = replace(found, primary=False)
        if reading.rule.trace and not found.frames:
            return
        self._keep(found, reading.rule)

    def _keep(self, found: Finding, rule: Rule) -> None:
        told = follows(found, rule, self._findings)
        if told is None:
            return
        if told.fatal and self._fatal is None:
            self._fatal = told
        if len(self._findings) < FINDINGS:
            self._findings.append(told)
        else:
            self._dropped += 1

    def _stage(self, number: int, needle: bytes, text: str, time: float | None) -> None:
        if needle == MARKER:
            self.marker = self.marker or marker(text, number)
            if self.marker:
                self._search.muted.add(table().coarse.index(MARKER))
                self._stages.setdefault("userspace", Stage("userspace", number, time))
        if needle == OFFSET:
            self._offset = offset(text)
        if needle in BOOT_SIGNS:
            self._boots[needle] = self._boots.get(needle, 0) + 1
            if self._boots[needle] > 1:
                self._again(number, needle, text, time)
        if name := STAGES.get(needle):
            self._stages.setdefault(name, Stage(name, number, time))
            self._search.muted.update(
                place for place, one in enumerate(table().coarse) if STAGES.get(one) == name and one not in BOOT_SIGNS
            )
        if not self._release and needle == b"Linux version ":
            self._release = release(text)

    def _told(self) -> bool:
        """Whether something said why the machine would begin anew."""
        return self._fatal is not None or "shutdown" in self._stages or any(r.rule.fatal for r in self._open.values())

    def _again(self, number: int, needle: bytes, text: str, time: float | None) -> None:
        """A boot began anew: silently, if nothing before it told why."""
        lived = "init" in self._stages or "userspace" in self._stages
        if not self._told() and (lived or self._boots[needle] > 2 or needle != b"Linux version "):
            self._findings.append(_reboot(number, text, time))
            self._fatal = self._findings[-1]


def _goes_on(read: list[Numbered]) -> bool:
    """Whether a header like the one that was just read is the same report's, which names a function inlined first."""
    return len(read) < 4 or any("[inline]" in line.text for line in read[-2:])


def _explained(found: Finding) -> Finding:
    """``found`` with its code bytes disassembled."""
    if not found.code:
        return found
    from lab.console.code import disassemble

    return replace(found, disassembly=disassemble(found.code, found.machine))


def _reboot(number: int, text: str, time: float | None) -> Finding:
    return Finding(
        kind="silent",
        title="unexpected kernel reboot",
        signature="reboot",
        function="",
        line=number,
        last_line=number,
        fatal=True,
        text=(text,),
        time=time,
    )


def is_binary(sample: bytes) -> bool:
    """Whether a tenth of ``sample`` or more are control characters that no console prints."""
    odd = sum(sample.count(code) for code in (*range(7), *range(14, 27), *range(28, 32)))
    return odd * 10 > len(sample) > 0


def scan_file(source: str | os.PathLike[str] | int) -> Report:
    """Read a whole console from a path or a file descriptor. ``OSError`` where it can't be read."""
    scanner = Scanner()
    descriptor = source if isinstance(source, int) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        scanner.read(descriptor)
    finally:
        if not isinstance(source, int):
            os.close(descriptor)
    return scanner.close()
