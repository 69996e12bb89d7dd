"""Filling cells with a runner that is made up: limits, deadlines, retries, faults."""

import pytest

from lab.matrix.plan import Costs
from lab.matrix.schedule import Limits, fill
from lab.report.matrix_watch import kernel_name
from tests.matrix.made import Fake, job, jobs

PLENTY = Limits(cores=2, memory=64 << 30)
QUICK = Costs(by_machine={"one-node": 0.01, "two-nodes": 0.01, "x3400-m3": 0.01}, builds={})


def filled(members, runner, limits=PLENTY, costs=QUICK, **more):
    results = []
    left = fill(members, runner, limits, costs, run="r", record=results.append, **more)
    return {one.cell.key: one for one in results}, left


def words(results):
    return [one.word for one in results.values()]


def test_every_cell_is_filled_and_a_kernel_is_built_once_for_all_its_machines():
    runner = Fake()
    results, left = filled(jobs(), runner)
    assert left == ()
    assert words(results) == ["good"] * 6
    assert sorted(runner.builds) == ["early-policy/base/tiny-numa/gcc", "early-policy/end/tiny-numa/gcc"]
    assert all(one.kernel and one.build_seconds == 1.0 for one in results.values())


def test_what_is_in_the_store_is_not_built():
    runner = Fake(stored=["early-policy/base/tiny-numa/gcc"])
    filled(jobs(), runner)
    assert runner.builds == ["early-policy/end/tiny-numa/gcc"]


def test_guests_run_at_once_within_cores_and_memory_and_beside_a_build():
    members = jobs(labels=("base", "end", "fix"), machines=("one-node", "two-nodes", "x3400-m3"))
    runner = Fake(pause=0.02)
    filled(members, runner, Limits(cores=3, memory=(8 << 30) + (1 << 29)))
    assert 1 < runner.most <= 3
    assert runner.most_memory <= (8 << 30) + (1 << 29), "beside eight GiB the smallest fits and no other"
    assert runner.most_builds == 1


def test_a_guest_larger_than_the_limit_runs_alone():
    runner = Fake(pause=0.01)
    results, _ = filled(jobs(labels=("end",)), runner, Limits(cores=4, memory=1 << 30))
    assert words(results) == ["good"] * 3
    assert runner.most_memory == 8 << 30


def test_a_red_cell_is_booted_again_before_it_is_called_bad():
    runner = Fake(lambda _job, _number: "bad")
    results, _ = filled([job()], runner)
    assert words(results) == ["bad"]
    assert len(runner.boots) == 1 + PLENTY.retries
    assert results[job().cell.key].reason == "bad (5 of 5 boots)"


def test_good_after_bad_is_flaky():
    results, _ = filled([job()], Fake(lambda _job, number: "good" if number == 3 else "bad"))
    found = results[job().cell.key]
    assert (found.word, found.reason, len(found.attempts)) == ("flaky", "bad (2 of 3 boots)", 3)


def test_a_bug_that_is_expected_is_not_booted_again():
    runner = Fake(lambda _job, _number: "bad")
    results, _ = filled([job(expected="bad")], runner)
    assert words(results) == ["bad"]
    assert len(runner.boots) == 1


def test_more_boots_a_cell_for_the_statistics_where_they_are_asked_for():
    runner = Fake()
    filled([job()], runner, Limits(cores=1, memory=1 << 40, boots=3))
    assert len(runner.boots) == 3


@pytest.mark.parametrize("sight", ["fault", "raise"])
def test_a_fault_of_the_world_says_nothing_about_the_kernel(sight):
    results, _ = filled([job()], Fake(lambda _job, _number: sight))
    assert words(results) == ["infrastructure"]
    results, _ = filled([job()], Fake(lambda _job, number: sight if number == 1 else "good"))
    assert words(results) == ["good"], "a second try went well"
    results, _ = filled([job()], Fake(lambda _job, number: sight if number == 1 else "bad"))
    assert words(results) == ["bad"]


