"""What changed since the runs before, by cell: new failures, fixed, still failing, flaky, and what only one run has.
Pure: results in, changes out. Slower and faster boots are in :mod:`lab.history.pace`.

A cell is compared with the last run that knows something of it: one that was waiting or died of the world's faults
knows nothing. What was seen to be flaky is neither a regression when it fails again nor fixed when it happens not to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.history.pace import paces
from lab.history.records import Attempt, Bisected, Cell, Change, Result, Run, Seen

UNLIKELY = 0.01
"""A flaky bug is taken for one that strikes always now where tonight's boots would be less likely."""
GONE = 0.05
"""And for gone, where so many good boots in a row would be."""
KNOWS_NOTHING = ("waiting", "infrastructure")
Past = Sequence[tuple[Run, Sequence[Result]]]
"""Runs of the same matrix that ended, newest first."""


@dataclass(frozen=True)
class Flake:
    """How often a cell failed that fails now and then: ``failed`` of ``boots``, counted from the run ``since`` on."""

    failed: int
    boots: int
    since: str
    finding: Seen | None

    @property
    def rate(self) -> float:
        """The share of boots that failed."""
        return self.failed / self.boots


def changes(run: Run, results: Sequence[Result], past: Past, bisects: Sequence[Bisected] = ()) -> tuple[Change, ...]:
    """What is different in ``run`` from the runs in ``past``, the gravest first."""
    by_cell: dict[str, list[tuple[Run, Result]]] = {}
    for one, old in past:
        for result in old:
            if result.word not in KNOWS_NOTHING:
                by_cell.setdefault(result.cell.key, []).append((one, result))
    found: list[Change] = []
    for result in results:
        change = change_of(run, result, by_cell.get(result.cell.key, []), bool(past))
        if change is not None:
            found.append(change)
    if past:
        found += gone(results, past[0])
    found += paces(run, results, past)
    order = ("new", "flaky", "slower", "still", "infrastructure", "fixed", "faster", "appeared", "gone")
    found.sort(key=lambda change: (order.index(change.kind), change.cell.key, change.stage))
    return tuple(with_bisect(change, bisects) for change in found)


def change_of(run: Run, result: Result, history: Sequence[tuple[Run, Result]], compared: bool) -> Change | None:
    """What is different for one cell; ``history`` are its earlier results, newest first."""
    cell = result.cell
    if result.word == "waiting":
        return None
    if result.word == "infrastructure":
        return Change(kind="infrastructure", cell=cell, sentence=f"not known: {result.reason}")
    flake = flaky(run, result, history)
    if flake is not None:
        return flake
    return against(run, result, *history[0], history) if history else first_sight(run, result, compared)


def first_sight(run: Run, result: Result, compared: bool) -> Change | None:
    """A cell of which nothing was known; ``compared``: in a history that knows of others."""
    cell = result.cell
    if result.word != cell.expected:
        if compared:
            return failure("new", result, f"fails, and was never tried before: {said(result)}", run)
        return failure("still", result, f"fails, in the first run there is: {said(result)}", run)
    return Change(kind="appeared", cell=cell, sentence=f"new here, {result.word}") if compared else None


def against(
    run: Run, result: Result, last_run: Run, last: Result, history: Sequence[tuple[Run, Result]]
) -> Change | None:
    """A cell beside the last run that knew of it."""
    cell = result.cell
    failed_before = last.word != last.cell.expected
    if result.word != cell.expected:
        if not failed_before:
            return failure("new", result, f"{said(result)}; it was {last.word} in {last_run.id}", run)
        if another_bug(result, last):
            before = last.finding.title if last.finding else said(last)
            return failure("new", result, f"{said(result)}; before it was another: {before}", run)
        since = streak(run, history)
        return failure("still", result, f"{said(result)}, since {since}", run, since)
    if failed_before:
        why = f"{result.word} as expected; in {last_run.id} it was {last.word}: {last.reason}"
        return fixed(cell, why, last.finding, last_run.id)
    return None


def fixed(cell: Cell, why: str, finding: Seen | None, since: str) -> Change:
    """A cell that failed and does not any more."""
    return Change(
        kind="fixed",
        cell=cell,
        sentence=why,
        signature=finding.signature if finding else "",
        title=finding.title if finding else "",
        since=since,
    )


def failure(kind: str, result: Result, why: str, run: Run, since: str = "") -> Change:
    """A cell that is not as expected."""
    finding = result.finding
    return Change(
        kind="new" if kind == "new" else "still",
        cell=result.cell,
        sentence=why,
        signature=finding.signature if finding else "",
        title=finding.title if finding else "",
        since=since or run.id,
        first_seen=since or run.id,
    )


def said(result: Result) -> str:
    """What a cell that fails came to, in words."""
    if result.word == "good":
        return "good, where the bug is expected"
    return result.reason


def another_bug(result: Result, last: Result) -> bool:
    """Whether they failed of different things: by the bug's signature, and where there is none by how boots ended."""
    return failed_of(result) != failed_of(last)


def failed_of(result: Result) -> str:
    """What a cell that is not as expected failed of."""
    if result.finding:
        return result.finding.signature
    boots = result.missed
    return f"{boots[-1].verdict} {boots[-1].outcome}" if boots else result.word


