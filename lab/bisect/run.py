"""The bisect of a case's series: the question, the journal, the search, and what is tried beside it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from lab.bisect.beside import WITHOUT, Desk, chased, ranked, reverted
from lab.bisect.engine import NOBODY, Hands, Outcome, Prober, Watcher, run
from lab.bisect.graph import Graph, line_graph
from lab.bisect.journal import opened
from lab.bisect.outlook import LineView
from lab.bisect.plan import Rules
from lab.bisect.prober import LineProber
from lab.bisect.records import Answer, Boot, Build, Event, Named, Question, Told
from lab.bisect.result import Check, Result, conclude
from lab.bisect.target import Target, adopted, expected
from lab.line import Line, Setup
from lab.process import DeadlinePassed
from lab.tree.types import Point

FORMAT = 1
"""Part of every question's key: raised when journals of an older lab no longer mean the same."""


@dataclass(frozen=True)
class Options:
    """How the bisect is to be done. ``other`` says what happens to points that die of something else: they are skipped,
    or when the search is over each of those bugs is searched for too. ``fresh`` forgets what is in the journal."""

    rules: Rules = field(default_factory=Rules)
    workers: int = 1
    other: Literal["skip", "chase"] = "skip"
    revert: bool = True
    fresh: bool = False
    told: tuple[Told, ...] = ()


class Others(Protocol):
    """Who probes instead of this process, see :mod:`lab.remote.cluster`."""

    @property
    def prober(self) -> Prober:
        """What the search asks."""

    @property
    def hands(self) -> Hands:
        """Who does it."""


Elsewhere = Callable[[Target], AbstractContextManager[Others | None]]
"""Gets others for the search of the bug that is looked for, for as long as it lasts."""


def here(_target: Target) -> AbstractContextManager[Others | None]:
    """Nobody else: this process probes."""
    return nullcontext()


def question_of(line: Line, setup: Setup, command: Sequence[str] = ()) -> Question:
    """What is asked of ``line``. Its key changes with all that a boot's outcome depends on."""
    from lab.report.documents import line_document

    points = line.tree.points[: line.series_end + 1]
    target = expected(line.case.expect)
    fragment = (line.fragment.name, line.fragment.base, [(ask.symbol, ask.value) for ask in line.fragment.asked])
    built = (fragment, sorted(line.case.require), line.toolchain.identity, line.compat.flags)
    booted = (line.machine, line.case.append, setup.accel, setup.timeout)
    parts = (FORMAT, [point.tree for point in points], built, booted, target.signature, sorted(target.titles))
    return Question(
        key=hashlib.sha256(repr(parts).encode()).hexdigest(),
        case=line.case.name,
        points=tuple(named(point) for point in points),
        command=tuple(command) or ("lab", "bisect", line.case.name),
        looked_for=target.signature or target.name,
        facts={**line_document(line), "title": line.case.title},
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def journal_path(question: Question, setup: Setup) -> Path:
    """Where the journal of a question is."""
    name = "".join(char if char.isalnum() or char in "-_" else "_" for char in question.case[:60])
    return setup.paths.bisects / f"{name}-{question.key[:16]}.jsonl"


def named(point: Point) -> Named:
    """A point for the journal."""
    return Named(point.index, point.subject, point.commit, point.tree, str(point.patch or ""))


def bisect(
    line: Line,
    setup: Setup,
    options: Options | None = None,
    *,
    command: Sequence[str] = (),
    watcher: Watcher = NOBODY,
    elsewhere: Elsewhere = here,
) -> Result:
    """Search the series for the patch that brought the bug. What was seen is in the cache's journal of this question,
    before anything else is done; the same call goes on from there. ``elsewhere`` may give others to do the search's
    probes; what is tried beside it (the culprit left out) is done here."""
    options = options or Options()
    started = time.monotonic()
    question = question_of(line, setup, command)
    path = journal_path(question, setup)
    if options.fresh:
        path.unlink(missing_ok=True)
    with opened(path) as journal:
        if not any(isinstance(event, Question) for event in journal.events):
            journal.add(question)
        for one in options.told:
            if one not in journal.events:
                journal.add(one)
        graph = line_graph(line.series_end) if line.series_end else Graph(((),), 0, frozenset({0}))
        prober = LineProber(line, setup, journal.events)
        view = LineView(line, setup, options.workers)
        desk = Desk(line, prober, journal, view, watcher)
        with elsewhere(prober.target) as others:
            who, hands = (others.prober, others.hands) if others else (prober, None)
            outcome = run(graph, who, journal, options.rules, view=view, watcher=watcher, hands=hands)
        prober.target = adopted(prober.target, journal.events, line.series_end)
        result = ranked(conclude(question, outcome, 0.0), view, prober.target)
        if result.first_bad and options.revert:
            result = replace(result, proof=(*result.proof, *left_out(desk, result, outcome)))
        if options.other == "chase":
            result = replace(result, others=chased(desk, question, graph, options.rules))
        result = replace(result, seconds=time.monotonic() - started, spent=spent(journal.events))
        answer = Answer(answer_text(result), tuple(one.point.index for one in result.candidates), result.confidence)
        if answer not in journal.events:
            journal.add(answer)
    return result


def left_out(desk: Desk, result: Result, outcome: Outcome) -> tuple[Check, ...]:
    """What comes of leaving the culprit out. That there was no time for it takes nothing from what was found."""
    try:
        return reverted(desk, result, outcome)
    except DeadlinePassed as error:
        return (Check(WITHOUT, None, f"there was no time for it: {error.message}"),)


def spent(events: Sequence[Event]) -> float:
    """The seconds of all builds and boots."""
    return sum(event.seconds for event in events if isinstance(event, Build | Boot))


def answer_text(result: Result) -> str:
    """The answer in a line."""
    if result.first_bad:
        return f"first bad: {result.first_bad.point.index} {result.first_bad.point.subject}"
    return result.reason
