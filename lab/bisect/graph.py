"""The points of a bisect as a graph: a series is a line, a history with merges is a graph, halves of a config a line.

Points are numbered so that parents come before children. Which points carry a bug that came in at point c is answered
with bit masks: a mask has bit c set for point c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Graph:
    """``parents[i]`` are the points that point i was made from, each smaller than i. ``bad`` is the point that is said
    to have the bug, ``good`` those that are said to be without it."""

    parents: tuple[tuple[int, ...], ...]
    bad: int
    good: frozenset[int]

    @cached_property
    def reach(self) -> tuple[int, ...]:
        """For each point the mask of itself and of all that it was made from."""
        masks: list[int] = []
        for point, parents in enumerate(self.parents):
            mask = 1 << point
            for parent in parents:
                mask |= masks[parent]
            masks.append(mask)
        return tuple(masks)

    @cached_property
    def suspects(self) -> int:
        """The mask of the points that can have brought the bug, as long as nothing was tried."""
        return self.reach[self.bad] & ~self.union(self.good)

    def union(self, points: Iterable[int]) -> int:
        """The mask of ``points`` and of all that they were made from."""
        mask = 0
        for point in points:
            mask |= self.reach[point]
        return mask

    def before(self, point: int) -> tuple[int, ...]:
        """The points that ``point`` was made from directly."""
        return self.parents[point]

    @cached_property
    def is_line(self) -> bool:
        """Whether every point but the first has the one before it as its only parent, and the ends are the ends."""
        line = all(parents == ((point - 1,) if point else ()) for point, parents in enumerate(self.parents))
        return line and self.bad == len(self.parents) - 1 and self.good == {0}


def line_graph(last: int) -> Graph:
    """Points 0 (good) to ``last`` (bad), each made from the one before."""
    return Graph(((), *((point,) for point in range(last))), last, frozenset({0}))


def members(mask: int) -> Iterator[int]:
    """The points in a mask, in order."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def from_commits(commits: Sequence[tuple[str, Sequence[str]]], bad: str, good: Iterable[str]) -> Graph:
    """The graph of ``commits``, given with their parents and parents first (``git rev-list --topo-order --reverse
    --parents``); parents that are not among them are left out."""
    number = {commit: point for point, (commit, _) in enumerate(commits)}
    parents = tuple(tuple(number[parent] for parent in above if parent in number) for _, above in commits)
    return Graph(parents, number[bad], frozenset(number[commit] for commit in good))
