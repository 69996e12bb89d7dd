"""Filling cells: one build at a time, which uses all cores, and beside it as many guests as cores and memory allow.

It knows nothing of kernels and QEMU: who builds and boots is a :class:`Runner`. What a cell came to is handed on at
once, in the calling thread. Nothing new begins that would not end before the deadline, another boot of a red cell
neither; what began is seen to its end.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab.errors import InfrastructureError, LabError
from lab.history.records import Attempt, Result
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


@dataclass(frozen=True)
class Activity:
    """What goes on right now, by name."""

    building: str = ""
    booting: tuple[str, ...] = ()


@dataclass
class Work:
    """Where a run stands; touched by the calling thread alone."""

    pending: list[Job]
    made: dict[str, Made] = field(default_factory=dict)
    running: dict[str, Job] = field(default_factory=dict)
    building: str = ""
    refused: set[str] = field(default_factory=set)
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
) -> tuple[Job, ...]:
    """Fill the cells of ``jobs`` in that order; those that the deadline left are returned.

    ``record`` is called with each result as it comes; of a red cell that the deadline kept from being booted again it
    is ``waiting``, with the attempts that there were. An exception that is no :class:`LabError` ends the run; what was
    recorded stays.
    """
    work = Work(list(jobs))
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    limit = clock() + limits.seconds if limits.seconds else float("inf")
    for kernel in dict.fromkeys(job.kernel for job in jobs):
        made = runner.stored(kernel)
        if made is not None:
            work.made[kernel] = made
    while True:
        begin(work, Means(runner, limits, costs, events, run, lambda: limit - clock()))
        doing(Activity(work.building, tuple(sorted(work.running))))
        if not work.running and not work.building:
            return (*work.unsure, *work.pending)
        take(work, events, record)


def take(work: Work, events: queue.SimpleQueue[Event], record: Callable[[Result], None]) -> None:
    """Wait for something to come to an end, and note it."""
    while True:
        try:
            name, came = events.get(timeout=TICK_SECONDS)  # with a timeout, so that Ctrl-C is seen at once
            break
        except queue.Empty:
            continue
    if isinstance(came, BaseException):
        raise came
    if isinstance(came, Made):
        work.building = ""
        work.made[name] = came
    elif isinstance(came, Result):
        job = work.running.pop(name)
        if came.word == "waiting":
            work.unsure.append(job)
        record(came)
    else:  # the build did not end in time: its cells stay as they are
        work.building = ""
        work.refused.add(name)


@dataclass(frozen=True)
class Means:
    """What does the work of ``run``, within which limits, and where it tells of what came; ``left`` are the seconds to
    the deadline."""

    runner: Runner
    limits: Limits
    costs: Costs
    events: queue.SimpleQueue[Event]
    run: str
    left: Callable[[], float]


def begin(work: Work, by: Means) -> None:
    """Begin all that may begin now."""
    costs, events, left = by.costs, by.events, by.left()
    for job in tuple(work.pending):
        if work.building and len(work.running) >= by.limits.cores:
            return
        if job.kernel not in work.made:
            fits = job.kernel not in work.refused and costs.build(job) + costs.boot(job.cell) <= left
            if fits and not work.building:
                work.building = job.kernel
                start(events, job.kernel, build_one, by.runner, job.kernel, left)
            continue
        if costs.boot(job.cell) > left or not has_room(work, job, by.limits):
            continue
        work.pending.remove(job)
        work.running[job.cell.key] = job
        start(events, job.cell.key, fill_one, job, work.made[job.kernel], by)


def has_room(work: Work, job: Job, limits: Limits) -> bool:
    """Whether one more guest may run. One that is alone always may: what it lacks is then told by name."""
    used = sum(one.machine.memory for one in work.running.values())
    return not work.running or (len(work.running) < limits.cores and used + job.machine.memory <= limits.memory)


def start(events: queue.SimpleQueue[Event], name: str, call: Callable[..., object], *arguments: object) -> None:
    """Run ``call`` in a thread that does not outlive the process; what it returns or raises is put into ``events``."""

    def body() -> None:
        try:
            came = call(*arguments)
        except BaseException as error:
            came = error
        events.put((name, came))

    threading.Thread(target=body, name=f"matrix {name}", daemon=True).start()


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


def fill_one(job: Job, made: Made, by: Means) -> Result:
    """Boot a cell as often as it takes to know what it is, or as the time allows."""
    started, cell = time.time(), job.cell
    attempts: list[Attempt] = []
    late = False
    if made.attempt is not None:
        attempts.append(made.attempt)
    else:
        while again(attempts, cell.expected, boots=by.limits.boots, retries=by.limits.retries):
            late = bool(attempts) and attempts[-1].seconds > by.left()
            if late:
                break
            attempts.append(boot_one(by.runner, job, made, len(attempts) + 1))
    word, reason = word_of(attempts)
    if late and word not in (cell.expected, "infrastructure"):
        word, reason = "waiting", f"{reason}; the deadline came before it was booted again"
    return Result(
        run=by.run,
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


def boot_one(runner: Runner, job: Job, made: Made, number: int) -> Attempt:
    """One boot; a fault of the world is an attempt that says so."""
    began, started = time.monotonic(), time.time()
    try:
        return runner.boot(job, made, number)
    except LabError as error:
        return fault(number, str(error), started, time.monotonic() - began)
