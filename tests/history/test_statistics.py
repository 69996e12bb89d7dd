"""Exact tests against counting every way by hand, and against what Wilcoxon's tables say."""

import itertools
import random

import pytest

from lab.history.statistics import doubled_ranks, holm, rank_sum_p


def by_hand(before, now):
    """The share of all ways to deal out the values in which the sum of ranks is as far from its mean."""
    values = [*before, *now]
    ranks = [
        2 * (sum(other < one for other in values) + (sum(other == one for other in values) + 1) / 2) for one in values
    ]
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(now))]
    mean = sum(sums) / len(sums)
    seen = abs(sum(ranks[len(before) :]) - mean)
    return sum(abs(one - mean) >= seen - 1e-9 for one in sums) / len(sums)


@pytest.mark.parametrize("seed", range(12))
def test_one_stratum_is_the_exact_mann_whitney_test(seed):
    chance = random.Random(seed)
    before = [chance.randint(0, 6) for _ in range(chance.randint(1, 6))]
    now = [chance.randint(0, 6) + seed % 3 for _ in range(chance.randint(1, 5))]
    assert rank_sum_p([(before, now)]) == pytest.approx(by_hand(before, now))


def test_the_values_of_the_tables():
    """Two groups of five that do not overlap: 2 of the 252 ways."""
    assert rank_sum_p([([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])]) == pytest.approx(2 / 252)
    assert rank_sum_p([([1, 2, 3], [4, 5, 6])]) == pytest.approx(0.1)


def test_one_boot_a_night_says_nothing_alone_and_much_on_nine_machines():
    before = [1.0, 1.01, 1.02, 1.03, 1.04]
    assert rank_sum_p([(before, [2.0])]) == pytest.approx(2 / 6)
    assert rank_sum_p([(before, [2.0])] * 9) == pytest.approx(2 / 6**9)


def test_machines_are_compared_with_themselves_alone():
    """A quick and a slow machine, neither of which changed: pooled they would look changed."""
    assert rank_sum_p([([1.0, 1.2], [1.1]), ([9.0, 9.2, 9.4, 9.6], [9.3])]) > 0.5


def test_nothing_to_compare_proves_nothing():
    assert rank_sum_p([]) == 1.0
    assert rank_sum_p([([], [1.0]), ([1.0], [])]) == 1.0
    assert rank_sum_p([([1.0] * 5, [1.0] * 5)]) == 1.0


@pytest.mark.parametrize("values", [(range(6), range(5)), ((0, 0, 1, 2, 2, 3), range(5))], ids=["plain", "ties"])
def test_false_alarms_are_as_rare_as_they_are_said_to_be(values):
    """Every way in which chance can deal out the times of two machines: a p value comes as often as it says."""
    one, other = (
        [([values[at] for at in left], [values[at] for at in range(len(values)) if at not in left]) for left in lefts]
        for values in values
        for lefts in [list(itertools.combinations(range(len(values)), 3))]
    )
    found = [rank_sum_p(both) for both in itertools.product(one, other)]
    assert len(found) == 20 * 10
    for p in set(found):
        assert sum(other <= p for other in found) / len(found) == pytest.approx(p)


def test_many_machines_with_many_boots():
    """Nine machines with 16 boots before and 8 now: 735,471 to the power of nine ways, counted one by one elsewhere."""
    assert rank_sum_p([(range(16), range(10, 18))] * 9) == pytest.approx(1.0487842645870558e-19)
    assert rank_sum_p([(range(16), range(3, 11))] * 9) == pytest.approx(0.14261504837897865)


def test_ranks_of_ties_are_their_mean():
    assert doubled_ranks([3.0, 1.0, 3.0, 2.0]) == [7, 2, 7, 4]


def test_holm_corrects_for_many_tests_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []
