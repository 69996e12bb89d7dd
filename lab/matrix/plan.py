"""What a run will do, in the order in which it matters, and what that costs by what it cost before. All of it pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lab.guest.machine import Machine
from lab.history.records import Cell, CellWord, Result

BOOT_SECONDS = 2.0
BUILD_SECONDS = 240.0
"""What a boot and a build are taken to cost where nothing like them was seen: a tiny kernel's from nothing, on two
cores."""
DIGITS = 1


@dataclass(frozen=True)
class Job:
    """A cell to fill, the kernel that it needs (jobs with the same one share a build), and its machine."""

    cell: Cell
    kernel: str
    machine: Machine


@dataclass(frozen=True)
class LeftOut:
    """What a matrix asks for and this run can't do, and why."""

    what: str
    why: str
    cells: int


@dataclass(frozen=True)
class Costs:
    """Seconds: of one boot by cell, by kconfig and machine, by machine; of a build by kconfig. ``stored`` are kernels
    that need none."""

    by_cell: Mapping[str, float] = field(default_factory=dict)
    by_pair: Mapping[tuple[str, str], float] = field(default_factory=dict)
    by_machine: Mapping[str, float] = field(default_factory=dict)
    builds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    stored: frozenset[str] = frozenset()
    boots: int = 1

    def boot(self, cell: Cell) -> float:
        """What filling ``cell`` takes once its kernel is there."""
        known = (self.by_cell.get(cell.key), self.by_pair.get((cell.kconfig, cell.machine)))
        one = next((seconds for seconds in (*known, self.by_machine.get(cell.machine)) if seconds), BOOT_SECONDS)
        return one * self.boots

    def build(self, job: Job) -> float:
        """What the kernel of ``job`` takes."""
        if job.kernel in self.stored:
            return 0.0
        return self.builds.get((job.cell.case, job.cell.kconfig), BUILD_SECONDS)


def learned(past: Sequence[Sequence[Result]], stored: frozenset[str], boots: int = 1) -> Costs:
    """Costs by what is in the results of earlier runs, the newest first; medians, of the newest ten each."""
    by_cell: dict[str, list[float]] = {}
    by_pair: dict[tuple[str, str], list[float]] = {}
    by_machine: dict[str, list[float]] = {}
    builds: dict[tuple[str, str], list[float]] = {}
    for results in past:
        for result in results:
            cell = result.cell
            for attempt in result.attempts:
                if attempt.infrastructure or attempt.build:
                    continue
                by_cell.setdefault(cell.key, []).append(attempt.seconds)
                by_pair.setdefault((cell.kconfig, cell.machine), []).append(attempt.seconds)
                by_machine.setdefault(cell.machine, []).append(attempt.seconds)
            if result.build_seconds > 0 and not result.from_store:
                builds.setdefault((cell.case, cell.kconfig), []).append(result.build_seconds)
    return Costs(
        by_cell={key: statistics.median(times[:10]) for key, times in by_cell.items()},
        by_pair={key: statistics.median(times[:10]) for key, times in by_pair.items()},
        by_machine={key: statistics.median(times[:10]) for key, times in by_machine.items()},
        builds={key: statistics.median(times[:10]) for key, times in builds.items()},
        stored=stored,
        boots=boots,
    )


def value(cell: Cell, last: CellWord | None) -> int:
    """How much it matters to know ``cell``: required ones, what was not as expected last time, what was never tried."""
    if cell.required:
        return 1000
    if last is None or last == "waiting":
        return 3
    return 1 if last == cell.expected else 10


def ordered(jobs: Sequence[Job], costs: Costs, last: Mapping[str, CellWord]) -> tuple[Job, ...]:
    """``jobs`` with what matters most first.

    Kernels with required cells come first, then those with cells that were not as expected last time, then those that
    are built already, then by how much is learned for a second of building; of one kernel's cells the ones that matter
    most, then the quickest. What is alike stays in the order of the file, in which the objects of one kernel serve the
    next.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.kernel, []).append(job)

    def rank(item: tuple[int, tuple[str, list[Job]]]) -> tuple[float, ...]:
        place, (kernel, members) = item
        values = [value(job.cell, last.get(job.cell.key)) for job in members]
        build = costs.build(members[0])
        urgent = -max(values) if max(values) >= 10 else 0
        return (urgent, kernel not in costs.stored, round(build / sum(values), DIGITS), place)

    found: list[Job] = []
    for _, (_, members) in sorted(enumerate(groups.items()), key=rank):
        found += sorted(members, key=lambda job: (-value(job.cell, last.get(job.cell.key)), costs.boot(job.cell)))
    return tuple(found)


def longest_first(jobs: Sequence[Job], costs: Costs) -> tuple[Job, ...]:
    """``jobs`` as many workers are done with them soonest, where there is no deadline: the longest first, so that none
    is left to be waited for at the end. What is alike stays in its order."""
    return tuple(sorted(jobs, key=lambda job: -(costs.build(job) + costs.boot(job.cell))))


@dataclass(frozen=True)
class Estimate:
    """What a plan is taken to cost: kernels to build, seconds of building, of booting (one after the other), and of the
    whole run with ``cores`` guests at once; builds take all cores, so guests beside them save little."""

    kernels: int
    build_seconds: float
    boot_seconds: float
    seconds: float


def estimate(jobs: Sequence[Job], costs: Costs, cores: int) -> Estimate:
    """What ``jobs`` will cost."""
    kernels = {job.kernel: costs.build(job) for job in jobs}
    build = sum(kernels.values())
    boot = sum(costs.boot(job.cell) for job in jobs)
    missing = sum(kernel not in costs.stored for kernel in kernels)
    return Estimate(missing, build, boot, build + boot / max(cores, 1))
