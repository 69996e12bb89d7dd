"""A run of a matrix: planned by history, filled by :mod:`lab.matrix.schedule`, in the history cell by cell.

A run that was killed goes on where it was when the same matrix file is run again: cells that have a result keep it,
unless what they stand for has changed, or only a fault of the world is known of them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import msgspec

from lab.errors import InfrastructureError, LabError
from lab.files import locked
from lab.guest.machine import available_memory
from lab.history.claims import NOBODY, Claim, abandoned, beating, lives, own_claim
from lab.history.consoles import keep_console
from lab.history.records import Attempt, Cell, CellWord, Result, Run, RunState
from lab.history.store import History
from lab.kernel.types import BuildFailure, Kernel
from lab.line import Line, Setup, Target, boot_target, kernel_of
from lab.matrix.judge import attempt_of, build_attempt
from lab.matrix.lines import Ready
from lab.matrix.manifest import Matrix
from lab.matrix.plan import Costs, Job, learned, longest_first, ordered
from lab.matrix.schedule import Activity, Hands, Limits, Made, Runner, fill
from lab.paths import Paths
from lab.tree.types import Point
from lab.verdict import ANY

SPARE_BYTES = 1 << 30
"""What is left of the host's free memory for builds, where the matrix does not say."""
LOCK_SECONDS = 2.0
OLD_SECONDS = 12 * 3600.0
"""A run that was broken off longer ago is not tonight's."""


class Watcher:
    """Who wants to see what goes on; this one looks away."""

    def begun(self, run: Run, jobs: tuple[Job, ...], known: Mapping[str, Result]) -> None:
        """``run`` fills ``jobs`` now; ``known`` are the results that it has from before it was broken off."""

    def doing(self, activity: Activity) -> None:
        """This goes on now."""

    def filled(self, result: Result) -> None:
        """This came out, and is in the history."""


class Spare(Protocol):
    """Who has a use for some of the time, depending on what comes out."""

    def see(self, result: Result) -> None:
        """This came out."""

    def seconds(self) -> float:
        """So much is not for cells."""


@dataclass(frozen=True)
class Planned:
    """What would run, and what is known about it: ``unfinished`` is the run that would go on, with its ``known``
    results, and who was at it (``claim``)."""

    ready: Ready
    jobs: tuple[Job, ...]
    costs: Costs
    unfinished: Run | None
    known: dict[str, Result]
    claim: Claim = NOBODY


def plan(
    ready: Ready,
    history: History,
    runner: Runner,
    *,
    fresh: bool = False,
    given_up: Claim = NOBODY,
    say: Callable[[str], None] = lambda _text: None,
) -> Planned:
    """Put the cells in order by what is known of them, leaving out those that an unfinished run has already.

    A run that somebody is at is no unfinished one: ``say`` is told of it. ``given_up`` is a claim that nobody holds any
    more, as is known already.
    """
    matrix = ready.matrix
    unfinished, claim = (None, NOBODY) if fresh else broken_off(matrix, history, given_up, say)
    newest = history.runs(name=matrix.name, limit=1)
    past = history.past(replace_id(newest[0]), limit=10) if newest else ()
    kernels = dict.fromkeys(job.kernel for job in ready.jobs)
    stored = frozenset(kernel for kernel in kernels if runner.stored(kernel) is not None)
    costs = learned([results for _, results in past], stored, matrix.budget.boots)
    last: dict[str, CellWord] = {}
    for result in (one for _, results in reversed(past) for one in results):
        if result.word != "waiting" or last.get(result.cell.key) in (None, result.cell.expected):
            last[result.cell.key] = result.word  # what failed before still does, as far as anybody knows
    known = settled(history.results(unfinished.id), ready.jobs) if unfinished else {}
    jobs = ordered([job for job in ready.jobs if job.cell.key not in known], costs, last)
    return Planned(ready, jobs, costs, unfinished, known, claim)


def broken_off(
    matrix: Matrix, history: History, given_up: Claim, say: Callable[[str], None]
) -> tuple[Run | None, Claim]:
    """The run of ``matrix`` on this host that goes on: the newest that nobody is at, if it has no end, is not old, and
    its file has not changed since."""
    for run in history.unfinished(matrix.name, platform.node()):
        claim = history.claim(run.id)
        wanted = run.manifest == matrix.key and time.time() - run.started <= OLD_SECONDS
        alive = False if claim == given_up else lives(claim)
        if alive is False or (alive is None and wanted and abandoned(history, run.id, claim, say=say)):
            return (run, claim) if wanted else (None, NOBODY)
        if alive or wanted:
            since = time.strftime("%H:%M", time.localtime(run.started))
            say(f"{claim.who} is at {matrix.name} since {since}, run {run.id}: this is a run of its own")
    return None, NOBODY


