"""How long a browser takes to open the page of a night with 10,000 cells, and the lab to write such a page.

`open_ms`: from the request to the end of the load event, in headless Chromium, from disk; the median of `--repeat`.
`first_ms`: until something is painted; `thread_ms`: what the page's main thread computed for it, whatever else the
machine did. `write_s`: processor time for the grid's page, `cell_ms` for the page of a cell
with a console of 188 lines. `bytes`: the size of the page. It takes playwright and Chromium.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.console.scanner import scan_file
from lab.errors import InfrastructureError
from lab.history.records import Attempt, Cell, Night, Result, Run, Seen, StageTime
from lab.report.html.book import Book
from lab.report.html.pages import STYLE, Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSOLES = Path(__file__).parents[2] / "tests" / "data" / "consoles"
MACHINES = 9
READY = """new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
    const load = performance.getEntriesByType('navigation')[0];
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    done([load.loadEventEnd, paint ? paint.startTime : -1, document.querySelectorAll('.rows td > a').length]);
})))"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this bench may be told."""
    parser.add_argument("--cells", type=int, default=10_000, metavar="N")
    parser.add_argument("--repeat", type=int, default=5, metavar="N")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make the page, and open it."""
    night, consoles = made_up_night(arguments.cells)
    pages = Pages(Book((night,)), consoles.get)
    begin = time.process_time()
    text = pages.night(0, "", "nights/made-up/")
    write = time.process_time() - begin
    begin = time.process_time()
    for result in night.results[:50]:
        pages.cell(0, result, [])
    cell = (time.process_time() - begin) / min(50, len(night.results))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_text(text)
        shutil.copyfile(STYLE, Path(folder) / "style.css")
        opened = list(openings(Path(folder) / "index.html", arguments.repeat, arguments.cells))
    return {
        "cells": arguments.cells,
        "bytes": len(text.encode()),
        "write_s": write,
        "cell_ms": 1000 * cell,
        "open_ms": statistics.median(one[0] for one in opened),
        "worst_ms": max(one[0] for one in opened),
        "first_ms": statistics.median(one[1] for one in opened),
        "thread_ms": statistics.median(one[2] for one in opened),
    }


def openings(page: Path, repeat: int, cells: int) -> Iterator[tuple[float, float, float]]:
    """Of one opening after the other, each in a new context: when it was loaded, when it was first painted, and the
    processor time of the page's main thread, all in milliseconds."""
    try:
        sync_playwright = importlib.import_module("playwright.sync_api").sync_playwright
    except ImportError:
        raise InfrastructureError("playwright is not installed", hint="ci/setup dev") from None
    chromium = os.environ.get("LAB_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        raise InfrastructureError("chromium is not installed", hint="apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(repeat):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            tab = context.new_page()
            tools = context.new_cdp_session(tab)
            tools.send("Performance.enable", {"timeDomain": "threadTicks"})
            tab.goto(page.as_uri(), timeout=120_000)
            load, paint, found = tab.evaluate(READY)
            assert found == cells, found  # noqa: S101
            figures = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
            yield load, paint, 1000 * figures["TaskDuration"]
            context.close()
        browser.close()


def made_up_night(cells: int) -> tuple[Night, dict[str, bytes]]:
    """A night of so many cells, one of 97 bad, with two recorded consoles."""
    consoles: dict[str, bytes] = {}
    attempts = {bad: attempt(name, consoles) for bad, name in ((False, "clean-6.1"), (True, "early-policy-6.1"))}
    results = []
    for number in range(cells):
        row, machine = divmod(number, MACHINES)
        made = attempts[number % 97 == 0]
        cell = Cell(
            case=f"series-{row // 180}",
            point=row % 60,
            label=str(row % 60),
            subject=f"subsystem: part: Change number {row % 60} of a long series",
            commit="0" * 40,
            kconfig=("tiny-numa", "debug", "reporter")[row // 60 % 3],
            machine=f"machine-{machine}",
            toolchain="gcc",
        )
        word = "bad" if made.verdict == "bad" else "good"
        results.append(Result(run="made-up", cell=cell, word=word, reason=made.reason, attempts=(made,)))
    run = Run(id="made-up", name="made-up", started=1.8e9, ended=1.8e9 + 3000, state="done", cells=cells)
    return Night(run=run, results=tuple(results)), consoles


def attempt(name: str, consoles: dict[str, bytes]) -> Attempt:
    """A recorded console as an attempt; its bytes go to ``consoles``."""
    path = CONSOLES / f"{name}.txt"
    report = scan_file(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    consoles[digest] = path.read_bytes()
    findings = tuple(
        Seen(signature=one.signature, title=one.title, kind=one.kind, line=one.line, last_line=one.last_line)
        for one in report.findings
    )
    stages = tuple(StageTime(stage=one.name, seconds=one.time or 0.0, line=one.line) for one in report.stages)
    return Attempt(
        number=1,
        verdict="bad" if findings else "good",
        reason=findings[0].title if findings else "user space ran",
        outcome="died" if findings else "userspace",
        started=1.8e9,
        seconds=3.1,
        stages=stages,
        findings=findings,
        marker_seconds=None if findings else 3.0,
        console=digest,
    )
