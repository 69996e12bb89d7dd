"""A cluster's workers as the hands of a matrix: who gets which cell, and what they say is looked at. Workers and
kernels are made up."""

from concurrent.futures import Executor, Future
from dataclasses import replace

import msgspec
import pytest

from lab.errors import InfrastructureError
from lab.history.consoles import keep_console, read_console
from lab.history.records import Result
from lab.matrix import schedule
from lab.matrix.plan import Costs
from lab.matrix.schedule import Limits, Made, fill
from lab.paths import Paths
from lab.remote import cellwork, wire
from lab.remote.cells import Elsewhere, Many, Sending, Workers, fitted, needs
from tests.matrix.made import MACHINES, Fake, job, jobs, seen

LIMITS = Limits(cores=1, memory=1 << 30)
COSTS = Costs(by_machine=dict.fromkeys(MACHINES, 0.01))
X86 = {"toolchain-t": 1.0, "guest-x86_64": 1.0, "memory": 16.0}
ARM = {"toolchain-t": 1.0, "guest-arm64": 1.0, "memory": 4.0}


class Pool(Executor):
    """Workers in threads, each of which can do some things; ``sent`` notes to which kind of worker what went."""

    def __init__(self, runner, spoil=None):
        self.runner, self.spoil, self.sent = runner, spoil, []

    def __call__(self, asked):
        return Asked(self, asked)


class Asked(Executor):
    def __init__(self, pool, asked):
        self.pool, self.asked = pool, asked

    def submit(self, fn, *args):
        self.pool.sent.append((dict(self.asked), args[0]))
        return schedule.Threads().submit(self.work, fn, args)

    def work(self, fn, args):
        runner = self.pool.runner
        if fn is cellwork.build:
            made = schedule.build_one(runner, args[0].kernel, args[1])
            built = cellwork.Built(made.key, made.release, whole=made.kernel is not None, attempt=made.attempt)
            answer = cellwork.Answer(msgspec.json.encode(built), where="there")
        else:
            cell = args[0]
            terms = schedule.Terms(cell.run, cell.limits, lambda: cell.left)
            result = schedule.fill_one(runner, cell.job, cell.made, terms)
            answer = cellwork.Answer(msgspec.json.encode(result), where="there")
        return self.pool.spoil(fn, answer) if self.pool.spoil else answer


@pytest.fixture
def paths(tmp_path):
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def cluster(members, runner, paths, workers=(X86, X86), *, patience=0.0, spoil=None, clock=None):
    """Hands on made-up workers."""
    look = workers if callable(workers) else lambda: workers
    there = Workers(look, patience, clock=clock or Clock())
    there.refresh()
    wanted = {one.kernel: cellwork.Wanted(b"{}", one.kernel, 0, "t", "t", "v", "k") for one in members}
    pool = Pool(runner, spoil)
    sending = Sending(
        pool,
        there,
        lambda one: {"toolchain-t": 1.0, f"guest-{one.machine.arch}": 1.0, "memory": float(one.machine.memory >> 30)},
        wanted=wanted,
        paths=paths,
    )
    return Many(there, sending), pool


def filled(members, runner, hands, **more):
    results = []
    far = Elsewhere(runner, False)
    left = fill(members, far, LIMITS, COSTS, run="r", record=results.append, hands=hands, **more)
    assert len(results) == len({one.cell.key for one in results}), "nothing is recorded twice"
    return {one.cell.key: one for one in results}, left


def words(results):
    return {key: (one.word, one.reason, len(one.attempts), one.kernel) for key, one in results.items()}


def sight(one, number):
    if one.cell.machine == "two-nodes" and one.cell.label == "end":
        return "bad"
    return "good" if number > 1 or one.cell.label == "end" else "fault"


