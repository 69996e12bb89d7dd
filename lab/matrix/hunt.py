"""Bisects that regressions start: the series of the case, with the kconfig and the machine of the cell that fails.

They have what is left of the night's time, and a share of it is kept for them from when a failure was seen that one is
wanted for. What that was too short for is said, and done by the next night that finds the bug still there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from lab.bisect.engine import Nobody
from lab.bisect.plan import State, Try
from lab.case import Expect
from lab.errors import LabError
from lab.history.records import Bisected, Change, Night, Result
from lab.history.store import History
from lab.line import Line, Setup
from lab.matrix.lines import Ready
from lab.matrix.plan import Job
from lab.matrix.run import Planned
from lab.process import DeadlinePassed

MOST = 5
"""Bugs that are bisected after one night; what breaks everything shows in every cell, and is one bug."""


def worth(night: Night, late: Collection[str] = ()) -> tuple[Change, ...]:
    """The failures to bisect: one for each new bug of each case's point, required cells first, then those that are
    still there and whose bisect the last night had no time for (``late``, by their cells). Pure."""
    found: dict[tuple[str, str, str, str], Change] = {}
    wanted = [change for change in night.changes if change.signature and is_wanted(change, late)]
    for change in sorted(wanted, key=lambda one: (one.kind != "new", not one.cell.required)):
        cell = change.cell
        if cell.point > 0:
            found.setdefault((cell.case, cell.label, change.signature, cell.toolchain), change)
    return tuple(found.values())[:MOST]


def is_wanted(change: Change, late: Collection[str]) -> bool:
    """Whether a bisect would say something that is not known yet."""
    return change.kind == "new" or (change.kind == "still" and change.cell.key in late)


class Kept:
    """The time that is kept for bisects: ``most`` seconds once a failure was seen that is not among those ``known``,
    by their cells."""

    def __init__(self, most: float, known: Collection[str] = ()) -> None:
        self.most = most
        self.known = known
        self.wanted = False

    def see(self, result: Result) -> None:
        """This came out."""
        cell = result.cell
        fails = result.word == "bad" and cell.expected != "bad"
        self.wanted = self.wanted or (fails and cell.point > 0 and cell.key not in self.known)

    def seconds(self) -> float:
        """What is kept by now."""
        return self.most if self.wanted else 0.0


def kept_for_bisects(planned: Planned, history: History, seconds: float | None = None) -> Kept:
    """What a run of ``planned`` keeps for its bisects, of ``seconds`` or else the matrix's own. A failure that was
    there in the last night is none to wait for, unless its bisect was too late then."""
    budget = planned.ready.matrix.budget
    most = budget.bisects * (budget.seconds if seconds is None else seconds)
    going_on = planned.unfinished.id if planned.unfinished else ""
    before = [run.id for run in history.runs(name=planned.ready.matrix.name, limit=2) if run.id != going_on]
    if not before or not most:
        return Kept(0.0)  # what fails in the first night there is is not new
    late = {one.cell for one in history.bisects(before[0]) if one.late}
    failing = {change.cell.key for change in history.night(before[0]).changes if change.kind in ("new", "still")}
    return Kept(most, failing - late)


def bisect_new(
    night: Night,
    ready: Ready,
    history: History,
    setup: Setup,
    *,
    seconds: float = 0.0,
    say: Callable[[str], None] = lambda _text: None,
) -> Night:
    """Bisect each new failure of ``night`` that is worth it, all of them within ``seconds`` (0: as long as it takes),
    and the night with what came of it."""
    setup = replace(setup, until=time.monotonic() + seconds if seconds else float("inf"))
    jobs = {job.cell.key: job for job in ready.jobs}
    known = {one.cell for one in night.bisects if not one.late}
    before = history.bisects(night.before.id) if night.before else ()
    late = {one.cell for one in (*before, *night.bisects) if one.late}
    for change in worth(night, late):
        job = jobs.get(change.cell.key)
        if job is None or change.cell.key in known:
            continue
        if time.monotonic() < setup.until:
            where = f"in {change.cell.case}, on {change.cell.machine} with {change.cell.kconfig}"
            say(f"bisecting {change.title} {where}")
            bisected = bisect_change(change, job, ready, setup)
        else:
            bisected = nobody(change, "not bisected: the night's time is over", late=True)
        say(bisected.summary)
        history.record_bisect(night.run.id, bisected)
    return history.night(night.run.id)


class Until(Nobody):
    """Who watches a bisect, and ends it when its time is over."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.state: State | None = None

    def doing(self, state: State, tries: Sequence[Try]) -> None:
        """Keep what is known by now."""
        self.state = state
        if time.monotonic() >= self.until:
            raise DeadlinePassed("the time is over")

    def points(self) -> tuple[tuple[int, str], ...]:
        """What is known of each point."""
        if self.state is None:
            return ()
        words = {point: self.state.standing(point) for point in sorted(self.state.known)}
        return tuple((point, word) for point, word in words.items() if word != "open")


