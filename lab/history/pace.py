"""Slower and faster boots: stage by stage, the boots of a kernel against those of the kernel before it.

Boots of one night are not independent: a busy host slows all of them. So each night's times are first divided by how
fast that night was, as the cells show whose kernel had not changed; and where the same kernel was booted as before, no
change is told of it at all. Cells of one kernel on several machines are strata of one test, and the tests of a night
are corrected for being many.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lab.history.records import Change, Result, Run, StageTime
from lab.history.statistics import holm, rank_sum_p

SURE = 0.01
LEAST = 0.05
"""Less than this share of a stage's time is told of nobody, however sure it is."""
LEAST_SECONDS = 0.02
RECENT_RUNS = 7
"""A kernel that has been there for longer is no news."""
MOST_NOW = 8
MOST_BEFORE = 16
Past = Sequence[tuple[Run, Sequence[Result]]]
Times = dict[str, float]


@dataclass
class Track:
    """The boots of one cell: of tonight's kernel and of the one before it, each stage's seconds in its night's pace."""

    now: list[Times] = field(default_factory=list)
    before: list[Times] = field(default_factory=list)
    kernel: str = ""
    other: str = ""
    first_run: str = ""


def paces(run: Run, results: Sequence[Result], past: Past) -> Iterator[Change]:
    """The stages that got slower or faster with a kernel, each once a group of cells with the same kernel."""
    tracks = track(run, results, past)
    recent = {one.id for one, _ in past[: RECENT_RUNS - 1]} | {run.id}
    groups: dict[tuple[str, str], list[tuple[Result, Track]]] = {}
    for result in results:
        found = tracks.get(result.cell.key)
        if found and found.before and found.now and found.first_run in recent:
            groups.setdefault((found.kernel, found.other), []).append((result, found))
    tests: list[tuple[list[tuple[Result, Track]], str]] = []
    for members in groups.values():
        tests += [(members, stage) for stage in stages(members)]
    values = holm([rank_sum_p([strata(one, stage) for _, one in members]) for members, stage in tests])
    for (members, stage), p in zip(tests, values, strict=True):
        change = told(members, stage, p)
        if change is not None:
            yield change


def track(run: Run, results: Sequence[Result], past: Past) -> dict[str, Track]:
    """The boots of each cell of tonight, newest first."""
    nights = [(run, results), *past]
    speed = night_speeds(nights)
    tracks = {one.cell.key: Track(kernel=one.kernel, first_run=run.id) for one in results if one.kernel}
    for one, old in nights:
        for result in old:
            found = tracks.get(result.cell.key)
            if found is None or not result.kernel:
                continue
            times = [
                {stage: seconds / speed[one.id] for stage, seconds in lengths(attempt.stages).items()}
                for attempt in result.attempts
                if attempt.verdict == "good" and not attempt.infrastructure
            ]
            if result.kernel == found.kernel and not found.other:
                found.now += times[: MOST_NOW - len(found.now)]
                found.first_run = one.id
            elif result.kernel in (found.other, "") or (not found.other and result.kernel != found.kernel):
                found.other = result.kernel
                found.before += times[: MOST_BEFORE - len(found.before)]
    return tracks


def lengths(seen: Sequence[StageTime]) -> Times:
    """How long each stage took: until the next began. The last has no end."""
    return {one.stage: max(0.0, following.seconds - one.seconds) for one, following in itertools.pairwise(seen)}


def whole(result: Result) -> float | None:
    """The median time to user space of a cell's good boots."""
    times = [one.marker_seconds or one.seconds for one in result.attempts if one.verdict == "good"]
    return statistics.median(times) if times else None


def night_speeds(nights: Sequence[tuple[Run, Sequence[Result]]]) -> dict[str, float]:
    """How slow each night was beside the first in ``nights``: the median over the cells that booted the same kernel in
    both; 1.0 where there is none."""
    if not nights:
        return {}
    reference = {(one.cell.key, one.kernel): whole(one) for one in nights[0][1] if one.kernel}
    speeds = {}
    for run, results in nights:
        ratios = []
        for one in results:
            then, now = whole(one), reference.get((one.cell.key, one.kernel))
            if then and now:
                ratios.append(then / now)
        speeds[run.id] = statistics.median(ratios) if ratios else 1.0
    return speeds


def stages(members: Sequence[tuple[Result, Track]]) -> list[str]:
    """The stages that all of a group's boots went through, in their order."""
    every = [times for _, one in members for times in (*one.now, *one.before)]
    return [stage for stage in every[0] if all(stage in times for times in every)] if every else []


def strata(one: Track, stage: str) -> tuple[list[float], list[float]]:
    """The times of ``stage`` before and now."""
    return [times[stage] for times in one.before], [times[stage] for times in one.now]


def told(members: Sequence[tuple[Result, Track]], stage: str, p: float) -> Change | None:
    """The change that a test came to, named after the cell where it shows most."""
    if p >= SURE:
        return None
    pairs = []
    for result, one in members:
        before, now = strata(one, stage)
        pairs.append((statistics.median(now) - statistics.median(before), statistics.median(before), result))
    grown = statistics.median(pair[0] for pair in pairs)
    usual = statistics.median(pair[1] for pair in pairs)
    if abs(grown) < max(LEAST * usual, LEAST_SECONDS):
        return None
    worst = max(pairs, key=lambda pair: pair[0] if grown > 0 else -pair[0])
    cell = worst[2].cell
    word = "slower" if grown > 0 else "faster"
    cells = f" here and on {len(members) - 1} more machine(s)" if len(members) > 1 else ""
    was, is_ = worst[1], worst[1] + worst[0]
    return Change(
        kind="slower" if grown > 0 else "faster",
        cell=cell,
        sentence=(f"stage {stage} is {word}{cells}: {was:.3f} s before, {is_:.3f} s now (p = {p:.2g})"),
        stage=stage,
        before_seconds=round(was, 4),
        after_seconds=round(is_, 4),
        p=p,
        since=members[0][1].first_run,
    )
