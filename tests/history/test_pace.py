"""Slower boots: found where a kernel is slower, and not where a night was, or where nothing is sure."""

import random

import pytest

from lab.history.pace import paces
from tests.history.made import attempt, cell, result, run

MACHINES = ["one-node", "two-nodes", "four-nodes", "eight-nodes", "far", "uneven", "x3400-m3", "a", "b"]


def boots(chance, count, *, smp=0.3, busy=1.0):
    """Boots whose stages take about 0.1, ``smp`` and 0.5 s, all longer by ``busy``."""
    made = []
    for number in range(1, count + 1):
        noise = [busy * chance.gauss(1.0, 0.04) for _ in range(3)]
        early, memory = 0.1 * noise[0], 0.1 * noise[0] + smp * noise[1]
        end = memory + 0.5 * noise[2]
        stages = {"early": 0.0, "smp": early, "init": memory, "userspace": end}
        made.append(attempt(number, stages=stages, marker_seconds=end))
    return made


def night(number, chance, *, kernel="old", smp=0.3, busy=1.0, machines=MACHINES, count=1):
    """A night: cells of a kernel that changes, and of a base that never does."""
    found = [
        result(
            run(number).id, cell("end", machine=name), attempts=boots(chance, count, smp=smp, busy=busy), kernel=kernel
        )
        for name in machines
    ]
    base = [
        result(run(number).id, cell("base", machine=name), attempts=boots(chance, count, busy=busy), kernel="base")
        for name in machines
    ]
    return run(number), [*found, *base]


def compare(nights):
    (now, results), *past = reversed(nights)
    return [(one.kind, one.stage) for one in paces(now, results, past)]


@pytest.mark.parametrize("seed", range(3))
def test_a_kernel_whose_stage_is_slower_is_found_in_one_night_on_nine_machines(seed):
    chance = random.Random(seed)
    nights = [night(number, chance) for number in range(1, 6)]
    assert compare([*nights, night(6, chance, kernel="new", smp=0.4)]) == [("slower", "smp")]
    assert compare([*nights, night(6, chance, kernel="new", smp=0.22)]) == [("faster", "smp")]


@pytest.mark.parametrize("seed", range(5))
def test_a_kernel_that_is_as_quick_is_not_told_of(seed):
    chance = random.Random(seed)
    nights = [night(number, chance) for number in range(1, 6)]
    assert compare([*nights, night(6, chance, kernel="new")]) == []


def test_a_busy_night_is_not_a_slow_kernel():
    chance = random.Random(7)
    nights = [night(number, chance) for number in range(1, 6)]
    assert compare([*nights, night(6, chance, busy=1.6)]) == [], "the kernel is the same"
    assert compare([*nights, night(6, chance, kernel="new", busy=1.6)]) == [], "the base was as slow"


def test_a_slow_kernel_is_found_in_a_busy_night_too():
    chance = random.Random(3)
    nights = [night(number, chance) for number in range(1, 6)]
    assert compare([*nights, night(6, chance, kernel="new", smp=0.4, busy=1.6)]) == [("slower", "smp")]


def test_one_boot_on_one_machine_is_no_proof_and_nights_add_up():
    chance = random.Random(5)
    nights = [night(number, chance, machines=["far"], count=4) for number in range(1, 3)]
    nights.append(night(3, chance, machines=["far"], kernel="new", smp=0.45))
    assert compare(nights) == []
    for number in range(4, 8):
        nights.append(night(number, chance, machines=["far"], kernel="new", smp=0.45))
    assert compare(nights) == [("slower", "smp")]


def test_failed_boots_are_no_samples():
    chance = random.Random(1)
    nights = [night(number, chance) for number in range(1, 6)]
    now, results = night(6, chance, kernel="new", smp=0.6)
    bad = [
        result(one.run, one.cell, "bad", attempts=[attempt(1, "bad", stages={"early": 0.0, "smp": 9.0})], kernel="new")
        for one in results
    ]
    assert compare([*nights, (now, bad)]) == []


def test_the_change_has_its_figures():
    chance = random.Random(2)
    nights = [night(number, chance) for number in range(1, 6)]
    now, results = night(6, chance, kernel="new", smp=0.4)
    (change,) = paces(now, results, list(reversed(nights)))
    assert change.before_seconds == pytest.approx(0.3, rel=0.1)
    assert change.after_seconds == pytest.approx(0.4, rel=0.1)
    assert change.p < 0.01
    assert "stage smp is slower here and on 8 more machine(s): 0." in change.sentence
