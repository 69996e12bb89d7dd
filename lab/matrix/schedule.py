"""Filling cells: kernels are built, and beside that guests are booted, by whoever has room for them.

It knows nothing of kernels and QEMU: who builds and boots is a :class:`Runner`. Nor does it know where: work is handed
to a :class:`concurrent.futures.Executor` of the :class:`Hands`, which are threads of this process (:class:`Here`: one
build at a time, which uses all cores, and as many guests as cores and memory allow) or the workers of a cluster
(:mod:`lab.remote.cells`). What a cell came to is handed on at once, in the calling thread. Nothing new begins that
would not end before the deadline, another boot of a red cell neither; what began is seen to its end.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from lab.errors import InfrastructureError, LabError
from lab.history.records import Attempt, Cell, CellWord, Result
from lab.matrix.judge import again, fault, word_of
from lab.matrix.plan import Costs, Job

TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Made:
    """What a build came to: ``kernel`` is the runner's own, or ``None`` with the ``attempt`` that stands for it in each
    of the cells that wanted it. ``key`` is the store's."""

    key: str = ""
    release: str = ""
    from_store: bool = False
    seconds: float = 0.0
    kernel: object = None
    attempt: Attempt | None = None


class Runner(Protocol):
    """What builds and boots. ``boot`` is called from several threads at once, the others from one each."""

    def stored(self, kernel: str) -> Made | None:
        """The kernel, if that takes no build."""

    def build(self, kernel: str, seconds: float) -> Made:
        """Build it within ``seconds``; not compiling is a result. May raise :class:`LabError`."""

    def boot(self, job: Job, made: Made, number: int) -> Attempt:
        """Boot it once on the job's machine. May raise :class:`LabError`."""


@dataclass(frozen=True)
class Limits:
    """What may be used: guests at once, their memory in bytes, seconds for all of it (0: as long as it takes)."""

    cores: int
    memory: int
    seconds: float = 0.0
    retries: int = 4
    boots: int = 1


class Hands(Protocol):
    """Who does the work. ``executor`` is given :func:`build_one` and :func:`fill_one` with their arguments."""

    @property
    def executor(self) -> Executor:
        """Where work is handed in."""

    def may_build(self, building: Collection[Job], job: Job, *, sparing: bool) -> bool:
        """Whether the kernel of ``job`` may be begun beside those that are built now; if so, it is. ``sparing`` leaves
        room for boots."""

    def may_boot(self, running: Collection[Job], job: Job) -> bool:
        """Whether ``job`` may be begun beside those that run now; if so, it is."""

    def full(self, running: Collection[Job]) -> bool:
        """Whether no job at all may be begun, whichever it is."""

    def check(self) -> None:
        """Called again and again; raises where nobody is left who could go on."""


class Threads(Executor):
    """A thread for each piece of work, which does not outlive the process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn`` in a thread of its own."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def body() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=body, name=f"matrix {fn.__name__}", daemon=True).start()
        return future


class Here:
    """This machine as :class:`Hands`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.executor = Threads()

    def may_build(self, building: Collection[Job], job: Job, *, sparing: bool) -> bool:
        """One at a time."""
        return not building

    def may_boot(self, running: Collection[Job], job: Job) -> bool:
        """One that is alone always may: what it lacks is then told by name."""
        used = sum(one.machine.memory for one in running)
        return not running or (not self.full(running) and used + job.machine.memory <= self.limits.memory)

    def full(self, running: Collection[Job]) -> bool:
        """As many guests as cores."""
        return len(running) >= max(self.limits.cores, 1)

    def check(self) -> None:
        """This machine is here."""


@dataclass(frozen=True)
class Activity:
    """What goes on right now, by name."""

    building: tuple[str, ...] = ()
    booting: tuple[str, ...] = ()


@dataclass
class Work:
    """Where a run stands; touched by the calling thread alone. ``pending`` are jobs by their cell's key, ``unbuilt``
    the kernels that some of them wait for, each with the first of those."""

    pending: dict[str, Job]
    unbuilt: dict[str, Job] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    running: dict[str, Job] = field(default_factory=dict)
    building: dict[str, Job] = field(default_factory=dict)
    unsure: list[Job] = field(default_factory=list)


Event = tuple[str, object]


def fill(
    jobs: Sequence[Job],
    runner: Runner,
    limits: Limits,
    costs: Costs,
    *,
    run: str,
    record: Callable[[Result], None],
    doing: Callable[[Activity], None] = lambda _activity: None,
    clock: Callable[[], float] = time.monotonic,
    hands: Hands | None = None,
    spare: Callable[[], float] = lambda: 0.0,
) -> tuple[Job, ...]:
    """Fill the cells of ``jobs`` in that order, by ``hands`` or else here; those that the deadline left are returned.
    It comes so many seconds earlier as ``spare`` says by then.

    ``record`` is called with each result as it comes; of a red cell that the deadline kept from being booted again it
    is ``waiting``, with the attempts that there were. An exception that is no :class:`LabError` ends the run; what was
    recorded stays.
    """
    work = Work({job.cell.key: job for job in jobs})
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    limit = clock() + limits.seconds if limits.seconds else float("inf")
    by = Means(runner, Terms(run, limits, lambda: limit - spare() - clock()), costs, events, hands or Here(limits))
    for job in jobs:
        if job.kernel in work.made or job.kernel in work.unbuilt:
            continue
        made = runner.stored(job.kernel)
        if made is not None:
            work.made[job.kernel] = made
        else:
            work.unbuilt[job.kernel] = job
    while True:
        begin(work, by)
        doing(Activity(tuple(sorted(work.building)), tuple(sorted(work.running))))
        if not work.running and not work.building:
            return (*work.unsure, *work.pending.values())
        take(work, by, record)


