"""A report that is being read: its lines so far, and what its next line may be to it."""

from __future__ import annotations

from lab.console.parse import Numbered
from lab.console.patterns import compiled
from lab.console.rules import Rule
from lab.console.types import Finding

UNTRACED_LINES = 8
"""So many lines after a header that needs a trace there must be one."""


class Reading:
    """A report that is being read."""

    __slots__ = (
        "built",
        "caller",
        "cut",
        "flags",
        "frames",
        "groups",
        "lines",
        "quiet",
        "rule",
        "seen",
        "start",
        "time",
        *("outer", "size", "traced", "twice"),
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
        self.size = len(line.text)
        self.traced = False
        self.frames = 0
        self.twice = 0
        self.outer: Reading | None = None
        self.cut: Reading | None = None
        self.flags: tuple[str, ...] = ()
        self.built: tuple[int, Finding] | None = None

    def flag(self, word: str) -> None:
        """Note a damage of the report."""
        if word not in self.flags:
            self.flags = (*self.flags, word)
            self.built = None

    def go_on(self, rule: Rule, line: Numbered) -> None:
        """Take the line of another prelude; of the same kind it begins anew, for the one before was a program's own."""
        if rule.word == "cut-here":
            return
        if rule == self.rule:
            self.lines, self.size = [line], len(line.text)
        self.rule = rule


def untraced_limit(current: Reading) -> int:
    """After how many lines there must be a trace, where a report needs one; 0 where there is one or none is needed."""
    if not current.rule.trace or current.traced:
        return 0
    return UNTRACED_LINES * (4 if current.rule.role == "last" else 1)  # a report without its head: registers first


def is_quoted(text: str, begin: int) -> bool:
    """Whether a header that was found at ``begin`` is only spoken of: it is a mail's subject or a bug tracker's, or
    stands in quotation marks, and the sentence goes on behind them."""
    if text[:begin].strip() in ("Subject:", "Summary:", "Title:"):
        return True
    start = text.rfind('"', 0, begin + 1)
    return start >= 0 and compiled(_SPOKEN_OF).match(text, start) is not None


_SPOKEN_OF = r'"[^"]*"(?:[.,]?$| on:?$| [a-z]+(?![\w=:]))'


def interrupted(current: Reading) -> bool:
    """Whether a report that another one begins in has not come to its trace, so that the other's must tell."""
    rule = current.rule
    waits = rule.role == "start" and rule.blame != "none" and not rule.fatal and not rule.trace
    return waits and not current.frames and current.seen <= UNTRACED_LINES and current.outer is None


def untraced(current: Reading) -> bool:
    """Whether a report that is to have a trace has none yet."""
    return not current.traced and current.rule.blame != "none"


def unfinished(current: Reading) -> bool:
    """Whether a report has begun to tell where it is, and not come to the end of its trace."""
    rule = current.rule
    if rule.role != "start" or rule.blame == "none" or current.seen < 2:
        return False
    heading = max((at for at, line in enumerate(current.lines) if "race:" in line.text), default=-1)
    if not current.traced or (heading >= 0 and not any(_is_framed(line.text) for line in current.lines[heading:])):
        return True
    return _in_trace(current.lines[heading + 1 :])


def has_frames(reading: Reading) -> bool:
    """Whether any line of a report is a frame: of those without, as a quiet console leaves them out, none is known to
    have cut another in two."""
    return any(_is_framed(line.text) for line in reading.lines)


def _is_framed(text: str) -> bool:
    return "+0x" in text or ">{" in text


def _in_trace(lines: list[Numbered]) -> bool:
    """Whether the last line is a frame, and none was of a function that a stack begins with."""
    if not lines or not compiled(_FRAME).match(lines[-1].text):
        return False
    return not any(compiled(_BOTTOM).search(line.text) for line in lines)


_FRAME = r" (?:\[<[0-9a-f]*>\] |<[A-Z]+> +|\[[0-9a-f]+\] )*(?:\? )?[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+"
_BOTTOM = (
    r"\b(?:ret_from_\w+|ret_fast_syscall|entry_\w+|start_kernel|x86_64_start_\w+|secondary_startup\w*|el[01]\w*|kthread"
    r"|system_call\w*|sysenter\w*|cpu_startup_entry|start_secondary|asm_\w+|do_syscall\w*|ret_to_user|kernel_init|child_rip)\+0x"
)


def breaking_in(current: Reading, other: Reading) -> str:
    """What the report ``other`` did to one that it began in: ``mixed`` where it is of another processor or task, or
    cut its trace in two, else ``nested``."""
    for pattern in (r"\bCPU[: #]{1,2}(\d+)", r"\b(?:PID|Pid): (\d+)"):
        there, here = _told(pattern, current), _told(pattern, other)
        if there and here:
            if there != here:
                return "mixed"
            return "nested"
    return "mixed" if current.traced else "nested"


def _told(pattern: str, reading: Reading) -> str:
    search = compiled(pattern).search
    found = next((one for line in reading.lines if (one := search(line.text))), None)
    return found[1] if found else ""


def belongs(current: Reading, rule: Rule) -> bool:
    """Whether a header that may be a part of the report before it is one."""
    if rule.role == "prelude":
        return current.rule.role != "prelude" and not current.traced and rule.word != "cut-here"
    if current.rule.role == "after":
        return False  # another processor's
    return not (current.traced and current.rule.kind in ("warning", "lockdep", "stall", "hang", "sanitizer", "memory"))


def goes_on(read: list[Numbered], line: Numbered) -> bool:
    """Whether a header like the one that was just read is the same report's, which names a function inlined first, or
    tells in two lines what happened."""
    there, here = (compiled(r"\bCPU[: #]{1,2}(\d+)").search(one.text) for one in (read[-1], line))
    if (there and here and there[1] != here[1]) or " blocked for more than " in line.text:
        return False
    if read[0].text.startswith("Slab corruption") and line.text.startswith("slab error in "):
        return True  # mm/slab.c tells what was written over, then who came upon it
    return len(read) < 4 or any("[inline]" in line.text for line in read[-2:])
