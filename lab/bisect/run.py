"""The loop of a bisect: asks the search for a point, probes it, and hands the verdict back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.bisect.search import Found, Lies, Try, next_step
from lab.line import Line, Probe, Setup, probe
from lab.tree.types import Point
from lab.verdict import Word


@dataclass(frozen=True)
class Bisect:
    """What a bisect came to. ``candidates`` is one point where the culprit is known, several where skips hide it, none
    where an end lies, and then ``reason`` says so. ``seconds`` is wall time."""

    line: Line
    probes: tuple[Probe, ...]
    candidates: tuple[Point, ...]
    reason: str
    seconds: float

    @property
    def first_bad(self) -> Point | None:
        """The patch that brought the bug, where it is a single one."""
        return self.candidates[0] if len(self.candidates) == 1 else None


def bisect(line: Line, setup: Setup, *, seen: Callable[[Probe], None] = lambda _probe: None) -> Bisect:
    """Search the series for its first bad patch, telling ``seen`` of each probe as it is known."""
    started = time.monotonic()
    probes: list[Probe] = []
    verdicts: dict[int, Word] = {}
    while isinstance(step := next_step(line.series_end, verdicts), Try):
        result = probe(line, step.point, setup)
        probes.append(result)
        verdicts[step.point] = result.verdict.word
        seen(result)
    candidates: tuple[Point, ...] = ()
    reason = ""
    match step:
        case Found(indices):
            candidates = tuple(line.tree.points[index] for index in indices)
            if len(indices) > 1:
                reason = "the points between had to be skipped, so it is one of these patches"
        case Lies(why):
            reason = f"{why}: {told(probes)}"
    return Bisect(line, tuple(probes), candidates, reason, time.monotonic() - started)


def told(probes: list[Probe]) -> str:
    """What the last probe's verdict rests on."""
    return probes[-1].verdict.reason if probes else "nothing was tried"
