"""A bisect once more from what was written down: nothing is built or booted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.bisect.choose import Outlook
from lab.bisect.engine import Outcome, run
from lab.bisect.graph import Graph, line_graph
from lab.bisect.journal import Journal, question_of, read
from lab.bisect.plan import Rules
from lab.bisect.records import Boot, Build, Event
from lab.bisect.result import Result, conclude
from lab.errors import UserError


class Unknown(Exception):
    """The journal does not tell what a point is."""

    def __init__(self, point: int) -> None:
        super().__init__(point)
        self.point = point


class Teller:
    """A :class:`~lab.bisect.engine.Prober` that can do nothing: all that is known is in the journal."""

    def build(self, point: int, worker: int) -> Build:
        """It was not built."""
        raise Unknown(point)

    def boot(self, point: int, worker: int) -> Boot:
        """It was not booted (so often)."""
        raise Unknown(point)


def replay(path: Path, events: Sequence[Event], rules: Rules) -> Result:
    """The result of a journal. All that was seen is taken at once, and the plan judges it; it is not said how the
    search went, for that depended on what probes cost then.

    Raises :class:`UserError` where it holds no question, or tells less than an answer needs.
    """
    question = question_of(events)
    if question is None or not question.points:
        raise UserError(f"{path}: not a bisect's journal: it does not say what was asked")
    last = len(question.points) - 1
    for event in events:
        if isinstance(event, Build | Boot) and event.point < 0:
            raise UserError(f"{path}: a point {event.point} cannot be")
    graph = line_graph(last) if last else Graph(((),), 0, frozenset({0}))
    journal = Journal(None, events)
    try:
        outcome: Outcome = run(graph, Teller(), journal, rules, view=lambda _events: Outlook())
    except Unknown as unknown:
        named = question.points[unknown.point]
        raise UserError(
            f"{path}: the bisect is not at its end: point {unknown.point} ({named.subject}) is next",
            hint=" ".join(question.command),
        ) from None
    return conclude(question, outcome, 0.0)


def load(path: Path) -> list[Event]:
    """The events in a file; :class:`UserError` where it is no journal."""
    events, lost = read(path)
    if not events:
        what = f"none of its {lost} lines is a record of a bisect" if lost else "it is empty"
        hint = f"what git bisect log wrote goes with a case: lab bisect replay {path} CASE"
        raise UserError(f"{path}: not a bisect's journal: {what}", hint=hint)
    return events
