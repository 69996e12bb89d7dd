"""From names to what can be built and booted: cases, bases, machines, kconfigs; what is not to be had is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from lab.case import Case, Expect, load_case
from lab.errors import LabError, UserError
from lab.guest.machine import Machine, load_machine
from lab.history.records import Cell
from lab.line import Line, Setup
from lab.matrix.manifest import BranchEntry, CaseEntry, Matrix, Spot, expected, matches, short, spots
from lab.matrix.plan import Job, LeftOut
from lab.paths import data_folder
from lab.repro import expected as case_says
from lab.tree.types import Point


@dataclass(frozen=True)
class Ready:
    """A matrix whose cells can be filled: ``kernels`` has the line and the point of each kernel that the jobs name."""

    matrix: Matrix
    jobs: tuple[Job, ...]
    kernels: dict[str, tuple[Line, Point]]
    left_out: tuple[LeftOut, ...]


Prepare = Callable[[Case, Setup], Line]


def make_ready(matrix: Matrix, setup: Setup, *, prepare: Prepare | None = None) -> Ready:
    """Prepare every case and branch of ``matrix``.

    A base that can't be had, and a point that a case has not, are left out with the reason; where nothing is left, that
    reason is raised. Raises :class:`UserError` for a case, machine or kconfig that does not exist, and for two
    toolchains that are the same compiler.
    """
    from lab.kernel.fragment import find
    from lab.line import prepare as prepare_line

    folder = matrix.folder
    for entry in matrix.kconfigs:
        find(here(entry.name, folder), data_folder("kconfigs"))
    cases = [case_of(source, folder) for source in matrix.sources]
    machines = {name: load_machine(here(name, folder), data_folder("qemu")) for name in matrix.machines}
    lines = Lines(matrix, cases, machines, setup, prepare or prepare_line)
    jobs: list[Job] = []
    kernels: dict[str, tuple[Line, Point]] = {}
    left: Counter[tuple[str, str]] = Counter()
    without: dict[tuple[str, str], list[Spot]] = {}
    keys: set[str] = set()
    for spot in spots(matrix):
        line = lines.of(spot)
        if isinstance(line, LabError):
            if not any(matches(one, spot, cases[spot.source].base, spot.toolchain) for one in matrix.exclude):
                without.setdefault((spot.case, str(line)), []).append(spot)
            continue
        point = point_of(line, spot.label)
        if point is None:
            left[(f"{spot.case} {spot.label}", "it has no such point")] += 1
            continue
        cell = cell_of(matrix, spot, line, point, machines[spot.machine])
        if any(matches(one, spot, cell.base, cell.toolchain) for one in matrix.exclude):
            continue
        if cell.key in keys:
            raise UserError(f"{matrix.name}: toolchains: two of them are {cell.toolchain!r}, the configured one")
        keys.add(cell.key)
        kernel = "/".join((cell.case, cell.label, cell.kconfig, cell.toolchain))
        kernels[kernel] = (line, point)
        jobs.append(Job(cell, kernel, machines[spot.machine]))
    for (case, why), some in without.items():
        some_kconfigs = dict.fromkeys(short(one.kconfig) for one in some)
        whole = len(some_kconfigs) == len(matrix.kconfigs)
        left[(case if whole else f"{case} with {', '.join(some_kconfigs)}", why)] += len(some)
    told = tuple(LeftOut(what, why, cells) for (what, why), cells in left.items())
    if not jobs:
        raise UserError(f"{matrix.name}: no cell can be filled" + (f": {told[0].what}: {told[0].why}" if told else ""))
    return Ready(matrix, tuple(jobs), kernels, told)


def here(name: str, folder: Path) -> str:
    """A name, or a path that is meant from the matrix file's folder."""
    path = folder / name
    return str(path) if "/" in name and path.exists() else name


def case_of(source: CaseEntry | BranchEntry, folder: Path) -> Case:
    """The case that an entry names; of a branch, one without patches that nothing is known of."""
    if isinstance(source, CaseEntry):
        return load_case(here(source.name, folder), data_folder("patches"))
    return Case(
        name=source.name,
        folder=folder,
        title=f"branch {source.name}",
        base=source.rev,
        patches=(),
        fix=(),
        kconfig="",
        machine="",
        append=source.append,
        require=(),
        expect=Expect(),
    )


