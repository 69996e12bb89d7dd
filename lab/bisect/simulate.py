"""Bisects of lines that are made up, to count what a strategy costs and how often it errs. Nothing is built."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.bisect.choose import Outlook
from lab.bisect.graph import Graph
from lab.bisect.plan import NOTHING, Found, Lies, Rules, State, Tally, next_step


@dataclass(frozen=True)
class Made:
    """What a simulated bisect came to: its answer, the points that were built in order, and how many boots it took."""

    answer: Found | Lies
    builds: tuple[int, ...]
    boots: int


def simulate(
    graph: Graph,
    sight: Callable[[int], str],
    rules: Rules,
    view: Callable[[tuple[int, ...]], Outlook] = lambda _built: Outlook(),
) -> Made:
    """Bisect ``graph`` where ``sight`` says what one boot of a point shows (``good``, ``bad``, ``other``, ``fault``,
    ``unbuilt``). ``view`` gives the outlook after the points that were built."""
    known: dict[int, Tally] = {}
    built: list[int] = []
    boots = 0
    while True:
        step = next_step(State(graph, known, rules, view(tuple(built))))
        if not isinstance(step, list):
            return Made(step, tuple(built), boots)
        for point in [one.point for one in step]:
            if point not in built:
                built.append(point)
            word = sight(point)
            tally = known.get(point, NOTHING)
            if word == "unbuilt":
                known[point] = replace(tally, unbuilt=True)
                continue
            boots += 1
            known[point] = replace(tally, **{word: getattr(tally, word) + 1})


def line_sight(culprit: int, rate: float, chance: random.Random) -> Callable[[int], str]:
    """A bug that came in at point ``culprit`` of a line and strikes in ``rate`` of the boots."""
    return lambda point: "bad" if point >= culprit and chance.random() < rate else "good"
