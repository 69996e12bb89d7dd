"""A report that is being read: its lines so far, and what its next line may be to it."""

from __future__ import annotations

from lab.console.parse import Numbered
from lab.console.rules import Rule
from lab.console.types import Finding

UNTRACED_LINES = 8
"""So many lines after a header that needs a trace there must be one."""


class Reading:
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
        self.outer: Reading | None = None
        self.flags: tuple[str, ...] = ()
        self.built: tuple[int, Finding] | None = None

    def flag(self, word: str) -> None:
        """Note a damage of the report."""
        if word not in self.flags:
            self.flags = (*self.flags, word)
            self.built = None


def interrupted(current: Reading) -> bool:
    """Whether a report that another one begins in has not come to its trace, so that the other's must tell."""
    rule = current.rule
    waits = rule.role == "start" and rule.blame != "none" and not rule.fatal and not rule.trace
    return waits and not current.frames and current.seen <= UNTRACED_LINES and current.outer is None


def belongs(current: Reading, rule: Rule) -> bool:
    """Whether a header that may be a part of the report before it is one."""
    if rule.role == "prelude":
        return current.rule.role != "prelude" and not current.traced and rule.word != "cut-here"
    if current.rule.role == "after":
        return False  # another processor's
    return not (current.traced and current.rule.kind in ("warning", "lockdep", "stall", "hang", "sanitizer", "memory"))


def goes_on(read: list[Numbered]) -> bool:
    """Whether a header like the one that was just read is the same report's, which names a function inlined first."""
    return len(read) < 4 or any("[inline]" in line.text for line in read[-2:])
