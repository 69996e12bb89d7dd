"""A worker that falls silent and comes back later: its work was given to another meanwhile, and what it brings then is
not counted again. Stopped by SIGSTOP, it keeps its connections, as a machine does that swaps or whose disk hangs."""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.bisect import engine
from lab.bisect.choose import Outlook
from lab.bisect.engine import Hands, run
from lab.bisect.graph import line_graph
from lab.bisect.journal import opened
from lab.bisect.plan import Rules
from lab.bisect.records import Boot, Build
from lab.paths import Paths
from lab.remote.cluster import Lonely, await_workers, cluster
from lab.remote.spec import parse
from lab.remote.steady import Post, Steady
from tests.matrix.made import jobs
from tests.remote.simulated import Kernels, Prober, done, note

from .conftest import wait_for
from .site import kill, site
from .test_restart import in_thread, night

pytestmark = pytest.mark.faults
POINTS, FIRST_BAD = 40, 23
GUEST = "guest-x86_64"
SILENCE = "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL"
"""After how long a silence a scheduler gives a worker up; five minutes by default."""
HELD_SECONDS = 240.0


def held(folder, what):
    """Say that ``what`` begins, wait while this process is held, and say that it is over."""
    here = Path(folder)
    note(folder, f"begin {os.getpid()} {what}")
    limit = time.monotonic() + HELD_SECONDS
    while (here / "hold").exists() and not (here / f"go-{os.getpid()}").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    note(folder, f"end {os.getpid()} {what}")


@dataclass(frozen=True)
class Held(Prober):
    """A series whose probes take as long as the test wishes."""

    def build(self, point, worker):
        held(self.folder, f"build {point}")
        return Build(point, f"image{point}", 0.1, where=str(os.getpid()))

    def boot(self, point, worker):
        held(self.folder, f"boot {point}")
        word = "bad" if point >= self.first_bad else "good"
        return Boot(point, word, word, image=f"image{point}", signature="bug:f", where=str(os.getpid()))


@dataclass(frozen=True)
class HeldKernels(Kernels):
    """Cells that take as long as the test wishes."""

    def fill(self, cell):
        held(self.folder, cell.job.cell.key)
        return super().fill(cell)


