"""The geometry of the plots: values in, numbers for an SVG of a fixed view box out. The templates draw them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.report.html.words import Look, look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.report.html.book import StageBar, Timing

WIDTH, HEIGHT = 440, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 30
SPARK_WIDTH, SPARK_HEIGHT = 120, 24


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A night in a plot. ``y`` is the median's, ``low`` and ``high`` those of the slowest and quickest boot; a night
    without a good boot stands on the axis with its symbol."""

    x: float
    y: float | None
    low: float
    high: float
    look: Look | None
    text: str


@dataclass(frozen=True)
class Plot:
    """A plot of boot times. ``lines`` are the medians' polylines, broken where a night has none."""

    marks: tuple[Mark, ...]
    lines: tuple[str, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    summary: str


def ceiling(value: float) -> float:
    """The next number of 1, 2, 2.5 or 5 times a power of ten: a plot's upper end."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if step * power >= value), 10 * power)


def history_plot(history: Sequence[Timing], names: Sequence[str]) -> Plot | None:
    """The medians of the nights from zero up; ``names`` are the nights'. ``None`` where there is nothing to show."""
    slowest = max((value for one in history for value in one.seconds), default=0.0)
    if not slowest:
        return None
    top = ceiling(slowest * 1.05)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(index: int) -> float:
        return LEFT + (width / 2 if len(history) == 1 else 10 + (width - 20) * index / (len(history) - 1))

    def y(seconds: float) -> float:
        return TOP + height * (1 - seconds / top)

    marks = []
    for index, one in enumerate(history):
        shown = look(one.result) if one.result else None
        said = f"{one.median:.2f} s" if one.median is not None else shown.word if shown else "no such cell"
        if one.median is None:
            marks.append(Mark(x(index), None, y(0), y(0), shown, f"{names[index]}: {said}"))
        else:
            many = f", {len(one.seconds)} boots from {min(one.seconds):.2f} s to {max(one.seconds):.2f} s"
            marks.append(
                Mark(x(index), y(one.median), y(min(one.seconds)), y(max(one.seconds)), shown,
                     f"{names[index]}: {said}{many if len(one.seconds) > 1 else ''}")
            )  # fmt: skip
    rows = tuple(Tick(y(top * part / 4), f"{top * part / 4:.3g}") for part in range(5))
    few = {0, len(history) - 1} if len(history) > 4 else set(range(len(history)))
    columns = tuple(Tick(x(index), names[index]) for index in sorted(few))
    summary = "; ".join(mark.text for mark in marks)
    return Plot(tuple(marks), polylines([(mark.x, mark.y) for mark in marks]), rows, columns, summary)


def polylines(points: Sequence[tuple[float, float | None]]) -> tuple[str, ...]:
    """The ``points`` attributes of the polylines through those that have a height."""
    lines: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            lines.append([])
        else:
            lines[-1].append(f"{x:.1f},{y:.1f}")
    return tuple(" ".join(line) for line in lines if len(line) > 1)


@dataclass(frozen=True)
class Spark:
    """A plot in a table's row, without axes."""

    lines: tuple[str, ...]
    last: tuple[float, float] | None


def spark(history: Sequence[Timing]) -> Spark:
    """The medians as a small line. Its scale is that of its values, but no less than a fifth of the largest, so that
    noise does not look like news."""
    values = [one.median for one in history]
    known = [value for value in values if value is not None]
    if not known:
        return Spark((), None)
    spread = max(max(known) - min(known), max(known) / 5) or 1.0
    low = (max(known) + min(known) - spread) / 2
    step = (SPARK_WIDTH - 8) / max(len(values) - 1, 1)
    points = [
        (4 + step * index, None if value is None else SPARK_HEIGHT - 4 - (SPARK_HEIGHT - 8) * (value - low) / spread)
        for index, value in enumerate(values)
    ]
    ends = [(x, y) for x, y in points if y is not None]
    return Spark(polylines(points), ends[-1] if ends else None)


@dataclass(frozen=True)
class Bar:
    """A stage's bar in hundredths of the attempt's time; ``before`` is where it ended on earlier nights."""

    bar: StageBar
    x: float
    width: float
    before: float | None


def waterfall(bars: Sequence[StageBar]) -> tuple[Bar, ...]:
    """The stages one below the other, each from where it began to where it ended."""
    ends = [one.began + max(one.took, one.before or 0.0) for one in bars]
    total = max(ends, default=0.0) or 1.0
    return tuple(
        Bar(one, 100 * one.began / total, max(100 * one.took / total, 0.4),
            None if one.before is None else 100 * (one.began + one.before) / total)
        for one in bars
    )  # fmt: skip
