"""Whole runs with kernels that are made up: killed and gone on with, ended by a deadline, night after night."""

import multiprocessing
import os
import random
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from lab.errors import InfrastructureError
from lab.files import locked
from lab.history import claims
from lab.history.claims import Claim
from lab.history.database import connect
from lab.history.store import History
from lab.matrix import run as matrix_run
from lab.matrix.judge import night_word
from lab.matrix.run import doing_now, plan, run
from tests.matrix.made import Fake, job, jobs, ready


def night(history, paths, runner, members=None, *, fresh=False, **budget):
    """One night; its results and changes."""
    planned = plan(ready(members or jobs(), **budget), history, runner, fresh=fresh)
    return history.night(run(planned, history, runner, paths).id)


def words(found):
    return {one.cell.key: one.word for one in found.results}


def test_a_run_is_in_the_history_with_all_its_cells(history, paths):
    found = night(history, paths, Fake())
    assert (found.run.state, found.run.cells, found.run.name) == ("done", 6, "nightly")
    assert set(words(found).values()) == {"good"}
    assert found.changes == ()


def killed(url, paths, cells):
    """A run in another process, which is killed once it has filled ``cells`` cells."""
    child = os.fork()
    if not child:
        try:
            mine = History(connect(url))
            runner = Fake(pause=0.03, stored=[one.kernel for one in jobs()])
            run(plan(ready(jobs(), cores=1), mine, runner), mine, runner, paths)
        finally:
            os._exit(0)
    watching = History(connect(url))
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        done = [one for one in watching.results(watching.run().id) if one.word != "waiting"] if watching.runs() else []
        if len(done) >= cells:
            break
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return watching


@pytest.mark.parametrize("cells", [0, 4])
def test_a_run_that_was_killed_goes_on_where_it_was(history, paths, cells):
    watching = killed(history.engine.url, paths, cells)
    before = watching.runs()
    done = {one.cell.key: one for one in watching.results(before[0].id) if one.word != "waiting"} if before else {}
    assert len(done) >= cells
    runner = Fake()
    found = night(history, paths, runner, cores=1)
    assert set(words(found).values()) == {"good"}
    assert not set(runner.boots) & set(done), "what has a result is not booted again"
    assert {one.cell.key: one for one in found.results} | done == {one.cell.key: one for one in found.results}
    assert len(history.runs()) == 1
    watching.close()


def test_new_begins_a_fresh_run(history, paths):
    killed(history.engine.url, paths, 2).close()
    found = night(history, paths, Fake(), fresh=True)
    assert len(history.runs()) == 2
    assert found.before is None, "a run that was broken off is nothing to compare with"


def test_what_changed_since_a_run_was_killed_is_filled_again(history, paths):
    killed(history.engine.url, paths, 3).close()
    runner = Fake()
    night(history, paths, runner, jobs(commit="another"))
    assert len(runner.boots) == 6


def test_another_file_or_another_day_is_another_run(history, paths, monkeypatch):
    killed(history.engine.url, paths, 2).close()
    assert plan(ready(jobs(), key="edited"), history, Fake()).unfinished is None
    monkeypatch.setattr(matrix_run, "OLD_SECONDS", -1.0)
    assert plan(ready(jobs()), history, Fake()).unfinished is None


def test_faults_of_the_world_are_tried_again_when_a_run_goes_on(history, paths):
    members = jobs()

    def broken(one, _number):
        if one.cell.machine == "x3400-m3":
            raise ZeroDivisionError  # the run breaks off here
        return "fault" if one.cell.machine == "one-node" else "good"

    with pytest.raises(ZeroDivisionError):
        night(history, paths, Fake(broken), members, cores=1)
    runner = Fake()
    found = night(history, paths, runner, members, cores=1)
    assert any("one-node" in key for key in runner.boots)
    assert set(words(found).values()) == {"good"}


def test_a_deadline_runs_what_matters_most_and_leaves_the_rest_waiting(history, paths):
    members = [*jobs(("base",)), *jobs(("end",), required=True)]
    runner = Fake(stored=[one.kernel for one in members], pause=0.4)
    planned = plan(ready(members, cores=1), history, runner)
    done = run(planned, history, runner, paths, seconds=4.0 * 3)  # a boot is taken to cost two seconds
    assert done.state == "done"
    planned = plan(ready(members, cores=1), history, runner)
    done = run(planned, history, runner, paths, seconds=0.7)  # enough for one boot, not for two
    found = history.night(done.id)
    assert done.state == "deadline"
    labels = {one.cell.label for one in found.results if one.word != "waiting"}
    assert labels == {"end"}
    assert {one.word for one in found.results if one.cell.label == "base"} == {"waiting"}
    assert found.changes == (), "what was not tried has not changed"