def streak(run: Run, history: Sequence[tuple[Run, Result]]) -> str:
    """The run since which a cell has failed in every run that knows of it."""
    since = run.id
    for one, result in history:
        if result.word == result.cell.expected:
            break
        since = one.id
    return since


def flaky(run: Run, result: Result, history: Sequence[tuple[Run, Result]]) -> Change | None:
    """The change where a cell fails now and then: boots of one kernel disagree, tonight or over the nights, and
    tonight's, where they agree, are no wonder at that rate."""
    cell = result.cell
    before, together = rate_of(cell, history), rate_of(cell, [(run, result), *history])
    tonight = told(result.attempts)
    missed = result.missed
    if together is None or not tonight:
        return None
    if result.word == "flaky":
        if before is None and all_failed(history, cell):
            together = Flake(len(missed), len(tonight), run.id, result.finding)
    elif before is not None and missed:
        if not same_bug(result, before) or before.rate ** len(tonight) < UNLIKELY:
            return None
    elif before is not None:
        good = boots_since(result, history)
        if gone_by_chance(before, good, len(tonight)) < GONE:
            if gone_by_chance(before, good - len(tonight), 0) < GONE:
                return None
            why = f"{good} boots in a row without what {before.failed} of the {before.boots} boots before showed"
            return fixed(cell, why, before.finding, before.since)
    finding = result.finding or together.finding
    what = finding.title if finding else missed[-1].reason if missed else "no finding"
    return Change(
        kind="flaky",
        cell=cell,
        sentence=(
            f"failed {len(missed)} of {len(tonight)} boots tonight, "
            f"{together.failed} of {together.boots} in all ({together.rate:.0%}), first in {together.since}: {what}"
        ),
        signature=finding.signature if finding else "",
        title=finding.title if finding else "",
        first_seen=together.since,
        since=together.since,
        rate=round(together.rate, 4),
    )


def rate_of(cell: Cell, history: Sequence[tuple[Run, Result]]) -> Flake | None:
    """How often a cell fails that now fails and now does not: counted from the run on in which it first failed, and in
    earlier boots of the kernels that did. ``None`` where no kernel's boots disagreed."""
    failing = [(one, result) for one, result in history if result.missed]
    if not failing or not mixed(cell, history):
        return None
    since = failing[-1][0].id
    kernels = {result.kernel for _, result in failing}
    counted = [result for one, result in history if one.id >= since or result.kernel in kernels]
    boots = sum(len(told(result.attempts)) for result in counted)
    finding = next((result.finding for _, result in failing if result.finding), None)
    return Flake(sum(len(result.missed) for _, result in failing), boots, since, finding)


def mixed(cell: Cell, history: Sequence[tuple[Run, Result]]) -> bool:
    """Whether boots of one and the same kernel disagreed: a bug that came with one kernel and went with another is no
    flake."""
    seen: dict[str, set[bool]] = {}
    for one, result in history:
        for attempt in told(result.attempts):
            seen.setdefault(result.kernel or one.id, set()).add(attempt.verdict == cell.expected)
    return any(len(words) > 1 for words in seen.values())


def gone_by_chance(before: Flake, good: int, tonight: int) -> float:
    """How likely it is that the last ``good`` boots (``tonight`` of them are not in ``before``) happen to have none of
    the failures, if it strikes as often as ever: Fisher's exact test, on one side."""
    boots = before.boots + tonight
    return math.comb(max(boots - good, 0), before.failed) / math.comb(boots, before.failed)


def boots_since(result: Result, history: Sequence[tuple[Run, Result]]) -> int:
    """How many boots in a row, tonight's among them, did not fail."""
    count = len(told(result.attempts))
    for _, old in history:
        attempts = told(old.attempts)
        if any(one.verdict != result.cell.expected for one in attempts):
            break
        count += len(attempts)
    return count


def all_failed(history: Sequence[tuple[Run, Result]], cell: Cell) -> bool:
    """Whether the last run saw nothing but failures."""
    return bool(history) and all(one.verdict != cell.expected for one in told(history[0][1].attempts))


def same_bug(result: Result, before: Flake) -> bool:
    """Whether tonight's failure is the flaky one."""
    one, other = result.finding, before.finding
    return (one.signature if one else "") == (other.signature if other else "")


def told(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts that say something about the kernel."""
    return [one for one in attempts if not one.infrastructure]


def gone(results: Sequence[Result], before: tuple[Run, Sequence[Result]]) -> list[Change]:
    """Cells that the run before had and this one has not."""
    here = {result.cell.key for result in results}
    run, old = before
    return [
        Change(kind="gone", cell=one.cell, sentence=f"not asked for any more; {one.word} in {run.id}")
        for one in old
        if one.cell.key not in here
    ]


def with_bisect(change: Change, bisects: Sequence[Bisected]) -> Change:
    """The change with the bisect that it, or the same bug of the same case, started."""
    if change.kind not in ("new", "still"):
        return change
    same = [one for one in bisects if one.case == change.cell.case]
    found = next((one for one in same if one.cell == change.cell.key), None)
    found = found or next((one for one in same if change.signature and f"({change.signature})" in one.summary), None)
    if found is None:
        return change
    import msgspec

    return msgspec.structs.replace(change, bisected=found)
