"""What makes a boot bad: this bug and no other. Where a case does not say which, it is what the bad end shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.bisect.records import Boot, Event, Sight, Word
from lab.case import Expect
from lab.guest.types import FAULTS
from lab.guest.types import Boot as Run
from lab.verdict import ANY, HARMLESS, judge_boot


@dataclass(frozen=True)
class Target:
    """The bug that is looked for: by its signature, or any of its titles. Empty: whatever the bad end shows."""

    signature: str = ""
    titles: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.signature or self.titles)

    @property
    def name(self) -> str:
        """The bug for people."""
        return min(self.titles, key=lambda title: (len(title), title), default=self.signature)

    def is_it(self, sight: Sight) -> bool:
        """Whether what was seen is this bug."""
        return (bool(self.signature) and sight.signature == self.signature) or bool(self.titles & set(sight.titles))


def expected(expect: Expect) -> Target:
    """The bug that a case looks for."""
    return Target(expect.signature, frozenset({expect.title} if expect.title else ()))


def adopted(target: Target, events: Iterable[Event], bad_end: int) -> Target:
    """``target``, or where it is empty the bug of the bad end's first boot that was bad."""
    if target:
        return target
    for event in events:
        if isinstance(event, Boot) and event.point == bad_end and event.word == "bad" and event.signature:
            sight = next((one for one in event.seen if one.signature == event.signature), None)
            return Target(event.signature, frozenset(sight.titles if sight else ()))
    return target


def sights(run: Run) -> tuple[Sight, ...]:
    """What was seen in a boot, the one to blame first. One that ended without a word is seen to have ended at its
    stage: ``hang:early``, ``died:memory``."""
    found = sorted(run.report.findings, key=lambda finding: finding is not run.report.first)
    seen = tuple(
        Sight(
            signature=finding.signature,
            titles=(finding.title, *finding.alternatives),
            fatal=finding.fatal or finding.kind not in HARMLESS,
            functions=finding.functions,
            file=finding.file,
        )
        for finding in found
    )
    if run.outcome in ("died", "hang") and not any(sight.fatal for sight in seen):
        stage = run.report.stage or "firmware"
        ended = Sight(f"{run.outcome}:{stage}", (f"{run.outcome} at stage {stage}",), fatal=True)
        return (ended, *seen)
    return seen


def judged(run: Run, target: Target) -> tuple[Word, str]:
    """Good, bad, something else or a fault of the world, and why."""
    if run.outcome in FAULTS:
        return "fault", run.detail
    if target:
        seen = next((sight for sight in sights(run) if target.is_it(sight)), None)
        if seen is not None:
            return "bad", seen.titles[0]
        verdict = judge_boot(run, Expect(signature=target.signature, title=target.name))
        return ("good" if verdict.word == "good" else "other"), verdict.reason
    verdict = judge_boot(run, ANY)
    if verdict.word == "skip":
        return "other", verdict.reason
    return verdict.word, verdict.reason
