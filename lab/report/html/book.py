"""Nights as pages see them: the grid, the tally, a cell's history. Pure: values in, values out."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lab.report.html.words import LOOKS, Look, look

if TYPE_CHECKING:
    from lab.history.records import Attempt, Bisected, Cell, Change, Night, Result, Run, Seen

ROWS = 40
"""Rows of one table of the grid: a long grid is many tables, of which a browser lays out what is on the screen."""
SHOWN_DOTS = 48
"""Points of a bisect that are shown one by one; of more, those that nobody tested are counted."""

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,79}")

Comparer = Callable[["Night", "Night"], "tuple[Change, ...]"]
"""What is different in the first night from the second, an earlier one."""


def cell_file(key: str) -> str:
    """The name of a cell's page: the same each night, and harmless whatever the cell is called."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def night_folder(run: str) -> str:
    """The name of a night's folder: its run's id where that is harmless, else a hash of it."""
    return run if SAFE.fullmatch(run) and ".." not in run else cell_file(run)


@dataclass(frozen=True)
class Row:
    """The results of a point, kconfig and toolchain, one a machine; ``None`` where there is no such cell."""

    cell: Cell
    results: tuple[Result | None, ...]

    @property
    def quiet(self) -> bool:
        """Whether nobody needs to look at any of them."""
        return all(look(result).quiet for result in self.results if result)


@dataclass(frozen=True)
class Table:
    """Some rows of a case. ``part`` counts from 1 of ``parts``."""

    case: str
    rows: tuple[Row, ...]
    part: int
    parts: int


@dataclass(frozen=True)
class Grid:
    """The grid of a night. ``toolchain`` is set where all cells have the same."""

    machines: tuple[str, ...]
    tables: tuple[Table, ...]
    toolchain: str


def grid(results: Iterable[Result]) -> Grid:
    """The grid: a row for each case, point, kconfig and toolchain, a column for each machine, in the matrix' order."""
    machines: dict[str, int] = {}
    rows: dict[tuple[str, int, str, str, str], dict[str, Result]] = {}
    cases: dict[str, int] = {}
    for result in results:
        cell = result.cell
        machines.setdefault(cell.machine, len(machines))
        cases.setdefault(cell.case, len(cases))
        rows.setdefault((cell.case, cell.point, cell.label, cell.kconfig, cell.toolchain), {})[cell.machine] = result
    toolchains = {key[4] for key in rows}
    tables: list[Table] = []
    for case in cases:
        mine = sorted((key for key in rows if key[0] == case), key=lambda key: (key[1], key[2]))
        done = [
            Row(next(iter(rows[key].values())).cell, tuple(rows[key].get(machine) for machine in machines))
            for key in mine
        ]
        parts = [tuple(done[at : at + ROWS]) for at in range(0, len(done), ROWS)]
        tables += [Table(case, part, number, len(parts)) for number, part in enumerate(parts, 1)]
    return Grid(tuple(machines), tuple(tables), next(iter(toolchains)) if len(toolchains) == 1 else "")


@dataclass(frozen=True)
class Count:
    """How many cells look like this, and their share of all (0 to 1)."""

    look: Look
    cells: int
    share: float


def tally(results: Iterable[Result]) -> tuple[Count, ...]:
    """The cells counted by their looks, what wants to be looked at first."""
    counts = Counter(look(result) for result in results)
    total = sum(counts.values()) or 1
    return tuple(Count(one, counts[one], counts[one] / total) for one in LOOKS if counts[one])


def where(result: Result) -> str:
    """Which workers booted it, by name; empty where that was the host of the run itself."""
    return ", ".join(dict.fromkeys(attempt.where for attempt in result.attempts if attempt.where))


@dataclass(frozen=True)
class Place:
    """What a worker did in a night: cells, boots (builds that failed are among them), and how many of those came to
    nothing by a fault of the world. ``name`` is empty for the run's own host."""

    name: str
    cells: int
    boots: int
    faults: int


def places(results: Iterable[Result]) -> tuple[Place, ...]:
    """The workers of a night, who had most cells first; none where the run's own host did all of it."""
    cells: Counter[str] = Counter()
    boots: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for result in results:
        cells.update({attempt.where for attempt in result.attempts})
        boots.update(attempt.where for attempt in result.attempts)
        faults.update(attempt.where for attempt in result.attempts if attempt.infrastructure)
    if not any(cells):
        return ()
    found = (Place(name, cells[name], boots[name], faults[name]) for name in cells)
    return tuple(sorted(found, key=lambda one: (-one.cells, one.name)))


@dataclass(frozen=True)
class Bug:
    """A finding of a night by its signature: the cells that are named after it."""

    seen: Seen
    results: tuple[Result, ...]
    quiet: int
    """How many of these cells nobody needs to look at."""


