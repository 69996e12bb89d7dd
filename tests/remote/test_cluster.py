"""A cluster's workers as the hands of a bisect: the same answers, and what a worker says is looked at."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from functools import partial

import msgspec
import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.bisect.records import Boot, Build
from lab.bisect.target import Target
from lab.errors import InfrastructureError, UserError
from lab.paths import Paths
from lab.remote import wire
from lab.remote.probes import Checked, Sent
from lab.remote.spec import Spec, parse
from lab.remote.work import Lacking, Made, do, kept, place_of, request_kept

from .conftest import SIX_CELLS, free_port, stock, wait_for, without_lines, words_of
from .world import make_world


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("local", Spec(count=1)),
        ("local:4", Spec(count=4)),
        ("tcp://10.0.0.1:8786", Spec(address="tcp://10.0.0.1:8786")),
        ("tls://[2001:db8::1]:8786", Spec(address="tls://[2001:db8::1]:8786")),
        ("ssh:one,two,one", Spec(hosts=("one", "two"))),
        ("slurm:8", Spec(slurm=8)),
    ],
)
def test_a_cluster_is_named(text, spec):
    assert parse(text) == spec


@pytest.mark.parametrize(
    "text", ["", "local:0", "local:9999", "tcp://", "tcp://host", "ssh:", "ssh:,", "slurm:0", "http://x:1", "3"]
)
def test_what_is_no_cluster_is_refused(text):
    with pytest.raises(UserError, match="--cluster"):
        parse(text)


class Said:
    """An executor whose worker says ``made`` whatever it is asked."""

    def __init__(self, made):
        self.made = made

    def submit(self, fn, *args):
        assert fn is do
        future = Future()
        if isinstance(self.made, Exception):
            future.set_exception(self.made)
        else:
            future.set_result(self.made)
        return future


class Here(Sent):
    """Does itself what the worker did not."""

    def boot(self, point, worker):
        return msgspec.structs.replace(BAD, point=point, reason="here")


def asked(made, tmp_path, told=None):
    sent = Here(b"{}", Target(), 3, Paths(tmp_path, tmp_path, tmp_path))
    tell = [].append if told is None else told.append
    return Checked(Said(made), sent, tell).submit(partial(sent.boot, 3), 0), sent


BAD = Boot(3, "bad", "kernel BUG in f", signature="bug:f")


@pytest.mark.parametrize(
    "made",
    [
        "garbage",
        None,
        Made(b"\xff\xfe"),
        Made(b"[" * 100_000),
        Made(b'{"event":"boot","point":3,"word":"fine","reason":""}'),
        Made(msgspec.json.encode(msgspec.structs.replace(BAD, point=2))),
        Made(msgspec.json.encode(Build(3, "x"))),
        Made(problem=wire.Problem("infrastructure", "the disk is full")),
        RuntimeError("a worker died\nand a long story"),
    ],
)
def test_garbage_from_a_worker_is_no_verdict_and_its_probe_is_made_here(tmp_path, made):
    told = []
    future, sent = asked(made, tmp_path, told)
    assert future.result(timeout=5).reason == "here"
    (line,) = told
    assert line.endswith("; point 3 is booted here")
    assert "\n" not in line
    assert not sent.target


def test_a_probe_says_which_worker_did_it(tmp_path):
    lying = msgspec.structs.replace(BAD, where="somebody else")
    future, _ = asked(Made(msgspec.json.encode(lying), where="attic/w" + "x" * 500), tmp_path)
    boot = future.result(timeout=5)
    assert boot.where.startswith("attic/wx")
    assert len(boot.where) == 200
    assert boot == msgspec.structs.replace(BAD, where=boot.where, document=boot.document)


def test_a_worker_that_lacks_the_case_is_sent_it(tmp_path):
    told, seen = [], []

    class Lacks(Said):
        def submit(self, fn, wanted):
            seen.append(wanted)
            self.made = Made(msgspec.json.encode(BAD), where="w") if wanted.request else Made(where="w", lacks=True)
            return super().submit(fn, wanted)

    sent = Here(b"{}", Target(), 3, Paths(tmp_path, tmp_path, tmp_path))
    future = Checked(Lacks(None), sent, told.append).submit(partial(sent.boot, 3), 0)
    assert future.result(timeout=5).where == "w"
    assert [one.request for one in seen] == [b"", b"{}"]
    assert told == []


def test_a_worker_that_lacks_what_it_was_sent_is_left(tmp_path):
    told = []
    future, _ = asked(Made(where="w", lacks=True), tmp_path, told)
    assert future.result(timeout=5).reason == "here"
    assert told == ["worker on w lacks the case that it was sent; point 3 is booted here"]


def test_a_worker_keeps_a_case_by_its_hash_for_all_of_its_machine(tmp_path):
    paths = Paths(tmp_path, tmp_path, tmp_path)
    data = b'{"a": 1}'
    key = hashlib.sha256(data).hexdigest()
    with pytest.raises(Lacking):
        request_kept(kept(key, b"", paths), paths)
    assert request_kept(kept(key, data, paths), paths) == data
    assert request_kept(kept(key, b"", paths), paths) == data
    place_of(key, paths).write_bytes(b"damaged")
    with pytest.raises(Lacking):
        request_kept(key, paths)
    assert request_kept(kept(key, data, paths), paths) == data, "what was damaged is replaced"
    with pytest.raises(InfrastructureError, match="damaged on its way"):
        kept(key, b"another", paths)
    with pytest.raises(UserError, match="no hash of a case"):
        place_of("../../x", paths)


class KilledWorker(Exception):
    """As Dask has it."""


@pytest.mark.parametrize(
    "raised",
    [KilledWorker("attempted to run on 3 different workers"), InfrastructureError("the scheduler is gone")],
)
def test_work_that_killed_its_workers_is_not_done_here(tmp_path, raised):
    told = []
    future, _ = asked(raised, tmp_path, told)
    with pytest.raises(InfrastructureError) as error:
        future.result(timeout=5)
    assert "\n" not in str(error.value)
    assert told == []


def test_a_fault_of_the_one_who_asks_is_his(tmp_path):
    future, _ = asked(Made(problem=wire.Problem("user", "another version of the lab")), tmp_path)
    with pytest.raises(UserError, match="another version"):
        future.result(timeout=5)


def test_a_console_of_another_machine_is_kept_here_under_its_boot_alone(tmp_path):
    for path, stays in (
        ("/there/boots/20261125-000000-00000000/console.log", True),
        ("/there/../../x/console.log", False),
    ):
        boot = msgspec.structs.replace(BAD, document={"console": path})
        future, _ = asked(Made(msgspec.json.encode(boot), b"kernel BUG"), tmp_path)
        console = future.result(timeout=5).document["console"]
        assert (console is not None) == stays
    assert (tmp_path / "boots" / "20261125-000000-00000000" / "console.log").read_bytes() == b"kernel BUG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boots"]


OF_THE_RUN = {"probes", "command", "seconds", "spent_seconds"}
"""What a bisect tells of how it went, beside what it came to."""


def answer_of(document):
    """What a bisect came to, and all that it rests on, without the lines of the crash: a guest's clock is in them."""
    assert document["crash"]["text"]
    crash = {**document["crash"], "text": len(document["crash"]["text"])}
    proof = [{**check, "seen": without_lines(check["seen"])} for check in document["proof"]]
    rest = {key: value for key, value in document.items() if key not in OF_THE_RUN}
    return {**rest, "crash": crash, "proof": proof}


