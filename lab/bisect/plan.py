"""What to do next in a bisect, or what it came to: a pure function of the points and of what was seen at each.

The points are those of a :class:`~lab.bisect.graph.Graph`, whatever they stand for. The bug is absent at the good ends,
present at the bad one, and stays once it came in. Only the bug that is looked for makes a point bad, and one boot with
it is proof; good is a matter of statistics (:mod:`lab.bisect.rate`).

A wrong good sends the search above the culprit, where all is bad: it ends with that very point as the good neighbour of
what is blamed. So it is enough to boot the last good neighbour as often as the asked-for risk demands; on the way
there points are left as soon as that is cheaper than to be sure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from lab.bisect.choose import Outlook, choose
from lab.bisect.graph import Graph, members
from lab.bisect.rate import boots_needed, boots_to_see, miss

Standing = Literal["good", "bad", "skip", "open"]
Why = Literal["end", "base", "search", "repeat", "prove", "doubt"]


@dataclass(frozen=True)
class Tally:
    """What was seen at one point: boots without the bug, with it, that died of something else, that a fault of the
    world ended. ``unbuilt``: it does not compile. ``told`` is what somebody says of the point, which steers the search
    and proves nothing. ``reason`` is the last one given."""

    good: int = 0
    bad: int = 0
    other: int = 0
    fault: int = 0
    unbuilt: bool = False
    told: Literal["", "good", "bad", "skip"] = ""
    reason: str = ""

    @property
    def boots(self) -> int:
        """How often it was booted."""
        return self.good + self.bad + self.other + self.fault


NOTHING = Tally()


@dataclass(frozen=True)
class Rules:
    """How sure the answer has to be. ``risk`` is how likely a wrong good may be over the whole bisect; a bug that
    strikes in a smaller share of boots than ``rarest`` is not waited for at the bad end. ``strikes`` is how often the
    bug is seen there before the search begins, ``flaky_strikes`` where a boot came up without it. ``tries`` are the
    boots after which a point that always dies of something else, or by a fault of the world, is skipped."""

    risk: float = 0.01
    rarest: float = 0.10
    prove_base: bool = False
    strikes: int = 4
    flaky_strikes: int = 5
    tries: int = 2
    most_boots: int = 400


@dataclass(frozen=True)
class Try:
    """Build and boot this point once (more)."""

    point: int
    why: Why


@dataclass(frozen=True)
class Found:
    """The bug came in with one of ``candidates``; ``bad`` shows it, ``good`` are the proven good neighbours.
    ``confidence`` is 1 less the probability that boots of a point with the bug made it pass for a good one."""

    candidates: tuple[int, ...]
    good: tuple[int, ...]
    bad: int
    confidence: float


@dataclass(frozen=True)
class Lies:
    """What a bisect rests on does not hold, so nothing may be named. ``points`` are those that show it."""

    reason: str
    points: tuple[int, ...] = ()


Step = list[Try] | Found | Lies


@dataclass(frozen=True)
class State:
    """All that was seen, with what follows from it at once. ``same`` are points whose image is bit for bit that of what
    they were made from: they can't be blamed."""

    graph: Graph
    known: Mapping[int, Tally]
    rules: Rules
    outlook: Outlook
    same: frozenset[int] = frozenset()

    def at(self, point: int) -> Tally:
        """What was seen at ``point``."""
        return self.known.get(point, NOTHING)

    @cached_property
    def counted(self) -> tuple[int, int]:
        """Boots with and without the bug that tell its rate.

        Where it never stayed away: those of the two bad points that the answer rests on, the bad end and the smallest
        bad one. What the search passed on its way says the same, but which points these are depends on who searches,
        and what the answer comes to must not. Where it ever stayed away: those of the bad end. Other bad points are
        left at the first strike, or else taken for good, so that what is counted there makes a flaky bug look more
        frequent than it is; they count where they make it look rarer.
        """
        end = self.at(self.graph.bad)
        bad = {point: tally for point, tally in self.known.items() if tally.bad}
        whole = sum(tally.bad for tally in bad.values()), sum(tally.good for tally in bad.values())
        if not whole[1]:
            reach = self.graph.reach
            smallest = min(bad, key=lambda point: (reach[point].bit_count(), point), default=self.graph.bad)
            return end.bad + (bad[smallest].bad if smallest != self.graph.bad else 0), 0
        return min((end.bad, end.good), whole, key=lambda pair: -boots_needed(self.risk, *pair))

    @cached_property
    def risk(self) -> float:
        """The risk that a single point may be taken for good wrongly: each point that is tried and has the bug is a
        chance for it, and a search tries as many as halving takes."""
        return self.rules.risk / max(1, math.ceil(math.log2(self.graph.suspects.bit_count() + 1)))

    @cached_property
    def needed(self) -> int:
        """The boots that make a point good for certain, but for the asked-for risk."""
        return boots_needed(self.risk, *self.counted, most=self.rules.most_boots)

    @cached_property
    def enough(self) -> int:
        """The boots after which the search goes on from a point as if it were good: one where the bug was never seen to
        stay away, else as many as cost less than the way back would."""
        struck, missed = self.counted
        if not missed:
            return 1
        limit = min(0.25, max(self.risk, self.outlook.boot / max(self.outlook.redo, 1e-9)))
        return min(self.needed, boots_needed(limit, struck, missed, most=self.rules.most_boots))

    def standing(self, point: int) -> Standing:
        """What the search takes ``point`` for."""
        tally = self.at(point)
        if tally.bad:
            return "bad"
        if tally.unbuilt:
            return "skip"
        if tally.good >= self.enough:
            return "good"
        tries = max(self.rules.tries, self.enough if tally.good else 0)
        if tally.other + tally.fault >= tries:
            return "skip"
        return tally.told or "open"

    @cached_property
    def suspects(self) -> int:
        """The mask of the points that can have brought the bug."""
        mask = self.graph.suspects
        for point in self.known:
            match self.standing(point):
                case "bad":
                    mask &= self.graph.reach[point]
                case "good":
                    mask &= ~self.graph.reach[point]
        return mask & ~sum(1 << point for point in self.same)