def take(work: Work, by: Means, record: Callable[[Result], None]) -> None:
    """Wait for something to come to an end, and note it."""
    while True:
        try:
            name, came = by.events.get(timeout=TICK_SECONDS)  # with a timeout, so that Ctrl-C is seen at once
            break
        except queue.Empty:
            by.hands.check()
    by.hands.check()
    if isinstance(came, BaseException):
        raise came
    if isinstance(came, Result):
        job = work.running.pop(name)
        if came.word == "waiting":
            work.unsure.append(job)
        record(came)
        return
    del work.building[name]
    if isinstance(came, Made):  # else it did not end in time: its cells stay as they are
        work.made[name] = came


@dataclass(frozen=True)
class Terms:
    """On which terms cells are filled: for which ``run``, within which limits; ``left`` are the seconds to the
    deadline."""

    run: str
    limits: Limits
    left: Callable[[], float]


@dataclass(frozen=True)
class Means:
    """What does the work, on which terms, and where it tells of what came."""

    runner: Runner
    terms: Terms
    costs: Costs
    events: queue.SimpleQueue[Event]
    hands: Hands


def begin(work: Work, by: Means) -> None:
    """Begin all that may begin now."""
    left = by.terms.left()
    begin_builds(work, by, left, sparing=True)
    begin_boots(work, by, left)
    begin_builds(work, by, left, sparing=False)


def begin_builds(work: Work, by: Means, left: float, *, sparing: bool) -> None:
    """Begin the builds that may begin now."""
    for kernel, job in tuple(work.unbuilt.items()):
        fits = by.costs.build(job) + by.costs.boot(job.cell) <= left
        if fits and by.hands.may_build(work.building.values(), job, sparing=sparing):
            del work.unbuilt[kernel]
            work.building[kernel] = job
            start(by, kernel, build_one, by.runner, kernel, left)


def begin_boots(work: Work, by: Means, left: float) -> None:
    """Begin the cells that may begin now."""
    begun = []
    for key, job in work.pending.items():
        if by.hands.full(work.running.values()):
            break
        if job.kernel not in work.made or by.costs.boot(job.cell) > left:
            continue
        if by.hands.may_boot(work.running.values(), job):
            begun.append(key)
            work.running[key] = job
            start(by, key, fill_one, by.runner, job, work.made[job.kernel], by.terms)
    for key in begun:
        del work.pending[key]


def start(by: Means, name: str, call: Callable[..., object], *arguments: object) -> None:
    """Hand in ``call``; what it returns or raises is put among the events."""

    def told(future: Future[Any]) -> None:
        error = future.exception()
        by.events.put((name, future.result() if error is None else error))

    by.hands.executor.submit(call, *arguments).add_done_callback(told)


def build_one(runner: Runner, kernel: str, seconds: float) -> Made | None:
    """Build a kernel; a fault of the world becomes the attempt of its cells, and no time left is ``None``."""
    from lab.process import DeadlinePassed

    began, started = time.monotonic(), time.time()
    try:
        return runner.build(kernel, seconds)
    except DeadlinePassed:
        return None
    except InfrastructureError as error:
        return Made(attempt=fault(1, f"no kernel: {error}", started, time.monotonic() - began))
    except LabError as error:
        attempt = Attempt(
            number=1,
            verdict="skip",
            reason=str(error),
            outcome="build",
            started=started,
            seconds=time.monotonic() - began,
            build=str(error),
        )
        return Made(attempt=attempt)


def fill_one(runner: Runner, job: Job, made: Made, terms: Terms) -> Result:
    """Boot a cell as often as it takes to know what it is, or as the time that is left allows."""
    started, cell = time.time(), job.cell
    attempts: list[Attempt] = []
    late = False
    if made.attempt is not None:
        attempts.append(made.attempt)
    else:
        while again(attempts, cell.expected, boots=terms.limits.boots, retries=terms.limits.retries):
            late = bool(attempts) and attempts[-1].seconds > terms.left()
            if late:
                break
            attempts.append(boot_one(runner, job, made, len(attempts) + 1))
    word, reason = summed(attempts, cell, late=late)
    return Result(
        run=terms.run,
        cell=cell,
        word=word,
        reason=reason,
        attempts=tuple(attempts),
        kernel=made.key,
        release=made.release,
        from_store=made.from_store,
        build_seconds=made.seconds,
        started=started,
        ended=time.time(),
    )


def summed(attempts: Sequence[Attempt], cell: Cell, *, late: bool) -> tuple[CellWord, str]:
    """What a cell came to; ``late`` where the deadline kept it from being booted again."""
    word, reason = word_of(attempts)
    if late and word not in (cell.expected, "infrastructure"):
        return "waiting", f"{reason}; the deadline came before it was booted again"
    return word, reason


def boot_one(runner: Runner, job: Job, made: Made, number: int) -> Attempt:
    """One boot; a fault of the world is an attempt that says so."""
    began, started = time.monotonic(), time.time()
    try:
        return runner.boot(job, made, number)
    except LabError as error:
        return fault(number, str(error), started, time.monotonic() - began)
