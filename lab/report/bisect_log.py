"""What a bisect saw so far, in the order in which it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from lab.bisect.records import Answer, Boot, Build, Event, Question, Told
from lab.report.plain import harmless
from lab.report.terminal import out, word


def log_document(question: Question, events: Sequence[Event], path: Path) -> dict[str, Any]:
    """``lab bisect log --json``."""
    import msgspec

    rest = [msgspec.to_builtins(event) for event in events if not isinstance(event, Question)]
    return {"journal": path, "question": msgspec.to_builtins(question), "events": rest}


def show_log(question: Question, events: Sequence[Event], path: Path) -> None:
    """``lab bisect log``."""
    console = out()
    console.print(
        Text(harmless(f"{question.case}: {question.looked_for or 'the bug that its end shows'}"), style="bold")
    )
    console.print(Text(harmless(f"begun {question.started}, journal {path}"), style="dim"))
    for row in rows(question, events):
        console.print(row)


def rows(question: Question, events: Sequence[Event]) -> Iterator[Text]:
    """A line for each event."""
    for event in events:
        if isinstance(event, Answer):
            yield Text(harmless(event.text), style="bold")
        if isinstance(event, Question | Answer):
            continue
        inside = 0 <= event.point < len(question.points)
        name = question.points[event.point].subject if inside else "the series' end without the culprit"
        head = f"{event.point:>3}  "
        if isinstance(event, Build):
            how = "built" if event.fresh else "from the store"
            what = f"{how}, {event.seconds:.1f} s" if event.image else event.reason
            what = f"{what}{by(event)}  {name}"
            yield Text.assemble(head, ("build " if event.image else "skip  ", "dim"), harmless(what))
        elif isinstance(event, Boot):
            shown = word(event.word if event.word in ("good", "bad") else "skip")
            shown.pad_right(6 - len(shown))
            yield Text.assemble(head, shown, harmless(f"{event.reason}, {event.seconds:.1f} s{by(event)}"))
        elif isinstance(event, Told):
            yield Text.assemble(head, word(event.word), harmless(f"  said {event.by}  {name}"))


def by(event: Build | Boot) -> str:
    """Which worker of a cluster did it."""
    return f" [{event.where}]" if event.where else ""