def next_step(state: State) -> Step:
    """The probes to make now, or what the bisect came to."""
    if not state.graph.suspects:
        return Lies("there is nothing to blame: nothing lies between the good and the bad end")
    return bad_end(state) or good_ends(state) or contradiction(state) or search(state) or conclusion(state)


def bad_end(state: State) -> list[Try] | Lies | None:
    """The bad end first: it must show the bug, and often enough to tell at what rate."""
    point, rules = state.graph.bad, state.rules
    tally = state.at(point)
    if tally.unbuilt:
        return Lies("the bad end does not build", (point,))
    if tally.bad:
        wanted = rules.flaky_strikes if tally.good else rules.strikes
        short = min(wanted - tally.bad, rules.most_boots - tally.boots)
        return again(state, point, "end", short) if short > 0 else None
    patience = boots_to_see(rules.rarest, rules.risk)
    if tally.good + tally.other >= patience:
        return Lies("the bad end did not show the bug", (point,))
    if not tally.good and tally.other > rules.tries:
        return Lies("the bad end dies of something else", (point,))
    if tally.fault > rules.tries:
        return Lies("the bad end could not be tried", (point,))
    return again(state, point, "end", patience - tally.boots if tally.good else 1)


def good_ends(state: State) -> list[Try] | Lies | None:
    """The good ends: asked about at once only where that was wished for."""
    for point in sorted(state.graph.good):
        tally = state.at(point)
        if tally.bad:
            return Lies("the good end has the bug", (point,))
        if state.rules.prove_base and state.standing(point) != "skip" and tally.good < state.needed:
            return again(state, point, "base", state.needed - tally.good)
    return None


def contradiction(state: State) -> list[Try] | Lies | None:
    """A good point with a bad one below it, or bad ones that have nothing in common."""
    reach = state.graph.reach
    bad = [point for point in state.known if state.standing(point) == "bad"]
    good = [point for point in state.known if state.standing(point) == "good"]
    for above in sorted(good):
        below = [point for point in bad if reach[above] >> point & 1]
        if not below:
            continue
        short = state.needed - state.at(above).good
        if short > 0:
            return again(state, above, "doubt", short)
        return Lies("the bug does not stay once it came in", (min(below), above))
    if not state.suspects:
        return Lies("no single point explains what was seen", tuple(sorted(bad)))
    return None


def search(state: State) -> list[Try] | None:
    """Points between, until no more of them can tell anything."""
    suspects = state.suspects
    inside = [point for point in members(suspects) if state.graph.reach[point] & suspects != suspects]
    open_points = [point for point in inside if state.standing(point) == "open"]
    begun = [point for point in open_points if state.at(point).boots]
    if begun:
        short = state.enough - state.at(begun[0]).good
        return again(state, begun[0], "repeat", max(short, 1))
    if not open_points:
        return None
    skipped = [point for point in inside if state.standing(point) == "skip"]
    return [Try(point, "search") for point in choose(state.graph, suspects, open_points, state.outlook, skipped)]


def conclusion(state: State) -> list[Try] | Found | Lies:
    """What is left is the culprit, or the range it is in; before it is named, its two sides are proven."""
    suspects = state.suspects
    bad = top(state, suspects)
    if not state.at(bad).bad:
        return [Try(bad, "prove")]
    sides = below(state, suspects)
    for point in sides:
        tally = state.at(point)
        if point in state.graph.good and state.standing(point) == "skip":
            return Lies("the good end could not be proven good", (point,))
        if tally.good < state.needed:
            return again(state, point, "base" if point in state.graph.good else "prove", state.needed - tally.good)
    missed = max((miss(state.at(point).good, *state.counted) for point in sides), default=0.0)
    confidence = 1.0 - missed * state.rules.risk / state.risk
    return Found(tuple(members(suspects)), tuple(sides), bad, confidence)


def top(state: State, suspects: int) -> int:
    """The smallest bad point that all suspects lie below."""
    bad = [point for point in range(len(state.graph.parents)) if state.standing(point) == "bad"]
    whole = [point for point in bad if state.graph.reach[point] & suspects == suspects]
    return min(whole, key=lambda point: (state.graph.reach[point].bit_count(), point), default=state.graph.bad)


def below(state: State, suspects: int) -> list[int]:
    """The points directly below the suspects that have to be good: where one says nothing itself, a good one that was
    made from it."""
    sides: set[int] = set()
    for suspect in members(suspects):
        for parent in state.graph.parents[suspect]:
            if suspects >> parent & 1:
                continue
            side: int | None = parent
            while side in state.same:  # the same image: what is known of the one is known of the other
                side = state.graph.parents[side][0] if state.graph.parents[side] else None
            if side is not None and (suspects >> side & 1):
                continue
            if state.standing(parent) == "skip" and parent not in state.graph.good:
                above = [point for point in state.known if state.graph.reach[point] >> parent & 1]
                good = [point for point in above if state.standing(point) == "good"]
                sides.update(good[:1])
            else:
                sides.add(parent)
    return sorted(sides)


def again(state: State, point: int, why: Why, times: int) -> list[Try]:
    """``point``, as many times as are wanted and there are workers for."""
    return [Try(point, why)] * max(1, min(times, state.outlook.workers))
