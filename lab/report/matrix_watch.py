"""A run of a matrix on the terminal, filling live: read from the history, by whoever wants to see it."""

from __future__ import annotations

import time

from rich.console import Group
from rich.live import Live
from rich.text import Text

from lab.history.store import History
from lab.matrix.run import Doing, doing_now
from lab.paths import Paths
from lab.report.matrix import counts, duration, grid
from lab.report.plain import harmless
from lab.report.terminal import out

PAUSE_SECONDS = 0.5


def picture(history: History, paths: Paths, run_id: str) -> tuple[Group, bool]:
    """How a run stands, and whether anything can still change."""
    run = history.run(run_id)
    results = history.results(run.id)
    now = doing_now(paths, run)
    busy = dict.fromkeys(now.booting, "boot…") if now else {}
    if now and now.building:
        of = (one.cell for one in results)
        busy |= {cell.key: "build…" for cell in of if kernel_name(cell.key) in now.building}
    filled = sum(one.word != "waiting" for one in results)
    took = duration((run.ended or time.time()) - run.started)
    many = ", ".join(f"{count} {word}" for word, count in sorted(counts(results).items()))
    state = f"run {run.id} of {run.name}: {filled} of {len(results)} cells, {took}, {standing(run.state, now)}"
    return Group(grid(results, busy), Text(harmless(many)), Text(harmless(state))), run.state == "running"


def kernel_name(key: str) -> str:
    """A cell's key without its machine: what its kernel is called."""
    case, label, kconfig, _, toolchain = key.split("/", 4)  # a compiler may be a path
    return "/".join((case, label, kconfig, toolchain))


def standing(state: str, now: Doing | None) -> str:
    """The state of a run in words."""
    if state != "running":
        return {"done": "done", "deadline": "ended by its deadline"}.get(state, state)
    if now is None:
        return "nobody works on it: it was broken off, or runs on another host"
    return f"building {', '.join(now.building)}" if now.building else "booting"


def follow(history: History, paths: Paths, run_id: str, *, once: bool) -> None:
    """Show a run until it is done."""
    run_id = history.run(run_id).id
    console = out()
    shown, open_ = picture(history, paths, run_id)
    if once or not console.is_terminal or not open_:
        console.print(shown)
        return
    with Live(shown, console=console, auto_refresh=False) as live:
        while open_:
            time.sleep(PAUSE_SECONDS)
            shown, open_ = picture(history, paths, run_id)
            live.update(shown, refresh=True)
