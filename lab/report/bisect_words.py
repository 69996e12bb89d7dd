"""The result of a bisect in words that the terminal, Markdown and mail share. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lab.bisect.rate import rate
from lab.bisect.result import Check, Result

HOLDS = {True: "yes", False: "NO", None: "not tried"}


def how_sure(result: Result) -> str:
    """The confidence, and the rate that it follows from; empty where nothing is named."""
    if not result.candidates:
        return ""
    struck, missed = result.rate
    share = "in every boot" if not missed else f"in {100 * rate(struck, missed):.0f} % of boots"
    return f"{100 * result.confidence:.2f} %: the bug struck {share} ({struck} of {struck + missed})"


def answer(result: Result) -> str:
    """The answer in a sentence."""
    last = len(result.question.points) - 1
    if result.first_bad:
        return f"First bad patch: {result.first_bad.point.index} of {last}"
    if result.candidates:
        return f"One of {len(result.candidates)} patches: {result.reason}"
    return f"No patch can be named: {result.reason}"


def again(result: Result) -> str:
    """The command that repeats it."""
    return shlex.join(result.question.command)


def repeat_crash(result: Result) -> str:
    """The command that shows the crash alone, where a case's point does."""
    if not result.candidates or result.question.command[:2] != ("lab", "bisect"):
        return ""
    point = max(one.point.index for one in result.candidates)
    if any(word.startswith("--bad=") for word in result.question.command):  # of a history: the case has no such point
        commit = next(one.point.commit for one in result.candidates if one.point.index == point)
        return f"git checkout {commit} && lab check {result.question.command[2]}"
    words = list(result.question.command[2:])
    if "--cluster" in words:  # one crash is no work for many
        at = words.index("--cluster")
        del words[at : at + 2]
    return shlex.join(["lab", "repro", *words, "--at", str(point)])


def check_words(check: Check) -> tuple[str, str, str]:
    """A check as three cells: what, whether, what was seen."""
    return check.what, HOLDS[check.holds], check.seen


def facts(result: Result) -> list[tuple[str, str]]:
    """Base, kconfig, compiler and machine, as rows."""
    known = result.facts
    base, tools = known.get("base") or {}, known.get("toolchain") or {}
    rows = [("case", f"{result.question.case}: {known.get('title', '')}".rstrip(": "))]
    if base:
        rows.append(("base", f"{base.get('name')}: {base.get('source')}"))
        compiler = f"{tools.get('cc')} {tools.get('version')}"
        rows.append(("kernel", f"{base.get('version')}, kconfig {known.get('kconfig')}, {compiler}"))
    rows.append(("machine", str(known.get("machine", ""))))
    note = base.get("stand_in")
    return [(name, value) for name, value in [*rows, ("note", note or "")] if value]


def probed_by(result: Result) -> list[tuple[str, str]]:
    """Each host or worker that tried points, with their numbers; none where that was this machine alone."""
    found: dict[str, list[str]] = {}
    for row in result.rows:
        for name in row.where:
            found.setdefault(name, []).append(str(row.point.index))
    return [(name, ", ".join(points)) for name, points in found.items()]


def crash_lines(text: Sequence[str], limit: int) -> list[str]:
    """The crash's first lines of the console."""
    lines = [line.expandtabs() for line in text[:limit]]
    return lines if len(text) <= limit else [*lines, f"… {len(text) - limit} more lines"]
