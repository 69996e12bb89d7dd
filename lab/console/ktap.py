"""What test programs in the guest said, read from the console: KTAP between the marks that the lab puts around them.

The format is the kernel's Documentation/dev-tools/ktap.rst. Only results at the top level count; those of subtests are
indented and stay among the notes of the test that they belong to, where :func:`inner` reads them. Pure: lines in,
values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.console.lines import clean, split

Result = Literal["ok", "not ok", "skip", "todo"]
Word = Literal["pass", "fail", "skip"]

BEGIN = re.compile(r"lab: program (?P<name>\S+) begin$")
END = re.compile(r"lab: program (?P<name>\S+) status=(?P<status>\d+) end$")
"""The marks (lab/guest/programs.py prints them): status is the program's, 128 and its signal where one ended it."""
PLAN = re.compile(r"1\.\.(?P<count>\d{1,6})(?:\s*#\s*SKIP\b\s*(?P<why>.*))?$", re.I)
TEST = re.compile(
    r"(?P<word>ok|not ok)(?: (?P<number>\d{1,6}))?(?: -)?(?: (?P<name>[^#]*?))?"
    r"\s*(?:#\s*(?P<directive>SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b\s*(?P<why>.*)|#.*)?$"
)
BAIL = re.compile(r"Bail out!\s*(?P<why>.*)$")
NOTES = 1000
"""More lines of a program's than this in front of one result are not kept."""


@dataclass(frozen=True)
class TapLine:
    """One result. ``why`` is what stands behind a directive (the reason of a skip), ``notes`` what the program printed
    since the result before."""

    number: int
    name: str
    result: Result
    why: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tap:
    """All that one program said.

    ``plan`` is how many results it promised (``None``: it printed no plan), ``status`` its exit status (``None``: its
    end was not seen), ``bail`` why it gave up, ``skipped`` why it had nothing to do, ``notes`` what came after the last
    result.
    """

    name: str
    plan: int | None = None
    tests: tuple[TapLine, ...] = ()
    status: int | None = None
    bail: str = ""
    skipped: str = ""
    notes: tuple[str, ...] = ()

    def count(self, result: Result) -> int:
        """How many results of that kind there are."""
        return sum(test.result == result for test in self.tests)

    @property
    def complaint(self) -> str:
        """What is wrong with it, in a sentence; empty where every promised result came and none is a failure."""
        failed = next((test for test in self.tests if test.result == "not ok"), None)
        numbers = [test.number for test in self.tests]
        wrong: tuple[tuple[object, str], ...] = (
            (failed, f"not ok {failed.number} - {failed.name}" if failed else ""),
            (self.bail, f"it gave up: {self.bail}"),
            (self.status is None, "its end was not seen"),
            (self.plan is None, "it printed no plan, so nobody knows whether all results came"),
            (numbers != list(range(1, (self.plan or 0) + 1)), f"{len(numbers)} results came of {self.plan}"),
            (self.status, f"it ended with status {self.status}"),
            (not numbers and not self.skipped, "it tested nothing"),
        )
        return next((text for there, text in wrong if there), "")

    @property
    def word(self) -> Word:
        """Pass needs a complete plan, no failure, status 0, and at least one result that is no skip."""
        if self.complaint:
            return "fail"
        return "pass" if self.count("ok") else "skip"

    @property
    def summary(self) -> str:
        """The result in a line."""
        words: tuple[Result, ...] = ("ok", "not ok", "skip", "todo")
        counts = ", ".join(f"{self.count(word)} {word}" for word in words if self.count(word))
        return self.complaint or (f"skipped: {self.skipped}" if self.skipped else counts)


def read_programs(lines: Iterable[bytes]) -> tuple[Tap, ...]:
    """Each program whose beginning is on the console, in their order; the kernel's own lines between them are notes."""
    found: list[Tap] = []
    name = ""
    inside: list[str] = []
    for raw in lines:
        for piece in split(raw):
            text = clean(piece).text
            if begins := BEGIN.match(text):
                if name:
                    found.append(read(name, inside, None))
                name, inside = begins["name"], []
            elif name and (ends := END.match(text)) and ends["name"] == name:
                found.append(read(name, inside, int(ends["status"])))
                name = ""
            elif name:
                inside.append(text)
    if name:
        found.append(read(name, inside, None))
    return tuple(found)


def read_file(path: Path) -> tuple[Tap, ...]:
    """:func:`read_programs` on a console that was recorded."""
    with path.open("rb") as file:
        return read_programs(file)


def read(name: str, lines: Iterable[str], status: int | None) -> Tap:
    """One program's lines."""
    plan: int | None = None
    bail = skipped = ""
    tests: list[TapLine] = []
    notes: list[str] = []
    for line in lines:
        if found := TEST.match(line):
            number, named = int(found["number"] or len(tests) + 1), (found["name"] or "").strip()
            tests.append(TapLine(number, named, result_of(found), found["why"] or "", tuple(notes)))
            notes = []
        elif plan is None and (found := PLAN.match(line)):
            plan, skipped = int(found["count"]), found["why"] or ""
        elif not bail and (found := BAIL.match(line)):
            bail = found["why"] or "no reason given"
        elif line.strip() and not re.match(r"K?TAP version \d+$", line) and len(notes) < NOTES:
            notes.append(line.removeprefix("# "))
    return Tap(name, plan, tuple(tests), status, bail, skipped, tuple(notes))


def result_of(found: re.Match[str]) -> Result:
    """The result of a line: a directive changes what its first word says."""
    directive = (found["directive"] or "").upper()
    if directive == "SKIP":
        return "skip"
    if directive in ("TODO", "XFAIL"):
        return "todo"
    return "not ok" if found["word"] == "not ok" or directive else "ok"


def inner(test: TapLine) -> Tap | None:
    """The subtests of ``test``, whose lines are indented and come before its own; ``None`` where it has none."""
    indented = [line for line in test.notes if line[:1] in (" ", "\t") and line.strip()]
    depth = min((len(line) - len(line.lstrip()) for line in indented), default=0)
    tap = read(test.name, (line[depth:] for line in indented), 0)
    return tap if tap.tests or tap.plan is not None else None
