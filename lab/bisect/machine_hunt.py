"""The machine hunt on real guests: one kernel, booted on ever smaller machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from msgspec.structs import replace as changed

from lab.bisect.smaller import PROPERTIES, Property, Seen, Trial, as_file, exchanges, next_trial, steps, toml, value
from lab.bisect.sure import Ruling, ask, ask_bad_end, looked_for, needed_boots
from lab.case import Case, Expect
from lab.errors import InfrastructureError, UserError
from lab.guest.machine import Machine, MachineFile, check, load_machine
from lab.guest.types import Boot
from lab.kernel.types import BuildFailure, Kernel
from lab.line import Line, Setup, boot_target, kernel_of, point_at, prepare, target_of
from lab.paths import data_folder
from lab.tree.types import Point
from lab.verdict import Verdict, judge_boot

Answer = Literal["needed", "not needed", "unclear"]

REPORTED = "machine"
"""What a trial of a whole machine is listed under."""


@dataclass(frozen=True)
class Need:
    """Whether the bug needs a property. ``value`` is the smallest machine's; ``evidence`` what was tried beside it."""

    property: Property
    value: str
    answer: Answer
    evidence: tuple[Seen, ...]


@dataclass(frozen=True)
class MachineHunt:
    """What a machine hunt came to. ``smallest`` is the smallest machine that shows the bug. ``reason`` says which end
    is not what it should be: a smallest machine there is all the same where the bad one shows the bug. ``seconds`` is
    wall time, ``boots`` how many there were."""

    line: Line
    point: Point
    good: MachineFile
    bad: MachineFile
    smallest: MachineFile | None
    needs: tuple[Need, ...]
    trials: tuple[Seen, ...]
    bad_end: Ruling
    needed: int
    boots: int
    seconds: float
    kernel: Kernel | None = None
    reason: str = ""


class Rig:
    """One kernel, and what is known of it on each machine that was tried."""

    def __init__(self, line: Line, kernel: Kernel, setup: Setup, seen: Callable[[Seen], None]) -> None:
        self.line = line
        self.kernel = kernel
        self.setup = setup
        self.seen = seen
        self.expect: Expect = line.case.expect
        self.needed = 1
        self.known: dict[str, Seen] = {}
        self.boots = 0

    def boot_on(self, machine: Machine) -> Callable[[], tuple[Boot, Verdict]]:
        """Booting on ``machine``, once a call."""

        def once() -> tuple[Boot, Verdict]:
            self.boots += 1
            run = boot_target(replace(target_of(self.line, self.kernel), machine=machine), self.setup)
            return run, judge_boot(run, self.expect)

        return once

    def tried(self, trial: Trial) -> Seen:
        """What ``trial`` came to; a machine that can't be says nothing."""
        key = toml(trial.file)
        if key not in self.known:
            self.setup.progress("boot", f"{trial.what} ({trial.property})")
            try:
                ruling = ask(self.boot_on(check(trial.file, "trial", trial.what)), self.needed)
                result = Seen(trial, ruling.word, ruling.reason)
            except (UserError, InfrastructureError) as error:
                result = Seen(trial, "skip", f"cannot be tried: {error}")
            self.known[key] = result
            self.seen(result)
        return replace(self.known[key], trial=trial)


def hunt_machine(
    case: Case,
    good: str,
    bad: str,
    setup: Setup,
    *,
    at: int | None = None,
    seen: Callable[[Seen], None] = lambda _: None,
) -> MachineHunt:
    """Find what of machine ``bad`` the bug at point ``at`` (the series' end) needs that ``good`` does not have.

    Both ends are proven. Raises :class:`UserError` for a machine that there is none of.
    """
    began = time.monotonic()
    folder = data_folder("qemu")
    ends = {name: load_machine(name, folder) for name in (good, bad)}
    line = prepare(replace(case, machine=bad), setup)
    point = point_at(line, line.series_end if at is None else at)
    files = {name: changed(as_file(machine), title=machine.title) for name, machine in ends.items()}
    kernel = kernel_of(line, point, setup)
    nothing = Ruling("skip", "", 0)
    if isinstance(kernel, BuildFailure):
        why = f"point {point.index} does not build: {kernel.message}"
        return MachineHunt(
            line, point, files[good], files[bad], None, (), (), nothing, 0, 0, time.monotonic() - began, reason=why
        )
    rig = Rig(line, kernel, setup, seen)
    setup.progress("boot", f"the bad machine, {bad}")
    bad_end = ask_bad_end(rig.boot_on(ends[bad]))
    rig.expect = looked_for(line.case.expect, bad_end)
    rig.needed = needed_boots(bad_end)
    reason = "" if bad_end.word == "bad" else f"the bad machine, {bad}, is {bad_end.word}: {bad_end.reason}"
    smallest: MachineFile | None = None
    needs: tuple[Need, ...] = ()
    if not reason:
        setup.progress("boot", f"the good machine, {good}")
        good_end = ask(rig.boot_on(ends[good]), rig.needed)
        if good_end.word != "good":
            reason = f"the good machine, {good}, is {good_end.word}: {good_end.reason}"
    if bad_end.word == "bad":
        smallest = shrink(changed(files[bad], title=f"The smallest that shows it, made from {bad}"), rig)
        needs = tuple(judged(smallest, files[good], rig))
    return MachineHunt(
        line=line,
        point=point,
        good=files[good],
        bad=files[bad],
        smallest=smallest,
        needs=needs,
        trials=tuple(rig.known.values()),
        bad_end=bad_end,
        needed=rig.needed,
        boots=rig.boots,
        seconds=time.monotonic() - began,
        kernel=kernel,
        reason=reason,
    )


def shrink(file: MachineFile, rig: Rig) -> MachineFile:
    """Take ``file`` down until nothing smaller shows the bug."""
    while True:
        known = {key: (result.word, result.reason) for key, result in rig.known.items()}
        trial = next_trial(file, known)
        if trial is None:
            return file
        if rig.tried(trial).word == "bad":
            file = trial.file


def judged(smallest: MachineFile, good: MachineFile, rig: Rig) -> Iterator[Need]:
    """For each property whether the bug needs it: it does where the smallest machine without it is good."""
    trials = [rig.tried(trial) for trial in (*steps(smallest), *exchanges(smallest, good))]
    for name in PROPERTIES:
        evidence = tuple(result for result in trials if result.trial.property == name)
        words = {result.word for result in evidence}
        answer: Answer = "needed" if "good" in words else "unclear" if words == {"skip"} else "not needed"
        yield Need(name, value(smallest, name), answer, evidence)
