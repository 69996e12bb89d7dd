"""A bisect while it runs: the line of points with their verdicts, what is being done, how long it may still take."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from lab.bisect.graph import members
from lab.bisect.plan import State, Try
from lab.bisect.records import Boot, Build, Question
from lab.progress import Progress, silent
from lab.report.bisect_log import by
from lab.report.live import label, line_a_step
from lab.report.plain import harmless

SIGNS = {"good": ("G", "green"), "bad": ("B", "bold red"), "skip": ("s", "yellow"), "open": ("·", "dim")}
WHY = {
    "end": "the bad end",
    "base": "the base",
    "search": "searching",
    "repeat": "once more: the bug is flaky",
    "prove": "proving",
    "doubt": "once more: it contradicts another point",
}


class Quiet:
    """Shows nothing."""

    progress: Progress = staticmethod(silent)

    def begin(self, question: Question) -> None:
        """Nothing."""

    def doing(self, state: State, tries: Sequence[Try]) -> None:
        """Nothing."""

    def done(self, event: Build | Boot) -> None:
        """Nothing."""


class Lines(Quiet):
    """A line a step on standard error, for logs."""

    def __init__(self) -> None:
        self.progress = line_a_step()

    def doing(self, state: State, tries: Sequence[Try]) -> None:
        """What is tried next, why, and what is left."""
        points = ", ".join(str(point) for point in sorted({one.point for one in tries}))
        left = f"{state.suspects.bit_count()} suspects, {estimate(state)} left"
        self.progress("bisect", f"point {points}: {WHY[tries[0].why]} ({left})")

    def done(self, event: Build | Boot) -> None:
        """A verdict."""
        if isinstance(event, Boot):
            self.progress("verdict", f"point {event.point}: {event.word}: {event.reason}{by(event)}")
        elif not event.image:
            self.progress("verdict", f"point {event.point}: skip: {event.reason}{by(event)}")


def seconds_left(state: State) -> float:
    """How long the rest may take: as many probes as halving what is left takes, and the boots that prove the end."""
    suspects = list(members(state.suspects))
    outlook = state.outlook
    prices = sorted(
        outlook.boot if point in outlook.stored else outlook.cost(outlook.hot, point, outlook.compiled)
        for point in suspects
    )
    usual = prices[len(prices) // 2] if prices else 0.0
    proof = min(state.needed, 200) * outlook.boot if state.counted[0] else 0.0
    return math.log2(max(len(suspects), 1)) * usual / max(outlook.workers, 1) + proof


def estimate(state: State) -> str:
    """:func:`seconds_left` for people; nothing is known before the bad end was booted."""
    if not state.counted[0]:
        return "an unknown time"
    seconds = seconds_left(state)
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def strip(state: State, current: set[int], width: int) -> list[tuple[str, str]]:
    """The points as signs with styles: good, bad, skipped, not tried; those being probed are marked. Where they don't
    fit into ``width``, those far from the suspects are left out."""
    count = len(state.graph.parents)
    suspects = list(members(state.suspects)) or [0]
    first, last = 0, count - 1
    if count > width:
        room = max(width - (suspects[-1] - suspects[0]), 2) // 2
        first = max(0, suspects[0] - room)
        last = min(count - 1, first + width - 1)
    signs = [(f"{first} ", "dim")]
    for point in range(first, last + 1):
        sign, style = SIGNS[state.standing(point)]
        if point in current:
            style = f"{style} reverse"
        elif sign == "·" and state.suspects >> point & 1:
            style = "bold"
        signs.append((sign, style))
    return [*signs, (f" {last}", "dim")]


class Screen(Quiet):
    """The live display on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self.console = Console(stderr=True)
        self.spinner = Spinner("dots")
        self.live = Live(console=self.console, transient=True, refresh_per_second=8, redirect_stdout=True)
        self.now = ""
        self.bar = ""
        self.state: State | None = None
        self.tries: Sequence[Try] = ()
        self.case = ""
        self.progress = self.step
        self.counts = [0, 0]

    def __enter__(self) -> Screen:
        self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.__exit__(kind, error, trace)

    def begin(self, question: Question) -> None:
        """The question is known."""
        self.case = f"{question.case}: which patch brought {question.looked_for or 'the bug'}"
        self.draw()

    def step(self, step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Progress of a build or boot."""
        share = f"{100 * done // total} % " if total else ""
        self.now = f"{label(step)} {share}{harmless(detail)[-60:]}".replace("\n", " ")
        self.draw()

    def doing(self, state: State, tries: Sequence[Try]) -> None:
        """Probes begin."""
        self.state, self.tries = state, tries
        self.draw()

    def done(self, event: Build | Boot) -> None:
        """A probe ended."""
        self.counts[isinstance(event, Boot)] += 1
        self.draw()

    def draw(self) -> None:
        """Put all of it on the screen."""
        from rich.console import Group
        from rich.text import Text

        rows: list[Text] = [Text(harmless(self.case), style="bold")] if self.case else []
        state = self.state
        if state is not None:
            current = {one.point for one in self.tries}
            rows.append(Text.assemble(*strip(state, current, max(self.console.width - 12, 20))))
            points = ", ".join(map(str, sorted(current)))
            boots = f"{self.counts[0]} builds, {self.counts[1]} boots"
            left = f"{state.suspects.bit_count()} suspects, {estimate(state)} left"
            rows.append(Text(f"point {points}: {WHY[self.tries[0].why]} · {left} · {boots}", style="dim"))
        self.spinner.update(text=Text(self.now))
        self.live.update(Group(*rows, self.spinner))


@contextmanager
def watched(*, quiet: bool) -> Iterator[Quiet]:
    """Who shows the bisect: nobody, lines in a log, or a live display."""
    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        with Screen() as screen:
            yield screen
    else:
        yield Lines()
