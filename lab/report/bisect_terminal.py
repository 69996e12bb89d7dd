"""The result of a bisect for a person at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.bisect.records import Boot, Build
from lab.bisect.result import Result
from lab.report.bisect_words import again, answer, check_words, crash_lines, facts, how_sure, repeat_crash
from lab.report.plain import harmless
from lab.report.terminal import facts as fact_table
from lab.report.terminal import out, word

CRASH_LINES = 24
MARKS = {"yes": "green", "NO": "bold red", "not tried": "yellow"}


def show_bisect(result: Result) -> None:
    """The outcome of ``lab bisect``."""
    console = out()
    console.print(fact_table(facts(result)))
    console.print()
    console.print(points(result))
    show_logs(console, result)
    if result.crash is not None and result.candidates:
        show_crash(console, result.crash)
    console.print()
    console.print(Text(harmless(answer(result)), style="bold red" if result.first_bad else "bold yellow"))
    for one in result.candidates:
        rows = [("patch", f"{one.point.index} {one.point.subject}"), ("commit", one.point.commit)]
        rows += [("", one.point.patch)] if one.point.patch else []
        rows += [("it", ", ".join(one.why))] if one.why else []
        console.print(fact_table(rows))
    if result.proof:
        console.print()
        console.print(proof(result))
    sure = how_sure(result)
    rows = [("sure", sure)] if sure else []
    crash = repeat_crash(result)
    rows += [("see it", crash)] if crash else []
    console.print(fact_table([*rows, ("again", again(result))]))
    show_others(console, result)
    boots = sum(row.tally.boots for row in result.rows if row.same_as is None)
    built = sum(row.build is not None for row in result.rows)
    spent = f"{result.seconds:.0f} s; all builds and boots took {result.spent:.0f} s"
    console.print(Text(f"{built} points built, {boots} boots, {spent}", style="dim"))


def points(result: Result) -> Table:
    """One row a point, in the order of the line."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    workers = [Text(harmless(", ".join(row.where))) for row in result.rows]
    more = ("by",) if any(workers) else ()
    for heading in ("point", "patch", "verdict", "why", "build", "boots", *more):
        table.add_column(heading, justify="right" if heading in ("build", "boots") else "left", overflow="fold")
    for row, who in zip(result.rows, workers, strict=True):
        table.add_row(
            str(row.point.index),
            Text(harmless(row.point.subject)),
            word("skip" if row.word == "open" else row.word),
            Text(harmless(row.reason)),
            f"{row.build_seconds:.1f} s",
            f"{row.boot_seconds:.1f} s" if row.boot_seconds else "-",
            *([who] if more else []),
        )
    return table


def proof(result: Result) -> Table:
    """What the answer rests on."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("what it rests on", "holds", "seen"):
        table.add_column(heading, overflow="fold")
    for check in result.proof:
        what, holds, seen = check_words(check)
        table.add_row(what, Text(holds, style=MARKS[holds]), Text(harmless(seen)))
    return table


def show_logs(console: Console, result: Result) -> None:
    """Where the logs of points are that did not build."""
    for row in result.rows:
        log = row.build.document.get("error", {}).get("log") if row.build else None
        if log:
            console.print(fact_table([(f"point {row.point.index}", f"build log: {log}")]))


def show_crash(console: Console, crash: Boot) -> None:
    """The crash, once, and where all of its console is."""
    console.print()
    console.print(Text(harmless(crash.title), style="bold red"))
    trace = next((sight.functions for sight in crash.seen if sight.signature == crash.signature), ())
    where = str(crash.document.get("console") or "")
    rows = [("trace", " < ".join(trace[:5])), ("signature", crash.signature), ("console", where)]
    console.print(fact_table([row for row in rows if row[1]]))
    lines = [harmless(line) for line in crash_lines(crash.text, CRASH_LINES)]
    console.print(Padding(Text("\n".join(lines), style="dim"), (0, 0, 0, 4)))


def show_others(console: Console, result: Result) -> None:
    """The other bugs that were met, and which patch brought each where that was searched for."""
    for other in result.others:
        console.print()
        console.print(Text(f"Another bug on the way: {harmless(other.question.looked_for)}", style="bold"))
        console.print(Text(harmless(answer(other))))
        for one in other.candidates:
            console.print(fact_table([(str(one.point.index), one.point.subject)]))


def show_event(event: Build | Boot) -> None:
    """One build that failed or one boot, as soon as it is known."""
    if isinstance(event, Build):
        if not event.image:
            out().print(Text.assemble(f"point {event.point:>3}  ", word("skip"), f"  {harmless(event.reason)}"))
        return
    shown = event.word if event.word in ("good", "bad") else "skip"
    out().print(Text.assemble(f"point {event.point:>3}  ", word(shown), f"  {harmless(event.reason)}"))
