"""The loop of a bisect: asks the plan what to do, has it done, writes down what came of it, and asks again.

It knows nothing of kernels: who can build and boot a numbered point is a :class:`Prober`. After a kill the journal
holds all that was known, and the same call goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from lab.bisect.choose import Outlook
from lab.bisect.graph import Graph
from lab.bisect.journal import Journal
from lab.bisect.plan import Found, Lies, Rules, State, Try, next_step
from lab.bisect.records import Boot, Build, Event, same_as_before, tallies


class Prober(Protocol):
    """What builds and boots points. Called from one thread for each ``worker`` (0, 1, …)."""

    def build(self, point: int, worker: int) -> Build:
        """Build ``point``; not compiling is a result."""

    def boot(self, point: int, worker: int) -> Boot:
        """Boot ``point``, which was built once, and judge what was seen."""


@dataclass(frozen=True)
class Hands:
    """Who makes the probes, where that is not this process: an executor that may be on other machines. ``check`` is
    called while one waits for them, and raises where nobody is left who could do it."""

    executor: Executor
    check: Callable[[], None]


LOOK_SECONDS = 10.0
"""So often it is looked whether anybody is left."""

View = Callable[[Sequence[Event]], Outlook]
"""What probes cost and where the bug is likely, by what is known so far."""


class Watcher(Protocol):
    """Who wants to see what goes on."""

    def doing(self, state: State, tries: Sequence[Try]) -> None:
        """These probes begin."""

    def done(self, event: Build | Boot) -> None:
        """This came out, and is in the journal."""


class Nobody:
    """A :class:`Watcher` that looks away."""

    def doing(self, state: State, tries: Sequence[Try]) -> None:
        """Nothing."""

    def done(self, event: Build | Boot) -> None:
        """Nothing."""


NOBODY = Nobody()


@dataclass(frozen=True)
class Outcome:
    """What a bisect came to, and all that it rests on."""

    step: Found | Lies
    state: State
    events: tuple[Event, ...]


def state_of(graph: Graph, events: Sequence[Event], rules: Rules, view: View) -> State:
    """What is known after ``events``."""
    inside = [event for event in events if not isinstance(event, Build | Boot) or event.point < len(graph.parents)]
    return State(graph, tallies(inside), rules, view(inside), same_as_before(graph, inside))


def run(
    graph: Graph,
    prober: Prober,
    journal: Journal,
    rules: Rules,
    *,
    view: View,
    watcher: Watcher = NOBODY,
    hands: Hands | None = None,
) -> Outcome:
    """Bisect ``graph`` to its end, from where ``journal`` stands; by ``hands``, or threads of this process."""
    while True:
        state = state_of(graph, journal.events, rules, view)
        step = next_step(state)
        if not isinstance(step, list):
            return Outcome(step, state, tuple(journal.events))
        watcher.doing(state, step)
        probe_all(step, state, prober, journal, watcher, hands=hands)


def probe_all(
    tries: list[Try], state: State, prober: Prober, journal: Journal, watcher: Watcher, *, hands: Hands | None = None
) -> None:
    """Make the probes, each by a worker of its own. Points that are not built yet are built; those are booted that
    have an image nobody has seen enough of."""

    def note(event: Build | Boot) -> None:
        journal.add(event)
        watcher.done(event)

    built = {event.point for event in journal.events if isinstance(event, Build)}
    missing = list(dict.fromkeys(one.point for one in tries if one.point not in built))
    for event in at_once([partial(prober.build, point) for point in missing], note, hands):
        built.add(event.point)
    if missing:
        now = tallies(journal.events)
        before = {point: state.known.get(point) for point in missing}
        news = [point for point in missing if (tally := now.get(point)) and tally != before[point]]
        tries = [one for one in tries if one.point not in news]  # it does not build, or its image is known already
    at_once([partial(prober.boot, one.point) for one in tries], note, hands)


def at_once(
    jobs: Sequence[Callable[[int], Build | Boot]], note: Callable[[Build | Boot], None], hands: Hands | None = None
) -> list[Build | Boot]:
    """Run ``jobs``, handing each the number of its worker; each result is noted as it comes, in this thread.

    Where one raises, what the others came to is noted before it is raised here.
    """
    if not jobs:
        return []
    if hands is not None:
        return collected(jobs, note, hands)
    if len(jobs) == 1:
        result = jobs[0](0)
        note(result)
        return [result]
    with ThreadPoolExecutor(len(jobs), "bisect") as pool:
        return collected(jobs, note, Hands(pool, lambda: None))


def collected(
    jobs: Sequence[Callable[[int], Build | Boot]], note: Callable[[Build | Boot], None], hands: Hands
) -> list[Build | Boot]:
    """Hand ``jobs`` to ``hands`` and note what comes."""
    results: list[Build | Boot] = []
    error: BaseException | None = None
    left: set[Future[Build | Boot]] = {hands.executor.submit(job, worker) for worker, job in enumerate(jobs)}
    while left:
        done, left = wait(left, LOOK_SECONDS, FIRST_COMPLETED)
        for future in done:
            try:
                result = future.result()
            except Exception as raised:
                error = error or raised
            else:
                results.append(result)
                note(result)
        if left and not done:
            hands.check()
    if error is not None:
        raise error
    return results