def test_the_same_verdicts_as_on_one_machine(paths):
    members = jobs(labels=("base", "end", "fix"))
    alone = []
    broken = {"early-policy/fix/tiny-numa/gcc": "a.c:1"}
    runner = Fake(sight)
    runner.fails = broken
    fill(members, runner, LIMITS, COSTS, run="r", record=alone.append)
    twin = Fake(sight)
    twin.fails = broken
    hands, _ = cluster(members, twin, paths)
    found, left = filled(members, twin, hands)
    assert left == ()
    assert words(found) == words({one.cell.key: one for one in alone})
    assert sorted(twin.builds) == sorted(runner.builds), "a kernel is built once for all its machines"


class Forgetful(Pool):
    """Workers that have to be sent each case once, or ``always``."""

    def __init__(self, runner, *, always=False):
        super().__init__(runner)
        self.always, self.known = always, set()

    def __call__(self, asked):
        return Forgetting(self, asked)


class Forgetting(Asked):
    def work(self, fn, args):
        wanted = args[0] if fn is cellwork.build else args[0].wanted
        if self.pool.always or (not wanted.request and wanted.key not in self.pool.known):
            return cellwork.Answer(where="there", lacks=True)
        self.pool.known.add(wanted.key)
        return super().work(fn, args)


def test_a_case_is_sent_to_who_lacks_it_and_its_hash_to_all_others(paths):
    members = jobs(labels=("base", "end", "fix"))
    runner = Fake(sight)
    hands, _ = cluster(members, runner, paths)
    pool = hands.executor.to = Forgetful(runner)
    found, left = filled(members, runner, hands)
    assert left == ()
    assert {one.word for one in found.values()} <= {"good", "bad"}
    whole = [one for _, one in pool.sent if (one if isinstance(one, cellwork.Wanted) else one.wanted).request]
    assert 1 <= len(whole) <= 2, "one for each of two that asked at once"
    assert len(pool.sent) == len(members) + 3 + len(whole)
    assert hands.load.total() == 0
    assert len(runner.boots) == sum(len(one.attempts) for one in found.values())


def test_who_lacks_a_case_that_it_was_sent_is_no_worker(paths):
    members = [job("base", "one-node")]
    runner = Fake(stored=[members[0].kernel])
    hands, _ = cluster(members, runner, paths)
    hands.executor.to = Forgetful(runner, always=True)
    (found,) = filled(members, runner, hands)[0].values()
    assert found.word == "infrastructure"
    assert "worker on there lacks the case that it was sent" in found.reason


def test_as_many_at_once_as_there_are_workers_and_builds_leave_room_for_boots(paths):
    members = jobs(labels=tuple("abcdefgh"))
    runner = Fake(pause=0.02)
    hands, _ = cluster(members, runner, paths, workers=(X86,) * 4)
    found, _ = filled(members, runner, hands)
    assert len(found) == 24
    assert 2 <= runner.most <= 4
    assert 2 <= runner.most_builds <= 4


def test_cells_go_only_to_workers_that_can_run_them(paths):
    arm = replace(MACHINES["one-node"], name="arm", arch="arm64")
    members = [*jobs(labels=("end",)), *(replace(job(label, "one-node"), machine=arm) for label in ("base", "fix"))]
    hands, pool = cluster(members, Fake(), paths, workers=(X86, ARM))
    filled(members, Fake(), hands)
    for asked, what in pool.sent:
        if isinstance(what, cellwork.Cell):
            assert f"guest-{what.job.machine.arch}" in asked
            assert asked["memory"] <= (4 if what.job.machine is arm else 16)
    assert {what.job.machine.arch for _, what in pool.sent if isinstance(what, cellwork.Cell)} == {"x86_64", "arm64"}


def test_what_no_worker_can_run_is_a_fault_of_the_world_that_says_what_it_needs(paths):
    arm = replace(MACHINES["one-node"], name="arm", arch="arm64")
    members = [job("end"), replace(job("fix", "one-node"), machine=arm)]
    hands, _ = cluster(members, Fake(), paths)
    found, left = filled(members, Fake(), hands)
    assert left == ()
    assert sorted(one.word for one in found.values()) == ["good", "infrastructure"]
    odd = next(one for one in found.values() if one.word == "infrastructure")
    assert "guest-arm64=1" in odd.reason


