"""Bisects that new failures start: which, and what becomes of them when the night's time is over."""

import time
from dataclasses import replace

import msgspec
import pytest

from lab.bisect.choose import Outlook
from lab.bisect.engine import run as search
from lab.bisect.graph import line_graph
from lab.bisect.journal import Journal
from lab.bisect.plan import Rules
from lab.bisect.records import Boot, Build
from lab.line import Setup
from lab.matrix import hunt
from lab.matrix.run import plan, run
from lab.process import DeadlinePassed
from lab.progress import silent
from lab.settings import Settings
from tests.matrix.made import Fake, job, ready

PATCHES, CULPRIT = 16, 9
MEMBERS = [job("end", machine, point=PATCHES) for machine in ("two-nodes", "one-node")]


class Stamped(Fake):
    """A runner whose kernels are new ones each night."""

    def __init__(self, word, stamp):
        super().__init__(lambda _one, _number: word)
        self.stamp = stamp

    def build(self, kernel, seconds):
        return replace(super().build(kernel, seconds), key=f"{kernel}-{self.stamp}")


@pytest.fixture
def night(history, paths):
    """A night whose cells are all as they are told to be."""

    def one(word, stamp):
        planned = plan(ready(MEMBERS), history, runner := Stamped(word, stamp))
        return history.night(run(planned, history, runner, paths).id)

    one("good", 0)
    return one


@pytest.fixture
def hunted(history, paths, monkeypatch):
    """Bisects of ``night`` by a search of points that only exist here; each build takes ``pause`` seconds."""
    monkeypatch.setattr(hunt, "line_to", lambda _line, _change, _job: None)
    begun = []

    def bisects(night, *, pause=0.0, seconds=0.0):
        def bisect(_line, setup, *, watcher):
            begun.append(setup)

            class Prober:
                def build(self, point, worker):
                    if pause > setup.build_left:
                        time.sleep(setup.build_left)
                        raise DeadlinePassed("make did not end")
                    time.sleep(pause)
                    return Build(point, image=str(point))

                def boot(self, point, worker):
                    return Boot(point, "bad" if point >= CULPRIT else "good", "seen", image=str(point))

            search(line_graph(PATCHES), Prober(), Journal(), Rules(), view=lambda _: Outlook(), watcher=watcher)
            raise DeadlinePassed("a lock took too long")  # no result is made here: it ended by something else

        monkeypatch.setattr("lab.bisect.run.bisect", bisect)
        setup = Setup(paths, Settings(), silent)
        kernels = {one.kernel: (None, None) for one in MEMBERS}
        return hunt.bisect_new(night, replace(ready(MEMBERS), kernels=kernels), history, setup, seconds=seconds)

    bisects.begun = begun
    return bisects


def test_a_bisect_that_the_time_is_over_for_says_what_it_knows(night, hunted):
    found = hunted(night("bad", 1), pause=0.4, seconds=1.0)  # far too short for a bisect, however fast the machine
    (bisected,) = found.bisects
    assert bisected.late
    assert bisected.first_bad is None
    assert dict(bisected.points)[PATCHES] == "bad"
    assert "its bisect is not finished: the night's time is over; so far" in bisected.summary
    lowest = min(point for point, word in bisected.points if word == "bad")
    assert f"{lowest} is bad" in bisected.summary
    assert [change.bisected for change in found.changes] == [bisected, bisected]


def test_a_bisect_that_there_is_no_time_for_is_told_and_not_begun(night, hunted):
    found = hunted(night("bad", 1), seconds=0.000001)
    assert hunted.begun == []
    (bisected,) = found.bisects
    assert bisected.late
    assert bisected.summary.endswith("not bisected: the night's time is over")


def test_another_end_than_the_night_s_is_no_lateness(night, hunted):
    found = hunted(night("bad", 1))
    (bisected,) = found.bisects
    assert not bisected.late
    assert bisected.summary.endswith("the bisect ended: a lock took too long")
    assert hunted.begun[0].until == float("inf")


def test_the_next_night_goes_on_with_what_was_late_and_with_nothing_else(night, hunted):
    first = hunted(night("bad", 1), seconds=0.000001)
    assert {change.kind for change in first.changes} == {"new"}
    second = hunted(night("bad", 2))
    assert {change.kind for change in second.changes} == {"still"}
    assert len(hunted.begun) == 1
    assert [one.late for one in second.bisects] == [False]
    third = hunted(night("bad", 3))
    assert len(hunted.begun) == 1, "it came to an end"
    assert third.bisects == ()


MANY = [job("end", kconfig=f"tiny-{number}", point=PATCHES) for number in range(20)]


class Slow(Stamped):
    """Each boot takes ten seconds of a clock that only exists here."""

    now = 0.0

    def boot(self, job, made, number):
        self.now += 10.0
        return replace_seconds(super().boot(job, made, number), 10.0)


def replace_seconds(attempt, seconds):
    return msgspec.structs.replace(attempt, seconds=seconds)


@pytest.fixture
def slow_night(history, paths):
    """A night of 20 cells of ten seconds each; how long it went on, and how many cells it filled."""

    def one(word, stamp, seconds=0.0, bisects=0.3):
        budget = {"cores": 1, "memory": 1 << 40, "retries": 0, "seconds": seconds, "bisects": bisects}
        planned = plan(ready(MANY, key=f"m{stamp}", **budget), history, runner := Slow(word, stamp))
        spare = hunt.kept_for_bisects(planned, history)
        done = run(planned, history, runner, paths, clock=lambda: runner.now, spare=spare)
        return runner.now, sum(result.word != "waiting" for result in history.results(done.id))

    one("good", 0)
    return one


def test_a_share_of_the_time_is_kept_for_bisects_once_one_is_wanted(slow_night):
    assert slow_night("bad", 1, seconds=100.0) == (70.0, 7)


def test_a_night_in_which_nothing_new_fails_has_all_of_its_time(slow_night):
    assert slow_night("good", 1, seconds=100.0) == (100.0, 10)
    assert slow_night("bad", 2) == (200.0, 20)
    assert slow_night("bad", 3, seconds=100.0) == (100.0, 10), "what fails since yesterday waits for no bisect"


def test_what_the_last_night_had_no_time_to_bisect_has_its_share_tonight(slow_night, history, paths):
    slow_night("bad", 1)
    newest = history.runs(name="nightly", limit=1)[0]
    change = history.night(newest.id).changes[0]
    history.record_bisect(newest.id, hunt.nobody(change, "not bisected: the night's time is over", late=True))
    assert slow_night("bad", 2, seconds=100.0)[0] == 70.0


def test_nothing_is_kept_where_the_file_says_so(slow_night):
    assert slow_night("bad", 1, seconds=100.0, bisects=0.0) == (100.0, 10)