def test_two_processes_do_not_run_one_matrix_at_once(history, paths, monkeypatch):
    monkeypatch.setattr(matrix_run, "LOCK_SECONDS", 0.05)
    with locked(matrix_run.lock_of(paths, "nightly"), 1.0), pytest.raises(InfrastructureError, match="held this lock"):
        night(history, paths, Fake())


def test_a_plan_that_another_process_carried_out_meanwhile_is_made_anew(history, paths):
    """Both planned to go on with the run that was broken off; the second waited for the first one's lock."""
    killed(history.engine.url, paths, 2).close()
    runner = Fake()
    planned = plan(ready(jobs(), cores=1), history, runner)
    first = run(planned, history, runner, paths)
    kept = history.results(first.id)
    second = run(planned, history, runner, paths)
    assert second.id != first.id, "a run that is done is not gone on with"
    assert history.results(first.id) == kept
    assert len(runner.boots) <= 4 + 6


def somebody(paths, name):
    """Folders of another user, who shares the history alone."""
    return replace(paths, cache=paths.cache / name, data=paths.data / name)


@contextmanager
def running(url, paths, cells=6, **more):
    """A run in another process that holds still once ``cells`` cells are filled; it goes on when that is written to,
    and ends with the context."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        status = 3
        try:
            mine = History(connect(url))

            def sight(one, number):
                if one is jobs()[-1] or len(runner.boots) > cells:
                    os.read(reading, 1)
                return "good"

            runner = Fake(sight, stored=[one.kernel for one in jobs()])
            run(plan(ready(jobs(), cores=1), mine, runner, **more), mine, runner, paths)
            status = 0
        finally:
            os._exit(status)
    os.close(reading)
    watching = History(connect(url))
    try:
        limit = time.monotonic() + 30
        while True:
            runs = watching.runs()
            if runs and sum(one.word != "waiting" for one in watching.results(runs[0].id)) >= cells:
                break
            assert time.monotonic() < limit
            time.sleep(0.005)
        yield child, writing
    finally:
        watching.close()
        with suppress(OSError):
            os.close(writing)
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_run_that_somebody_is_at_is_left_to_them(history, paths):
    """Two people share a history, and nothing else."""
    said = []
    with running(history.engine.url, somebody(paths, "alice"), 3) as (child, writing):
        (theirs,) = history.runs()
        planned = plan(ready(jobs()), history, runner := Fake(), say=said.append)
        assert planned.unfinished is None
        mine = history.night(run(planned, history, runner, somebody(paths, "bob")).id)
        assert mine.run.id != theirs.id
        assert len(runner.boots) == 6, "none of theirs is taken for mine"
        os.close(writing)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(said) == 1
    assert f"(process {child}) is at nightly since" in said[0]
    for one in (theirs, mine.run):
        found = history.night(one.id)
        assert found.run.state == "done"
        assert list(words(found).values()) == ["good"] * 6
        assert {len(result.attempts) for result in found.results} == {1}, "nothing is counted twice"
    assert len(history.runs()) == 2


def test_what_broke_off_is_gone_on_with_while_somebody_is_at_another(history, paths):
    killed(history.engine.url, somebody(paths, "bob"), 2).close()
    (broken,) = history.runs()
    done = {one.cell.key for one in history.results(broken.id) if one.word != "waiting"}
    with running(history.engine.url, somebody(paths, "alice"), 3, fresh=True):
        planned = plan(ready(jobs(), cores=1), history, runner := Fake())
        assert planned.unfinished == broken
        run(planned, history, runner, somebody(paths, "bob"))
        assert not set(runner.boots) & done
    assert history.run(broken.id).state == "done"


def test_of_two_who_would_go_on_with_the_same_run_one_does(history, paths):
    killed(history.engine.url, somebody(paths, "carol"), 3).close()
    (broken,) = history.runs()
    done = [one for one in history.results(broken.id) if one.word != "waiting"]
    url = history.engine.url
    barrier = multiprocessing.get_context("fork").Barrier(2)

    def both(name):
        mine = History(connect(url))
        runner = Fake(pause=0.02)
        planned = plan(ready(jobs(), cores=1), mine, runner)
        assert planned.unfinished == broken
        barrier.wait(30)
        run(planned, mine, runner, somebody(paths, name))

    both_ = [multiprocessing.get_context("fork").Process(target=both, args=(name,)) for name in ("alice", "bob")]
    for one in both_:
        one.start()
    for one in both_:
        one.join(60)
    assert [one.exitcode for one in both_] == [0, 0]
    assert len(history.runs()) == 2
    for one in history.runs():
        assert one.state == "done"
        assert list(words(history.night(one.id)).values()) == ["good"] * 6
    kept = {one.cell.key: one for one in history.results(broken.id)}
    assert all(kept[one.cell.key] == one for one in done)


def test_a_run_that_was_taken_over_is_left_by_who_was_thought_dead(history, paths, monkeypatch):
    """Its machine can't be asked, and nothing was heard of it for long; then it is back."""
    monkeypatch.setattr(claims, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(matrix_run, "own_claim", lambda: Claim("another boot/1/1/1/x", "alice on cellar"))
    members = jobs(machines=("one-node", "two-nodes"))
    other = Fake()

    def sight(_one, _number):
        if len(runner.boots) == 2:  # bob comes while alice's second guest is up
            monkeypatch.setattr(matrix_run, "own_claim", claims.own_claim)
            planned = plan(ready(members, cores=1), history, other)
            assert planned.unfinished is not None
            run(planned, history, other, somebody(paths, "bob"))
        return "good"

    runner = Fake(sight)
    with pytest.raises(InfrastructureError, match=r"run .* is not this process's any more"):
        night(history, somebody(paths, "alice"), runner, members, cores=1)
    (only,) = history.runs()
    found = history.night(only.id)
    assert only.state == "done"
    assert set(words(found).values()) == {"good"}
    assert len(other.boots) == 3, "what was recorded before was not booted again"


def test_what_failed_before_it_was_left_waiting_still_comes_before_what_was_good(history, paths):
    members = jobs(("a", "b", "c"), ("one-node",))
    runner = Fake(
        lambda one, _number: "bad" if one.cell.label == "c" else "good", stored=[one.kernel for one in members]
    )
    night(history, paths, runner, members)
    waiting = plan(ready(members), history, runner)
    run(waiting, history, runner, paths, seconds=0.001)
    assert [one.cell.label for one in plan(ready(members), history, runner).jobs] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("sights", "seconds", "word"),
    [
        ({}, None, "good"),
        ({"x3400-m3": "fault"}, None, "good"),
        ({"one-node": "fault"}, None, "skip"),
        ({"one-node": "bad"}, None, "bad"),
        ({"one-node": "fault", "two-nodes": "bad"}, None, "bad"),
        (dict.fromkeys(("one-node", "two-nodes", "x3400-m3"), "fault"), None, "infrastructure"),
        ({}, 0.001, "skip"),
    ],
)
def test_a_night_is_not_good_while_a_required_cell_is_not_known(history, paths, sights, seconds, word):
    members = [job("base", "one-node", required=True), job("base", "two-nodes"), job("base", "x3400-m3")]
    night(history, paths, Stamped("good", 1), members)
    runner = Stamped("good", 2)
    runner.sight = lambda one, _number: sights.get(one.cell.machine, "good")
    found = run(plan(ready(members), history, runner), history, runner, paths, seconds=seconds)
    assert night_word(history.night(found.id)) == word


