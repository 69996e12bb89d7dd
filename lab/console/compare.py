"""A bug report beside a console: what agrees, what differs, and what the report lost on its way.

Both sides are consoles, whole or as an archive kept them. Each is boiled down to named facts; the comparison is then a
pure function over two tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.console.types import Finding, Report

How = Literal["agrees", "differs", "lost", "only in the report"]

LIMIT_BYTES = 32 << 20
"""Of each side; a crash report that is longer than this is not one."""

LINES: tuple[tuple[str, str], ...] = (
    ("kernel version", r"Linux version (\S+)"),
    ("command line", r"Kernel command line: (.+?)\s*$"),
    ("machine", r"(?:Hardware name: |DMI: |tainted \S+ #\d+ )(.+?)\s*$"),
    ("CPU model", r"smpboot: CPU0: (.+?)\s*$"),
    ("memory total", r"Memory: \S+?/(\d+)k available"),
    ("memory absent", r"Memory: .*?(\d+)k absent"),
    ("memory map", r"(?:e820: BIOS-provided|BIOS-provided) (physical RAM map)"),
    ("NUMA nodes", r"SRAT: Node \d+ PXM \d+ \[?(?:mem )?(.+?)\]?\s*$"),
    ("trap", r"((?:invalid opcode|general protection fault|Oops|divide error)\S*: [0-9a-f]{4} \[#\d+\].*?)\s*$"),
    ("instruction address", r"RIP: [0-9a-f]{4}:\[<([0-9a-f]{8,16})>\]"),
    ("trace addresses", r"^(?:\[[ .0-9]+\])?\s*\[<([0-9a-f]{8,16})>\] \S+\+0x"),
    ("panic", r"Kernel panic - not syncing: (.+?)\s*$"),
)
"""Facts that stand on a line of their own: name, and a pattern for the line (kernel: the ``printk`` of that text)."""

CHAIN = "call chain"
DECIDING = ("title", "signature", CHAIN)
"""Without these two consoles don't show the same crash."""


@dataclass(frozen=True)
class Row:
    """One fact on both sides. ``how`` is ``lost`` where the console has it and the report does not."""

    name: str
    report: str
    console: str
    how: How

    @property
    def deciding(self) -> bool:
        """Whether the crash is another one when this differs."""
        return self.name in DECIDING


def facts_of(data: bytes, report: Report) -> dict[str, str]:
    """The named facts of one console: ``data`` is its text, ``report`` what the scanner read from it."""
    facts: dict[str, str] = {}
    finding = report.first
    if finding is not None:
        facts |= finding_facts(finding)
    text = data[:LIMIT_BYTES].decode(errors="replace").replace("\r", "")
    for name, pattern in LINES:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            facts[name] = found.group(1)[:300]
    return facts


def facts_in(path: Path) -> dict[str, str]:
    """The named facts of a console in a file of any form that :mod:`lab.console.sources` knows; of mails, those of the
    first part in which something was found. ``OSError`` and :class:`lab.errors.UserError` where it can't be read."""
    from lab.console.mail import consoles
    from lab.console.scanner import Scanner
    from lab.console.sources import Damaged, chunks

    first: dict[str, str] | None = None
    with path.open("rb") as file:
        for _, pieces in consoles(chunks(file.fileno())):
            scanner, text, damaged = Scanner(), bytearray(), None
            try:
                for piece in pieces:
                    scanner.feed(piece)
                    text += piece[: LIMIT_BYTES - len(text)]
            except Damaged as error:
                damaged = error
            report = scanner.close()
            if damaged and not report.findings:
                raise damaged
            facts = facts_of(bytes(text), report)
            if report.findings:
                return facts
            first = first or facts
    return first or {}


def finding_facts(finding: Finding) -> dict[str, str]:
    """What the finding itself says."""
    sure = [frame.function for frame in finding.frames if frame.sure] or list(finding.functions)
    facts = {"title": finding.title, "signature": finding.signature, CHAIN: " < ".join(sure)}
    if finding.file:
        facts["file"] = finding.file
        facts["line"] = str(finding.file_line)
    for name, value in finding.registers:
        facts[f"register {name}"] = value
    if finding.code:
        facts["faulting bytes"] = " ".join(re.findall(r"<[0-9a-f]{2}>(?: [0-9a-f]{2})?", finding.code))
    return facts


def compare(report: Mapping[str, str], console: Mapping[str, str]) -> tuple[Row, ...]:
    """The facts of a bug report beside those of a console, the deciding ones first.

    A call chain agrees when what both sides have of it from the crash on is the same: where a trace ends depends on
    how the guest was started, not on the bug.
    """
    names = list(dict.fromkeys((*DECIDING, *console, *report)))
    return tuple(
        Row(name, report.get(name, ""), console.get(name, ""), how(name, report, console))
        for name in names
        if name in report or name in console
    )


def how(name: str, report: Mapping[str, str], console: Mapping[str, str]) -> How:
    """How the two sides of one fact stand to each other."""
    if name not in report:
        return "lost"
    if name not in console:
        return "only in the report"
    same = EQUAL.get(name, str.__eq__)
    return "agrees" if same(report[name], console[name]) else "differs"


def same_chain(one: str, other: str, least: int = 4) -> bool:
    """Whether the shorter chain is how the longer one begins, ``least`` functions at least (or all there are)."""
    first, second = one.split(" < "), other.split(" < ")
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return shared >= min(least, len(first), len(second)) and shared > 0


EQUAL: Mapping[str, Callable[[str, str], bool]] = {CHAIN: same_chain}
"""How facts are compared that need not be equal to the letter."""


def same_crash(rows: tuple[Row, ...]) -> bool:
    """Whether both sides show the same crash: every deciding fact is on both and agrees."""
    decided = [row for row in rows if row.deciding]
    return bool(decided) and all(row.how == "agrees" for row in decided)