def test_a_worker_that_comes_later_gets_what_waited_for_it(paths):
    clock = Clock()
    arm = replace(MACHINES["one-node"], name="arm", arch="arm64")
    members = [replace(job("fix", "one-node"), machine=arm)]
    there = [X86]

    def look():
        return tuple(there)

    hands, _ = cluster(members, Fake(), paths, workers=look, patience=300.0, clock=clock)
    check = hands.check

    def later():
        clock.now += 10.0
        if clock.now > 60:
            there[:] = [X86, ARM]
        check()

    hands.check = later
    schedule_tick, schedule.TICK_SECONDS = schedule.TICK_SECONDS, 0.01
    try:
        found, _ = filled(members, Fake(), hands)
    finally:
        schedule.TICK_SECONDS = schedule_tick
    assert [one.word for one in found.values()] == ["good"]


def test_a_cluster_without_workers_is_given_up(paths):
    clock = Clock()
    there = Workers(lambda: (), 0.0, alone=300.0, clock=clock)
    there.refresh()
    clock.now = 299.0
    there.refresh()
    clock.now = 310.0
    with pytest.raises(InfrastructureError, match="no worker for 300 s"):
        there.refresh()


def test_a_scheduler_that_is_gone_ends_the_run_and_blames_no_cell(paths):
    """What was under way then fails; that is not recorded, so that the same command goes on with it."""
    gone = []

    def spoil(fn, answer):
        if fn is cellwork.build:
            return answer
        gone.append(True)
        raise RuntimeError("the client is closed")

    members = jobs(labels=("end",))
    hands, _ = cluster(members, Fake(), paths, spoil=spoil)
    hands.workers.gone = lambda: bool(gone)
    results = []
    far = Elsewhere(Fake(), False)
    with pytest.raises(InfrastructureError, match="does not answer any more"):
        fill(members, far, LIMITS, COSTS, run="r", record=results.append, hands=hands)
    assert results == []


def test_a_guest_larger_than_any_worker_goes_where_most_memory_is():
    small, large = {**X86, "memory": 2.0}, {**X86, "memory": 6.0}
    wanted = needs(job(machine="x3400-m3"), "t", "")
    assert wanted["memory"] == 8.0
    assert fitted(wanted, [small, large])["memory"] == 6.0
    assert needs(job(), "t", "kvm")["kvm"] == 1.0


def spoiled(change):
    """What a worker says of a cell, changed; what it says of builds is left alone."""

    def spoil(fn, answer):
        return answer if fn is cellwork.build else change(answer)

    return spoil


def changed(**more):
    def change(answer):
        result = msgspec.json.decode(answer.document, type=Result)
        return msgspec.structs.replace(answer, document=msgspec.json.encode(msgspec.structs.replace(result, **more)))

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "garbage",
        lambda _: None,
        lambda one: msgspec.structs.replace(one, document=b"\xff" * 10),
        lambda one: msgspec.structs.replace(one, document=b"[" * 100_000),
        lambda one: msgspec.structs.replace(one, document=None),
        lambda one: msgspec.structs.replace(one, problem=wire.Problem("infrastructure", "the disk\x1b is full")),
        changed(run="another"),
        changed(word="bad"),
        changed(kernel="0" * 64),
        changed(attempts=()),
        changed(cell=job("fix").cell),
        changed(attempts=(seen("good", console="0" * 64),), reason="good"),
        changed(attempts=(seen("good", console="../../etc/passwd"),), reason="good"),
    ],
)
def test_garbage_from_a_worker_is_a_fault_of_the_world_and_no_verdict(paths, change):
    hands, _ = cluster([job()], Fake(), paths, spoil=spoiled(change))
    found, _ = filled([job()], Fake(), hands)
    (one,) = found.values()
    assert one.word == "infrastructure"
    assert "\n" not in one.reason
    assert not paths.consoles.exists()