def test_who_watches_sees_what_is_done_now_and_nothing_afterwards(history, paths):
    seen = []

    def sight(_one, _number):
        """What is told while this boot runs; it may begin a moment before that is on disk."""
        end = time.monotonic() + 20.0
        while time.monotonic() < end and (not seen or seen[-1] is None or not seen[-1].booting):
            seen.append(doing_now(paths, history.run()))
            time.sleep(0.01)
        return "good"

    found = night(history, paths, Fake(sight), [job()])
    assert seen[-1].booting == (job().cell.key,)
    assert doing_now(paths, found.run) is None


def kinds(found):
    return {change.cell.key: change.kind for change in found.changes}


class Stamped(Fake):
    """A runner whose kernels are new ones each night."""

    def __init__(self, word, stamp):
        super().__init__(lambda one, _number: word if one.cell.label == "end" else "good")
        self.stamp = stamp

    def build(self, kernel, seconds):
        return replace(super().build(kernel, seconds), key=f"{kernel}-{self.stamp}")


def test_a_regression_is_new_then_still_there_then_fixed(history, paths):
    nights = (("good", set()), ("bad", {"new"}), ("bad", {"still"}), ("good", {"fixed"}), ("good", set()))
    for stamp, (word, expected) in enumerate(nights):
        found = night(history, paths, Stamped(word, stamp))
        assert {change.kind for change in found.changes} == expected, (word, stamp)


def test_a_kernel_that_was_good_and_is_bad_without_a_change_is_flaky(history, paths):
    night(history, paths, Stamped("good", 1))
    second = night(history, paths, Stamped("bad", 1))
    assert [change.kind for change in second.changes] == ["flaky"] * 3
    assert second.changes[0].rate == round(5 / 6, 4)


@pytest.mark.parametrize("seed", range(2))
def test_a_bug_that_strikes_in_30_percent_of_boots_is_flaky_and_no_regression(history, paths, seed):
    chance = random.Random(seed)
    runner = Fake(lambda _one, _number: "bad" if chance.random() < 0.3 else "good")
    seen = []
    for _ in range(8):
        found = night(history, paths, runner, [job()])
        seen += found.changes
    assert {change.kind for change in seen} <= {"flaky"}
    assert seen, "in eight nights it shows"
    last = seen[-1]
    assert last.rate is not None and 0.05 < last.rate < 0.75
    assert last.since == seen[0].since
    assert last.signature == "bug:policy_zonelist"
