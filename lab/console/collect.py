"""From cleaned lines to findings: which line begins a report, which one it goes on with, which one ends it.

Bounded whatever comes: a report is kept to ``REPORT_LINES`` lines and ``REPORT_SIZE`` characters, ``OPEN`` are read at
a time, of findings at most ``FINDINGS`` are kept, and in full only while all of them together have no more than
``SIZE``.
"""

from __future__ import annotations

from dataclasses import replace

from lab.console import finding as judge
from lab.console import lanes
from lab.console.echo import Echo
from lab.console.finding import Open
from lab.console.parse import Numbered, is_end
from lab.console.patterns import compiled
from lab.console.reading import (
    Reading,
    belongs,
    breaking_in,
    goes_on,
    has_frames,
    interrupted,
    is_quoted,
    unfinished,
    untraced,
    untraced_limit,
)
from lab.console.relate import began_after, follows, leads_to, told_better
from lab.console.rules import Rule
from lab.console.types import Finding

REPORT_LINES = 600
REPORT_SIZE = 1 << 18
REPORT_SECONDS = 30.0
QUIET_LINES = 60
FINDINGS = 200
SIZE = 1 << 22
FRAME_SIZE = 256
"""What a frame counts for, in characters of text."""
BRIEF = 24
"""Lines and frames of a finding that is kept in short."""
OPEN = 16