class Lines:
    """The lines of a matrix, each prepared once: a base is fetched and a series applied once for all kconfigs."""

    def __init__(
        self, matrix: Matrix, cases: list[Case], machines: dict[str, Machine], setup: Setup, prepare: Prepare
    ) -> None:
        self.matrix = matrix
        self.machines = machines
        self.cases = cases
        self.setup = setup
        self.prepare = prepare
        self.known: dict[tuple[int, str, str, str], Line | LabError] = {}
        self.first: dict[tuple[int, str, str], Line | LabError] = {}
        self.failed: dict[tuple[int, str, str], str] = {}

    def of(self, spot: Spot) -> Line | LabError:
        """The line of ``spot``, or why there is none."""
        key = (spot.source, spot.kconfig, spot.toolchain, self.arch_of(spot))
        if key not in self.known:
            self.known[key] = self.make(spot)
        return self.known[key]

    def arch_of(self, spot: Spot) -> str:
        """The architecture of the spot's machine."""
        return self.machines[spot.machine].arch

    def tools_of(self, spot: Spot) -> tuple[int, str, str]:
        """What the lines of all kconfigs have in common."""
        return (spot.source, spot.toolchain, self.arch_of(spot))

    def make(self, spot: Spot) -> Line | LabError:
        """Prepare the line of ``spot``, or take the one with another kconfig and change that."""
        from lab.kernel.kconfig import render

        entry = next(entry for entry in self.matrix.kconfigs if entry.name == spot.kconfig)
        kconfig = here(entry.name, self.matrix.folder)
        own = self.cases[spot.source]
        require = tuple(one for one in own.require if one.partition("=")[0] not in entry.without)
        case = replace(own, kconfig=kconfig, machine=here(spot.machine, self.matrix.folder), require=require)
        first = self.first.get(self.tools_of(spot))
        try:
            if first is None:
                first = self.first[self.tools_of(spot)] = self.prepare(case, self.setup_of(spot))
                return first
            if isinstance(first, LabError):
                return first
            fragment = render(kconfig, first.tree.base.version, {}, folder=data_folder("kconfigs"))
        except LabError as error:
            # What two kconfigs fail of is none of their faults: no third one needs to be tried.
            if first is None and self.failed.get(self.tools_of(spot)) == str(error):
                self.first[self.tools_of(spot)] = error
            self.failed[self.tools_of(spot)] = str(error)
            return error
        return replace(first, case=case, fragment=fragment)

    def setup_of(self, spot: Spot) -> Setup:
        """The setup with the compiler and the tree of ``spot``."""
        source = self.matrix.sources[spot.source]
        setup = replace(self.setup, cc=spot.toolchain or self.setup.cc)
        if isinstance(source, BranchEntry) and source.tree:
            place = source.tree if "://" in source.tree else str((self.matrix.folder / source.tree).absolute())
            settings = msgspec.structs.replace(setup.settings, bases={**setup.settings.bases, source.rev: place})
            return replace(setup, tree=None, settings=settings)
        if isinstance(source, CaseEntry):
            return replace(setup, tree=None)
        return setup


def point_of(line: Line, label: str) -> Point | None:
    """The point that ``label`` names; ``None`` where the line has it not."""
    index = {"base": 0, "tip": 0, "end": line.series_end, "fix": line.fix_end}.get(label)
    if index is None:
        index = int(label)
    missing = (label == "fix" and not line.case.fix) or (label == "end" and not line.case.patches)
    return None if missing or index > line.fix_end else line.tree.points[index]


def cell_of(matrix: Matrix, spot: Spot, line: Line, point: Point, machine: Machine) -> Cell:
    """``spot`` as the history keeps it."""
    compiler = line.toolchain.cc
    base = line.tree.base.name
    bug = line.case.expect
    says_so = bug.signature or bug.title or bug.first_bad
    said = case_says(line.case, point.index) if line.case.patches and says_so else "good"
    return Cell(
        case=spot.case,
        point=point.index,
        label=spot.label,
        subject=point.subject,
        commit=point.commit,
        kconfig=short(spot.kconfig),
        machine=short(spot.machine),
        toolchain=compiler,
        base=base,
        expected=expected(matrix, spot, said),
        required=any(matches(one, spot, base, compiler) for one in matrix.required),
        arch=machine.arch,
    )
