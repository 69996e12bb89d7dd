"""What the history's open findings need: the kernels and consoles without which nobody could look into them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.history.changes import flaky
from lab.history.records import Result, Run

Runs = Sequence[tuple[Run, Sequence[Result]]]
"""Runs with their results, newest first."""


@dataclass(frozen=True)
class Needed:
    """Keys of kernels and hashes of consoles that have to stay; ``signatures`` are the open findings."""

    kernels: frozenset[str]
    consoles: frozenset[str]
    signatures: tuple[str, ...]


def needed(matrices: Sequence[Runs]) -> Needed:
    """What has to stay for the findings that are open in each of ``matrices``.

    A finding is open while a cell shows it in the last run that knows of the cell, or is flaky by it. It needs the
    kernels and consoles that show it in the last such run and in the first, and of each such cell the last good kernel,
    which a bisect begins at.
    """
    kernels: set[str] = set()
    consoles: set[str] = set()
    signatures: set[str] = set()
    for runs in matrices:
        cells: dict[str, list[tuple[Run, Result]]] = {}
        for run, results in runs:
            for result in results:
                if result.word not in ("waiting", "infrastructure"):
                    cells.setdefault(result.cell.key, []).append((run, result))
        for history in cells.values():
            shown = open_in(history)
            if not shown:
                continue
            signatures |= shown
            held = [one for _, one in history if one.word == "good"][:1]
            for signature in shown:
                showing = [one for _, one in history if signature in signatures_of(one)]
                held += [*showing[:1], *showing[-1:]]
            for one in held:
                kernels.add(one.kernel)
                consoles |= {attempt.console for attempt in one.attempts}
    return Needed(frozenset(kernels - {""}), frozenset(consoles - {""}), tuple(sorted(signatures)))


def with_first(found: Needed, first: Sequence[Result]) -> Needed:
    """And what the ``first`` sights of its signatures need, from before the runs that it was made of."""
    consoles = {attempt.console for one in first for attempt in one.attempts}
    kernels = {one.kernel for one in first}
    return Needed(found.kernels | (kernels - {""}), found.consoles | (consoles - {""}), found.signatures)


def open_in(history: Sequence[tuple[Run, Result]]) -> set[str]:
    """The bugs that are open in a cell, whose results are given newest first."""
    run, last = history[0]
    shown = signatures_of(last)
    flake = flaky(run, last, history[1:])
    return shown | {flake.signature} if flake and flake.kind == "flaky" and flake.signature else shown


def signatures_of(result: Result) -> set[str]:
    """The bugs that a result shows: those to blame in boots that were not good."""
    return {
        seen.signature
        for attempt in result.attempts
        if attempt.verdict != "good"
        for seen in attempt.findings
        if seen.primary
    }
