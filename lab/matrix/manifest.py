"""Matrix files: which points and branches are tried with which kconfigs, machines and toolchains, read from TOML."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from lab.errors import UserError
from lab.guest.machine import Complaint, read_size
from lab.manifest import load
from lab.verdict import Word

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
POINTS = ("base", "end", "fix")
"""Points by name; any other is the number of a patch."""
TIP = "tip"
"""The label of a branch's only point."""
MOST_CELLS = 100_000
MOST_BISECTS = 0.9
MOST_RETRIES = 100


class CaseEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[case]]``: a case of patches/ (or a path to its folder, from the matrix file) and which of its points."""

    name: str
    points: tuple[str | int, ...] = POINTS


class BranchEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[branch]]``: a git revision of ``tree`` (a path or URL; without one, of the tree that ``--tree`` names), known
    by ``name`` also when it has moved on."""

    name: str
    rev: str
    tree: str = ""
    append: str = ""


class KconfigEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[kconfig]]``: a kconfig of kconfigs/ or a path. ``without`` are symbols that a case requires and this kconfig
    leaves out on purpose; ``good`` says that with it the bug of the cases does not show."""

    name: str
    without: list[str] = []
    good: bool = False


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[exclude]]`` and ``[[required]]``: shell patterns, all of which a cell has to match."""

    case: str = "*"
    point: str = "*"
    kconfig: str = "*"
    machine: str = "*"
    toolchain: str = "*"
    base: str = "*"


class BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[budget]``. ``seconds`` for the whole run, 0 being no limit; ``memory`` and ``cores`` for guests (empty and 0:
    what is free); ``retries`` of a red cell before it is called bad; ``boot_seconds`` to reach user space; ``bisects``
    is the share of the seconds that is kept for bisects, where any are wanted."""

    seconds: float = 0.0
    memory: str = ""
    cores: int = 0
    retries: int = 4
    boots: int = 1
    boot_seconds: float = 60.0
    bisects: float = 0.2


class MatrixFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A matrix as it is written."""

    title: str
    machines: list[str]
    kconfig: list[KconfigEntry]
    case: list[CaseEntry] = []
    branch: list[BranchEntry] = []
    toolchains: tuple[str, ...] = ("",)
    exclude: list[Filter] = []
    required: list[Filter] = []
    budget: BudgetFile = BudgetFile()


@dataclass(frozen=True)
class Budget:
    """What a run may use. ``seconds`` 0: as long as it takes; ``memory`` in bytes and ``cores`` 0: what is free."""

    seconds: float = 0.0
    memory: int = 0
    cores: int = 0
    retries: int = 4
    boots: int = 1
    boot_seconds: float = 60.0
    bisects: float = 0.2


@dataclass(frozen=True)
class Spot:
    """A cell as it is asked for, before anyone looked for its base: names only. ``source`` is the index among the
    matrix's ``sources``."""

    source: int
    case: str
    label: str
    kconfig: str
    machine: str
    toolchain: str


@dataclass(frozen=True)
class Matrix:
    """A matrix that was read and checked. ``key`` is the hash of its file's text, ``name`` the file's own."""

    name: str
    title: str
    key: str
    folder: Path
    sources: tuple[CaseEntry | BranchEntry, ...]
    kconfigs: tuple[KconfigEntry, ...]
    machines: tuple[str, ...]
    toolchains: tuple[str, ...]
    exclude: tuple[Filter, ...]
    required: tuple[Filter, ...]
    budget: Budget


def load_matrix(path: Path) -> Matrix:
    """The matrix in ``path``. Raises :class:`UserError` that names the file and the key."""
    file = load(path, MatrixFile)
    return check(file, path, hashlib.sha256(path.read_bytes()).hexdigest())


def check(file: MatrixFile, path: Path, key: str) -> Matrix:
    """``file`` as a matrix. Pure."""

    def refuse(where: str, text: str) -> UserError:
        return UserError(f"{path}: {where}: {text}")

    if not NAME.fullmatch(path.stem):
        raise refuse("its name", "must be a plain word: the history knows the matrix by it")
    sources: tuple[CaseEntry | BranchEntry, ...] = (*file.case, *file.branch)
    check_lists(file, sources, refuse)
    check_points(file, refuse)
    matrix = Matrix(
        name=path.stem,
        title=file.title,
        key=key,
        folder=path.parent,
        sources=sources,
        kconfigs=tuple(file.kconfig),
        machines=tuple(file.machines),
        toolchains=tuple(file.toolchains),
        exclude=tuple(file.exclude),
        required=tuple(file.required),
        budget=read_budget(file.budget, refuse),
    )
    count = (
        sum(len(labels(source)) for source in sources) * len(file.kconfig) * len(file.machines) * len(file.toolchains)
    )
    if count > MOST_CELLS:
        raise refuse("its size", f"{count} cells are more than {MOST_CELLS}")
    return matrix


