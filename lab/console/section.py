"""From the lines of one report to its finding: the careful parser, run only where a header was hit."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from lab.console import trace
from lab.console.blame import blamed, plain
from lab.console.rules import Rule
from lab.console.types import Finding, Frame

NOWHERE = "corrupted"
"""What stands in a title for the function where the console does not tell it; the community's word."""


class Numbered(NamedTuple):
    """A cleaned line and its number in the console, from 1."""

    number: int
    text: str


class Parsed(NamedTuple):
    """What the lines of a report hold, before any judgement."""

    pointer: Frame | None
    traces: list[trace.Trace]
    registers: tuple[tuple[str, str], ...]
    code: str
    taint: str
    last: int
    ended: bool


@cache
def _register() -> re.Pattern[str]:
    return re.compile(
        r"\b((?:[RE]?(?:AX|BX|CX|DX|SI|DI|BP|SP)|R(?:0?8|0?9|1[0-5])|CR[0-8]|DR[0-7]|EFLAGS|FS|GS|knlGS|[CDES]S|[xwr]\d{1,2}|sp|lr|ra|gp|tp|t[0-6]|s\d{1,2}|a[0-7]|"
        r"pstate|psr|status|badaddr|cause|fp|ip|pc|far|esr|MSR|CTR|XER|CFAR|DAR|DSISR|GPR\d\d))\s?: ?(?:[0-9a-f]{4}:)?\[?<?([0-9a-f]{4,16})\b"
    )


_TAINT = re.compile(r"(?:Not tainted|Tainted: (?P<flags>[A-Z](?:[A-Z ]*[A-Z])?(?=[ \]=,]|$)))")
_END = re.compile(r"---\[ end (?:trace|Kernel panic)|[Rr]ebooting in \d+ ?seconds|System halted|^={40,}$")
HARD_END = re.compile(
    r"---\[ end (?:trace|Kernel panic)|Rebooting in \d+ ?seconds|System halted|reboot: (?:System halted|Restarting system)"
)


def parse(lines: list[Numbered]) -> Parsed:
    """Sort a report's lines into pointer, traces, registers, code and taint."""
    pointer: Frame | None = None
    traces: list[trace.Trace] = []
    registers: dict[str, str] = {}
    code = taint = ""
    last = lines[0].number
    ended = False
    running = False
    for number, text in lines:
        if found := trace.frame(text):
            if not running:
                traces.append(trace.Trace("", number, []))
                running = True
            traces[-1].frames.append(found)
            last = number
        elif found := trace.pointer(text):
            pointer = pointer or found
            last = number
        elif trace.is_heading(text):
            traces.append(trace.Trace(text.strip()[:80], number, []))
            running = True
            last = number
        elif "Code: " in text:
            code = code or text.partition("Code: ")[2].strip()
            last = number
        elif pairs := _register().findall(text):
            for name, value in pairs:
                registers.setdefault(name, value)
            last = number
        else:
            if not taint and (found_taint := _TAINT.search(text)):
                taint = (found_taint["flags"] or "").replace(" ", "")
                last = number
            if _END.search(text):
                ended = True
                last = number
        if not text.strip():
            running = False
    return Parsed(pointer, traces, tuple(registers.items()), code, taint, last, ended)


def candidates(rule: Rule, groups: dict[str, str], parsed: Parsed) -> list[Frame]:
    """The frames that may be to blame, in the order they are asked."""
    chain: list[Frame] = []
    if rule.blame == "header" and groups.get("func"):
        chain.append(Frame(plain(groups["func"])))
    if rule.blame in ("trace", "header") and parsed.pointer:
        chain.append(parsed.pointer)
    first = next((one for one in parsed.traces if one.frames), None)
    if first:
        chain.extend(first.frames)
    return chain


def build(rule: Rule, groups: dict[str, str], lines: list[Numbered], *, primary: bool) -> Finding:
    """The finding of a report whose header matched ``rule`` with ``groups``; ``lines`` begin with its first line."""
    parsed = parse(lines)
    chain = candidates(rule, groups, parsed)
    function = blamed(chain) if rule.blame != "none" else ""
    title, word, kind = rule.title, rule.word, rule.kind
    for refine in rule.refine:
        if any(re.search(refine.pattern, line.text) for line in lines):
            title, word = refine.title, refine.word or word
            kind = refine.kind or kind
            break
    values = {**groups, "func": function or NOWHERE}
    code = parsed.code
    file, _, number = groups.get("where", "").rpartition(":")
    return Finding(
        kind=kind,
        title=title.format_map(values).strip(),
        signature=f"{word}:{function}" if function else word,
        function=function,
        line=lines[0].number,
        last_line=max(parsed.last, lines[0].number),
        fatal=rule.fatal,
        functions=tuple(dict.fromkeys(frame.function for frame in chain)),
        frames=tuple(chain),
        alternatives=tuple(one.format_map(values) for one in rule.alternatives),
        registers=parsed.registers,
        code=code,
        file=file if number.isdigit() else "",
        file_line=int(number) if number.isdigit() and len(number) < 8 else 0,
        taint=parsed.taint,
        primary=primary,
        text=tuple(line.text for line in lines if line.number <= parsed.last),
    )