class Collector:
    """Reports that are being read, by printk caller, and the findings they came to. ``complete``: the end of the fatal
    report was seen (end trace, end of panic, reboot); ``dropped``: how many findings were not kept, ``shortened``: how
    many not in full."""

    def __init__(self) -> None:
        self.open: dict[str, Reading] = {}
        self.findings: list[Finding] = []
        self.dropped = 0
        self.shortened = 0
        self._size = 0
        self.complete = False
        self._fatal: Finding | None = None
        self._before: tuple[float | None, str] = (None, "")
        self._repeated = False
        self._echo = Echo()

    @property
    def fatal(self) -> Finding | None:
        """The first finding after which no kernel lives on, as far as it was read (the last third of a report that is
        still coming may be missing); nothing before its header came."""
        if self._fatal is None:
            for reading in self.open.values():
                if reading.rule.fatal and reading.rule.role != "prelude":
                    return self._so_far(reading)
        return self._fatal

    @property
    def dead(self) -> bool:
        """Whether there is a fatal finding, or the header of one; asking costs nothing."""
        return self._fatal is not None or any(reading.rule.fatal for reading in self.open.values())

    def add_fatal(self, found: Finding) -> None:
        """A fatal finding that no line's rule told."""
        self.findings.append(found)
        self._fatal = found

    def close(self) -> list[Finding]:
        """End of the console: all findings, by the line that each begins at."""
        for caller in list(self.open):
            self._finish(caller, closed=False)
        return sorted(self.findings, key=lambda one: one.line)

    def line(self, line: Numbered, time: float | None, caller: str, rules: dict[int, Rule]) -> None:
        """Take the next line; ``rules`` are those whose needles stand in it, by their places in the rules' order."""
        told = self.open or (rules and any(rule.role not in ("prelude", "last") for rule in rules.values()))
        if told and self._echo.hears(time, line.text, replayed=not self.open):
            self._printed_again(line, caller)
            return
        if line.text and line.text == self._before[1] and self.open and not rules:
            if time is None and not self._repeated:
                self._printed_again(line, caller)
            self._repeated = True
            return
        self._before = (time, line.text)
        self._repeated = False
        for _, rule in sorted(rules.items()) if rules else ():
            found = compiled(rule.pattern).search(line.text)
            if found and not is_quoted(line.text, found.start()):
                groups = {key: value or "" for key, value in found.groupdict().items()}
                if not self.open:
                    self._echo.begin()
                self._echo.note(time, line.text)
                self._header(line, rule, groups, caller, time)
                return
        if self.open:
            self._echo.note(time, line.text)
            self._continue(line, caller)

    def _printed_again(self, line: Numbered, caller: str) -> None:
        """Note at the report that a line is of that it is printed twice."""
        if reading := self._reading(caller):
            reading.twice += 1
            if reading.twice > 3 and reading.twice * 3 > reading.seen:
                reading.flag("printed twice")
            return
        for at in range(len(self.findings) - 1, max(-1, len(self.findings) - 9), -1):
            if line.text in self.findings[at].text:
                self._flag(at, "printed twice")
                return

    def _flag(self, at: int, word: str) -> None:
        """Note a damage of a finding that is kept already."""
        found = self.findings[at]
        if word not in found.damaged:
            self.findings[at] = replace(found, damaged=(*found.damaged, word))

    def _reading(self, caller: str) -> Reading | None:
        """The report that a line of ``caller`` belongs to: its own, else one that other processors speak in too."""
        if reading := self.open.get(caller):
            return reading
        for reading in reversed(self.open.values()):
            if not caller or not reading.caller or reading.rule.blame in ("stall", "hung"):
                return reading
        return None

    def _header(self, line: Numbered, rule: Rule, groups: dict[str, str], caller: str, time: float | None) -> None:
        if rule.role == "last" and (self.findings or self._reading(caller)):
            self._continue(line, caller)
            return
        current = self._before_header(rule, caller, time)
        if current and current.rule.role == "prelude" and rule.role != "after":
            if rule.role == "prelude":
                self._continue(line, caller)
                current.go_on(rule, line)
                return
            reading = Reading(rule, groups, line, caller, time)
            reading.lines = [*current.lines, line] if len(current.lines) < 12 else [line]
            reading.groups = groups
            reading.cut = current.cut
            del self.open[caller]
            self._begin(caller, reading)
            return
        if current and rule.role in ("part", "prelude") and belongs(current, rule):
            self._continue(line, caller)
            return
        if current and rule.role == "after" and not current.traced and leads_to(current.rule, line.text):
            # panic() speaks before the trace that the report is to have
            self._keep(replace(self._finding(Reading(rule, groups, line, caller, time)), primary=False), rule)
            self._continue(line, caller)
            return
        if current and current.rule == rule and not current.traced and goes_on(current.lines, line):
            self._continue(line, caller)
            return
        cut = current if current and rule.role in ("prelude", "start") and unfinished(current) else None
        if current:
            if rule.role == "start" and untraced(current) and (not current.rule.fatal or rule.fatal):
                cut = current
            if rule.role == "start" and interrupted(current):
                del self.open[caller]
            else:
                self._finish(caller)
                current = None
        reading = Reading(rule, groups, line, caller, time)
        reading.outer, reading.cut = current, cut
        self._begin(caller, reading)
        if rule.alone:
            self._finish(caller)

    def _before_header(self, rule: Rule, caller: str, time: float | None) -> Reading | None:
        """The report that is open where a header comes; one without a known header of its own, or of long before, ends
        there."""
        current = self.open.get(caller)
        if current is None:
            return None
        old = rule.role == "start" and time is not None and time - (current.time or time) > REPORT_SECONDS
        if old or (current.rule.role == "last" and rule.role != "part"):
            self._finish(caller)
            return None
        return current

    def _broke_in(self, cut: Reading, reading: Reading) -> None:
        """Note at both reports that one began before the other had come to its trace's end."""
        word = breaking_in(cut, reading)
        reading.flag(word)
        cut.flag(word)
        for at, one in enumerate(self.findings):
            if one.line == cut.start:
                self._flag(at, word)

    def _begin(self, caller: str, reading: Reading) -> None:
        if len(self.open) >= OPEN:
            self._finish(next(iter(self.open)))
        self.open[caller] = reading

    def _continue(self, line: Numbered, caller: str) -> None:
        current = self._reading(caller)
        if current is None:
            for caller_, reading in list(self.open.items()):
                self._quiet(caller_, reading)
            return
        current.seen += 1
        text = line.text
        if len(current.lines) < REPORT_LINES and current.size < REPORT_SIZE:
            current.lines.append(line)
            current.size += len(text)
        if is_end(text):
            if current.outer and self._is_outers(current, current.outer):
                return
            self._finish(current.caller)
            self.complete = self.complete or self._fatal is not None
            return
        if ("+0x" in text and "irqs last " not in text) or "race:" in text or ">{" in text:
            current.frames += text.count(">{") or 1
            current.traced = current.traced or current.frames > 2 or "race:" in text
            current.quiet = 0
        elif text[:1] in (" ", "[", "-", "=", ">", "<", "#") or "0000" in text:
            current.quiet = 0
        else:
            self._quiet(current.caller, current)
        if current.rule.title and current.seen > (untraced_limit(current) or 4 * REPORT_LINES):
            self._finish(current.caller)

    def _quiet(self, caller: str, reading: Reading) -> None:
        reading.quiet += 1
        if reading.quiet > QUIET_LINES or (reading.rule.role == "prelude" and reading.quiet > 8):
            self._finish(caller)

    def _so_far(self, reading: Reading) -> Finding:
        """The finding of a report that is still coming. It is built anew only when the report grew by half, so that
        asking at every piece takes no more than a few times the work of asking once."""
        if reading.built and 2 * reading.seen <= 3 * reading.built[0]:
            return reading.built[1]
        return self._finding(reading)

    def _finding(self, reading: Reading, *, closed: bool = True) -> Finding:
        if reading.built is None or reading.built[0] != reading.seen:
            open_ = Open(reading.rule, reading.groups, reading.lines, reading.start, closed, reading.flags)
            reading.built = (reading.seen, judge.build(open_, reading.time))
        return reading.built[1]

    def _finish(self, caller: str, *, closed: bool = True) -> None:
        reading = self.open.pop(caller, None)
        if reading is None or not reading.rule.title:
            return
        if not closed:
            reading.built = None
        if reading.cut and (has_frames(reading.cut) or has_frames(reading)):
            self._broke_in(reading.cut, reading)
        if reading.outer:
            self._part(reading, reading.outer)
        found = self._finding(reading, closed=closed)
        if outer := reading.outer:
            if outer.size < REPORT_SIZE:
                outer.lines.extend(reading.lines[: REPORT_LINES - len(outer.lines)])
                outer.size += reading.size
            outer.seen += len(reading.lines)
            whole = replace(self._finding(outer), last_line=max(outer.start, reading.start - 1))
            self._keep(whole, outer.rule)
            found = replace(found, primary=not (has_frames(outer) or has_frames(reading)))
        if reading.rule.trace and not found.frames:
            return
        self._keep(found, reading.rule)

    def _part(self, reading: Reading, outer: Reading) -> None:
        """Give the report that ``reading`` broke into its own lines and finish it, where they can be parted."""
        own = None if reading.caller else lanes.parted(reading.lines, *_whose(outer, reading))
        if own is not None:
            reading.lines, reading.outer, reading.built = own[1], None, None
            reading.flag("mixed")
            self._apart(outer, own[0])

    def _is_outers(self, reading: Reading, outer: Reading) -> bool:
        """Whether what ended is the report that ``reading`` broke into; then that one is finished, and the other goes
        on with its own lines."""
        if reading.caller or not lanes.is_first_alone(reading.lines, *_whose(outer, reading)):
            return False
        at = lanes.begin_of_traces(reading.lines)
        self._apart(outer, reading.lines[at:])
        reading.lines, reading.outer, reading.built = reading.lines[:at], None, None
        reading.frames, reading.traced = 0, False
        reading.flag("mixed")
        return True

    def _apart(self, outer: Reading, own: list[Numbered]) -> None:
        """Finish a report that another one broke into, with its own lines."""
        if outer.size < REPORT_SIZE:
            outer.lines.extend(own[: REPORT_LINES - len(outer.lines)])
        outer.seen += len(own)
        outer.flag("mixed")
        self._keep(self._finding(outer), outer.rule)

    def _keep(self, found: Finding, rule: Rule) -> None:
        told = follows(found, rule, self.findings)
        if isinstance(told, int):
            self._flag(told, "printed twice")
            return
        if told.fatal and self._fatal is None:
            self._fatal = told
        for at, earlier in enumerate(self.findings):
            if earlier.primary and (told_better(told, earlier) or began_after(earlier, told)):
                self.findings[at] = replace(earlier, primary=False)
        if len(self.findings) < FINDINGS:
            self.findings.append(self._bounded(told))
        else:
            self.dropped += 1

    def _bounded(self, found: Finding) -> Finding:
        """``found``, in short where those before it take all the room."""
        size = sum(map(len, found.text)) + FRAME_SIZE * len(found.frames)
        if self._size + size <= SIZE:
            self._size += size
            return found
        self.shortened += 1
        return replace(
            found,
            text=tuple(line[:200] for line in found.text[:BRIEF]),
            frames=found.frames[:BRIEF],
            functions=found.functions[:BRIEF],
        )


def _whose(outer: Reading, reading: Reading) -> tuple[lanes.Whose, lanes.Whose]:
    """Whose report each of two is, by what stands before the first trace."""
    own = reading.lines[: lanes.begin_of_traces(reading.lines)]
    return lanes.named([line.text for line in outer.lines]), lanes.named([line.text for line in own])
