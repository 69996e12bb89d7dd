"""Whether one group of times is longer than another, exactly: rank sums within strata, and many tests at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

Stratum = tuple[Sequence[float], Sequence[float]]
"""Times before and times now of one cell: only these are compared with each other."""


def rank_sum_p(strata: Sequence[Stratum]) -> float:
    """How likely a sum of ranks so far from its mean is, on either side, if before and now are alike in each stratum.

    With one stratum it is the two-sided Wilcoxon-Mann-Whitney test, with several its stratified form (the ranks of each
    stratum's "now", added up). The distribution over all ways to deal out the ranks is counted, not approximated, ties
    (which get the mean of their ranks) and all. 1.0 where there is nothing to compare.
    """
    compared = [(before, now) for before, now in strata if before and now]
    count = math.prod(math.comb(len(before) + len(now), len(now)) for before, now in compared)
    width = count.bit_length() // 8 + 1
    total, most, mean, ways = 0, 0, Fraction(0), 1
    for before, now in compared:
        ranks = doubled_ranks((*before, *now))
        total += sum(ranks[len(before) :])
        most += sum(ranks)
        mean += Fraction(sum(ranks) * len(now), len(ranks))
        ways *= subset_sums(tuple(sorted(ranks)), len(now), width)
    distance = abs(total - mean)
    if not distance:
        return 1.0
    packed = ways.to_bytes((most + 1) * width, "little")
    low, high = math.floor(mean - distance), math.ceil(mean + distance)
    far = (*range(low + 1), *range(high, most + 1))
    return sum(int.from_bytes(packed[value * width : (value + 1) * width], "little") for value in far) / count


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
def subset_sums(ranks: tuple[int, ...], size: int, width: int) -> int:
    """How many subsets of ``size`` of these ranks have which sum: one large number, which has the count for each sum in
    ``width`` bytes of its own, the sum 0 lowest. What two such numbers multiply to is the same for sums of both."""
    ways = [1, *[0] * size]
    for rank in ranks:
        for taken in range(size, 0, -1):
            ways[taken] += ways[taken - 1] << (8 * width * rank)
    return ways[size]


def holm(values: Sequence[float]) -> list[float]:
    """Each of many p values corrected so that the chance of any false alarm at all stays what it says (Holm, 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [0.0] * len(values)
    worst = 0.0
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = worst
    return corrected
