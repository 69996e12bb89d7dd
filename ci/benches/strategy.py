"""What a bisect's strategy costs against halving, and how often flaky bugs fool it: counted in simulation.

Nothing is built or booted. `cost_ratio`: seconds of all probes against those of plain halving with the same proofs,
over series that are made up (patches to .c files, every third also to a header that a tenth to nine tenths of 850
objects hang on; times as measured on 3.7); `cost_ratio_beyond` is the same without the first build, which both have to
make. `guided_*`: where in three of four bugs the culprit, and one of four of all patches, change a function of the
crash's trace. `wrong_N`: the share of bisects that name a wrong patch where the bug strikes in N % of the boots (at a
risk of 1 %), `unnamed_N` of those that name none, `boots_N` how many boots that takes.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from typing import Any

from lab.bisect.choose import Outlook, same_cost
from lab.bisect.graph import line_graph
from lab.bisect.plan import Found, Rules
from lab.bisect.simulate import line_sight, made_up_series, simulate, spent

RATES = (10, 30, 50, 70, 90, 100)
RELATED = 15.0
"""The weight of a patch that changes a function of the trace, beside 1: between that for the innermost and that for
one far from it (lab.bisect.touches.suspicion)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this bench may be told."""
    parser.add_argument("--series", type=int, default=2000, metavar="N", help="Series for the costs (default 2000).")
    parser.add_argument("--flaky", type=int, default=2000, metavar="N", help="Bisects for each rate (default 2000).")
    parser.add_argument("--seed", type=int, default=1, metavar="N")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both simulations."""
    chance = random.Random(arguments.seed)  # noqa: S311
    return {**costs(arguments.series, chance), **errors(arguments.flaky, chance)}


def costs(count: int, chance: random.Random) -> dict[str, Any]:
    """The strategy's cost, and the ratio to halving's."""
    halving, plain, guided = Sum(), Sum(), Sum()
    for _ in range(count):
        last = chance.choice((10, 19, 30))
        job = made_up_series(chance, last)
        culprit = chance.randint(1, last)
        sight = line_sight(culprit, 1.0, chance)
        weights = [RELATED if chance.random() < 0.25 else 1.0 for _ in range(last + 1)]
        weights[culprit] = RELATED if chance.random() < 0.75 else 1.0
        views = (
            (halving, lambda _built: Outlook(cost=same_cost)),
            (plain, job.outlook),
            (guided, lambda built, job=job, weights=weights: replace(job.outlook(built), weight=tuple(weights))),
        )
        for total, view in views:
            made = simulate(line_graph(last), sight, Rules(), view)
            assert isinstance(made.answer, Found)  # noqa: S101
            assert made.answer.candidates == (culprit,)  # noqa: S101
            first = job.prices.cost(None, last, ())
            total.add(spent(job, made.builds), first, len(made.builds))
    return {
        "series": count,
        "cost_ratio": plain.seconds / halving.seconds,
        "cost_ratio_beyond": plain.beyond / halving.beyond,
        "guided_ratio": guided.seconds / halving.seconds,
        "guided_ratio_beyond": guided.beyond / halving.beyond,
        "halving_builds": halving.builds / count,
        "builds": plain.builds / count,
        "guided_builds": guided.builds / count,
    }


class Sum:
    """Seconds, seconds beyond the first build, and builds of one strategy."""

    def __init__(self) -> None:
        self.seconds = self.beyond = 0.0
        self.builds = 0

    def add(self, seconds: float, first: float, builds: int) -> None:
        """Count one bisect."""
        self.seconds += seconds
        self.beyond += seconds - first
        self.builds += builds


def errors(count: int, chance: random.Random) -> dict[str, Any]:
    """Wrong answers and boots at each rate."""
    result: dict[str, Any] = {"flaky": count}
    for rate in RATES:
        wrong = boots = lies = 0
        for _ in range(count):
            last = chance.randint(2, 40)
            culprit = chance.randint(1, last)
            sight = line_sight(culprit, rate / 100, chance)
            made = simulate(line_graph(last), sight, Rules(), lambda _built: Outlook(boot=2.0, redo=60.0))
            boots += made.boots
            lies += not isinstance(made.answer, Found)
            wrong += isinstance(made.answer, Found) and made.answer.candidates != (culprit,)
        result |= {f"wrong_{rate}": wrong / count, f"unnamed_{rate}": lies / count, f"boots_{rate}": boots / count}
    return result
