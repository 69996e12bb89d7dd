"""Bisects that new failures start: which, and what becomes of them when the night's time is over."""

import time
from dataclasses import replace

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
