"""What changed in a night, as a short mail for a list. It is only written: nobody sends it but a person."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from lab.report.excerpt import excerpt, telling
from lab.report.html.book import places, tally, where
from lab.report.html.words import KNOWN, ODD, headline, in_groups
from lab.report.plain import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.history.records import Change, Night

WIDTH = 72
CRASH_LINES = 20
EXCERPT_LINES = 60
REGISTERS = re.compile(
    r"\b(?:(?!.IP)[RE][A-Z0-9]{1,2}|[CDEFG]S|CR\d|DR\d|Code|Modules linked in): ?[ 0-9a-f(<]|\bModules linked in:"
)
"""Lines of a report that a short mail leaves out."""
CELLS = 8
"""Cells that are named of those with the same bug."""
SHOWN = {
    "new": 20,
    "flaky": 10,
    "slower": 10,
    "faster": 5,
    "fixed": 20,
    "still": 10,
    "appeared": 3,
    "gone": 3,
    "infrastructure": 5,
}
EXPLAINED = (KNOWN, ODD)
CRASHES = 3
"""New failures whose console is quoted; of more, the report has it."""


def night_mail(night: Night, console: Callable[[str], bytes | None], *, to: str = "LIST", url: str = "") -> str:
    """Headers and body of the mail. ``url`` is where the HTML report can be read, if anywhere."""
    when = datetime.fromtimestamp(night.run.started, UTC)
    said = headline(night.changes, compared=night.before is not None)
    lines = [
        "From: NAME <ADDRESS>",
        f"To: {flat(to)}",
        f"Subject: [{flat(night.run.name)}] {when:%Y-%m-%d}: {said[0].lower() + said[1:] if said else ''}",
        f"Date: {format_datetime(datetime.fromtimestamp(night.run.ended or night.run.started, UTC))}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
    ]
    counts = ", ".join(
        f"{count.cells} {count.look.word}" + (f" ({count.look.meaning})" if count.look in EXPLAINED else "")
        for count in tally(night.results)
    )
    lines += filled(f"{len(night.results)} cells were to be booted on {when:%d %B %Y, %H:%M} UTC: {counts}.")
    if night.run.state != "done":
        why = "time ran out" if night.run.state == "deadline" else "the night did not come to its end"
        lines += filled(f"Not all were: {why}.")
    if who := places(night.results):
        some = ", ".join(f"{one.name or night.run.host or 'the host of the run'} {one.cells}" for one in who[:CELLS])
        more = f", and {len(who) - CELLS} more" if len(who) > CELLS else ""
        lines += filled(f"Booted by {len(who)} worker{'s' if len(who) > 1 else ''}, with so many cells: {some}{more}.")
    if night.before:
        before = datetime.fromtimestamp(night.before.started, UTC)
        lines += filled(f"What follows is what is different from the night of {before:%d %B %Y, %H:%M} UTC.")
    by = {result.cell.key: where(result) for result in night.results}
    quoted = 0
    for heading, changes in in_groups(night.changes):
        lines += ["", f"{heading.title} ({len(changes)})", "-" * (len(heading.title) + len(str(len(changes))) + 3)]
        entries = together(changes)
        for same in entries[: SHOWN[heading.kind]]:
            lines += ["", *entry(same, by)]
            if heading.kind == "new" and quoted < CRASHES and (crash := crash_of(night, same, console)):
                lines += ["", *crash]
                quoted += 1
        if (left := len(entries) - SHOWN[heading.kind]) > 0:
            lines += ["", f"and {left} more"]
    lines += ["", *filled("Cells are named case/point/kconfig/machine/toolchain.")]
    if url:
        lines += ["", f"The whole report: {flat(url)}"]
    lines += ["", "To see all of it, with the kernel boot lab:", "", f"  lab report html --run {flat(night.run.id)}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def together(changes: Sequence[Change]) -> list[list[Change]]:
    """The changes that are told in one entry: those of one bug with one bisect."""
    groups: dict[object, list[Change]] = {}
    for number, change in enumerate(changes):
        alone = change.kind not in ("new", "still") or not change.signature
        groups.setdefault(number if alone else (change.signature, change.bisected), []).append(change)
    return list(groups.values())


def entry(changes: Sequence[Change], by: Mapping[str, str]) -> list[str]:
    """A change: its cell, which workers booted it (``by`` its key), what is different, and the bisect that it started;
    those of one bug together."""
    lines = []
    for change in changes[:CELLS]:
        key = change.cell.key
        who = f", booted by {by[key]}" if by.get(key) else ""
        lines += filled(f"{flat(key)}{' (required)' if change.cell.required else ''}{who}", "  ", "* ")
    if len(changes) > CELLS:
        lines.append(f"* and {len(changes) - CELLS} more cells with the same bug")
    lines += filled(changes[0].sentence, "  ")
    one = changes[0].bisected
    if one is not None:
        if one.first_bad is not None:
            sure = f", sure to {100 * one.sure:.2f} %" if one.sure is not None else ""
            commit = f"{flat(one.commit)[:12]} " if one.commit else ""
            lines += filled(f'First bad: {one.first_bad}, {commit}("{flat(one.subject)}"){sure}.', "  ")
        else:
            lines += filled(f"Bisected without an answer: {one.summary or 'no first bad point'}.", "  ")
        tested = ", ".join(f"{index} {flat(verdict)}" for index, verdict in sorted(one.points))
        lines += filled(f"Tested: {tested}.", "  ") if tested else []
    return lines


def crash_of(night: Night, changes: Sequence[Change], console: Callable[[str], bytes | None]) -> list[str]:
    """The console's lines of the bug that ``changes`` share, indented and not wrapped; nothing where they are gone."""
    keys = {change.cell.key for change in changes}
    for attempt in (telling(result) for result in night.results if result.cell.key in keys):
        data = console(attempt.console) if attempt and attempt.verdict == "bad" and attempt.console else None
        if attempt and data is not None:
            lines = [line for line in excerpt(data, attempt, EXCERPT_LINES) if not REGISTERS.search(line)]
            return [f"    {line}" for line in lines[:CRASH_LINES]]
    return []


def filled(words: str, indent: str = "", first: str | None = None) -> list[str]:
    """``words`` as lines of a mail."""
    begin = indent if first is None else first
    return textwrap.wrap(
        flat(words),
        WIDTH,
        initial_indent=begin,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def flat(words: str) -> str:
    """``words`` on one line, harmless: no header can be smuggled in."""
    return " ".join(harmless(words).split())
