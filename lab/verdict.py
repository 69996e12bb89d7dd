"""Findings and what was expected, to good, bad or skip: the only place where that is decided.

Good needs a positive marker from user space on the machine that was asked for. Whatever is neither that nor the bug
that was looked for is a skip with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.case import Expect
from lab.console.types import Finding, Report
from lab.guest.types import FAULTS, Boot
from lab.kernel.types import BuildFailure

Word = Literal["good", "bad", "skip"]

EXIT_CODES: dict[Word, int] = {"good": 0, "bad": 1, "skip": 125}
"""As ``git bisect run`` takes them."""

ANY = Expect()
"""Nothing in particular is looked for: each finding that is more than a warning is bad."""

HARMLESS = frozenset({"warning", "test"})
"""Kinds that don't make a boot bad on their own: a healthy 3.7 prints a WARN while it brings its CPUs up."""


@dataclass(frozen=True)
class Verdict:
    """Good, bad or skip, why, and the finding that it rests on where there is one."""

    word: Word
    reason: str
    finding: Finding | None = None

    @property
    def exit_code(self) -> int:
        """The exit code for ``git bisect run``: 0, 1 or 125."""
        return EXIT_CODES[self.word]


def matches(finding: Finding, expect: Expect) -> bool:
    """Whether ``finding`` is the bug that is looked for: by signature, else by one of its titles."""
    if expect.signature:
        return finding.signature == expect.signature
    return expect.title in (finding.title, *finding.alternatives)


def judge_build(failure: BuildFailure) -> Verdict:
    """A point that does not compile says nothing about the bug."""
    place = f"{failure.file}:{failure.line}: " if failure.file else ""
    return Verdict("skip", f"does not build: {place}{failure.message}")


def judge_report(report: Report, expect: Expect = ANY) -> Verdict:
    """The verdict on a console alone, with nothing known about how it was recorded."""
    looked_for = bool(expect.signature or expect.title)
    if looked_for:
        seen = next((finding for finding in report.findings if matches(finding, expect)), None)
        if seen is not None:
            return Verdict("bad", f"{seen.title} (line {seen.line})", seen)
    serious = [finding for finding in report.findings if finding.fatal or finding.kind not in HARMLESS]
    if serious:
        first = next((finding for finding in serious if finding.primary), serious[0])
        if not looked_for:
            return Verdict("bad", f"{first.title} (line {first.line})", first)
        if first.fatal or report.marker is None:
            return Verdict("skip", f"another bug than the one looked for: {first.title} (line {first.line})", first)
    if report.marker is None:
        notes = "".join(f"; {note}" for note in (*report.notes, report.incomplete) if note)
        return Verdict("skip", f"no marker from user space; last sign of life: {report.stage or 'none'}{notes}")
    if report.incomplete:
        return Verdict("skip", f"user space ran, but {report.incomplete}")
    warnings = len(report.findings)
    note = f"; {warnings} finding(s) that do not count: {report.findings[0].title}" if warnings else ""
    return Verdict("good", f"user space ran{note}")


def judge_boot(boot: Boot, expect: Expect = ANY) -> Verdict:
    """The verdict on a boot: what QEMU and the accelerator did comes before what the console says."""
    if boot.outcome in FAULTS:
        return Verdict("skip", boot.detail)
    verdict = judge_report(boot.report, expect)
    if verdict.word == "good":
        return judge_programs(boot, judge_topology(boot, verdict), expect)
    if verdict.word == "skip" and verdict.finding is None:
        looked_for = bool(expect.signature or expect.title)
        return Verdict("skip" if looked_for or boot.outcome == "userspace" else "bad", boot.detail)
    return verdict


def judge_programs(boot: Boot, verdict: Verdict, expect: Expect = ANY) -> Verdict:
    """``verdict`` where each test program that the guest was to run passed or had nothing to do there; else bad, or a
    skip where another bug is looked for."""
    if verdict.word != "good" or not boot.programs:
        return verdict
    failed = next((tap for tap in boot.programs if tap.word == "fail"), None)
    if failed:
        hang = f" ({boot.detail})" if boot.outcome == "hang" else ""
        looked_for = bool(expect.signature or expect.title)
        return Verdict("skip" if looked_for else "bad", f"test program {failed.name}: {failed.complaint}{hang}")
    counts = ", ".join(f"{tap.name} {tap.summary}" for tap in boot.programs)
    return Verdict("good", f"{verdict.reason}; test programs: {counts}", verdict.finding)


def judge_topology(boot: Boot, verdict: Verdict) -> Verdict:
    """``verdict`` where the guest saw the NUMA nodes that the machine has, else a skip: it tested something else."""
    marker = boot.report.marker
    seen = marker.get("nodes") if marker else ""
    if seen != str(boot.nodes):
        return Verdict("skip", f"the guest sees {seen or 'no'} NUMA node(s), the machine has {boot.nodes}")
    return Verdict("good", f"{verdict.reason} on {boot.nodes} node(s)", verdict.finding)
