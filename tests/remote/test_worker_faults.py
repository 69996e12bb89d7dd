"""Workers that lie, whose clock lies, whose line is bad: on a real Dask scheduler, with work that is made up. After
each the same patch is found as without them, every probe is counted once, and it is said who did what."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.bisect.choose import Outlook
from lab.bisect.engine import Hands, run
from lab.bisect.graph import line_graph
from lab.bisect.journal import opened
from lab.bisect.plan import Rules
from lab.bisect.records import Boot, Build
from lab.bisect.target import Target
from lab.paths import Paths
from lab.remote.cluster import Lonely, await_workers, cluster
from lab.remote.probes import Checked, Sent
from lab.remote.spec import parse
from lab.remote.steady import Post, Steady
from lab.report.plain import one_line
from tests.remote.simulated import Prober, done

from .conftest import wait_for
from .line import line_to
from .site import site

pytestmark = pytest.mark.faults
POINTS, FIRST_BAD = 24, 15
GUEST = "guest-x86_64"
WAIT_SECONDS = 600.0
PRELOAD = """\
import itertools, time
import msgspec
import lab.remote.work as work
from lab.bisect.records import Build
from lab.remote import wire
from lab.remote.work import Made
from tests.remote.simulated import Prober, note

count = itertools.count()
GARBAGE = [
    lambda wanted: "garbage",
    lambda wanted: None,
    lambda wanted: Made(b"\\xff\\xfe", where="liar"),
    lambda wanted: Made(msgspec.json.encode(Build(wanted.point + 1, "x")), where="liar\\x1b[2J"),
    lambda wanted: Made(b'{"event":"boot","point":%d,"word":"fine","reason":""}' % wanted.point, where="liar"),
    lambda wanted: Made(problem=wire.Problem("infrastructure", "no space left on device"), where="full"),
    lambda wanted: 1 / 0,
]

def honest(wanted):
    prober = Prober(FOLDER, FIRST_BAD, SECONDS)
    event = prober.build(wanted.point, 0) if wanted.what == "build" else prober.boot(wanted.point, 0)
    return Made(msgspec.json.encode(event), where="honest")

def garbage(wanted):
    note(FOLDER, "garbage")
    return GARBAGE[next(count) % len(GARBAGE)](wanted)

"""


def worker(there, what, seconds=0.05, address="", before=()):
    """A worker whose work is made up: ``honest`` or ``garbage``."""
    file = there.folder / f"{what}.py"
    given = f"FOLDER, FIRST_BAD, SECONDS = {str(there.folder)!r}, {FIRST_BAD}, {seconds}\n"
    file.write_text(f"{given}{PRELOAD}work.do = {what}\n")
    argv = [*before, sys.executable, "-m", "lab", "hosts", "worker", address or there.address]
    env = {**there.environment, "DASK_DISTRIBUTED__WORKER__PRELOAD": str(file)}
    with (there.folder / f"log-{what}").open("ab") as log:
        process = subprocess.Popen(argv, env=env, stdout=log, stderr=log, process_group=0)
    there.workers.append(process)
    return process


def even(_events):
    return Outlook(workers=2)


@pytest.fixture
def alone(tmp_path):
    """What one machine finds."""
    return hunt(Prober(str(tmp_path), FIRST_BAD, 0.0), tmp_path / "alone")


def hunt(prober, folder, hands=None):
    folder.mkdir()
    with opened(folder / "journal.jsonl") as journal:
        outcome = run(line_graph(POINTS), prober, journal, Rules(), view=even, hands=hands)
        return outcome, [event for event in journal.events if isinstance(event, Build | Boot)]


class Here(Sent):
    """What the workers can't do, this process does."""

    def prober(self):
        return Prober(str(self.paths.cache), FIRST_BAD, 0.0)

    def build(self, point, worker):
        return self.prober().build(point, worker)

    def boot(self, point, worker):
        return self.prober().boot(point, worker)


def by(client, tmp_path, told):
    """A bisect whose probes a cluster does."""
    sent = Here(b"{}", Target("bug:f"), POINTS - 1, Paths(tmp_path, tmp_path, tmp_path))
    hands = Hands(Checked(Steady(Post(client), {GUEST: 1}), sent, told.append), Lonely(client, GUEST).check)
    return hunt(sent, tmp_path / "cluster", hands)


