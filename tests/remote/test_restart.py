"""A scheduler that is killed in the middle and comes back, and people who use the same workers at once."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.bisect.choose import Outlook
from lab.bisect.engine import Hands, run
from lab.bisect.graph import line_graph
from lab.bisect.journal import opened
from lab.bisect.plan import Rules
from lab.bisect.records import Boot, Build
from lab.history.database import connect, database_url
from lab.history.store import History
from lab.matrix.run import plan
from lab.matrix.run import run as run_matrix
from lab.paths import Paths
from lab.remote import cellwork
from lab.remote.cells import Elsewhere, Many, Sending, Workers
from lab.remote.cluster import Lonely, await_workers, cluster, known
from lab.remote.spec import parse
from lab.remote.steady import Post, Steady
from tests.matrix.made import Fake, jobs, ready
from tests.remote.simulated import Kernels, Prober, Simulating, done

from .conftest import SIX_CELLS, stock, wait_for, words_of
from .site import site

pytestmark = pytest.mark.faults
POINTS = 40
GUEST = "guest-x86_64"


def quiet(*_arguments, **_more):
    """No progress."""


def client_of(address, tmp_path):
    return cluster(parse(address), (), Paths(tmp_path, tmp_path, tmp_path), quiet)


def even(_events):
    return Outlook(workers=2)


def bisected(prober, folder, hands=None, first_bad=None):
    """The patch that is found, and what the journal has."""
    folder.mkdir(exist_ok=True)
    with opened(folder / "journal.jsonl") as journal:
        outcome = run(line_graph(POINTS), prober, journal, Rules(), view=even, hands=hands)
        events = [event for event in journal.events if isinstance(event, Build | Boot)]
    return outcome, events


def twice(events):
    """What was counted more than once."""
    builds = Counter(event.point for event in events if isinstance(event, Build))
    return [point for point, count in builds.items() if count > 1]


def words(events):
    return {event.point: event.word for event in events if isinstance(event, Boot)}


def in_thread(call):
    """Start ``call``; what joins it and gives what it returned."""
    got = []

    def body():
        try:
            got.append(call())
        except BaseException as error:
            got.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()

    def join(seconds=300):
        thread.join(seconds)
        assert got, "it did not end"
        if isinstance(got[0], BaseException):
            raise got[0]
        return got[0]

    return join


def test_a_bisect_goes_on_when_its_scheduler_was_restarted(tmp_path):
    alone, own = bisected(Prober(str(tmp_path), 23, 0.0), tmp_path / "alone")
    work = tmp_path / "work"
    work.mkdir()
    with site(tmp_path / "site") as there, client_of(there.address, tmp_path) as client:
        await_workers(client, GUEST, 2)
        hands = Hands(Steady(Post(client), {GUEST: 1}), Lonely(client, GUEST).check)
        join = in_thread(lambda: bisected(Prober(str(work), 23), tmp_path / "cluster", hands))
        wait_for(lambda: len(done(work)) >= 3, 60)
        there.restart_scheduler()
        outcome, events = join()
    assert outcome.step == alone.step
    assert words(events) == words(own)
    assert twice(events) == []


def matrix_hands(client, kernels, members, paths):
    """Hands that simulate ``kernels`` on the client's workers."""
    workers = Workers(lambda: known(client), 60.0)
    workers.refresh()
    wanted = {one.kernel: cellwork.Wanted(b"{}", one.kernel, 0, "t", "t", "v", "k") for one in members}

    post = Post(client)

    def to(asked):
        return Simulating(post, kernels, asked)

    return Many(workers, Sending(to, workers, lambda _job: {GUEST: 1.0}, wanted=wanted, paths=paths))


def night(client, kernels, members, folder):
    """A run of the matrix; its results, and how often each was recorded."""
    paths = Paths(cache=folder / "cache", data=folder / "data", config=folder / "config")
    history = History(connect(database_url(paths)))
    recorded = Counter()
    keep = history.record_result

    def record(result, by=""):
        recorded[result.cell.key] += 1
        keep(result, by)

    history.record_result = record
    try:
        far = Elsewhere(Fake(), False)
        planned = plan(ready(members), history, far)
        run_id = run_matrix(planned, history, far, paths, hands=matrix_hands(client, kernels, members, paths)).id
        return history.results(run_id), recorded
    finally:
        history.close()


def test_a_matrix_goes_on_when_its_scheduler_was_restarted_and_a_worker_died(tmp_path):
    members = jobs(labels=("base", "end", "fix", "1", "2"))
    work = tmp_path / "work"
    work.mkdir()
    with site(tmp_path / "site") as there, client_of(there.address, tmp_path) as client:
        await_workers(client, GUEST, 2)
        join = in_thread(lambda: night(client, Kernels(str(work)), members, tmp_path / "night"))
        wait_for(lambda: len(done(work)) >= 5, 60)
        there.restart_scheduler()
        wait_for(lambda: len(done(work)) >= 10, 90)
        os.killpg(there.workers[0].pid, signal.SIGKILL)
        results, recorded = join()
    assert {one.cell.key: one.word for one in results} == {
        one.cell.key: "bad" if one.cell.label == "end" else "good" for one in members
    }
    assert set(recorded.values()) == {1}, "nothing is counted twice"
    assert all(attempt.where for one in results for attempt in one.attempts), "it says where each ran"