def check_lists(file: MatrixFile, sources: Sequence[CaseEntry | BranchEntry], refuse: Complaint) -> None:
    """Refuse a matrix without cells, and names that stand twice: their cells would be the same."""
    for where, words in (
        ("case", [short(source.name) for source in sources]),
        ("kconfig", [short(entry.name) for entry in file.kconfig]),
        ("machines", [short(name) for name in file.machines]),
        ("toolchains", list(file.toolchains)),
    ):
        if not words:
            raise refuse(where, "there is none")
        twice = next((word for word, count in Counter(words).items() if count > 1), None)
        if twice is not None:
            raise refuse(where, f"{twice!r} stands there twice")


def check_points(file: MatrixFile, refuse: Complaint) -> None:
    """Refuse points that no case can have."""
    for index, entry in enumerate(file.case):
        key = f"case[{index}].points"
        for label in entry.points:
            if isinstance(label, str) and label not in POINTS:
                raise refuse(key, f"{label!r} is none of {', '.join(POINTS)} and no number")
            if isinstance(label, int) and label < 0:
                raise refuse(key, f"{label} is less than 0")
        if not entry.points or len(set(map(str, entry.points))) < len(entry.points):
            raise refuse(key, "is empty, or a point stands there twice")
    for index, branch in enumerate(file.branch):
        if not NAME.fullmatch(branch.name):
            raise refuse(f"branch[{index}].name", f"{branch.name!r} is not a plain word")


def read_budget(file: BudgetFile, refuse: Complaint) -> Budget:
    """``[budget]`` with its sizes in bytes."""
    for key, value, most in (
        ("seconds", file.seconds, 7 * 86400.0),
        ("cores", file.cores, 4096),
        ("retries", file.retries, MOST_RETRIES),
        ("bisects", file.bisects, MOST_BISECTS),
    ):
        if not 0 <= value <= most:
            raise refuse(f"budget.{key}", f"{value:g} is not 0 to {most:g}")
    if not 1 <= file.boot_seconds <= 86400:
        raise refuse("budget.boot_seconds", f"{file.boot_seconds:g} is not 1 to 86400")
    if not 1 <= file.boots <= MOST_RETRIES:
        raise refuse("budget.boots", f"{file.boots} is not 1 to {MOST_RETRIES}")
    memory = read_size(file.memory, "budget.memory", refuse) if file.memory else 0
    return Budget(file.seconds, memory, file.cores, file.retries, file.boots, file.boot_seconds, file.bisects)


def labels(source: CaseEntry | BranchEntry) -> tuple[str, ...]:
    """The points that are asked for, by name."""
    return tuple(map(str, source.points)) if isinstance(source, CaseEntry) else (TIP,)


def short(name: str) -> str:
    """A case, kconfig or machine by its name alone where it is a path."""
    last = name.rstrip("/").rpartition("/")[2]
    return last.removesuffix(".toml").removesuffix(".config.j2").removesuffix(".config") or name


def spots(matrix: Matrix) -> Iterator[Spot]:
    """All cells that are asked for, in the order of the file: kernels outside, machines inside. Pure."""
    for index, source in enumerate(matrix.sources):
        for kconfig in matrix.kconfigs:
            for toolchain in matrix.toolchains:
                for label in labels(source):
                    for machine in matrix.machines:
                        yield Spot(index, short(source.name), label, kconfig.name, machine, toolchain)


def matches(wanted: Filter, spot: Spot, base: str, compiler: str) -> bool:
    """Whether ``spot`` on ``base`` is one that ``wanted`` means."""
    given = (
        (wanted.case, spot.case),
        (wanted.point, spot.label),
        (wanted.kconfig, short(spot.kconfig)),
        (wanted.machine, short(spot.machine)),
        (wanted.toolchain, compiler),
        (wanted.base, base),
    )
    return all(fnmatchcase(text, pattern) for pattern, text in given)


def expected(matrix: Matrix, spot: Spot, case_says: Word) -> Word:
    """What is expected of a cell: what its case says, unless its kconfig is one with which the bug does not show."""
    entry = next(entry for entry in matrix.kconfigs if entry.name == spot.kconfig)
    return "good" if entry.good else case_says