def replace_id(run: Run) -> Run:
    """A run that sorts after ``run``, so that what is past includes it."""
    return msgspec.structs.replace(run, id=f"{run.id}~")


def settled(results: tuple[Result, ...], jobs: tuple[Job, ...]) -> dict[str, Result]:
    """Of a broken-off run's results those that still stand: those of the very cell that is asked for now."""
    cells = {job.cell.key: job.cell for job in jobs}
    return {
        result.cell.key: result
        for result in results
        if result.word not in ("waiting", "infrastructure") and cells.get(result.cell.key) == result.cell
    }


def run(
    planned: Planned,
    history: History,
    runner: Runner,
    paths: Paths,
    *,
    seconds: float | None = None,
    watcher: Watcher | None = None,
    clock: Callable[[], float] = time.monotonic,
    hands: Hands | None = None,
    spare: Spare | None = None,
) -> Run:
    """Fill the cells, by ``hands`` or else here; what the run came to. ``seconds`` is a deadline that goes before the
    matrix's own; ``spare`` is shown each result, and says how much of that is not for cells.

    Raises :class:`lab.errors.InfrastructureError` naming the process that runs the same matrix.
    """
    watcher = watcher or Watcher()
    matrix = planned.ready.matrix
    with locked(lock_of(paths, matrix.name), LOCK_SECONDS):
        planned, begun, claim = claimed(planned, history, runner)
        watcher.begun(begun, planned.jobs, planned.known)

        def record(result: Result) -> None:
            history.record_result(result, claim.token)
            if spare is not None:
                spare.see(result)
            watcher.filled(result)

        if spare is not None:
            for result in planned.known.values():
                spare.see(result)

        with held(history, begun.id, claim), shown(paths, begun.id) as show:

            def doing(activity: Activity) -> None:
                show(activity)
                watcher.doing(activity)

            limits = limits_of(matrix, seconds)
            left = fill(
                planned.jobs if hands is None or limits.seconds else longest_first(planned.jobs, planned.costs),
                runner,
                limits,
                planned.costs,
                run=begun.id,
                record=record,
                doing=doing,
                clock=clock,
                hands=hands,
                spare=spare.seconds if spare is not None else lambda: 0.0,
            )
            state: RunState = "deadline" if left else "done"
            history.finish_run(begun.id, state, time.time(), claim.token)
        return history.run(begun.id)


def claimed(planned: Planned, history: History, runner: Runner) -> tuple[Planned, Run, Claim]:
    """The run that is this process's from now on, by the plan as it is now: since it was made, somebody may have filled
    more of what was broken off, or be at it."""
    claim = own_claim()
    while planned.unfinished:
        planned = plan(planned.ready, history, runner, given_up=planned.claim)
        if planned.unfinished and history.take_over(planned.unfinished.id, planned.claim, claim):
            history.replan(planned.unfinished.id, order_of_cells(planned), claim.token)
            return planned, planned.unfinished, claim
    begun = new_run(planned.ready.matrix, len(planned.ready.jobs))
    history.begin_run(begun, order_of_cells(planned), claim)
    return planned, begun, claim


@contextlib.contextmanager
def held(history: History, run_id: str, claim: Claim) -> Iterator[None]:
    """Be at the run for as long as the context lasts."""
    try:
        with beating(history, run_id, claim):
            yield
    finally:
        with contextlib.suppress(LabError):  # that it can't be given back is no other error than why this ends
            history.release(run_id, claim.token)


def order_of_cells(planned: Planned) -> list[Cell]:
    """The cells as the run fills them: those that have a result first."""
    done = [job.cell for job in planned.ready.jobs if job.cell.key in planned.known]
    return [*done, *(job.cell for job in planned.jobs)]


def new_run(matrix: Matrix, cells: int) -> Run:
    """A run that begins now."""
    now = time.time()
    try:
        lab = version("kernel-boot-lab")
    except PackageNotFoundError:
        lab = ""
    return Run(
        id=f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}{int(now * 1000) % 1000:03}Z-{os.urandom(2).hex()}",
        name=matrix.name,
        started=now,
        host=platform.node(),
        lab_version=lab,
        manifest=matrix.key,
        cells=cells,
    )


