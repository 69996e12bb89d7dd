"""What a bisect came to, as plain values that every report is made from: nothing here needs a kernel or a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lab.bisect.engine import Outcome
from lab.bisect.plan import Found, Lies, Standing, State, Tally
from lab.bisect.records import Boot, Build, Event, Named, Question

HIDDEN = "the points between had to be skipped, so it is one of these patches"


@dataclass(frozen=True)
class Row:
    """One point that was tried: what it was taken for and why, what was seen, and what that took in seconds.
    ``decisive`` is the boot that it rests on, ``build`` how it was built, ``where`` the workers that built and booted
    it where that was a cluster."""

    point: Named
    word: Standing
    reason: str
    tally: Tally
    build_seconds: float
    boot_seconds: float
    build: Build | None = None
    decisive: Boot | None = None
    same_as: int | None = None
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A point that may have brought the bug. ``why`` says what in it has to do with the crash."""

    point: Named
    why: tuple[str, ...] = ()
    score: float = 0.0


@dataclass(frozen=True)
class Check:
    """One thing that the answer rests on: whether it holds, and what was seen. ``holds`` is ``None`` where it could not
    be tried."""

    what: str
    holds: bool | None
    seen: str


@dataclass(frozen=True)
class Result:
    """The answer to ``question``. ``candidates`` is one where the culprit is known, several (the likeliest first) where
    skips hide it, none where something lies, and then ``reason`` says so. ``confidence`` is of the boots alone.
    ``seconds`` is what this run took; ``spent`` what all builds and boots took, also earlier ones."""

    question: Question
    rows: tuple[Row, ...]
    candidates: tuple[Candidate, ...]
    reason: str
    confidence: float
    proof: tuple[Check, ...]
    crash: Boot | None
    seconds: float
    spent: float
    rate: tuple[int, int] = (0, 0)
    others: tuple[Result, ...] = ()
    seen: tuple[Boot, ...] = field(default=())

    @property
    def first_bad(self) -> Candidate | None:
        """The culprit, where it is known."""
        return self.candidates[0] if len(self.candidates) == 1 else None

    @property
    def facts(self) -> dict[str, Any]:
        """Base, tools, machine and kconfig."""
        return self.question.facts


def conclude(question: Question, outcome: Outcome, seconds: float) -> Result:
    """The result of a bisect that ran to its end."""
    state, events = outcome.state, outcome.events
    rows = rows_of(question, state, events)
    boots = [event for event in events if isinstance(event, Boot)]
    spent = sum(event.seconds for event in events if isinstance(event, Boot | Build))
    step = outcome.step
    result = Result(
        question=question,
        rows=rows,
        candidates=(),
        reason="",
        confidence=0.0,
        proof=(),
        crash=decisive(state.graph.bad, boots, "bad"),
        seconds=seconds,
        spent=spent,
        rate=state.counted,
        seen=tuple(boots),
    )
    if isinstance(step, Lies):
        seen = "; ".join(told(question, state, point) for point in step.points)
        reason = f"{step.reason}: {seen}" if seen else step.reason
        return replace(result, reason=reason, crash=result.crash or next(iter(boots), None))
    return replace(
        result,
        candidates=tuple(Candidate(question.points[point]) for point in step.candidates),
        reason="" if len(step.candidates) == 1 else HIDDEN,
        confidence=step.confidence,
        proof=proofs(question, state, step),
        crash=decisive(step.bad, boots, "bad") or result.crash,
    )


def rows_of(question: Question, state: State, events: Sequence[Event]) -> tuple[Row, ...]:
    """A row for each point that was built, booted or told of, in the order of the points."""
    builds: dict[int, list[Build]] = {}
    boots: dict[int, list[Boot]] = {}
    for event in events:
        if isinstance(event, Build):
            builds.setdefault(event.point, []).append(event)
        elif isinstance(event, Boot):
            boots.setdefault(event.point, []).append(event)
    images = {point: made[-1].image for point, made in builds.items()}
    rows = []
    for point in sorted({*builds, *boots, *state.known}):
        if point >= len(question.points):
            continue
        word, tally = state.standing(point), state.at(point)
        alike = (one for one in boots if one != point and images.get(point) and images.get(one) == images[point])
        same = next(alike, None)
        mine = boots.get(point) or (boots.get(same, []) if same is not None else [])
        wanted = {"good": ("good",), "bad": ("bad",)}.get(word, ("other", "fault"))
        base = next((boot for boot in reversed(mine) if boot.word in wanted), mine[-1] if mine else None)
        rows.append(
            Row(
                point=question.points[point],
                word=word,
                reason=reason_of(tally, base, same if not boots.get(point) else None),
                tally=tally,
                build_seconds=sum(made.seconds for made in builds.get(point, ())),
                boot_seconds=sum(boot.seconds for boot in boots.get(point, ())),
                build=builds[point][-1] if point in builds else None,
                decisive=base,
                same_as=same,
                where=tuple(
                    dict.fromkeys(one.where for one in (*builds.get(point, ()), *boots.get(point, ())) if one.where)
                ),
            )
        )
    return tuple(rows)


def reason_of(tally: Tally, base: Boot | None, same: int | None) -> str:
    """Why a point was taken for what it was, with how many of its boots say so."""
    if tally.unbuilt or base is None:
        return tally.reason or (f"told to be {tally.told}" if tally.told else "not booted")
    count = {"good": tally.good, "bad": tally.bad, "other": tally.other, "fault": tally.fault}[base.word]
    many = f" ({count} of {tally.boots} boots)" if tally.boots > 1 else ""
    return base.reason + many + (f"; the same image as point {same}" if same is not None else "")


def told(question: Question, state: State, point: int) -> str:
    """What was seen at a point, in words."""
    tally = state.at(point)
    name = f"point {point} ({question.points[point].subject})"
    if tally.unbuilt:
        return f"{name} {tally.reason}"
    counts = (("with the bug", tally.bad), ("good", tally.good), ("died of something else", tally.other))
    parts = [f"{count} {what}" for what, count in (*counts, ("ended by a fault", tally.fault)) if count]
    if not parts:
        return f"{name} was not tried"
    boots = "boot" if tally.boots == 1 else "boots"
    last = f", the last: {tally.reason}" if tally.reason and not tally.good else ""
    return f"{name}, {tally.boots} {boots}: {', '.join(parts)}{last}"


def proofs(question: Question, state: State, found: Found) -> tuple[Check, ...]:
    """What the answer rests on: the bad end and the two sides, each built and booted."""
    end = state.graph.bad
    checks = [Check("the bad end shows the bug", True, told(question, state, end))]
    if found.bad != end:
        seen = told(question, state, found.bad)
        checks.append(Check("with the patch the bug is there", state.at(found.bad).bad > 0, seen))
    for side in found.good:
        what = "without it the bug is not there" if len(found.good) == 1 else "without it, on each side, no bug"
        checks.append(Check(what, True, told(question, state, side)))
    tried = [point for point in state.graph.good if state.at(point).good]
    base = ", ".join(told(question, state, point) for point in tried)
    checks.append(Check("the base is innocent", True, base or "every good point contains it"))
    return tuple(checks)


def decisive(point: int, boots: Sequence[Boot], word: str) -> Boot | None:
    """The first boot of ``point`` that came out so."""
    return next((boot for boot in boots if boot.point == point and boot.word == word), None)
