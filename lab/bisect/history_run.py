"""A bisect over a git history: each commit is prepared for itself, then probed as a point of a series is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lab.bisect.choose import Outlook
from lab.bisect.engine import NOBODY, Watcher, run
from lab.bisect.history import History, line_at
from lab.bisect.journal import opened, question_of
from lab.bisect.plan import Rules
from lab.bisect.prober import LineProber
from lab.bisect.records import Boot, Build, Event, Named, Question
from lab.bisect.result import Result, conclude
from lab.bisect.target import adopted, expected
from lab.errors import UserError

if TYPE_CHECKING:
    from lab.case import Case
    from lab.line import Line, Setup

LineAt = Callable[[int], "Line"]


class HistoryProber:
    """Builds and boots commits. A commit that the case can't be prepared on (a kconfig symbol that it needs is not
    there yet, a compat patch does not apply) does not build, and says why."""

    def __init__(self, case: Case, history: History, setup: Setup, events: Sequence[Event], line: LineAt) -> None:
        self.setup = setup
        self.bad = history.graph.bad
        self.line = line
        self.target = adopted(expected(case.expect), events, self.bad)
        self.probers: dict[int, LineProber] = {}

    def at(self, point: int) -> LineProber:
        """What builds and boots ``point``."""
        if point not in self.probers:
            self.probers[point] = LineProber(self.line(point), self.setup, ())
        return self.probers[point]

    def build(self, point: int, worker: int) -> Build:
        """Build ``point``, or take it from the store."""
        try:
            return replace(self.at(point).build(0, worker), point=point)
        except UserError as error:
            return Build(point, reason=f"cannot be prepared: {error}")

    def boot(self, point: int, worker: int) -> Boot:
        """Boot ``point`` once."""
        prober = self.at(point)
        prober.target = self.target
        boot = replace(prober.boot(0, worker), point=point)
        if point == self.bad:
            self.target = adopted(self.target, [boot], point)
        return boot


def bisect_history(
    case: Case,
    history: History,
    setup: Setup,
    *,
    rules: Rules | None = None,
    command: Sequence[str] = (),
    begin: Callable[[Question], None] = lambda _question: None,
    watcher: Watcher = NOBODY,
) -> Result:
    """Search ``history`` for the commit that brought the bug, from where an earlier search was ended. ``begin`` is told
    what is asked.

    Raises :class:`UserError` where the case can't be prepared on the bad end.
    """
    began = time.monotonic()
    lines: dict[int, Line] = {}

    def line(point: int) -> Line:
        if point not in lines:
            lines[point] = line_at(case, history.commits[point], setup)
        return lines[point]

    question = replace(question_about(case, history, line(history.graph.bad), setup), command=tuple(command))
    begin(question)
    setup.paths.bisects.mkdir(parents=True, exist_ok=True)
    with opened(setup.paths.bisects / f"{case.name[:60]}-{question.key[:16]}.jsonl") as journal:
        if question_of(journal.events) is None:
            journal.add(question)
        prober = HistoryProber(case, history, setup, journal.events, line)
        view = even(history)
        outcome = run(history.graph, prober, journal, rules or Rules(), view=view, watcher=watcher)
    return conclude(question, outcome, time.monotonic() - began)


def even(_history: History) -> Callable[[Sequence[Event]], Outlook]:
    """Every commit costs as much and is as likely as the others."""
    return lambda _events: Outlook()


def question_about(case: Case, history: History, line: Line, setup: Setup) -> Question:
    """What is asked, and a key that is another one for any other question."""
    from lab.report.documents import line_document

    ends = [history.bad.id, *sorted(history.commits[point].id for point in history.graph.good)]
    booted = (line.machine, case.append, case.require, case.expect, setup.accel, setup.timeout)
    asked = ("history", ends, line.fragment, line.toolchain.identity, booted)
    return Question(
        key=hashlib.sha256(repr(asked).encode()).hexdigest(),
        case=case.name,
        points=tuple(Named(point, commit.subject, commit.id) for point, commit in enumerate(history.commits)),
        facts={**line_document(line), "title": case.title},
        looked_for=case.expect.signature or case.expect.title,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
