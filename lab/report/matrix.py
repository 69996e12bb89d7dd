"""Matrices and their runs, for a person at a terminal and as JSON documents."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from lab.history.records import Cell, Change, Night, Result, Run
from lab.history.store import History
from lab.matrix.plan import Estimate, Job, estimate
from lab.matrix.run import Planned, Watcher, doing_now
from lab.paths import Paths
from lab.report.plain import harmless
from lab.report.terminal import out

Document = dict[str, Any]
COLOURS = {
    "good": "green",
    "bad": "red",
    "skip": "yellow",
    "flaky": "magenta",
    "infrastructure": "cyan",
    "waiting": "dim",
    "new": "bold red",
    "fixed": "green",
    "still": "red",
    "slower": "yellow",
    "faster": "green",
}
MARKS = {"good": "ok", "bad": "BAD", "skip": "skip", "flaky": "flaky", "infrastructure": "infra", "waiting": "·"}
MOST_ROWS = 60


def cell_name(cell: Cell) -> str:
    """A cell in a few words."""
    return f"{cell.name} ({cell.toolchain})"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimated(planned: Planned, cores: int) -> Estimate:
    """What is left of a plan, priced."""
    return estimate(planned.jobs, planned.costs, cores)


def plan_document(planned: Planned, cores: int) -> Document:
    """``lab matrix plan --json``."""
    cost = estimated(planned, cores)
    return {
        "matrix": planned.ready.matrix.name,
        "title": planned.ready.matrix.title,
        "cells": [job_document(job, planned) for job in planned.jobs],
        "done": sorted(planned.known),
        "left_out": [{"what": one.what, "why": one.why, "cells": one.cells} for one in planned.ready.left_out],
        "goes_on": planned.unfinished.id if planned.unfinished else None,
        "kernels_to_build": cost.kernels,
        "build_seconds": round(cost.build_seconds, 1),
        "boot_seconds": round(cost.boot_seconds, 1),
        "seconds": round(cost.seconds, 1),
        "budget_seconds": planned.ready.matrix.budget.seconds,
    }


def job_document(job: Job, planned: Planned) -> Document:
    """A cell of the plan."""
    return {
        **msgspec.structs.asdict(job.cell),
        "key": job.cell.key,
        "kernel": job.kernel,
        "built": job.kernel in planned.costs.stored,
        "boot_seconds": round(planned.costs.boot(job.cell), 2),
    }


def show_plan(planned: Planned, cores: int) -> None:
    """``lab matrix plan``: a row a kernel, in the order in which they are taken."""
    console = out()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("kernel", "build", "cells", "machines, in order"):
        table.add_column(heading, justify="right" if heading in ("build", "cells") else "left", overflow="fold")
    groups: dict[str, list[Job]] = {}
    for job in planned.jobs:
        groups.setdefault(job.kernel, []).append(job)
    for kernel, jobs in groups.items():
        cost = planned.costs.build(jobs[0])
        machines = ", ".join(f"{job.cell.machine}{'!' if job.cell.required else ''}" for job in jobs)
        build = "built" if kernel in planned.costs.stored else f"~{duration(cost)}"
        table.add_row(harmless(kernel), build, str(len(jobs)), harmless(machines))
    console.print(table)
    if planned.unfinished:
        many = len(planned.known)
        console.print(f"Goes on with run {planned.unfinished.id}: {many} cell(s) are there (--new: a fresh run).")
    show_left_out(planned)
    whole = estimated(planned, cores)
    console.print(
        f"{len(planned.jobs)} cells; {whole.kernels} kernel(s) to build, about {duration(whole.build_seconds)}; "
        f"booting about {duration(whole.boot_seconds / cores)} with {cores} guest(s) at once; ! is required."
    )
    budget = planned.ready.matrix.budget.seconds
    if budget and whole.seconds > budget:
        console.print(f"The budget of {duration(budget)} is too short: what stands last may stay waiting.")


def show_left_out(planned: Planned) -> None:
    """What the matrix asks for and can't be had."""
    for one in planned.ready.left_out:
        out().print(Text(f"Left out: {harmless(one.what)} ({one.cells} cells): {harmless(one.why)}", style="yellow"))