@dataclass
class Work:
    """What workers did: (begin or end, process, what) in its order."""

    folder: Path

    @property
    def lines(self):
        split = (line.split(" ", 2) for line in done(self.folder))
        return [(one[0], int(one[1]), one[2]) for one in split if one[0] in ("begin", "end")]

    def first(self, how, what="", but=0):
        """Who first began or ended something, and what."""
        return next(((pid, it) for h, pid, it in self.lines if h == how and pid != but and what in (it, "")), None)

    def go(self, pid):
        (self.folder / f"go-{pid}").touch()

    def release(self):
        (self.folder / "hold").unlink()


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "hold").touch()
    return Work(folder)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Two workers, and a scheduler that gives up a silent one after five seconds."""
    monkeypatch.setenv(SILENCE, "5s")
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.5)
    with site(tmp_path / "site") as one:
        yield one


def client_of(there, tmp_path):
    return cluster(parse(there.address), (), Paths(tmp_path, tmp_path, tmp_path), lambda *_words, **_more: None)


def bisected(prober, folder, hands=None):
    folder.mkdir()
    with opened(folder / "journal.jsonl") as journal:
        outcome = run(
            line_graph(POINTS), prober, journal, Rules(), view=lambda _events: Outlook(workers=2), hands=hands
        )
        return outcome, [event for event in journal.events if isinstance(event, Build | Boot)]


def counted(events):
    """How often each build and each boot was written down."""
    return Counter((type(event).__name__, event.point) for event in events)


def silenced(work):
    """Stop who began first, with all its processes, and wait until another has begun the same; both and what it is."""
    wait_for(lambda: work.first("begin"), 120)
    silent, what = work.first("begin")
    os.killpg(os.getpgid(silent), signal.SIGSTOP)
    wait_for(lambda: work.first("begin", what, but=silent), 120)
    other, _ = work.first("begin", what, but=silent)
    return silent, other, what


def comes_back(work, silent, what):
    """Let it go on with what it was at, and come to an end with that."""
    work.go(silent)
    os.killpg(os.getpgid(silent), signal.SIGCONT)
    wait_for(lambda: ("end", silent, what) in work.lines, 60)


@pytest.mark.parametrize("when", ["before the other's result", "after the other's result"])
def test_the_late_result_of_a_bisects_probe_is_not_counted_again(there, work, tmp_path, when):
    (tmp_path / "own").mkdir()
    alone, own = bisected(Prober(str(tmp_path / "own"), FIRST_BAD, 0.0), tmp_path / "alone")
    told = []
    with client_of(there, tmp_path) as client:
        await_workers(client, GUEST, 2)
        hands = Hands(Steady(Post(client), {GUEST: 1}), Lonely(client, GUEST, told.append).check)
        join = in_thread(lambda: bisected(Held(str(work.folder), FIRST_BAD), tmp_path / "cluster", hands))
        silent, other, what = silenced(work)
        if when.startswith("after"):
            work.go(other)
            wait_for(lambda: ("end", other, what) in work.lines, 60)
            (work.folder / f"go-{other}").unlink()
        comes_back(work, silent, what)
        wait_for(lambda: any(line.startswith("come to the cluster") for line in told), 120)
        work.release()
        outcome, events = join()
    ends = [pid for how, pid, it in work.lines if (how, it) == ("end", what)]
    assert ends == ([silent, other] if when.startswith("before") else [other, silent]), "it was done twice, as wished"
    assert outcome.step == alone.step
    assert counted(events) == counted(own), "each build and boot counts as often as on one machine"
    kind, point = what.split()
    (first, *_) = [one for one in events if type(one).__name__.lower() == kind and one.point == int(point)]
    assert first.where == str(other), "what counts is told to be of the one it was given to"
    gone = [line for line in told if line.startswith("gone from the cluster: 1 worker(s)")]
    assert gone, "that one fell silent is said"


def test_the_late_result_of_a_cell_is_not_counted_again(there, work, tmp_path):
    members = jobs(labels=("base", "end", "fix"))
    with client_of(there, tmp_path) as client:
        await_workers(client, GUEST, 2)
        join = in_thread(lambda: night(client, HeldKernels(str(work.folder)), members, tmp_path / "night"))
        wait_for(lambda: work.first("begin"), 120)
        silent, what = work.first("begin")
        os.killpg(os.getpgid(silent), signal.SIGSTOP)
        # The other may be at a cell of its own; it goes on with that, and then takes this one.
        wait_for(lambda: work.first("begin", but=silent), 120)
        other, _ = work.first("begin", but=silent)
        work.go(other)
        wait_for(lambda: work.first("end", what, but=silent), 120)
        comes_back(work, silent, what)
        work.release()
        results, recorded = join()
    assert len([it for how, _, it in work.lines if (how, it) == ("end", what)]) == 2, "it was done twice, as wished"
    assert {one.cell.key: one.word for one in results} == {
        one.cell.key: "bad" if one.cell.label == "end" else "good" for one in members
    }
    assert set(recorded.values()) == {1}, "nothing is counted twice"
    (mine,) = [one for one in results if one.cell.key == what]
    assert {attempt.where for attempt in mine.attempts} == {str(other)}


def test_a_worker_whose_host_is_gone_for_good_costs_time_alone(there, work, tmp_path):
    """It never comes back, and its connections never break."""
    (tmp_path / "own").mkdir()
    alone, own = bisected(Prober(str(tmp_path / "own"), FIRST_BAD, 0.0), tmp_path / "alone")
    with client_of(there, tmp_path) as client:
        await_workers(client, GUEST, 2)
        hands = Hands(Steady(Post(client), {GUEST: 1}), Lonely(client, GUEST).check)
        join = in_thread(lambda: bisected(Held(str(work.folder), FIRST_BAD), tmp_path / "cluster", hands))
        silent, _, _ = silenced(work)
        work.release()
        outcome, events = join()
        stopped = next(one for one in there.workers if os.getpgid(silent) == one.pid)
        kill(stopped)
    assert outcome.step == alone.step
    assert counted(events) == counted(own)
