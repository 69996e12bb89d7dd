"""Bisects that regressions start: the series of the case, with the kconfig and the machine of the cell that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lab.case import Expect
from lab.errors import LabError
from lab.history.records import Bisected, Change, Night
from lab.history.store import History
from lab.line import Line, Setup
from lab.matrix.lines import Ready
from lab.matrix.plan import Job

MOST = 5
"""Bugs that are bisected after one night; what breaks everything shows in every cell, and is one bug."""


def worth(night: Night) -> tuple[Change, ...]:
    """The new failures to bisect: one for each bug of each case's point, required cells first. Pure."""
    found: dict[tuple[str, str, str, str], Change] = {}
    wanted = [change for change in night.changes if change.kind == "new" and change.signature]
    for change in sorted(wanted, key=lambda one: not one.cell.required):
        cell = change.cell
        if cell.point > 0:
            found.setdefault((cell.case, cell.label, change.signature, cell.toolchain), change)
    return tuple(found.values())[:MOST]


def bisect_new(
    night: Night,
    ready: Ready,
    history: History,
    setup: Setup,
    *,
    say: Callable[[str], None] = lambda _text: None,
) -> Night:
    """Bisect each new failure of ``night`` that is worth it, and the night with what came of it."""
    jobs = {job.cell.key: job for job in ready.jobs}
    known = {one.cell for one in night.bisects}
    for change in worth(night):
        job = jobs.get(change.cell.key)
        if job is None or change.cell.key in known:
            continue
        say(f"bisecting {change.title} in {change.cell.case}, on {change.cell.machine} with {change.cell.kconfig}")
        bisected = bisect_change(change, job, ready, setup)
        say(bisected.summary)
        history.record_bisect(night.run.id, bisected)
    return history.night(night.run.id)


def bisect_change(change: Change, job: Job, ready: Ready, setup: Setup) -> Bisected:
    """The patch that brought what ``change`` tells of, by :mod:`lab.bisect`; or why it could not be found."""
    from lab.bisect.run import bisect

    line = line_to(ready.kernels[job.kernel][0], change, job)
    try:
        result = bisect(line, replace(setup, timeout=ready.matrix.budget.boot_seconds))
    except LabError as error:
        return Bisected(
            case=change.cell.case,
            cell=change.cell.key,
            first_bad=None,
            subject="",
            commit="",
            sure=None,
            summary=f"{change.title} ({change.signature}): the bisect ended: {error}",
        )
    points = tuple((row.point.index, row.word) for row in result.rows)
    culprit = result.first_bad
    if culprit is None:
        names = ", ".join(f"{one.point.index} {one.point.subject}" for one in result.candidates)
        why = f"{result.reason}{': ' if names else ''}{names}"
        summary = f"{change.title} ({change.signature}): no single patch: {why}"
        return Bisected(
            case=change.cell.case,
            cell=change.cell.key,
            first_bad=None,
            subject="",
            commit="",
            sure=None,
            points=points,
            summary=summary,
        )
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
