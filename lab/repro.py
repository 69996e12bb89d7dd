"""Reproducing a case: the points that tell whether it is what its manifest says, and whether they did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.case import Case
from lab.guest_tests import GuestTest, make_ready, run_guest_tests
from lab.line import Line, Probe, Setup, point_at, probe
from lab.verdict import Word


@dataclass(frozen=True)
class Repro:
    """What the points of a case turned out to be.

    ``reproduced``: the bug was there where the case expects it, and not at the base where that was tried.
    ``as_expected``: each point was what the case says of it, and each of ``guest_tests`` passed or had nothing to test.
    """

    line: Line
    probes: tuple[Probe, ...]
    reproduced: bool
    as_expected: bool
    guest_tests: tuple[GuestTest, ...] = ()


def plan(case: Case, fix_end: int, at: tuple[int, ...], with_fix: bool) -> tuple[int, ...]:
    """The points to try: those asked for, or the fix, or the series' end and then its base."""
    if at:
        return at
    return (fix_end,) if with_fix else tuple(dict.fromkeys((len(case.patches), 0)))


def expected(case: Case, index: int) -> Word:
    """What the case says of point ``index``: bad from its first bad patch (the last where it names none) to the
    series' end, good before that and with the fix."""
    first_bad = case.expect.first_bad or len(case.patches)
    return "bad" if first_bad <= index <= len(case.patches) else "good"


def reproduce(
    line: Line,
    points: tuple[int, ...],
    setup: Setup,
    *,
    with_programs: bool = False,
    seen: Callable[[Probe], None] = lambda _probe: None,
) -> Repro:
    """Build and boot ``points``, telling ``seen`` of each as it is known.

    ``with_programs``: and have guests run the case's test programs, where it names some, at the last of the points.
    """
    for index in points:
        point_at(line, index)
    wanted = line.case.programs if with_programs else None
    ready = make_ready(line, wanted, setup) if wanted else None
    probes = []
    for index in points:
        probes.append(probe(line, index, setup))
        seen(probes[-1])
    tests = run_guest_tests(ready, points[-1], setup) if ready else ()
    return conclude(line, tuple(probes), tests)


def conclude(line: Line, probes: tuple[Probe, ...], tests: tuple[GuestTest, ...] = ()) -> Repro:
    """What the probes say together."""
    words = {result.point.index: result.verdict.word for result in probes}
    bad = [index for index, word in words.items() if word == "bad" and expected(line.case, index) == "bad"]
    return Repro(
        line=line,
        probes=probes,
        reproduced=bool(bad) and (not line.case.patches or words.get(0, "good") == "good"),
        as_expected=all(word == expected(line.case, index) for index, word in words.items())
        and all(test.verdict.word == "good" for test in tests),
        guest_tests=tests,
    )
