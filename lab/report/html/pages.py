"""Pages as text. Templates escape everything (Jinja2's autoescape); every string that they print is made visible
first, so that no control byte of a console, a subject or a reason reaches a page as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.report.html.book import (
    Book,
    Comparer,
    bugs,
    cell_file,
    dots,
    good_attempts,
    grid,
    night_folder,
    places,
    stage_bars,
    tally,
    trend,
    where,
)
from lab.report.html.console import Gap, console_view, visible
from lab.report.html.plots import history_plot, spark, waterfall
from lab.report.html.words import BAD, GOOD, LAB, SKIP, Look, headline, in_groups, look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jinja2 import Environment

    from lab.history.records import Attempt, Change, Result, Run
    from lab.report.html.console import Console, Part

TEMPLATES = Path(__file__).parent / "templates"
STYLE = TEMPLATES / "style.css"
TIMES = 200
"""Rows of the page of boot times."""


def day(seconds: float) -> str:
    """The day in UTC, such as ``25 Nov 2026``."""
    when = _moment(seconds)
    return f"{when.day} {when:%b %Y}" if when else "?"


def clock(seconds: float) -> str:
    """The time of day in UTC."""
    when = _moment(seconds)
    return f"{when:%H:%M}" if when else "?"


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def duration(seconds: float) -> str:
    """A time span in words: ``48 s``, ``12 min``, ``1 h 05 min``."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def size(count: int) -> str:
    """Bytes in words."""
    if count < 10_000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def rate(result: Result) -> str:
    """How many of a flaky cell's attempts were not as expected."""
    tried = [one for one in result.attempts if not one.infrastructure]
    return f"{len(result.missed)}/{len(tried)}" if tried else ""


def attempt_look(attempt: Attempt) -> Look:
    """How an attempt looks, whatever its case expects."""
    if attempt.infrastructure:
        return LAB
    return {"good": GOOD, "bad": BAD}.get(attempt.verdict, SKIP)


@cache
def environment() -> Environment:
    """The templates, and what they may call."""
    import jinja2
    from markupsafe import Markup, escape

    def shown(value: object) -> object:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    def visible_text(value: str) -> Markup:
        return Markup("\n").join(escape(visible(line)) for line in value.split("\n"))

    def lines(part: Part, attempt: Attempt) -> Markup:
        """The lines of a console's part, each with a link to itself; written here because there are so many."""
        a, text = attempt.number, []
        for item in part.items:
            if isinstance(item, Gap):
                text.append(f'<span class="gap">{item.lines} line{"s" if item.lines != 1 else ""} not shown\n</span>')
                continue
            here = f"a{a}-{item.number}"
            marked = (' class="m m1"' if item.first else ' class="m"') if item.finding >= 0 else ""
            title = f"<em>▶ {escape(visible(attempt.findings[item.finding].title))}</em>" if item.first else ""
            text.append(f'<span id="{here}"{marked}><a href="#{here}" tabindex="-1">{item.number}</a>{title}')
            text.append(f"{escape(item.text)}\n</span>")
        return Markup("".join(text))  # noqa: S704 - what a guest wrote went through escape()

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    made.filters.update(
        attempt_look=attempt_look, cell_file=cell_file, clock=clock, day=day, dots=dots, duration=duration, lines=lines,
        look=look, px=lambda value: f"{value:.1f}", rate=rate, size=size, visible_text=visible_text,
        where=where,
    )  # fmt: skip
    return made


@dataclass(frozen=True)
class Page:
    """A page: its path below the folder and its text."""

    path: str
    text: str