def test_a_scheduler_that_does_not_come_back_ends_it_with_one_line(tmp_path, monkeypatch):
    from lab.remote import cluster as module

    monkeypatch.setattr(module, "START_SECONDS", 5.0)
    with site(tmp_path / "site", workers=1) as there, client_of(there.address, tmp_path) as client:
        await_workers(client, GUEST, 1)
        hands = Hands(Steady(Post(client), {GUEST: 1}), Lonely(client, GUEST).check)
        (tmp_path / "work").mkdir()
        join = in_thread(lambda: bisected(Prober(str(tmp_path / "work"), 23), tmp_path / "cluster", hands))
        wait_for(lambda: done(tmp_path / "work"), 60)
        os.killpg(there.scheduler.pid, signal.SIGKILL)
        with pytest.raises(module.InfrastructureError, match="the scheduler does not answer any more"):
            join()
    _, events = bisected(Prober(str(tmp_path / "work"), 23, 0.0), tmp_path / "cluster")
    assert words(events)[23] == "bad", "what was known is in the journal, and the same goes on from there"
    assert twice(events) == []


def test_two_people_on_the_same_workers_do_not_get_each_other_s_results(tmp_path):
    """The same cells and points for both, of kernels that differ: by one scheduler at once, and by two whose workers
    share a machine."""
    members = jobs(labels=("base", "end", "fix"))
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
    with (
        site(tmp_path / "site", workers=2) as there,
        site(tmp_path / "second", workers=1) as second,
        client_of(there.address, tmp_path) as one,
        client_of(there.address, tmp_path) as two,
        client_of(second.address, tmp_path) as three,
    ):
        await_workers(one, GUEST, 2)
        await_workers(three, GUEST, 1)
        ann = in_thread(lambda: night(one, Kernels(str(tmp_path / "ann"), ("end",)), members, tmp_path / "a"))
        bob = in_thread(lambda: night(two, Kernels(str(tmp_path / "bob"), ("base",)), members, tmp_path / "b"))
        cid_hands = Hands(Steady(Post(three), {GUEST: 1}), Lonely(three, GUEST).check)
        dan_hands = Hands(Steady(Post(two), {GUEST: 1}), Lonely(two, GUEST).check)
        cid = in_thread(lambda: bisected(Prober(str(tmp_path / "ann"), 7, 0.05), tmp_path / "c", cid_hands))
        dan = in_thread(lambda: bisected(Prober(str(tmp_path / "bob"), 31, 0.05), tmp_path / "d", dan_hands))
        nights, hunts = (ann(), bob()), (cid(), dan())
    for (results, recorded), bad in zip(nights, ("end", "base"), strict=True):
        assert {one.cell.label for one in results if one.word == "bad"} == {bad}
        assert set(recorded.values()) == {1}
    for (outcome, events), first_bad in zip(hunts, (7, 31), strict=True):
        assert outcome.step.candidates == (first_bad,)
        assert twice(events) == []


@pytest.mark.build
@pytest.mark.boot
def test_real_boots_give_the_same_verdicts_through_a_restart(tmp_path):
    """A real bisect whose scheduler is killed after its first boot."""
    cache = tmp_path / "site" / "cache"
    stock(cache)
    with site(tmp_path / "site") as there:
        argv = [sys.executable, "-m", "lab", "bisect", "early-policy", "--cluster", there.address, "--json"]
        call = subprocess.Popen(argv, env=there.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def booted():
            journals = list((cache / "bisects").glob("*.jsonl"))
            return call.poll() is not None or (journals and '"boot"' in journals[0].read_text())

        wait_for(booted, 600)
        assert call.poll() is None, call.communicate()
        there.restart_scheduler()
        out, said = call.communicate(timeout=900)
    document = json.loads(out)
    assert call.returncode == 0, said
    assert document["first_bad"]["index"] == 6
    assert all(check["holds"] for check in document["proof"])


@pytest.mark.build
@pytest.mark.boot
def test_a_matrix_of_real_boots_comes_to_the_same_through_a_restart(tmp_path):
    """The scheduler is killed while the third and fourth guest run. One machine says what has to come of it."""
    file = tmp_path / "six.toml"
    file.write_text(SIX_CELLS)
    stock(tmp_path / "site" / "cache")
    stock(tmp_path / "alone")
    with site(tmp_path / "site") as there:
        argv = [sys.executable, "-m", "lab", "matrix", "run", str(file), "--json"]
        env = there.environment
        call = subprocess.Popen(
            [*argv, "--cluster", there.address], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        boots = tmp_path / "site" / "cache" / "boots"
        wait_for(lambda: call.poll() is not None or len(list(boots.glob("*-*-*"))) >= 3, 600)
        assert call.poll() is None, call.communicate()
        there.restart_scheduler()
        out, said = call.communicate(timeout=900)
    assert call.returncode == 0, said
    found = json.loads(out)
    env = {**env, "LAB_CACHE": str(tmp_path / "alone"), "LAB_DATA": str(tmp_path / "data")}
    alone = json.loads(subprocess.run(argv, env=env, capture_output=True, check=True, timeout=900).stdout)
    assert words_of(found) == words_of(alone)
    assert len(found["results"]) == len(words_of(found)) == 6, "nothing is lost, and nothing counted twice"
    assert all(attempt["where"] for one in found["results"] for attempt in one["attempts"])
