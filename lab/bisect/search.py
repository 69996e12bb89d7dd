"""Which point to try next, and what is known by now: pure functions over the verdicts so far.

Points are 0 (the base) to n (the series' end). The rule is git's: the bug is absent at the base, present at the end and
stays once it came in, and a point that says nothing is stepped around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.verdict import Word


@dataclass(frozen=True)
class Try:
    """Ask for the verdict of this point next."""

    point: int


@dataclass(frozen=True)
class Found:
    """The bug came in with one of ``candidates``: a single one, or several where points between had to be skipped."""

    candidates: tuple[int, ...]


@dataclass(frozen=True)
class Lies:
    """An end, or a pair of points, is not what a bisect needs, so no patch may be named."""

    reason: str


Step = Try | Found | Lies


def next_step(last: int, verdicts: Mapping[int, Word]) -> Step:
    """The next step for points 0 to ``last``: both ends first, then the middle of what is left."""
    if last < 1:
        return Lies("there is no patch to blame: the series is empty")
    for end, wanted in ((last, "bad"), (0, "good")):
        if end not in verdicts:
            return Try(end)
        if verdicts[end] != wanted:
            name = "the series' end" if end else "the base"
            return Lies(f"{name} (point {end}) is {verdicts[end]}, not {wanted}")
    good = max(point for point, word in verdicts.items() if word == "good")
    bad = min(point for point, word in verdicts.items() if word == "bad")
    if good > bad:
        return Lies(f"point {bad} is bad and point {good} after it is good: the bug does not stay once it came in")
    open_points = [point for point in range(good + 1, bad) if point not in verdicts]
    if not open_points:
        return Found(tuple(range(good + 1, bad + 1)))
    return Try(nearest_middle(open_points, good, bad))


def nearest_middle(open_points: list[int], good: int, bad: int) -> int:
    """The open point nearest to the middle of ``good`` and ``bad``; the earlier of two as near."""
    return min(open_points, key=lambda point: (abs(2 * point - good - bad), point))