class Told(Watcher):
    """A line on standard error for each cell as it is filled."""

    def __init__(self, planned: Planned, *, quiet: bool) -> None:
        self.planned = planned
        self.quiet = quiet
        self.count = len(planned.known)
        self.total = len(planned.known) + len(planned.jobs)
        self.began = time.monotonic()
        self.building: frozenset[str] = frozenset()

    def say(self, text: str) -> None:
        """A line."""
        if not self.quiet:
            print(f"[{time.monotonic() - self.began:6.1f}s] {harmless(text)}", file=sys.stderr)

    def begun(self, run: Run, jobs: tuple[Job, ...], known: Mapping[str, Result]) -> None:
        """Say which run it is."""
        for one in self.planned.ready.left_out:
            self.say(f"left out: {one.what} ({one.cells} cells): {one.why}")
        goes_on = f", {len(known)} of them done before it was broken off" if known else ""
        self.say(f"run {run.id}: {len(jobs) + len(known)} cells{goes_on}")

    def doing(self, activity: Any) -> None:
        """Say which kernel is built now."""
        now = frozenset(activity.building)
        for kernel in sorted(now - self.building):
            self.say(f"building {kernel}")
        self.building = now

    def filled(self, result: Result) -> None:
        """Say what a cell came to."""
        self.count += 1
        mark = "" if result.word == result.cell.expected else "  (not as expected)"
        name = cell_name(result.cell)
        places = dict.fromkeys(attempt.where for attempt in result.attempts if attempt.where)
        where = f"  [{', '.join(places)}]" if places else ""
        self.say(f"{self.count}/{self.total} {result.word:5} {name}: {result.reason}{mark}{where}")


def told(planned: Planned, *, quiet: bool) -> Told:
    """Who tells of a run on standard error."""
    return Told(planned, quiet=quiet)


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many cells came to what, and how many of those as expected."""
    found: dict[str, int] = {}
    for result in results:
        found[result.word] = found.get(result.word, 0) + 1
    return found


def night_document(night: Night, planned: Planned | None = None) -> Document:
    """A run with its results and what changed, as ``lab matrix run --json`` and ``lab history --json`` print it."""
    document: Document = msgspec.to_builtins(night)
    document["counts"] = counts(night.results)
    if planned:
        document["left_out"] = [msgspec.to_builtins(one) for one in planned.ready.left_out]
    return document


def show_night(night: Night) -> None:
    """A run for people: the grid, what is not as expected, and what changed."""
    console = out()
    console.print(grid(night.results))
    odd = [one for one in night.results if one.word not in (one.cell.expected, "waiting")]
    for one in odd[:MOST_ROWS]:
        line = Text.assemble((f"{one.word:14} ", COLOURS[one.word]), harmless(f"{cell_name(one.cell)}: {one.reason}"))
        console.print(line)
    show_changes(night.changes, night.before)
    run = night.run
    took = f" in {duration(run.ended - run.started)}" if run.ended else ""
    many = ", ".join(f"{count} {word}" for word, count in sorted(counts(night.results).items()))
    console.print(f"run {run.id} ({run.state}){took}: {many}")


def show_changes(changes: Sequence[Change], before: Run | None) -> None:
    """What changed, a line each."""
    console = out()
    if before is None:
        console.print("There is no run before to compare with.")
    elif not changes:
        console.print(f"Nothing changed since {before.id}.")
    for change in changes[:MOST_ROWS]:
        console.print(Text.assemble((f"{change.kind:9} ", COLOURS.get(change.kind, "")), harmless(change.line)))
        if change.bisected:
            console.print(Text(f"          {harmless(change.bisected.summary)}"))


def grid(results: Sequence[Result], doing: Mapping[str, str] | None = None) -> Table:
    """A row a kernel, a column a machine. ``doing`` maps cells to what is done with them now."""
    machines = list(dict.fromkeys(one.cell.machine for one in results))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("kernel", overflow="fold")
    for machine in machines:
        table.add_column(machine.replace("-", "-\n"), overflow="fold")
    rows: dict[str, dict[str, Result]] = {}
    for one in results:
        cell = one.cell
        rows.setdefault(f"{cell.case} {cell.label} {cell.kconfig}", {})[cell.machine] = one
    for name, cells in sorted(rows.items()):
        table.add_row(harmless(name), *(square(cells.get(machine), doing or {}) for machine in machines))
    return table


def square(result: Result | None, doing: Mapping[str, str]) -> Text:
    """A cell of the grid: its word, in its colour, with a mark where it is not as expected."""
    if result is None:
        return Text("")
    if result.cell.key in doing and result.word == "waiting":
        return Text(doing[result.cell.key], style="blue")
    odd = "" if result.word in (result.cell.expected, "waiting") else "!"
    return Text(MARKS[result.word] + odd, style=COLOURS[result.word] if odd or result.word != "bad" else "")


def watch_document(run: Run, history: History, paths: Paths) -> Document:
    """``lab matrix watch --json``: how a run stands."""
    results = history.results(run.id)
    now = doing_now(paths, run)
    return {
        "run": msgspec.to_builtins(run),
        "counts": counts(results),
        "cells": {one.cell.key: one.word for one in results},
        "doing": msgspec.to_builtins(now) if now else None,
    }
