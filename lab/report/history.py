"""The history for a person at a terminal, and as JSON documents."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from lab.errors import LabError
from lab.gc import Item, Plan
from lab.history.consoles import read_console
from lab.history.needed import Needed
from lab.history.records import Attempt, Result, Run, Seen
from lab.history.store import About, Known
from lab.paths import Paths
from lab.report.matrix import COLOURS, counts, duration
from lab.report.plain import harmless
from lab.report.terminal import out
from lab.share.gc import Kept

Document = dict[str, Any]
EXCERPT_LINES = 24
MOST_SIGHTINGS = 40
ORDER = ("good", "bad", "flaky", "skip", "infrastructure", "waiting")


def when(seconds: float) -> str:
    """A time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def runs_document(runs: Sequence[tuple[Run, Sequence[Result]]], known: Sequence[Known]) -> Document:
    """``lab history --json``."""
    return {
        "runs": [{**msgspec.to_builtins(run), "counts": counts(results)} for run, results in runs],
        "findings": [msgspec.to_builtins(one) for one in known],
    }


def show_runs(runs: Sequence[tuple[Run, Sequence[Result]]], known: Sequence[Known]) -> None:
    """``lab history``."""
    console = out()
    if not runs:
        console.print("No run yet: lab matrix run ci/nightly.toml")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("run", "matrix", "state", "took", *ORDER):
        table.add_column(heading, justify="right" if heading in ("took", *ORDER) else "left", overflow="fold")
    for run, results in runs:
        found = counts(results)
        numbers = [
            Text(str(found.get(word, 0) or "·"), style=COLOURS[word] if found.get(word) else "dim") for word in ORDER
        ]
        took = duration(run.ended - run.started) if run.ended else "-"
        state = {"running": "not ended"}.get(run.state, run.state)
        table.add_row(run.id, harmless(run.name), state, took, *numbers)
    console.print(table)
    if not known:
        return
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("finding", "first seen", "last seen", "runs", "cells", "signature"):
        table.add_column(heading, justify="right" if heading in ("runs", "cells") else "left", overflow="fold")
    for one in known:
        seen = (when(one.first_seen), when(one.last_seen), str(one.runs), str(one.cells))
        table.add_row(Text(harmless(one.title)), *seen, Text(harmless(one.signature)))
    console.print(table)


def signature_document(about: About) -> Document:
    """``lab history show SIGNATURE --json``."""
    return {
        **msgspec.to_builtins(about.known),
        "sightings": [msgspec.to_builtins(one) for one in about.sightings],
        "last": msgspec.to_builtins(about.last),
        "bisects": [msgspec.to_builtins(one) for one in about.bisects],
    }


def show_signature(about: About, paths: Paths) -> None:
    """``lab history show SIGNATURE``."""
    console, known = out(), about.known
    console.print(Text(harmless(known.title), style="bold"))
    console.print(
        f"first seen {when(known.first_seen)} in {known.first_run}, last {when(known.last_seen)} in {known.last_run}"
    )
    console.print(f"{known.times} time(s) in {known.runs} run(s), in {known.cells} cell(s):")
    cells = Counter(one.cell for one in about.sightings)
    last = {one.cell: one.run for one in reversed(about.sightings)}
    for cell, count in cells.most_common(MOST_SIGHTINGS):
        console.print(Text(f"  {harmless(cell)}: {count} time(s), last in {last[cell]}"))
    for bisected in about.bisects:
        console.print(Text(harmless(bisected.summary)))
    shown = console_of(about.last, known.signature)
    if shown:
        attempt, seen = shown
        console.print(Text(excerpt(attempt, seen, paths), style="dim"))


def console_of(result: Result, signature: str) -> tuple[Attempt, Seen] | None:
    """The last attempt of ``result`` that shows the finding, and the finding."""
    found = [(one, seen) for one in result.attempts for seen in one.findings if seen.signature == signature]
    return found[-1] if found else None


def excerpt(attempt: Attempt, seen: Seen, paths: Paths) -> str:
    """The finding's own lines of its console, or why they can't be shown."""
    try:
        lines = read_console(attempt.console, paths).decode(errors="replace").splitlines()
    except LabError as error:
        return str(error)
    last = max(seen.last_line, seen.line)
    shown = lines[seen.line - 1 : min(last, seen.line - 1 + EXCERPT_LINES)]
    more = last - seen.line + 1 - len(shown)
    rest = [f"… {more} more lines"] if more > 0 else []
    return "\n".join([*(harmless(line).expandtabs() for line in shown), *rest])


def gc_document(plan: Plan, gone: Sequence[Item], needed: Needed, budget: int, *, dry_run: bool) -> Document:
    """``lab gc --json``."""
    return {
        "budget": budget,
        "dry_run": dry_run,
        "removed": [{"kind": one.kind, "name": one.name, "bytes": one.size, "path": one.path} for one in gone],
        "removed_bytes": sum(one.size for one in gone),
        "kept_bytes": sum(one.size for one in plan.keep) + sum(one.size for one in plan.remove if one not in gone),
        "needed": [{"kind": one.kind, "name": one.name} for one in plan.needed],
        "open_findings": needed.signatures,
        "over_bytes": plan.over,
    }


def show_gc(plan: Plan, gone: Sequence[Item], needed: Needed, budget: int, *, dry_run: bool) -> None:
    """``lab gc``."""
    console = out()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("what", "there", "would go" if dry_run else "gone", "needed by open findings"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for kind in ("kernel", "boot", "console", "objects"):
        groups = ((*plan.keep, *plan.remove), gone, plan.needed)
        of = [[one for one in group if one.kind == kind] for group in groups]
        table.add_row(kind, *(f"{len(items)}, {megabytes(items)}" for items in of))
    console.print(table)
    if needed.signatures:
        console.print(Text(f"Open: {harmless(', '.join(needed.signatures))}"))
    if plan.over:
        console.print(f"{plan.over >> 20} MiB more than {budget >> 20} MiB stay: they are needed, or in use.")


def share_gc_document(
    share: str, kept: Sequence[Kept], gone: Sequence[Kept], budget: int, *, dry_run: bool
) -> Document:
    """``lab gc --share --json``."""
    return {
        "share": share,
        "budget": budget,
        "dry_run": dry_run,
        "removed": [{"name": one.name, "bytes": one.size} for one in gone],
        "removed_bytes": sum(one.size for one in gone),
        "kept_bytes": sum(one.size for one in kept) - sum(one.size for one in gone),
    }


def show_share_gc(kept: Sequence[Kept], gone: Sequence[Kept], budget: int, *, dry_run: bool) -> None:
    """``lab gc --share``."""
    there, removed = sum(one.size for one in kept), sum(one.size for one in gone)
    would = "would go" if dry_run else "gone"
    out().print(f"{len(kept)} there, {there >> 20} MiB; {len(gone)} {would}, {removed >> 20} MiB.")
    if there - removed > budget:
        out().print(f"{(there - removed - budget) >> 20} MiB too much stay: they may be on their way in.")


def megabytes(items: Sequence[Item]) -> str:
    """What they take."""
    return f"{sum(one.size for one in items) / (1 << 20):.0f} MiB"
