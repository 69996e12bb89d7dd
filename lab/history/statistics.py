"""Whether one group of times is longer than another, exactly: rank sums within strata, and many tests at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence

Stratum = tuple[Sequence[float], Sequence[float]]
"""Times before and times now of one cell: only these are compared with each other."""


def rank_sum_p(strata: Sequence[Stratum]) -> float:
    """How likely a sum of ranks so far from its mean is, on either side, if before and now are alike in each stratum.

    With one stratum it is the two-sided Wilcoxon-Mann-Whitney test, with several its stratified form (the ranks of each
    stratum's "now", added up). The distribution over all ways to deal out the ranks is counted, not approximated, ties
    (which get the mean of their ranks) and all. 1.0 where there is nothing to compare.
    """
    total, ways = 0, [1]
    for before, now in strata:
        if not before or not now:
            continue
        ranks = doubled_ranks((*before, *now))
        total += sum(ranks[len(before) :])
        ways = product(ways, subset_sums(tuple(sorted(ranks)), len(now)))
    count = sum(ways)
    mean = sum(value * number for value, number in enumerate(ways)) / count
    distance = abs(total - mean)
    far = sum(number for value, number in enumerate(ways) if abs(value - mean) >= distance - 1e-9)
    return far / count


def doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, so that the mean rank of ties is a whole number too."""
    order = sorted(values)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for place, value in enumerate(order, start=1):
        first.setdefault(value, place)
        last[value] = place
    return [first[value] + last[value] for value in values]


@functools.lru_cache(maxsize=512)
def subset_sums(ranks: tuple[int, ...], size: int) -> list[int]:
    """How many subsets of ``size`` of these ranks have which sum, by the sum."""
    most = sum(ranks)
    ways: list[list[int]] = [[0] * (most + 1) for _ in range(size + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for taken in range(size, 0, -1):
            row, below = ways[taken], ways[taken - 1]
            for value in range(most, rank - 1, -1):
                if below[value - rank]:
                    row[value] += below[value - rank]
    return ways[size]


def product(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """The ways to come to each sum of one from the left and one from the right."""
    found = [0] * (len(left) + len(right) - 1)
    filled = [(value, number) for value, number in enumerate(right) if number]
    for value, number in enumerate(left):
        if number:
            for other, count in filled:
                found[value + other] += number * count
    return found


def holm(values: Sequence[float]) -> list[float]:
    """Each of many p values corrected so that the chance of any false alarm at all stays what it says (Holm, 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [0.0] * len(values)
    worst = 0.0
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = worst
    return corrected