def nobody(change: Change, why: str, points: Sequence[tuple[int, str]] = (), *, late: bool = False) -> Bisected:
    """A bisect that names no patch."""
    return Bisected(
        case=change.cell.case,
        cell=change.cell.key,
        first_bad=None,
        subject="",
        commit="",
        sure=None,
        points=tuple(points),
        summary=f"{change.title} ({change.signature}): {why}",
        late=late,
    )


def so_far(points: Sequence[tuple[int, str]]) -> str:
    """Between which points the bug came in, as far as that is known."""
    bad = min((point for point, word in points if word == "bad"), default=None)
    good = max((point for point, word in points if word == "good" and (bad is None or point < bad)), default=None)
    known = [f"{point} is {word}" for point, word in ((good, "good"), (bad, "bad")) if point is not None]
    return f"; so far {' and '.join(known)}" if known else ""


def bisect_change(change: Change, job: Job, ready: Ready, setup: Setup) -> Bisected:
    """The patch that brought what ``change`` tells of, by :mod:`lab.bisect`; or why it could not be found."""
    from lab.bisect.run import bisect

    line = line_to(ready.kernels[job.kernel][0], change, job)
    watcher = Until(setup.until)
    try:
        result = bisect(line, replace(setup, timeout=ready.matrix.budget.boot_seconds), watcher=watcher)
    except LabError as error:
        if isinstance(error, DeadlinePassed) and time.monotonic() >= setup.until:
            points = watcher.points()
            why = f"its bisect is not finished: the night's time is over{so_far(points)}"
            return nobody(change, why, points, late=True)
        return nobody(change, f"the bisect ended: {error}")
    points = tuple((row.point.index, row.word) for row in result.rows)
    culprit = result.first_bad
    if culprit is None:
        names = ", ".join(f"{one.point.index} {one.point.subject}" for one in result.candidates)
        return nobody(change, f"no single patch: {result.reason}{': ' if names else ''}{names}", points)
    point = culprit.point
    return Bisected(
        case=change.cell.case,
        cell=change.cell.key,
        first_bad=point.index,
        subject=point.subject,
        commit=point.commit,
        sure=round(result.confidence, 6),
        points=points,
        summary=f"{change.title} ({change.signature}): first bad patch: {point.index} {point.subject}",
    )


def line_to(line: Line, change: Change, job: Job) -> Line:
    """``line`` as a series that ends at the failing point, on the cell's machine, looking for that very bug. With a fix
    that fails, its patches are part of the series."""
    case, cell = line.case, change.cell
    patches = (*case.patches, *case.fix)[: cell.point]
    points = line.tree.points[: cell.point + 1]
    expect = Expect(signature=change.signature, title=change.title)
    return replace(
        line,
        case=replace(case, patches=patches, fix=(), expect=expect, programs=None),
        tree=replace(line.tree, points=points),
        machine=job.machine,
    )
