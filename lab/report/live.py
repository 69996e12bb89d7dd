"""What is being done right now, on standard error: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab.progress import Progress, silent
from lab.report.plain import harmless

STEPS = {
    "base": "getting the base",
    "series": "applying",
    "checkout": "checking out",
    "kconfig": "resolving the kconfig",
    "build": "building",
    "boot": "booting",
    "accelerator": "trying the accelerator",
    "bisect": "next:",
    "verdict": "seen:",
    "host": "on",
    "board": "board",
    "push": "pushing",
    "fetch": "fetching",
    "share": "asking",
    "pages": "writing pages",
}


@contextmanager
def shown(*, quiet: bool) -> Iterator[Progress]:
    """Show progress for as long as the context lasts: nothing with ``quiet``."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with bar() as progress:
            yield progress
    else:
        yield line_a_step()


def line_a_step() -> Progress:
    """A line whenever another step begins, so that a log shows what took how long."""
    last: list[tuple[str, str]] = []
    started = time.monotonic()

    def progress(step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        text = detail if step != "build" else ""
        if last[-1:] != [(step, text)]:
            last[:] = [(step, text)]
            print(f"[{time.monotonic() - started:6.1f}s] {label(step)} {harmless(text)}".rstrip(), file=sys.stderr)

    return progress


@contextmanager
def bar() -> Iterator[Progress]:
    """One line at the bottom of the terminal: the step, a bar where its length is known, the time, what it works on."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}[/dim]"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=True) as live:
        task = live.add_task("starting", total=None, detail="")
        current = [""]

        def progress(step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
            if step != current[0]:
                current[0] = step
                live.reset(task, total=None)
            shown_detail = escape(harmless(detail).replace("\n", " ")[-48:])
            live.update(task, description=label(step), completed=done, total=total or None, detail=shown_detail)

        yield progress


def label(step: str) -> str:
    """The step's name as a person reads it."""
    return STEPS.get(step, step)
