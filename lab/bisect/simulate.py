"""Bisects of lines that are made up, to count what a strategy costs and how often it errs. Nothing is built."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.bisect.choose import Outlook
from lab.bisect.graph import Graph
from lab.bisect.plan import NOTHING, Found, Lies, Rules, State, Tally, next_step
from lab.bisect.price import Pace, Prices


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


@dataclass(frozen=True)
class Job:
    """A series that is made up: what its probes cost."""

    prices: Prices

    def outlook(self, built: tuple[int, ...]) -> Outlook:
        """What the search knows after the points ``built``: the prices, and where the object directory stands."""
        return Outlook(
            cost=self.prices.cost,
            hot=built[-1] if built else None,
            compiled=built,
            stored=frozenset(built),
            boot=self.prices.pace.boot,
        )


def made_up_series(chance: random.Random, patches: int) -> Job:
    """Patches to .c files, one object each, and every third or so also to a header that a tenth to all of the objects
    hang on: the mixture and the times are those of the 19 patches on 3.7."""
    objects = 850
    headers = [f"include/h{number}.h" for number in range(6)]
    files: list[dict[str, str]] = [{}]
    for number in range(1, patches + 1):
        touched = {f"mm/c{chance.randint(0, 8)}.c": str(number)}
        if chance.random() < 0.37:
            touched[chance.choice(headers)] = str(number)
        files.append({**files[-1], **touched})
    names = sorted({name for content in files for name in content})
    groups: Counter[frozenset[str]] = Counter()
    share = {name: chance.uniform(0.1, 0.9) for name in headers}
    for _ in range(objects):
        groups[frozenset(name for name in headers if name in names and chance.random() < share[name])] += 1
    for name in names:
        if name.endswith(".c"):
            groups[frozenset({name, *(other for other in headers if other in names and chance.random() < 0.8)})] += 1
    return Job(Prices(files, groups, Pace(compile=0.085, link=5.0, boot=2.0)))


def spent(job: Job, builds: Sequence[int]) -> float:
    """Seconds that building and booting these points takes, one after the other."""
    total = 0.0
    hot: int | None = None
    for count, point in enumerate(builds):
        total += job.prices.cost(hot, point, builds[:count])
        hot = point
    return total