def bugs(results: Iterable[Result]) -> tuple[Bug, ...]:
    """The bugs of a night, unexpected ones first, then by how many cells have them."""
    found: dict[str, tuple[Seen, list[Result]]] = {}
    for result in results:
        if result.word in ("bad", "flaky", "skip") and (seen := result.finding):
            found.setdefault(seen.signature, (seen, []))[1].append(result)
    all_bugs = [
        Bug(seen, tuple(sorted(some, key=lambda one: look(one).quiet)), sum(look(one).quiet for one in some))
        for seen, some in found.values()
    ]
    return tuple(sorted(all_bugs, key=lambda bug: (bug.quiet - len(bug.results), -bug.quiet, bug.seen.signature)))


@dataclass(frozen=True)
class Timing:
    """The boots of a cell in a night, in seconds from QEMU's start to user space; nothing but good ones counts."""

    run: Run
    result: Result | None
    seconds: tuple[float, ...]

    @property
    def median(self) -> float | None:
        """The middle one."""
        return statistics.median(self.seconds) if self.seconds else None


def good_attempts(result: Result | None) -> list[Attempt]:
    """The attempts whose times mean something."""
    return [one for one in result.attempts if one.verdict == "good" and not one.infrastructure] if result else []


def timing(run: Run, result: Result | None) -> Timing:
    """The times of a result."""
    seconds = [one.marker_seconds for one in good_attempts(result) if one.marker_seconds is not None]
    return Timing(run, result, tuple(seconds))


@dataclass(frozen=True)
class Book:
    """Some nights, the newest first."""

    nights: tuple[Night, ...]

    @cached_property
    def by_key(self) -> tuple[dict[str, Result], ...]:
        """Each night's results by their cells' keys."""
        return tuple({result.cell.key: result for result in night.results} for night in self.nights)

    def history(self, key: str, *, until: int = 0) -> tuple[Timing, ...]:
        """The cell's nights from the oldest to that of index ``until``."""
        return tuple(
            timing(night.run, results.get(key))
            for night, results in reversed(list(zip(self.nights, self.by_key, strict=True))[until:])
        )


@dataclass(frozen=True)
class Trend:
    """A cell's boot time beside that of the nights before, medians in seconds."""

    cell: Cell
    history: tuple[Timing, ...]
    now: float
    before: float | None

    @property
    def ratio(self) -> float:
        """Now by before; 1 where there is no before."""
        return self.now / self.before if self.before else 1.0


def trend(cell: Cell, history: tuple[Timing, ...]) -> Trend | None:
    """The trend of a cell that booted in the last of ``history``'s nights."""
    now = history[-1].median if history else None
    if now is None:
        return None
    earlier = [one.median for one in history[:-1] if one.median is not None]
    return Trend(cell, history, now, statistics.median(earlier) if earlier else None)


@dataclass(frozen=True)
class StageBar:
    """A stage of a boot: when it began and how long it took, and the same of the nights before where it is known."""

    stage: str
    began: float
    took: float
    before: float | None


def stage_bars(attempt: Attempt, earlier: Iterable[Attempt] = ()) -> tuple[StageBar, ...]:
    """The stages of a boot; ``earlier`` are good boots of the same cell, whose median durations stand beside."""
    known: dict[str, list[float]] = {}
    for one in earlier:
        for stage, _, took in _durations(one):
            known.setdefault(stage, []).append(took)
    mine = _durations(attempt)
    compared = len(mine) if attempt.verdict == "good" else len(mine) - 1  # a boot that died is cut in its last stage
    return tuple(
        StageBar(stage, began, took, statistics.median(known[stage]) if stage in known and at < compared else None)
        for at, (stage, began, took) in enumerate(mine)
    )


def _durations(attempt: Attempt) -> list[tuple[str, float, float]]:
    """Stage, begin and duration. The last one ends with the attempt."""
    stages = sorted(attempt.stages, key=lambda one: one.seconds)
    ends = [*[stage.seconds for stage in stages[1:]], max(attempt.seconds, stages[-1].seconds if stages else 0.0)]
    return [(one.stage, one.seconds, end - one.seconds) for one, end in zip(stages, ends, strict=True)]


@dataclass(frozen=True)
class Dot:
    """A point of a bisect: ``verdict`` is empty where it was not tested. ``skipped`` > 0: so many points instead."""

    index: int
    verdict: str = ""
    culprit: bool = False
    skipped: int = 0


def dots(bisected: Bisected) -> tuple[Dot, ...]:
    """The bisect as a line of points, from 0 to the highest that was tested."""
    tested = {index: verdict for index, verdict in bisected.points if index >= 0}
    if not tested:
        return ()
    last = max(*tested, bisected.first_bad or 0)
    whole = last < SHOWN_DOTS
    line: list[Dot] = []
    shown = sorted({*tested, *([bisected.first_bad] if bisected.first_bad is not None else []), 0, last})
    for at, index in enumerate(range(last + 1) if whole else shown):
        if not whole and at and (gap := index - shown[at - 1] - 1):
            line.append(Dot(shown[at - 1] + 1, skipped=gap))
        line.append(Dot(index, tested.get(index, ""), index == bisected.first_bad))
    return tuple(line)
