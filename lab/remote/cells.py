"""The cells of a matrix by a cluster's workers: which of them can take which cell, and what they say, looked at."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec

from lab.errors import InfrastructureError, LabError, UserError
from lab.history.consoles import keep_packed
from lab.history.records import Result
from lab.line import Setup
from lab.matrix import schedule
from lab.matrix.judge import fault, word_of
from lab.matrix.lines import Ready
from lab.matrix.plan import Job
from lab.matrix.schedule import Made, Runner, summed
from lab.paths import Paths
from lab.remote import cellwork, wire
from lab.remote.cluster import ALONE_SECONDS, Roll, await_workers, cluster, is_gone, present
from lab.remote.on import Wish, request_for
from lab.remote.spec import Spec
from lab.remote.ssh import Strange
from lab.remote.steady import GONE, Post, Steady, said
from lab.remote.version import this_version
from lab.remote.worker import guest_resource, toolchain_resource
from lab.tree.types import Base

if TYPE_CHECKING:
    from distributed import Client

GIB = 1 << 30
LOOK_SECONDS = 5.0
"""So often it is looked which workers there are."""

SKEW_SECONDS = 60.0
"""A worker's clock that is wrong by more is not believed."""

result_of = msgspec.json.Decoder(Result)
built_of = msgspec.json.Decoder(cellwork.Built)
Resources = Mapping[str, float]