def test_a_worker_that_raises_is_a_fault_of_the_world(paths):
    def spoil(fn, answer):
        raise RuntimeError("it died\nand a long story")

    hands, _ = cluster([job()], Fake(), paths, spoil=spoil)
    found, _ = filled([job()], Fake(), hands)
    assert [(one.word, one.reason) for one in found.values()] == [
        ("infrastructure", "no kernel: the cluster could not do it: it died")
    ]


def test_a_console_comes_along_and_a_clock_that_lies_is_not_believed(paths, tmp_path):
    there = Paths(cache=tmp_path / "there", data=tmp_path / "there", config=tmp_path / "there")
    hash_ = keep_console(b"Linux version 3.7", there)
    yesterday = 86400.0

    def change(answer):
        result = msgspec.json.decode(answer.document, type=Result)
        attempts = tuple(msgspec.structs.replace(one, console=hash_, started=1000.0) for one in result.attempts)
        lying = msgspec.structs.replace(
            result, attempts=attempts, started=result.started - yesterday, ended=result.ended - yesterday
        )
        packed = cellwork.kept(attempts, there)
        return msgspec.structs.replace(answer, document=msgspec.json.encode(lying), consoles=packed)

    hands, _ = cluster([job()], Fake(), paths, spoil=spoiled(change))
    found, _ = filled([job()], Fake(), hands)
    (one,) = found.values()
    import time

    assert one.word == "good"
    assert abs(one.ended - time.time()) < 60
    assert read_console(one.attempts[0].console, paths) == b"Linux version 3.7"


def test_a_build_that_contradicts_itself_is_no_kernel(paths):
    def spoil(fn, answer):
        if fn is cellwork.build:
            both = cellwork.Built(key="k", whole=True, attempt=seen("skip", build="a.c:1"))
            return msgspec.structs.replace(answer, document=msgspec.json.encode(both))
        return answer

    hands, _ = cluster([job()], Fake(), paths, spoil=spoil)
    found, _ = filled([job()], Fake(), hands)
    assert [one.word for one in found.values()] == ["infrastructure"]


def test_the_deadline_counts_on_a_cluster_too(paths):
    members = jobs(labels=("a", "b", "c"), machines=("one-node",))
    costs = Costs(by_machine={"one-node": 10.0}, builds={})
    hands, _ = cluster(members, Fake(), paths)
    left = fill(
        members, Elsewhere(Fake(), False), replace(LIMITS, seconds=100.0), costs, run="r", record=print, hands=hands
    )
    assert len(left) == 3, "a build is taken to cost more than there is time"


def test_a_red_cell_that_the_deadline_keeps_from_another_boot_is_waiting_there_too(paths):
    def late(answer):
        result = msgspec.json.decode(answer.document, type=Result)
        reason = f"{result.reason}; the deadline came before it was booted again"
        told = msgspec.structs.replace(result, word="waiting", reason=reason)
        return msgspec.structs.replace(answer, document=msgspec.json.encode(told))

    runner = Fake(lambda _job, _number: "bad")
    for seconds, word in ((100.0, "waiting"), (0.0, "infrastructure")):
        hands, _ = cluster([job()], runner, paths, spoil=spoiled(late))
        results = []
        costs = Costs(by_machine={"two-nodes": 0.01}, stored=frozenset({job().kernel}))
        limits = replace(LIMITS, seconds=seconds, retries=0)
        far = Elsewhere(Fake(stored=[job().kernel]), True)
        fill([job()], far, limits, costs, run="r", record=results.append, hands=hands)
        assert [one.word for one in results] == [word], "only where there was a deadline"


def test_futures_of_a_sender_are_standard_ones(paths):
    hands, _ = cluster([job()], Fake(), paths)
    made, terms = Made(attempt=seen("skip", build="x")), schedule.Terms("r", LIMITS, float)
    future = hands.executor.submit(schedule.fill_one, None, job(), made, terms)
    assert isinstance(future, Future)
    assert future.result(5).word == "skip"