def client_of(there, tmp_path):
    return cluster(parse(there.address), (), Paths(tmp_path, tmp_path, tmp_path), lambda *_words, **_more: None)


def words(events):
    return {event.point: event.word for event in events if isinstance(event, Boot)}


def assert_same(found, alone):
    (outcome, events), (expected, own) = found, alone
    assert outcome.step == expected.step
    assert (
        words(events).items() >= {point: word for point, word in words(own).items() if point in words(events)}.items()
    )
    builds = Counter(event.point for event in events if isinstance(event, Build))
    assert not [point for point, count in builds.items() if count > 1], "a build was counted twice"


def test_a_worker_that_answers_garbage_changes_no_verdict(tmp_path, alone):
    told = []
    with site(tmp_path / "site", workers=0) as there:
        worker(there, "garbage")
        worker(there, "honest")
        with client_of(there, tmp_path) as client:
            await_workers(client, GUEST, 2, WAIT_SECONDS)
            found = by(client, tmp_path, told)
        lies = done(there.folder).count("garbage")
    assert_same(found, alone)
    assert lies > 0, "nobody lied, so nothing was tried"
    assert told, "who lied is said"
    assert all(one_line(line).endswith(" here") and len(line) < 500 for line in told)
    assert len(told) <= lies


def test_only_liars_leave_the_work_to_the_one_who_asks(tmp_path, alone):
    told = []
    with site(tmp_path / "site", workers=0) as there:
        worker(there, "garbage")
        with client_of(there, tmp_path) as client:
            await_workers(client, GUEST, 1, WAIT_SECONDS)
            found = by(client, tmp_path, told)
    assert_same(found, alone)
    assert len(told) == len(found[1])


def test_a_worker_whose_clock_is_a_day_behind_changes_nothing(tmp_path, alone):
    import shutil

    if shutil.which("faketime") is None:
        pytest.skip("no faketime here: apt-get install faketime")
    told = []
    with site(tmp_path / "site", workers=0) as there:
        worker(there, "honest", before=("faketime", "-f", "-1d"))
        worker(there, "honest")
        with client_of(there, tmp_path) as client:
            await_workers(client, GUEST, 2, WAIT_SECONDS)
            found = by(client, tmp_path, told)
    assert_same(found, alone)
    assert told == []


def test_a_line_to_a_worker_that_is_slow_and_cut_costs_time_alone(tmp_path, alone):
    told, found = [], []
    with site(tmp_path / "site", workers=0) as there:
        port = int(there.address.rpartition(":")[2])
        with line_to(port, delay=0.03, jitter=0.01, loss=0.02) as line:
            worker(there, "honest", 0.3, f"tcp://127.0.0.1:{line.port}")
            worker(there, "honest", 0.3)
            with client_of(there, tmp_path) as client:
                await_workers(client, GUEST, 2, WAIT_SECONDS)
                thread = threading.Thread(target=lambda: found.append(by(client, tmp_path, told)), daemon=True)
                thread.start()
                wait_for(lambda: len(done(there.folder)) >= 2 or not thread.is_alive(), 60)
                assert thread.is_alive(), "it was over before the line was cut"
                line.cut()
                time.sleep(3)
                line.mend()
                thread.join(240)
            assert line.cuts == 1, "it was not cut"
    assert found, "it did not end"
    assert_same(found[0], alone)


def test_a_worker_that_is_killed_in_mid_work_costs_time_alone(tmp_path, alone):
    told, found = [], []
    with site(tmp_path / "site", workers=0) as there:
        first = worker(there, "honest", 0.5)
        worker(there, "honest", 0.5)
        with client_of(there, tmp_path) as client:
            await_workers(client, GUEST, 2, WAIT_SECONDS)
            thread = threading.Thread(target=lambda: found.append(by(client, tmp_path, told)), daemon=True)
            thread.start()
            wait_for(lambda: len(done(there.folder)) >= 2 or not thread.is_alive(), 60)
            os.killpg(first.pid, 9)
            thread.join(240)
    assert found, "it did not end"
    assert_same(found[0], alone)