def verdict_of(probe):
    """What a point was taken for, and why."""
    same = ("subject", "commit", "verdict", "title", "signature", "boots", "same_image_as")
    return {**{key: probe[key] for key in same}, "reason": without_lines(probe["reason"])}


@pytest.mark.build
@pytest.mark.boot
def test_two_workers_give_the_verdicts_of_one_process(tmp_path):
    documents = []
    for name, more in (("alone", ()), ("cluster", ("--cluster", "local:2"))):
        cache = tmp_path / name
        stock(cache)
        argv = [sys.executable, "-m", "lab", "bisect", "early-policy", "--json", *more]
        env = {**os.environ, "LAB_CACHE": str(cache)}
        done = subprocess.run(argv, env=env, capture_output=True, check=False, timeout=3000)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()[:2000]
        documents.append(json.loads(done.stdout))
    alone, cluster = documents
    assert cluster["first_bad"]["index"] == 6
    assert answer_of(cluster) == answer_of(alone)
    mine, theirs = ({probe["point"]: verdict_of(probe) for probe in one["probes"]} for one in (alone, cluster))
    assert {point: theirs[point] for point in theirs.keys() & mine} == {
        point: mine[point] for point in theirs.keys() & mine
    }
    assert {5, 6, 10} <= theirs.keys() & mine.keys()
    assert all(probe["where"] for probe in cluster["probes"])