@dataclass(frozen=True)
class Pages:
    """All pages of a book. ``console`` gives the bytes of a hash, or ``None`` where they are gone; ``compare`` tells
    what is different between two nights that do not follow on each other; ``made`` stands at each page's foot."""

    book: Book
    console: Callable[[str], bytes | None]
    compare: Comparer | None = None
    made: str = ""

    @property
    def count(self) -> int:
        """About how many pages there are, for who waits for them."""
        nights = self.book.nights
        return 3 + len(nights) * (len(nights) + 1) // 2 + sum(len(night.results) for night in nights)

    def all(self) -> Iterator[Page]:
        """The pages, one after the other: no more than one is in memory."""
        for index, night in enumerate(self.book.nights):
            folder = f"nights/{night_folder(night.run.id)}"
            if index == 0:
                yield Page("index.html", self.night(index, "", f"{folder}/"))
            yield Page(f"{folder}/index.html", self.night(index, "../../", ""))
            changes: dict[str, list[Change]] = {}
            for change in night.changes:
                changes.setdefault(change.cell.key, []).append(change)
            for result in night.results:
                yield Page(
                    f"{folder}/c/{cell_file(result.cell.key)}.html",
                    self.cell(index, result, changes.get(result.cell.key, [])),
                )
            for older in range(index + 1, len(self.book.nights)):
                if (groups := self.differences(index, older)) is not None:
                    path = self.compare_path(index, older)
                    yield Page(path, self.comparison(index, older, groups))
        yield Page("nights.html", self.nights())
        yield Page("times.html", self.times())

    def differences(self, new: int, old: int) -> tuple[Change, ...] | None:
        """What is different between two nights; ``None`` where nothing can tell."""
        night, earlier = self.book.nights[new], self.book.nights[old]
        if night.before and night.before.id == earlier.run.id:
            return night.changes
        return self.compare(night, earlier) if self.compare else None

    def compare_path(self, new: int, old: int) -> str:
        """Where the comparison of two nights stands."""
        names = [night_folder(self.book.nights[at].run.id) for at in (old, new)]
        return f"compare/{'..'.join(names)}.html"

    def name(self, run: Run) -> str:
        """The day of a run, with the time where another night of the book began on that day."""
        when = day(run.started)
        alone = all(day(night.run.started) != when for night in self.book.nights if night.run.id != run.id)
        return when if alone else f"{when}, {clock(run.started)}"

    def render(self, template: str, root: str, page: str, **values: Any) -> str:
        """A page, with what each has."""
        nav = [("index.html", "Last night", page == "index"), ("nights.html", "All nights", page == "nights"),
               ("times.html", "Boot times", page == "times")]  # fmt: skip
        return environment().get_template(template).render(root=root, nav=nav, made=self.made, **values)

    def night(self, index: int, root: str, prefix: str) -> str:
        """The page of a night: what changed, bisects, the grid, the findings."""
        night = self.book.nights[index]
        groups = in_groups(night.changes)
        told = [change.bisected for change in night.changes if change.bisected]
        runs = {other.run.id for other in self.book.nights}
        before = night_folder(night.before.id) if night.before and night.before.id in runs else ""
        others = [
            (self.compare_path(min(index, at), max(index, at)), self.name(other.run))
            for at, other in enumerate(self.book.nights)
            if at != index and (self.compare or self.differences(min(index, at), max(index, at)) is not None)
        ]
        return self.render(
            "night.html", root, "index" if index == 0 else "", night=night, prefix=prefix, groups=groups,
            headline=headline(night.changes, compared=night.before is not None), counts=tally(night.results),
            grid=grid(night.results), bugs=bugs(night.results), here=self.book.by_key[index],
            bisects=[one for one in night.bisects if one not in told], others=others, places=places(night.results),
            before_name=self.name(night.before) if night.before else "",
            before_href=f"nights/{before}/index.html" if before else "",
            waiting=sum(result.word == "waiting" for result in night.results),
        )  # fmt: skip

    def cell(self, index: int, result: Result, changes: Sequence[Change]) -> str:
        """The page of a cell: its history, its times, and every attempt with its console."""
        night = self.book.nights[index]
        key = result.cell.key
        history = self.book.history(key, until=index)
        year = f" {day(night.run.started).split()[-1]}"
        names = [self.name(one.run).replace(year, "") for one in history]
        shown = [attempt for attempt in result.attempts if attempt.stages]
        best = next((one for one in reversed(shown) if one.verdict == "good"), shown[-1] if shown else None)
        earlier = [attempt for one in history[:-1] for attempt in good_attempts(one.result)]
        bars = waterfall(stage_bars(best, earlier)) if best else ()
        strip = [
            (name, f"../../{night_folder(one.run.id)}/c/{cell_file(key)}.html", one.result)
            for name, one in zip(names, history, strict=True)
        ]
        return self.render(
            "cell.html", "../../../", "", night=night, result=result, changes=changes, strip=strip,
            night_href="../index.html", plot=history_plot(history, names), bars=bars,
            bars_of=best.number if best else 0, bars_before=any(bar.bar.before is not None for bar in bars),
            attempts=self._attempts(result.attempts),
        )  # fmt: skip

    def _attempts(self, attempts: Sequence[Attempt]) -> list[tuple[Attempt, Console | None, str, bool]]:
        """Each attempt with its console, where its text stands, and whether it shows something that those before it
        do not."""
        told: set[tuple[str, ...]] = set()
        shown = []
        for attempt in attempts:
            data = self.console(attempt.console) if attempt.console else None
            view = console_view(data, attempt) if data is not None else None
            bug = tuple(one.signature for one in attempt.findings)
            href = f"../../../{console_path(attempt.console)}" if attempt.console else ""
            shown.append((attempt, view, href, bug not in told))
            told.add(bug)
        return shown

    def comparison(self, new: int, old: int, changes: tuple[Change, ...]) -> str:
        """The page of two nights."""
        nights = self.book.nights[old], self.book.nights[new]
        folders = [f"nights/{night_folder(night.run.id)}/" for night in nights]
        sides = [
            (night, tally(night.results), f"{folder}index.html") for night, folder in zip(nights, folders, strict=True)
        ]
        return self.render(
            "compare.html", "../", "", old=nights[0], new=nights[1], sides=sides, groups=in_groups(changes),
            headline=headline(changes, compared=True), prefix=f"../{folders[1]}", here=self.book.by_key[new],
        )  # fmt: skip

    def nights(self) -> str:
        """The list of nights."""
        rows = [
            (night, f"nights/{night_folder(night.run.id)}/index.html", tally(night.results),
             headline(night.changes, compared=night.before is not None))
            for night in self.book.nights
        ]  # fmt: skip
        return self.render("nights.html", "", "nights", rows=rows)

    def times(self) -> str:
        """The boot times of the newest night's cells beside those of the nights before."""
        newest = self.book.nights[0]
        trends = [
            trend(result.cell, self.book.history(result.cell.key)) for result in newest.results if result.attempts
        ]
        known = sorted((one for one in trends if one), key=lambda one: (-abs(one.ratio - 1), one.cell.key))
        rows = [(one, spark(one.history)) for one in known[:TIMES]]
        return self.render(
            "times.html", "", "times", rows=rows, left=max(len(known) - TIMES, 0),
            prefix=f"nights/{night_folder(newest.run.id)}/",
        )  # fmt: skip


def console_path(digest: str) -> str:
    """Where the whole text of a console stands in the folder."""
    return f"consoles/{digest if digest.isalnum() and len(digest) <= 128 else cell_file(digest)}.txt"
