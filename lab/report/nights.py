"""Nights out of the history, for the reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.history.changes import changes
from lab.history.records import Night
from lab.report.html.book import Book

if TYPE_CHECKING:
    from lab.history.records import Change, Result, Run
    from lab.history.store import History
    from lab.paths import Paths


def book(history: History, run: str, count: int) -> Book:
    """The night of ``run`` (the newest where it is empty) and those of the same matrix before it, ``count`` in all. A
    night before that never came to its end is left out.

    Raises :class:`lab.errors.UserError` where there is no such run.
    """
    newest = history.night(run)
    past = history.past(newest.run) if count > 1 else ()
    return Book((newest, *(_night(history, past, at) for at in range(min(count - 1, len(past))))))


def _night(history: History, past: Sequence[tuple[Run, tuple[Result, ...]]], at: int) -> Night:
    """The night of ``past`` at an index; those behind it are what it is compared with."""
    run, earlier = past[at][0], past[at + 1 :]
    results, bisects = history.results(run.id), history.bisects(run.id)
    found = changes(run, results, earlier, bisects)
    return Night(run=run, results=results, changes=found, before=earlier[0][0] if earlier else None, bisects=bisects)


def compare(new: Night, old: Night) -> tuple[Change, ...]:
    """What is different in a night from an earlier one, whatever was between them."""
    return changes(new.run, new.results, ((old.run, old.results),), new.bisects)


def stamp(history: History) -> tuple[object, ...]:
    """What changes whenever the newest run does: a report made with the same stamp is up to date."""
    runs = history.runs(limit=1)
    if not runs:
        return ()
    newest = runs[0]
    tried = sum(result.word != "waiting" for result in history.results(newest.id)) if newest.state == "running" else 0
    return newest, tried, len(history.bisects(newest.id))


def console_reader(paths: Paths) -> Callable[[str], bytes | None]:
    """The bytes of a console by its hash; ``None`` where they are gone, damaged, or on another host."""
    from lab.history.consoles import read_console

    def read(digest: str) -> bytes | None:
        try:
            return read_console(digest, paths)
        except LabError:
            return None

    return read
