"""Markers to cells: which kernel on which machine a test is about. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import UserError

Point = int | str
NAMED = ("base", "end", "fix")
"""The base, the series' last patch, and the last patch of its fix."""
KEYS = ("case", "points", "machines", "kconfigs", "append", "timeout", "programs", "program_timeout", "tree")
MOST_SECONDS = 86400.0
PROGRAM_SECONDS = 900.0


@dataclass(frozen=True)
class Wish:
    """What the markers of a test say. An empty ``machines`` or ``kconfigs`` is the case's own; ``programs`` are C files
    (or static executables, with arguments) relative to ``folder``, the test's; times are in seconds."""

    cases: tuple[str, ...]
    points: tuple[Point, ...]
    machines: tuple[str, ...]
    kconfigs: tuple[str, ...]
    append: str
    timeout: float | None
    programs: tuple[str, ...]
    program_timeout: float
    tree: str
    folder: Path


@dataclass(frozen=True)
class Cell:
    """One kernel on one machine."""

    case: str
    point: Point
    machine: str
    kconfig: str
    wish: Wish


def merged(marks: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]], folder: Path) -> Wish:
    """The markers of a test, the nearest first, as one wish: a key of a nearer one replaces that of a farther one.

    Raises :class:`UserError` that names the key.
    """
    said: dict[str, Any] = {}
    for args, kwargs in reversed(marks):
        if len(args) > 1:
            raise UserError(f"marker lab: {len(args)} values without a key; only the case may stand alone")
        said |= {"case": args[0]} if args else {}
        said |= kwargs
    wrong = next((key for key in said if key not in KEYS), None)
    if wrong:
        raise UserError(f"marker lab: no key {wrong!r}; there are {', '.join(KEYS)}")
    if not said.get("case"):
        raise UserError('marker lab: no case; name one: @pytest.mark.lab(case="early-policy")')
    return Wish(
        cases=words(said, "case"),
        points=tuple(point(value) for value in listed(said.get("points", "end"))),
        machines=words(said, "machines"),
        kconfigs=words(said, "kconfigs"),
        append=text(said, "append"),
        timeout=seconds(said, "timeout", None),
        programs=words(said, "programs"),
        program_timeout=seconds(said, "program_timeout", PROGRAM_SECONDS) or PROGRAM_SECONDS,
        tree=text(said, "tree"),
        folder=folder,
    )


def listed(value: object) -> list[Any]:
    """A list, or a value that stands alone, as a list."""
    return list(value) if isinstance(value, (list, tuple, set, frozenset, range)) else [value]


def words(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The strings (or paths) under ``key``."""
    values = listed(said.get(key, ()))
    if not all(isinstance(value, (str, Path)) and str(value) for value in values):
        raise UserError(f"marker lab: {key}: {values!r} is not a name, a path, or a list of such")
    return tuple(map(str, values))


def text(said: Mapping[str, Any], key: str) -> str:
    """The string (or path, or nothing) under ``key``."""
    value = said.get(key) or ""
    if not isinstance(value, (str, Path)):
        raise UserError(f"marker lab: {key}: {value!r} is not text")
    return str(value)


def seconds(said: Mapping[str, Any], key: str, default: float | None) -> float | None:
    """The time under ``key``."""
    value = said.get(key, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MOST_SECONDS:
        raise UserError(f"marker lab: {key}: {value!r} is not a number of seconds between 0 and {MOST_SECONDS:g}")
    return float(value)


def point(value: object) -> Point:
    """A point: an index, or one of the names."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value in NAMED:
        return value
    raise UserError(f"marker lab: points: {value!r} is neither an index from 0 on nor one of {', '.join(NAMED)}")


def index(wanted: Point, *, series_end: int, fix_end: int, case: str) -> int:
    """The index of a point in a line whose series ends at ``series_end``, and its fix at ``fix_end``."""
    if wanted == "fix" and fix_end == series_end:
        raise UserError(f"{case} has no fix, so no point of that name")
    named = {"base": 0, "end": series_end, "fix": fix_end}
    return named[wanted] if isinstance(wanted, str) else wanted


def cells(wish: Wish) -> tuple[Cell, ...]:
    """Every combination, points before machines before kconfigs."""
    axes = (wish.cases, wish.points, wish.machines or ("",), wish.kconfigs or ("",))
    return tuple(Cell(*combination, wish) for combination in itertools.product(*axes))


def label(cell: Cell) -> str:
    """A cell for people, and for a test's id: ``early-policy-fix-far``. What is the case's own is left out."""
    parts = (Path(cell.case).name, str(cell.point), *(Path(word).stem for word in (cell.machine, cell.kconfig) if word))
    return "-".join(parts)
