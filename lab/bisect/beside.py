"""What is tried beside the search: the culprit left out of the series' end, and the other bugs that were met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from lab.bisect.engine import Outcome, Watcher, run
from lab.bisect.graph import Graph
from lab.bisect.journal import Journal
from lab.bisect.outlook import LineView
from lab.bisect.plan import Rules
from lab.bisect.prober import LineProber
from lab.bisect.records import Boot, Build, Event, Question, Sight, rejudged
from lab.bisect.result import Candidate, Check, Result, conclude
from lab.bisect.revert import Without, without
from lab.bisect.target import Target, adopted
from lab.bisect.touches import Crash, read, suspicion
from lab.line import Line

WITHOUT = "at the series' end, without the patch the bug is gone"
REVERTS = 3
"""So many ways to leave the culprit out are built at most."""


@dataclass(frozen=True)
class Desk:
    """What a bisect of a series works with."""

    line: Line
    prober: LineProber
    journal: Journal
    view: LineView
    watcher: Watcher


def ranked(result: Result, view: LineView, target: Target) -> Result:
    """``result`` with what each candidate has to do with the crash, the likeliest first."""
    crash = Crash()
    if result.crash is not None:
        sight = next((one for one in result.crash.seen if target.is_it(one)), None)
        crash = Crash(sight.functions, sight.file) if sight else crash
    rows = []
    for one in result.candidates:
        score, why = suspicion(view.touches[one.point.index - 1], crash)
        rows.append(Candidate(one.point, why, score))
    return replace(result, candidates=tuple(sorted(rows, key=lambda row: (-row.score, row.point.index))))


def reverted(desk: Desk, result: Result, outcome: Outcome) -> tuple[Check, ...]:
    """Whether the bug goes when the culprit alone is left out of the series' end."""
    assert result.first_bad is not None  # noqa: S101 - the caller asked
    line = desk.line
    culprit, end = result.first_bad.point.index, line.series_end
    if culprit == end:
        return ()  # the end without it is the good neighbour
    also: list[int] = []
    for attempt in range(1, REVERTS + 1):
        made = without(line.tree, culprit, end, end + attempt, also)
        if made is None:
            return (Check(WITHOUT, None, "it cannot be left out"),)
        desk.prober.points[made.point.index] = made.point
        build = built(desk, made.point.index)
        if build.image:
            return (tried(desk, WITHOUT, made, build, outcome),)
        file = str(build.document.get("error", {}).get("file", ""))
        more = depends_on(line, culprit, also, made, file)
        if more is None:
            return (Check(WITHOUT, None, f"{made.name}: {build.reason}"),)
        also.append(more)
    return (Check(WITHOUT, None, f"the rest does not build without patch {culprit}"),)


def depends_on(line: Line, culprit: int, also: Sequence[int], made: Without, file: str) -> int | None:
    """The last patch after the culprit that changes ``file``, which does not compile without it."""
    gone = {*also, *(point.index for point in made.dropped)}
    later = [point for point in line.tree.points[culprit + 1 : line.series_end + 1] if point.index not in gone]
    touches = read(line.tree.repo, [point.commit for point in later])
    return next((point.index for point in reversed(later) if file and file in touches[point.commit].files), None)


def built(desk: Desk, point: int) -> Build:
    """How ``point`` was built, now or earlier."""
    known = [event for event in desk.journal.events if isinstance(event, Build) and event.point == point]
    if known:
        return known[-1]
    build = desk.prober.build(point, 0)
    desk.journal.add(build)
    desk.watcher.done(build)
    return build


def tried(desk: Desk, what: str, made: Without, build: Build, outcome: Outcome) -> Check:
    """What boots of the end without the culprit say; as many as it takes to be sure."""
    point, rules = made.point.index, outcome.state.rules
    for _ in range(outcome.state.needed + rules.tries):
        boots = [event for event in desk.journal.events if isinstance(event, Boot) and event.image == build.image]
        good = sum(boot.word == "good" for boot in boots)
        bad = next((boot for boot in boots if boot.word == "bad"), None)
        if bad is not None:
            return Check(what, False, f"{made.name} has the bug too: {bad.reason}")
        if good >= outcome.state.needed:
            return Check(what, True, f"{made.name}: {good} of {len(boots)} boots good")
        others = [boot for boot in boots if boot.word in ("other", "fault")]
        if len(others) >= rules.tries and not good:
            return Check(what, None, f"{made.name}: {others[-1].reason}")
        boot = desk.prober.boot(point, 0)
        desk.journal.add(boot)
        desk.watcher.done(boot)
    return Check(what, None, f"{made.name}: boots were of two minds")


class Rejudged(Journal):
    """Another journal seen by another bug: what is added goes into that one as it is."""

    def __init__(self, inner: Journal, target: Target) -> None:
        super().__init__()
        self.inner = inner
        self.target = target
        self.events = rejudged(inner.events, target.is_it)

    def add(self, event: Event) -> None:
        """Take ``event`` down in the journal that this one is a view of."""
        self.inner.add(event)
        self.events = rejudged(self.inner.events, self.target.is_it)


def other_bugs(events: Sequence[Event], target: Target) -> list[tuple[Sight, int]]:
    """The other bugs that points died of, each with the last point that showed it."""
    last: dict[str, tuple[Sight, int]] = {}
    for event in events:
        if isinstance(event, Boot) and event.word == "other":
            sight = next((one for one in event.seen if one.fatal and not target.is_it(one)), None)
            if sight is not None and event.point >= last.get(sight.signature, (sight, -1))[1]:
                last[sight.signature] = (sight, event.point)
    return list(last.values())


def chased(desk: Desk, question: Question, graph: Graph, rules: Rules) -> tuple[Result, ...]:
    """The bisects of the other bugs, each from the last point that showed it."""
    results = []
    target = adopted(desk.prober.target, desk.journal.events, graph.bad)
    for sight, end in other_bugs(desk.journal.events, target):
        if not 0 < end < len(graph.parents):
            continue
        other = Target(sight.signature, frozenset(sight.titles))
        seen = Rejudged(desk.journal, other)
        part = Graph(graph.parents, end, graph.good)
        outcome = run(part, desk.prober, seen, rules, view=desk.view, watcher=desk.watcher)
        asked = msgspec.structs.replace(question, looked_for=sight.signature)
        results.append(ranked(conclude(asked, outcome, 0.0), desk.view, other))
    return tuple(results)
