"""The result of a bisect as Markdown, for an issue or a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.bisect.result import Result
from lab.report.bisect_words import again, answer, check_words, crash_lines, facts, how_sure, repeat_crash
from lab.report.plain import harmless

CRASH_LINES = 40


def markdown(result: Result) -> str:
    """The whole result. Text from kernels and patches cannot become markup."""
    parts = [f"# {escaped(answer(result))}", ""]
    for one in result.candidates:
        why = f" ({escaped(', '.join(one.why))})" if one.why else ""
        parts.append(f"- patch {one.point.index}: {escaped(one.point.subject)}{why}, commit `{one.point.commit}`")
    parts += ["", *table(("", ""), [(name, value) for name, value in facts(result)])]
    if sure := how_sure(result):
        parts += ["", f"Confidence: {escaped(sure)}."]
    if result.proof:
        parts += [
            "",
            "## What it rests on",
            "",
            *table(("what", "holds", "seen"), [check_words(c) for c in result.proof]),
        ]
    more = ("by",) if any(row.where for row in result.rows) else ()
    rows = [
        (str(row.point.index), row.point.subject, "skip" if row.word == "open" else row.word, row.reason,
         f"{row.build_seconds:.1f} s", f"{row.boot_seconds:.1f} s",
         *(", ".join(row.where) for _ in more))
        for row in result.rows
    ]  # fmt: skip
    parts += ["", "## Points", "", *table(("point", "patch", "verdict", "why", "build", "boots", *more), rows)]
    crash = result.crash
    if crash is not None and result.candidates:
        parts += ["", "## The crash", "", f"{escaped(crash.title)}, signature `{code(crash.signature)}`", ""]
        parts += fenced([harmless(line) for line in crash_lines(crash.text, CRASH_LINES)])
    for other in result.others:
        parts += ["", f"## Another bug on the way: {escaped(other.question.looked_for)}", "", escaped(answer(other))]
        parts += [f"- patch {one.point.index}: {escaped(one.point.subject)}" for one in other.candidates]
    commands = [line for line in (again(result), repeat_crash(result)) if line]
    parts += ["", "## Again", "", *fenced(commands)]
    return "\n".join(parts) + "\n"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A table, its cells escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(escaped(cell) for cell in row) + " |" for row in rows]


def escaped(text: str) -> str:
    """``text`` on one line, with everything that Markdown or HTML would take for markup made plain."""
    flat = " ".join(harmless(text).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", flat).replace("&", "&amp;")


def code(text: str) -> str:
    """``text`` between backquotes."""
    return harmless(text).replace("`", "'").replace("\n", " ")


def fenced(lines: list[str]) -> list[str]:
    """``lines`` as a block of code that nothing in them ends."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *lines, fence]