@pytest.mark.parametrize(
    ("how", "word", "reason"),
    [
        ("full", "infrastructure", "no kernel: the disk is full"),
        ("kconfig", "skip", "CONFIG_SLUB"),
        ("a.c:1", "skip", ""),
    ],
)
def test_a_kernel_that_is_not_built_is_the_result_of_all_its_cells(how, word, reason):
    runner = Fake()
    runner.fails["early-policy/end/tiny-numa/gcc"] = how
    results, left = filled(jobs(), runner)
    assert left == ()
    assert sorted(words(results)) == sorted([word] * 3 + ["good"] * 3)
    assert all(reason in one.reason for one in results.values() if one.word == word)
    assert runner.builds.count("early-policy/end/tiny-numa/gcc") == 1


class Clock:
    """Time that goes on by ``step`` whenever somebody looks."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def test_the_deadline_leaves_what_comes_last_and_ends_nothing_early():
    members = jobs(labels=("a", "b", "c"), machines=("one-node",))
    costs = Costs(by_machine={"one-node": 10.0}, stored=frozenset(one.kernel for one in members))
    runner = Fake(stored=[one.kernel for one in members])
    results, left = filled(members, runner, Limits(cores=1, memory=1 << 40, seconds=25.0), costs, clock=Clock(6.0))
    assert [one.cell.label for one in left] == ["c"]
    assert [key.split("/")[1] for key in results] == ["a", "b"]


def test_a_red_cell_is_not_booted_again_after_the_deadline_and_is_not_called_bad():
    """Five boots of a kernel that hangs are five minutes; the deadline is for all of them."""
    runner = Fake(lambda _job, _number: "bad", stored=[job().kernel], seconds=60.0)
    limits = Limits(cores=1, memory=1 << 40, seconds=100.0)
    results, left = filled([job()], runner, limits, clock=Clock(10.0))
    found = results[job().cell.key]
    assert left == (job(),)
    assert found.word == "waiting"
    assert 1 <= len(found.attempts) < 1 + PLENTY.retries, "what was seen is kept"
    assert found.reason.startswith("bad") and "deadline" in found.reason
    runner.sight = lambda _job, number: "good" if number == 2 else "bad"
    results, left = filled([job()], runner, limits, clock=Clock(1.0))
    assert (words(results), left) == (["flaky"], ())


def test_fewer_boots_than_were_wanted_are_enough_for_a_cell_that_is_as_expected():
    runner = Fake(stored=[job().kernel], seconds=60.0)
    limits = Limits(cores=1, memory=1 << 40, seconds=100.0, boots=9)
    results, left = filled([job()], runner, limits, clock=Clock(10.0))
    assert (words(results), left) == (["good"], ())
    assert len(runner.boots) < 9


def test_a_build_that_would_pass_the_deadline_is_not_begun_but_what_is_built_is_booted():
    members = jobs(labels=("long", "here"), machines=("one-node",))
    runner = Fake(stored=["early-policy/here/tiny-numa/gcc"])
    results, left = filled(members, runner, Limits(cores=1, memory=1 << 40, seconds=100.0))
    assert runner.builds == []
    assert [one.cell.label for one in left] == ["long"]
    assert words(results) == ["good"]


def test_a_build_that_the_deadline_ended_leaves_its_cells_waiting():
    runner = Fake()
    runner.fails["early-policy/end/tiny-numa/gcc"] = "late"
    results, left = filled(jobs(), runner)
    assert {one.cell.label for one in left} == {"end"}
    assert words(results) == ["good"] * 3


def test_a_fault_of_the_lab_s_own_ends_the_run():
    runner = Fake()
    runner.fails["early-policy/end/tiny-numa/gcc"] = "fault of ours"
    with pytest.raises(ZeroDivisionError):
        filled(jobs(), runner)


def test_who_watches_is_told_what_goes_on():
    told = []
    filled(jobs(), Fake(pause=0.005), doing=told.append)
    assert any(one.building for one in told)
    assert any(len(one.booting) == 2 for one in told)
    assert told[-1].booting == () and told[-1].building == ()


def test_a_cell_s_kernel_has_a_name_also_where_its_compiler_is_a_path():
    """What ``lab matrix watch`` marks as being built."""
    assert kernel_name("early-policy/end/tiny-numa/far/gcc-11") == "early-policy/end/tiny-numa/gcc-11"
    assert kernel_name("early-policy/end/tiny-numa/far//opt/bin/gcc") == "early-policy/end/tiny-numa//opt/bin/gcc"
