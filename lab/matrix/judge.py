"""Boots to attempts, and attempts to what a cell came to. Pure, but for keeping the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lab.case import Expect
from lab.console.types import Finding, Report
from lab.guest.machine import Machine
from lab.guest.types import FAULTS, Boot
from lab.history.records import Attempt, CellWord, Night, Seen, StageTime
from lab.kernel.types import BuildFailure
from lab.matrix.topology import differences
from lab.verdict import ANY, Verdict, judge_boot, judge_build

MOST_FINDINGS = 50
"""A console full of the same warning need not fill the history as well."""


def attempt_of(
    boot: Boot, machine: Machine, number: int, started: float, console: str, *, expect: Expect = ANY
) -> Attempt:
    """A boot as the history keeps it. ``started`` is in seconds since the epoch, ``console`` the hash of its log.

    Where the cell ``expect``s a bug, bad is that bug, and another is none of what was expected: skip. Elsewhere each
    finding that is more than a warning makes it bad.
    """
    verdict = judge_boot(boot, expect)
    marker = boot.report.marker
    topology = differences(machine, dict(marker.fields)) if marker and boot.outcome == "userspace" else ()
    if topology and verdict.word == "good":
        verdict = Verdict("skip", topology[0])
    return Attempt(
        number=number,
        verdict=verdict.word,
        reason=verdict.reason,
        outcome=boot.outcome,
        started=started,
        seconds=boot.seconds,
        accel=boot.accel,
        stages=stage_times(boot),
        findings=seen_in(boot.report, verdict.finding if expect.signature or expect.title else None),
        topology=topology,
        marker_seconds=boot.marker_seconds,
        console=console,
        infrastructure=boot.outcome in FAULTS,
    )


def stage_times(boot: Boot) -> tuple[StageTime, ...]:
    """When each stage began. The console has the kernel's own clock, which begins about when its first byte is out;
    user space was seen to begin."""
    clock = boot.first_byte_seconds or 0.0
    times: list[StageTime] = []
    last = 0.0
    for stage in boot.report.stages:
        at = clock + (stage.time or 0.0) if stage.name not in ("firmware", "decompress") else clock
        if stage.name == "userspace" and boot.marker_seconds is not None:
            at = boot.marker_seconds
        last = max(last, at)
        times.append(StageTime(stage=stage.name, seconds=round(last, 4), line=stage.line))
    return tuple(times)


def seen_in(report: Report, blamed: Finding | None = None) -> tuple[Seen, ...]:
    """The findings, the one to blame first: the report's own first one unless another is ``blamed``."""
    first = blamed or report.first
    found = sorted(report.findings, key=lambda one: (one is not first, one.line))[:MOST_FINDINGS]
    return tuple(
        Seen(
            signature=one.signature,
            title=one.title,
            kind=one.kind,
            line=one.line,
            last_line=one.last_line,
            fatal=one.fatal,
            primary=one.primary,
        )
        for one in found
    )


def build_attempt(failure: BuildFailure, number: int, started: float) -> Attempt:
    """A kernel that does not compile, as the history keeps it."""
    verdict = judge_build(failure)
    place = f"{failure.file}:{failure.line}: " if failure.file else ""
    return Attempt(
        number=number,
        verdict=verdict.word,
        reason=verdict.reason,
        outcome="build",
        started=started,
        seconds=failure.seconds,
        build=f"{place}{failure.message}",
    )


def fault(number: int, reason: str, started: float, seconds: float) -> Attempt:
    """An attempt that came to nothing by the fault of the lab, QEMU or the host."""
    return Attempt(
        number=number,
        verdict="skip",
        reason=reason,
        outcome="qemu",
        started=started,
        seconds=seconds,
        infrastructure=True,
    )


def again(attempts: Sequence[Attempt], expected: str, *, boots: int, retries: int) -> bool:
    """Whether a cell is booted once more after ``attempts``.

    ``boots`` is how many are wanted where all goes well. What is not as expected is tried up to ``retries`` times more,
    until one boot disagrees; a fault of the world gets two more tries, and then says nothing.
    """
    if attempts and attempts[-1].build:
        return False
    told = [one.verdict for one in attempts if not one.infrastructure]
    faults = len(attempts) - len(told)
    if faults > 2:
        return False
    if "good" in told and len(set(told)) > 1:
        return False
    if not told or all(word == expected for word in told):
        return len(told) < boots
    return len(told) < 1 + retries


def word_of(attempts: Sequence[Attempt]) -> tuple[CellWord, str]:
    """What a cell came to, and why."""
    told = [one for one in attempts if not one.infrastructure]
    if not attempts:
        return "waiting", "not tried yet"
    if not told:
        return "infrastructure", attempts[-1].reason
    failed = [one for one in told if one.verdict != "good"]
    if not failed:
        return "good", told[-1].reason
    worst = next((one for one in failed if one.verdict == "bad"), failed[0])
    many = f" ({len(failed)} of {len(told)} boots)" if len(told) > 1 else ""
    return (worst.verdict if len(failed) == len(told) else "flaky"), f"{worst.reason}{many}"


def night_word(night: Night) -> Literal["good", "bad", "skip", "infrastructure"]:
    """What a night came to: bad where a required cell that was tried is not as expected, or something new fails; skip
    where nothing does, and a required cell is not known."""
    tried = [result for result in night.results if result.word != "waiting"]
    if all(result.word == "infrastructure" for result in tried):
        return "infrastructure" if tried else "skip"
    required = [result for result in night.results if result.cell.required]
    wrong = any(result.word not in ("waiting", "infrastructure", "flaky", result.cell.expected) for result in required)
    if wrong or any(change.kind == "new" for change in night.changes):
        return "bad"
    return "skip" if any(result.word in ("waiting", "infrastructure") for result in required) else "good"
