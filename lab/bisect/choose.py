"""Which point to probe next: the one that makes the rest of the search cheapest. Pure functions.

On a line of up to :data:`EXACT` suspects the expected cost of the whole rest is computed, by dynamic programming over
what can still be between which two points and which point the object directory stands at. Elsewhere one step is looked
ahead, and what is left after it is taken as its entropy at the price of a usual step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from lab.bisect.graph import Graph, members

EXACT = 24

Cost = Callable[[int | None, int, tuple[int, ...]], float]
"""Seconds that probing a point costs: where the object directory stands at (``None``: nowhere), the point, and points
whose objects the compiler cache has."""


def same_cost(_hot: int | None, _point: int, _compiled: tuple[int, ...]) -> float:
    """Every probe costs the same: plain halving."""
    return 1.0


@dataclass(frozen=True)
class Outlook:
    """What is known beside the verdicts. ``weight[i]`` says how likely point i brought the bug, in any unit; empty
    means that all are as likely. ``hot`` is where the object directory stands, ``stored`` points whose kernels exist,
    ``compiled`` points that were built at any time. ``workers`` points are probed at once. ``boot`` is what one more
    boot costs in seconds, ``redo`` what a wrong good costs in the search before it is found out."""

    cost: Cost = same_cost
    weight: Sequence[float] = ()
    hot: int | None = None
    stored: frozenset[int] = frozenset()
    compiled: tuple[int, ...] = ()
    workers: int = 1
    boot: float = 1.0
    redo: float = 20.0


def mass(mask: int, outlook: Outlook) -> float:
    """How likely the culprit is among the points of ``mask``, in the unit of the weights."""
    if not outlook.weight:
        return float(mask.bit_count())
    return sum(max(outlook.weight[point], 1e-9) for point in members(mask))


def choose(
    graph: Graph, suspects: int, candidates: Sequence[int], outlook: Outlook, skipped: Sequence[int] = ()
) -> list[int]:
    """The points to probe next, as many as there are workers, out of ``candidates`` (not empty).

    ``suspects`` is the mask of points that can still have brought the bug; near ``skipped`` ones a probe is less likely
    to say anything.
    """
    if outlook.workers > 1 and len(candidates) > 1:
        return sections(graph, suspects, candidates, outlook)
    if skipped:
        kept = away_from(skipped, suspects, candidates, outlook)
        return [ahead(graph, suspects, kept, outlook)]
    if graph.is_line and len(candidates) <= EXACT and outlook.cost is not same_cost:
        return [exact(suspects, candidates, outlook)]
    return [ahead(graph, suspects, candidates, outlook)]


def away_from(skipped: Sequence[int], suspects: int, candidates: Sequence[int], outlook: Outlook) -> Sequence[int]:
    """The candidates that are farthest from what was skipped: what doesn't build seldom does so alone.

    The first skip sends the search to points that split the suspects at worst 1 to 5; each more skip brings it
    back to the points that are next to the ones skipped.
    """
    total = mass(suspects, outlook)
    distance = {point: min(abs(point - other) for other in skipped) for point in candidates}
    fair = [
        point for point in candidates if 0.15 <= mass(suspects & ((2 << point) - 1), outlook) / max(total, 1e-9) <= 0.85
    ]
    pool = fair or list(candidates)
    farthest = max(distance[point] for point in pool)
    return [point for point in pool if 2 * distance[point] >= farthest]


def ahead(graph: Graph, suspects: int, candidates: Sequence[int], outlook: Outlook) -> int:
    """One step ahead: its cost, and the entropy that is left after it at the price of a usual step."""
    total = mass(suspects, outlook)
    costs = {point: price(point, outlook) for point in candidates}
    usual = sorted(costs.values())[len(costs) // 2]

    def whole(point: int) -> tuple[float, float, int]:
        share = mass(suspects & graph.reach[point], outlook) / total
        left = math.log2(max(suspects.bit_count(), 2)) - entropy(share)
        return (costs[point] + usual * left, abs(share - 0.5), point)

    return min(candidates, key=whole)


def price(point: int, outlook: Outlook) -> float:
    """What probing ``point`` costs now."""
    if point in outlook.stored:
        return outlook.boot
    return outlook.cost(outlook.hot, point, outlook.compiled)


def entropy(share: float) -> float:
    """Bits that a probe tells where it comes out bad with probability ``share``."""
    if not 0 < share < 1:
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def exact(suspects: int, candidates: Sequence[int], outlook: Outlook) -> int:
    """The probe with which the rest of a search on a line is cheapest. ``suspects`` are points in a row; what is below
    the first is good, the last is bad."""
    row = list(members(suspects))
    below, top = row[0] - 1, row[-1]
    open_points = sorted(candidates)
    sums = {below: 0.0}
    for point in range(below + 1, top + 1):
        here = mass(1 << point, outlook) if suspects >> point & 1 else 0.0
        sums[point] = sums[point - 1] + here
    known = (*outlook.compiled, *outlook.stored)

    def cost(hot: int | None, point: int, low: int, high: int) -> float:
        if point in outlook.stored:
            return outlook.boot
        return outlook.cost(hot, point, (*outlook.compiled, low, high) if low in known else (*outlook.compiled, high))

    @cache
    def rest(low: int, high: int, hot: int | None) -> tuple[float, int]:
        """The expected cost of what is left, and the probe to make: the bug came in after ``low``, by ``high``."""
        inside = [point for point in open_points if low < point < high]
        whole = sums[high] - sums[low]
        if not inside or whole <= 0:
            proof = cost(hot, low, low, high) if low == below and low not in known else 0.0
            return (proof, -1)
        best = (math.inf, -1)
        middle = (low + high) / 2
        for point in sorted(inside, key=lambda one: (abs(one - middle), one)):
            now = cost(hot, point, low, high)
            if now >= best[0]:
                continue
            then = hot if point in outlook.stored else point
            bad = (sums[point] - sums[low]) / whole
            total = now + bad * rest(low, point, then)[0] + (1 - bad) * rest(point, high, then)[0]
            if total < best[0] - 1e-9:
                best = (total, point)
        return best

    return rest(below, top, outlook.hot)[1]


def sections(graph: Graph, suspects: int, candidates: Sequence[int], outlook: Outlook) -> list[int]:
    """As many points as there are workers, that cut the suspects into parts as likely as each other; of two that cut
    as well, the cheaper one."""
    wanted = min(outlook.workers, len(candidates))
    total = mass(suspects, outlook)
    left = list(candidates)
    chosen: list[int] = []
    for part in range(1, wanted + 1):
        aim = part / (wanted + 1)

        def off(point: int, aim: float = aim) -> tuple[float, float, int]:
            share = mass(suspects & graph.reach[point], outlook) / total
            return (round(abs(share - aim), 2), price(point, outlook), point)

        best = min(left, key=off)
        left.remove(best)
        chosen.append(best)
    return sorted(chosen)
