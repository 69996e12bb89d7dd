"""The loop: everything is on disk before the next begins, and a kill at any moment changes nothing of the answer."""

import importlib.util
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from lab.bisect.choose import Outlook
from lab.bisect.engine import run
from lab.bisect.graph import line_graph
from lab.bisect.journal import Journal, append, opened, read
from lab.bisect.plan import Found, Rules
from lab.bisect.records import Boot, Build, Told, rejudged, tallies
from lab.errors import InfrastructureError

spec = importlib.util.spec_from_file_location("bisect_points", Path(__file__).with_name("conftest.py"))
points = importlib.util.module_from_spec(spec)
sys.modules["bisect_points"] = points
spec.loader.exec_module(points)
Points, plain_view, asked = points.Points, points.plain_view, points.asked


def bisect(journal, culprit, last=20, view=plain_view, rules=None, **how):
    return run(line_graph(last), Points(journal, culprit, **how), journal, rules or Rules(), view=view)


def test_everything_is_in_the_journal_before_the_next_begins(tmp_path):
    path = tmp_path / "a.jsonl"
    with opened(path) as journal:
        seen = []
        prober = Points(journal, 5, work=lambda: seen.append(len(read(path)[0]) if path.exists() else 0))
        run(line_graph(20), prober, journal, Rules(), view=plain_view)
    assert seen == list(range(len(seen)))


def test_what_is_known_is_not_done_again(tmp_path):
    path = tmp_path / "a.jsonl"
    with opened(path) as journal:
        first = bisect(journal, 7)
    with opened(path) as journal:
        prober = Points(journal, 7)
        again = run(line_graph(20), prober, journal, Rules(), view=plain_view)
    assert prober.calls == []
    assert again.step == first.step


def test_an_image_that_was_booted_already_is_not_booted_again():
    journal = Journal()
    prober = Points(journal, 5, images={4: 3, 6: 5})
    outcome = run(line_graph(9), prober, journal, Rules(), view=plain_view)
    assert outcome.step.candidates == (5,)
    booted = {point for what, point in prober.calls if what == "boot"}
    assert not {3, 4} <= booted
    assert not {5, 6} <= booted


def test_a_patch_whose_image_is_the_one_before_is_never_blamed():
    journal = Journal()
    outcome = bisect(journal, 4, last=6, images={4: 3, 5: 3}, others=())
    assert isinstance(outcome.step, Found) is False or not {4, 5} & set(outcome.step.candidates)


def test_another_crash_is_stepped_around_and_the_range_is_told():
    outcome = bisect(Journal(), 6, last=12, others=(5, 6, 7))
    assert outcome.step.candidates == (5, 6, 7, 8)
    assert (outcome.step.good, outcome.step.bad) == ((4,), 8)


def test_what_does_not_build_is_built_once():
    journal = Journal()
    prober = Points(journal, 6, unbuilt=(5, 6))
    outcome = run(line_graph(12), prober, journal, Rules(), view=plain_view)
    assert outcome.step.candidates == (5, 6, 7)
    assert prober.calls.count(("build", 5)) == 1


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_with_several_workers_the_answer_is_the_same(workers):
    def view(_events):
        return Outlook(workers=workers)

    for culprit in (1, 8, 20):
        assert bisect(Journal(), culprit, view=view).step.candidates == (culprit,)


def test_what_the_others_came_to_is_kept_where_one_worker_fails():
    journal = Journal()

    class Breaks(Points):
        def build(self, point, worker):
            if point != 20 and worker == 0:
                raise InfrastructureError("the disk is full")
            return super().build(point, worker)

    with pytest.raises(InfrastructureError, match="disk is full"):
        run(line_graph(20), Breaks(journal, 5), journal, Rules(), view=lambda _events: Outlook(workers=3))
    assert sum(isinstance(event, Build) for event in journal.events) == 3


def killed(path, culprit, rate, after):
    """Bisect in a process of its own, which is killed ``after`` seconds; whether it came to its end before."""
    child = os.fork()
    if child == 0:
        try:
            with opened(path, wait=10) as journal:
                bisect(journal, culprit, rate=rate, work=lambda: time.sleep(0.0005))
            os._exit(0)
        except BaseException:
            os._exit(3)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFEXITED(status)


@pytest.mark.system
def test_killed_a_hundred_times_it_ends_with_the_same_answer(tmp_path):
    chance = random.Random(11)
    kills = rounds = 0
    while kills < 100:
        culprit, rate = chance.randint(1, 20), chance.choice([1.0, 0.5, 0.2])
        whole = Journal()
        expected = bisect(whole, culprit, rate=rate)
        path = tmp_path / f"{rounds}.jsonl"
        for _ in range(12):
            kills += not killed(path, culprit, rate, chance.uniform(0.0, 0.03))
        with opened(path) as journal:
            outcome = bisect(journal, culprit, rate=rate)
            assert outcome.step == expected.step
            assert journal.events == whole.events, "no probe was lost and none was made twice"
        rounds += 1
        assert rounds < 60, "this machine is too quick for the kills to hit"


def test_a_journal_cut_anywhere_goes_on(tmp_path):
    path = tmp_path / "a.jsonl"
    with opened(path) as journal:
        expected = bisect(journal, 7)
    data = path.read_bytes()
    chance = random.Random(3)
    for cut in [0, len(data) - 1, *(chance.randrange(len(data)) for _ in range(20))]:
        path.write_bytes(data[:cut])
        with opened(path) as journal:
            assert bisect(journal, 7).step == expected.step
        assert path.read_bytes() == data


def test_a_line_that_nobody_can_read_only_costs_its_probe(tmp_path):
    path = tmp_path / "a.jsonl"
    append(path, Told(3, "good"))
    with path.open("ab") as file:
        file.write(b'{"event":"boot","point":"x"}\n[[[[\n\xff\n')
    append(path, Told(4, "bad"))
    events, lost = read(path)
    assert events == [Told(3, "good"), Told(4, "bad")]
    assert lost == 3


def test_two_at_the_same_bisect_are_refused(tmp_path):
    held, again = opened(tmp_path / "a.jsonl"), opened(tmp_path / "a.jsonl", wait=0.05)
    with held, pytest.raises(InfrastructureError, match="has held this lock"), again:
        pass


def test_boots_can_be_judged_by_another_bug():
    journal = Journal()
    bisect(journal, 6, last=12, others=(8, 9))
    judged = rejudged(journal.events, lambda sight: sight.signature == points.OTHER.signature)
    assert {event.word for event in judged if isinstance(event, Boot) and event.point == 12} == {"other"}
    known = tallies(judged)
    assert all(known[point].bad for point in (8, 9) if point in known)