@pytest.mark.build
@pytest.mark.boot
def test_a_matrix_comes_to_the_same_on_two_workers(tmp_path):
    (tmp_path / "six.toml").write_text(SIX_CELLS)
    found = []
    for name, more in (("alone", ()), ("cluster", ("--cluster", "local:2"))):
        argv = [sys.executable, "-m", "lab", "matrix", "run", str(tmp_path / "six.toml"), "--json", *more]
        env = {**os.environ, "LAB_DATA": str(tmp_path / name)}
        done = subprocess.run(argv, env=env, capture_output=True, check=False, timeout=3000)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()[:2000]
        document = json.loads(done.stdout)
        found.append(words_of(document))
        attempts = (attempt for one in document["results"] for attempt in one["attempts"])
        assert all(bool(attempt["where"]) == (name == "cluster") for attempt in attempts)
    assert found[0] == found[1]
    assert {key: word for key, (word, _) in found[0].items() if word != "good"} == {
        "early-policy/end/tiny-numa/two-nodes/gcc": "bad",
        "early-policy/end/tiny-numa/one-node/gcc": "bad",
    }


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler of its own, and what starts workers of it."""
    address = f"tcp://127.0.0.1:{free_port()}"
    processes = []

    def start(*words):
        env = {**os.environ, "LAB_CACHE": str(tmp_path / "cache"), "LAB_CONFIG": str(tmp_path / "config")}
        with (tmp_path / f"log{len(processes)}").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", *words], env=env, stdout=log, stderr=log, process_group=0)
        processes.append(process)
        return process

    start("distributed.cli.dask_scheduler", "--host", address, "--no-dashboard")
    yield address, start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.faults
def test_a_worker_that_is_killed_in_mid_build_costs_time_alone(scheduler, tmp_path):
    """Two workers, each with a build that waits; one is killed, and its point is built by the other."""
    address, start = scheduler
    world = make_world(tmp_path / "world")
    world.hold.touch()
    workers = [start("lab", "hosts", "worker", address) for _ in range(2)]
    env = {**os.environ, "LAB_CACHE": str(tmp_path / "cache"), "LAB_CONFIG": str(tmp_path / "config")}
    argv = [sys.executable, "-m", "lab", "bisect", *world.arguments, "--cluster", address, "--json"]
    call = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: world.built or call.poll() is not None, 120)
    assert call.poll() is None, call.communicate()
    os.killpg(workers[0].pid, signal.SIGKILL)
    time.sleep(1)
    world.hold.unlink()
    out, said = call.communicate(timeout=300)
    document = json.loads(out)
    # The fake kernel does not boot, so nobody is blamed: what counts is that there is an answer.
    assert call.returncode in (1, 128), said
    assert "error" in document or document["first_bad"] is None
    journal = next((tmp_path / "cache" / "bisects").glob("*.jsonl")).read_text().splitlines()
    builds = [json.loads(line) for line in journal if json.loads(line)["event"] == "build"]
    assert len(builds) == len({build["point"] for build in builds}), "no build is counted twice"