def needs(job: Job, toolchain: str, accel: str) -> dict[str, float]:
    """What a worker has to have for ``job``: the compiler of its kernel, an emulator for its guest, memory for it."""
    found = {toolchain_resource(toolchain): 1.0, guest_resource(job.machine.arch): 1.0}
    found["memory"] = float(-(-job.machine.memory // GIB))
    return found | ({"kvm": 1.0} if accel == "kvm" else {})


def able(wanted: Resources, worker: Resources) -> bool:
    """Whether a worker has what is wanted."""
    return all(worker.get(name, 0.0) >= amount for name, amount in wanted.items())


def fitted(wanted: Resources, workers: Sequence[Resources]) -> dict[str, float]:
    """``wanted`` with no more memory than any worker has that is able otherwise: a guest that is larger goes where most
    is, and what it lacks there is told by name."""
    others = {name: amount for name, amount in wanted.items() if name != "memory"}
    most = max((worker.get("memory", 0.0) for worker in workers if able(others, worker)), default=0.0)
    return {**others, "memory": min(wanted.get("memory", 0.0), most)}


Kind = tuple[tuple[str, float], ...]
"""What a cell wants of a worker, as a key."""


class Workers:
    """Who is there, looked at anew every few seconds. Touched by the thread that fills the matrix alone.

    ``patience`` is how many seconds a worker is waited for where none there can do something, or none is there.
    """

    def __init__(
        self,
        look: Callable[[], Sequence[Resources]],
        patience: float,
        *,
        alone: float = ALONE_SECONDS,
        gone: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.look, self.patience, self.alone, self.clock = look, patience, alone, clock
        self.gone = gone
        self.now: Sequence[Resources] = ()
        self.looked = float("-inf")
        self.seen = clock()
        self.answers: dict[Kind, tuple[dict[str, float], int]] = {}
        self.missed: dict[Kind, float] = {}

    def refresh(self) -> None:
        """Look, if that was not done just now. A scheduler that does not answer may be back soon: what was seen last
        counts. :class:`InfrastructureError` where nobody was there for long, or the scheduler is gone for good."""
        if self.gone():
            raise InfrastructureError(GONE)
        now = self.clock()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        told: Sequence[Resources] = ()
        with contextlib.suppress(InfrastructureError):
            told = self.look()
        if told:
            self.seen = now
            if told != self.now:
                self.now = told
                self.answers.clear()
        elif now - self.seen > self.alone:
            raise InfrastructureError(f"the cluster has had no worker for {self.alone:g} s")

    def for_(self, kind: Kind) -> tuple[dict[str, float], int]:
        """What to ask of a worker for ``kind``, and how many there are that have it."""
        if kind not in self.answers:
            asked = fitted(dict(kind), self.now)
            self.answers[kind] = (asked, sum(able(asked, worker) for worker in self.now))
        asked, count = self.answers[kind]
        if count:
            self.missed.pop(kind, None)
        else:
            self.missed.setdefault(kind, self.clock())
        return asked, count

    def hopeless(self, kind: Kind) -> bool:
        """Whether nobody could do ``kind`` for so long that none is waited for any more."""
        return kind in self.missed and self.clock() - self.missed[kind] >= self.patience


class Many:
    """A cluster as :class:`lab.matrix.schedule.Hands`: as many builds and cells at once as there are workers for them,
    so that nothing waits in a queue that another worker could do."""

    def __init__(self, workers: Workers, sending: Sending) -> None:
        self.workers = workers
        self.executor = sending
        self.load: Counter[Kind] = Counter()

    def may(self, job: Job) -> bool:
        """Whether a worker is free for ``job``, as far as is known here; if so, it is taken. Where none can do it, one
        of its kind waits."""
        kind = self.executor.kind(job)
        _, count = self.workers.for_(kind)
        if self.load[kind] >= max(count, 1) and not self.workers.hopeless(kind):
            return False
        self.load[kind] += 1
        return True

    def may_build(self, building: Collection[Job], job: Job, *, sparing: bool) -> bool:
        """One on each worker that can; half of the workers are left to boots that are ready."""
        here = len(self.workers.now)
        if self.full(()) or (sparing and len(building) >= max(here // 2, 1)):
            return False
        self.executor.builders[job.kernel] = self.executor.kind(job)
        return self.may(job)

    def may_boot(self, running: Collection[Job], job: Job) -> bool:
        """One on each worker that can."""
        return self.may(job)

    def full(self, running: Collection[Job]) -> bool:
        """Every worker has something to do."""
        return self.load.total() - len(self.executor.waiting) >= max(len(self.workers.now), 1)

    def check(self) -> None:
        """Look who is there and who is free again, and give them what waits for such as they are."""
        while not self.executor.ended.empty():
            self.load[self.executor.ended.get()] -= 1
        self.workers.refresh()
        self.executor.retry()


@dataclass(frozen=True)
class Letter:
    """Something to be sent: the call on the worker, what makes a result of the answer or of why there is none, and
    where that is waited for. ``whole`` are the arguments with the case in them, for a worker that lacks it; ``asked``
    is what a worker has to have, once it was sent."""

    kind: Kind
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    whole: tuple[Any, ...]
    checked: Callable[[cellwork.Answer], Any]
    failed: Callable[[str], Any]
    asked: Resources = field(default_factory=dict)
    outer: Future[Any] = field(default_factory=Future)


class Sending(Executor):
    """Takes the calls of :mod:`lab.matrix.schedule` and sends each to a worker that can do it, as data."""

    def __init__(
        self,
        to: Callable[[Resources], Executor],
        workers: Workers,
        wants: Callable[[Job], Resources],
        *,
        wanted: Mapping[str, cellwork.Wanted],
        paths: Paths,
    ) -> None:
        self.to, self.workers, self.wants = to, workers, wants
        self.wanted, self.paths = wanted, paths
        self.builders: dict[str, Kind] = {}
        """What the builder of a kernel has to have: what the first of its cells wants, so that it can boot it too."""
        self.kinds: dict[str, Kind] = {}
        self.waiting: list[Letter] = []
        self.ended: SimpleQueue[Kind] = SimpleQueue()
        """The kinds of what came to an end, so that whoever counts what is under way need not look through it."""
        self.desk = ThreadPoolExecutor(1, "answers")
        """Where answers are looked at: consoles are unpacked and written there."""

    def kind(self, job: Job) -> Kind:
        """What ``job`` wants."""
        found = self.kinds.get(job.cell.key)
        if found is None:
            found = self.kinds[job.cell.key] = tuple(sorted(self.wants(job).items()))
        return found

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send :func:`schedule.build_one` or :func:`schedule.fill_one` with its arguments."""
        if fn is schedule.build_one:
            _, kernel, seconds = args
            wanted = self.wanted[kernel]
            call, whole = (wanted.bare, seconds), (wanted, seconds)
            letter = Letter(self.builders[kernel], cellwork.build, call, whole, built_here, failed_build)
        else:
            assert fn is schedule.fill_one, fn  # noqa: S101 - there are no others
            _, job, made, terms = args
            cell = cellwork.Cell(
                self.wanted[job.kernel], job, replace(made, kernel=True), terms.limits, terms.run, terms.left()
            )
            checked, failed = partial(result_here, cell, self.paths), partial(fault_of, cell)
            letter = Letter(self.kind(job), cellwork.fill, (cell.bare,), (cell,), checked, failed)
            if made.attempt is not None:  # there is no kernel: nothing has to be sent for that
                self.end(letter, fn(*args))
                return letter.outer
        return self.send(letter)

    def send(self, letter: Letter) -> Future[Any]:
        """Send it, or keep it for a worker that may come; where none will, it has failed."""
        asked, count = self.workers.for_(letter.kind)
        if count:
            self.hand_in(replace(letter, asked=asked))
        elif self.workers.hopeless(letter.kind):
            lacks = ", ".join(f"{name}={amount:g}" for name, amount in letter.kind)
            self.end(letter, letter.failed(f"no worker of the cluster has what it needs ({lacks})"))
        else:
            self.waiting.append(letter)
        return letter.outer

    def hand_in(self, letter: Letter) -> None:
        """Have a worker do it."""
        sent = self.to(letter.asked).submit(letter.call, *letter.arguments)
        sent.add_done_callback(lambda inner: self.desk.submit(self.settle, letter, inner))

    def retry(self) -> None:
        """Send what waits, where it can be sent now."""
        waiting, self.waiting = self.waiting, []
        for letter in waiting:
            self.send(letter)

    def settle(self, letter: Letter, inner: Future[Any]) -> None:
        """Make a result of what came back."""
        try:
            answer = inner.result()
            if isinstance(answer, cellwork.Answer) and answer.lacks and letter.arguments is not letter.whole:
                self.hand_in(replace(letter, arguments=letter.whole))
                return
            result = letter.checked(checked_answer(answer))
        except LabError as error:
            result = letter.failed(error.message)
        except BaseException as error:
            result = letter.failed(f"the cluster could not do it: {said(error)}")
        self.end(letter, result)

    def end(self, letter: Letter, result: Any) -> None:
        """Hand ``result`` on; whoever counts what is under way hears of it before."""
        self.ended.put(letter.kind)
        letter.outer.set_result(result)


def checked_answer(answer: Any) -> cellwork.Answer:
    """An answer that is one, and no problem."""
    if not isinstance(answer, cellwork.Answer):
        raise Strange(f"a worker answered what no lab says ({type(answer).__name__})")
    if answer.lacks:
        raise Strange(f"worker on {answer.where[:100]} lacks the case that it was sent")
    if answer.problem is not None:
        error = UserError if answer.problem.kind == "user" else InfrastructureError
        raise error(f"worker on {answer.where[:100]}: {answer.problem.message[:2000]}", hint=answer.problem.hint[:500])
    return answer


def decoded(decoder: Any, answer: cellwork.Answer) -> Any:
    """The document of an answer."""
    try:
        return decoder.decode(answer.document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as bad:
        raise Strange(f"worker on {answer.where[:100]} answered what no lab says: {str(bad)[:200]}") from None


def built_here(answer: cellwork.Answer) -> Made | None:
    """What a build came to."""
    built: cellwork.Built = decoded(built_of, answer)
    if built.late:
        return None
    if built.whole == (built.attempt is not None):
        raise Strange(f"worker on {answer.where[:100]} says that it built and that it did not")
    kernel = True if built.whole else None
    return Made(built.key, built.release, built.from_store, built.seconds, kernel, built.attempt)


def failed_build(reason: str) -> Made:
    """A build that came to nothing by the fault of the world."""
    return Made(attempt=fault(1, f"no kernel: {reason}", time.time(), 0.0))


def result_here(cell: cellwork.Cell, paths: Paths, answer: cellwork.Answer) -> Result:
    """The result of a cell, with its consoles here. It has to be one of that very cell, and to follow from what it says
    was seen."""
    result: Result = decoded(result_of, answer)
    where = f"worker on {answer.where[:100]}"
    if result.run != cell.run or result.cell != cell.job.cell or result.kernel != cell.made.key:
        raise Strange(f"{where} answered for something else than {cell.job.cell.key}")
    late = result.word == "waiting" and cell.left < float("inf")
    if not result.attempts or (result.word, result.reason) != summed(result.attempts, result.cell, late=late):
        raise Strange(f"{where}: its verdict of {cell.job.cell.key} does not follow from what it saw")
    for attempt in result.attempts:
        packed = answer.consoles.get(attempt.console, b"")
        if attempt.console and not keep_packed(attempt.console, packed, paths):
            raise Strange(f"{where}: the console of {cell.job.cell.key} is not what its hash says")
    skew = time.time() - result.ended
    return result if abs(skew) < SKEW_SECONDS else shifted(result, skew)


def shifted(result: Result, skew: float) -> Result:
    """``result`` by the clock here, where that of the worker is wrong by ``skew`` seconds."""
    attempts = (msgspec.structs.replace(one, started=one.started + skew) for one in result.attempts)
    return msgspec.structs.replace(
        result, started=result.started + skew, ended=result.ended + skew, attempts=tuple(attempts)
    )


def fault_of(cell: cellwork.Cell, reason: str) -> Result:
    """A cell of which nothing is known by the fault of the world."""
    now = time.time()
    attempt = fault(1, reason, now, 0.0)
    word, why = word_of([attempt])
    made = cell.made
    return Result(
        run=cell.run,
        cell=cell.job.cell,
        word=word,
        reason=why,
        attempts=(attempt,),
        kernel=made.key,
        release=made.release,
        from_store=made.from_store,
        build_seconds=made.seconds,
        started=now,
        ended=now,
    )


@dataclass(frozen=True)
class Elsewhere:
    """A runner that sends: what is in the store here counts where the workers share it."""

    inner: Runner
    shares: bool

    def stored(self, kernel: str) -> Made | None:
        """The kernel, where the workers have it for certain."""
        return self.inner.stored(kernel) if self.shares else None

    def build(self, kernel: str, seconds: float) -> Made:
        """Never called: workers build."""
        raise NotImplementedError

    def boot(self, job: Job, made: Made, number: int) -> Any:
        """Never called: workers boot."""
        raise NotImplementedError


@contextlib.contextmanager
def many(spec: Spec, ready: Ready, setup: Setup, wish: Wish, tell: Callable[[str], None]) -> Iterator[Many]:
    """The cluster as the hands of a run of ``ready``. ``tell`` gets a line for each worker that goes or comes."""
    requests: dict[int, tuple[bytes, str]] = {}
    wanted, bases = {}, dict[str, Base]()
    version = this_version().name
    for kernel, (line, point) in ready.kernels.items():
        bases[line.tree.base.commit] = line.tree.base
        if id(line) not in requests:
            own = replace(wish, cc=line.toolchain.cc, timeout=ready.matrix.budget.boot_seconds)
            requests[id(line)] = wire.encode(request_for(line.case, line.tree.base, "boot", own))
        (data, key), identity = requests[id(line)], line.toolchain.identity
        wanted[kernel] = cellwork.Wanted(data, kernel, point.index, point.tree, identity, version, key)

    def wants(job: Job) -> Resources:
        return needs(job, wanted[job.kernel].toolchain, wish.accel)

    setup.progress("host", spec.address or "starting workers")
    with cluster(spec, tuple(bases.values()), setup.paths, setup.progress, tell) as client:
        first = toolchain_resource(next(iter(wanted.values())).toolchain)
        await_workers(client, first, spec.expected)
        yield hands(client, wants, wanted=wanted, paths=setup.paths, fixed=bool(spec.count), tell=tell)


def hands(
    client: Client,
    wants: Callable[[Job], Resources],
    *,
    wanted: Mapping[str, cellwork.Wanted],
    paths: Paths,
    fixed: bool,
    tell: Callable[[str], None],
) -> Many:
    """The workers of ``client`` as hands; where no more workers will come (``fixed``), none is waited for."""
    patience = 0.0 if fixed else ALONE_SECONDS
    roll = Roll(tell)

    def look() -> Sequence[Resources]:
        there = present(client)
        roll.call(there)
        return list(there.values())

    workers = Workers(look, patience, gone=lambda: is_gone(client))
    workers.refresh()
    sending = Sending(partial(Steady, Post(client)), workers, wants, wanted=wanted, paths=paths)
    return Many(workers, sending)