def limits_of(matrix: Matrix, seconds: float | None = None) -> Limits:
    """What the matrix allows, or what is free on this host where it does not say."""
    budget = matrix.budget
    return Limits(
        cores=budget.cores or len(os.sched_getaffinity(0)),
        memory=budget.memory or max(available_memory() - SPARE_BYTES, 0),
        seconds=budget.seconds if seconds is None else seconds,
        retries=budget.retries,
        boots=budget.boots,
    )


class Doing(msgspec.Struct, frozen=True):
    """What a run is at, for whoever watches it from elsewhere."""

    building: tuple[str, ...]
    booting: tuple[str, ...]


@contextlib.contextmanager
def shown(paths: Paths, run_id: str) -> Iterator[Callable[[Activity], None]]:
    """Keep a small file up to date that says what ``run_id`` is at; it is gone with the run."""
    path = paths.cache / "matrix" / f"{run_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)

    def show(activity: Activity) -> None:
        place = path.with_suffix(".new")
        place.write_bytes(msgspec.json.encode(Doing(activity.building, activity.booting)))
        place.replace(path)

    try:
        yield show
    finally:
        path.unlink(missing_ok=True)


def doing_now(paths: Paths, run: Run) -> Doing | None:
    """What a run is at, or ``None`` where nobody works on it: who does holds the lock, and a killed one does not."""
    try:
        told = msgspec.json.decode((paths.cache / "matrix" / f"{run.id}.json").read_bytes(), type=Doing)
        with locked(lock_of(paths, run.name), 0.0, shared=True):
            return None
    except (OSError, msgspec.DecodeError):
        return None
    except InfrastructureError:
        return told


def lock_of(paths: Paths, name: str) -> Path:
    """The lock that whoever runs matrix ``name`` holds."""
    return paths.data / f"matrix-{name}.lock"


class LineRunner:
    """The :class:`Runner` on real kernels: builds and boots by :mod:`lab.line`."""

    def __init__(self, kernels: Mapping[str, tuple[Line, Point]], setup: Setup) -> None:
        self.kernels = kernels
        self.setup = setup
        self.proving = threading.Lock()
        self.proven = False

    def at(self, kernel: str) -> tuple[Line, Point]:
        """The line and the point of a kernel."""
        return self.kernels[kernel]

    def stored(self, kernel: str) -> Made | None:
        """The kernel, if it is in the store."""
        from lab.kernel.build import kernel_key
        from lab.kernel.store import find
        from lab.line import known_kconfig

        line, point = self.at(kernel)
        kconfig = known_kconfig(line, point, self.setup)
        if kconfig is None:
            return None
        found = find(kernel_key(point.tree, kconfig, line.toolchain, line.compat), self.setup.paths)
        if isinstance(found, Kernel):
            in_use(found)
        return None if found is None else made_of(found, stored=True)

    def build(self, kernel: str, seconds: float) -> Made:
        """Build it, or take it from the store after all."""
        line, point = self.at(kernel)
        limit = min(seconds, self.setup.build_seconds)
        return made_of(kernel_of(line, point, replace(self.setup, build_seconds=limit)))

    def boot(self, job: Job, made: Made, number: int) -> Attempt:
        """Boot it once, and keep its console."""
        kernel = made.kernel
        assert isinstance(kernel, Kernel)  # noqa: S101 - only such are handed out
        line, _ = self.at(job.kernel)
        in_use(kernel)
        target = Target(kernel.image, job.machine, line.case.append, kernel.vmlinux)
        started = time.time()
        if not self.proven:  # which accelerator works is tried once, and not by all at once
            with self.proving:
                boot = boot_target(target, self.setup)
                self.proven = True
        else:
            boot = boot_target(target, self.setup)
        console = keep_console(boot.console.read_bytes(), self.setup.paths)
        expect = line.case.expect if job.cell.expected == "bad" else ANY
        return attempt_of(boot, job.machine, number, started, console, expect=expect)


def in_use(kernel: Kernel) -> None:
    """Note that it is used now, for ``lab gc``: file systems note a file's reading once a day, or never."""
    with contextlib.suppress(OSError):
        os.utime(kernel.folder)


def made_of(built: Kernel | BuildFailure, *, stored: bool = False) -> Made:
    """A kernel, or the failure that stands for it, as the schedule hands it on."""
    if isinstance(built, BuildFailure):
        seconds = 0.0 if stored else built.seconds
        return Made(key=built.key, from_store=stored, seconds=seconds, attempt=build_attempt(built, 1, time.time()))
    seconds = 0.0 if built.from_store else built.seconds
    return Made(built.key, built.release, built.from_store, seconds, built)
