"""A matrix, its cells and a runner that are made up: nothing is built or booted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from lab.errors import InfrastructureError, UserError
from lab.guest.machine import MachineFile, NodeFile, check
from lab.history.records import Attempt, Cell, CellWord, Result, Seen
from lab.matrix.lines import Ready
from lab.matrix.manifest import Budget, Matrix
from lab.matrix.plan import Job
from lab.matrix.schedule import Made
from lab.process import DeadlinePassed

MACHINES = {
    name: check(MachineFile(title=name, node=[NodeFile(cpus=1, memory=memory)]), name, name)
    for name, memory in (("one-node", "512M"), ("two-nodes", "1G"), ("x3400-m3", "8G"))
}
BUG = Seen(signature="bug:policy_zonelist", title="kernel BUG in policy_zonelist", kind="bug", line=9, fatal=True)
Sight = Callable[[Job, int], str]


def job(label: str = "end", machine: str = "two-nodes", kconfig: str = "tiny-numa", **more) -> Job:
    values = {"case": "early-policy", "point": 1, "subject": "s", "commit": "c", "toolchain": "gcc"} | more
    cell = Cell(label=label, machine=machine, kconfig=kconfig, **values)
    return Job(cell, f"{cell.case}/{label}/{kconfig}/gcc", MACHINES[machine])


def jobs(labels=("base", "end"), machines=tuple(MACHINES), kconfigs=("tiny-numa",), **more) -> list[Job]:
    return [job(label, machine, kconfig, **more) for label in labels for kconfig in kconfigs for machine in machines]


def matrix(key: str = "m", **budget) -> Matrix:
    return Matrix("nightly", "t", key, Path(), (), (), (), ("",), (), (), Budget(**budget))


def ready(members: list[Job], key: str = "m", **budget) -> Ready:
    return Ready(matrix(key, **budget), tuple(members), {}, ())


def seen(verdict: str, number: int = 1, **more) -> Attempt:
    outcome = {"good": "userspace", "fault": "qemu"}.get(verdict, "died")
    values = {"reason": verdict, "started": 0.0, "seconds": 0.01, "infrastructure": verdict == "fault"} | more
    word = "skip" if verdict == "fault" else verdict
    findings = (BUG,) if verdict == "bad" else ()
    return Attempt(number=number, verdict=word, outcome=outcome, findings=findings, **values)


def result(of: Job, word: CellWord, attempts: list[Attempt]) -> Result:
    return Result(run="r", cell=of.cell, word=word, reason="", attempts=tuple(attempts))


class Fake:
    """A runner. ``sight`` says what a boot shows: a verdict, ``fault`` for a fault of the world, or ``raise``."""

    def __init__(
        self, sight: Sight = lambda _job, _number: "good", *, pause: float = 0.0, stored=(), seconds: float = 0.01
    ) -> None:
        self.sight = sight
        self.pause = pause
        self.seconds = seconds
        self.kept = set(stored)
        self.fails: dict[str, str] = {}
        self.builds: list[str] = []
        self.boots: list[str] = []
        self.most = self.most_memory = self.most_builds = 0
        self.running: list[Job] = []
        self.building = 0
        self.lock = threading.Lock()

    def stored(self, kernel: str) -> Made | None:
        return Made(key=kernel, from_store=True, kernel=kernel) if kernel in self.kept else None

    def build(self, kernel: str, seconds: float) -> Made:
        with self.lock:
            self.building += 1
            self.most_builds = max(self.most_builds, self.building)
            self.builds.append(kernel)
        try:
            time.sleep(self.pause)
            how = self.fails.get(kernel, "")
            if how == "full":
                raise InfrastructureError("the disk is full")
            if how == "kconfig":
                raise UserError("CONFIG_SLUB did not come")
            if how == "late":
                raise DeadlinePassed("make did not end")
            if how == "fault of ours":
                raise ZeroDivisionError
            if how:
                return Made(key=kernel, attempt=seen("skip", build=how))
        finally:
            with self.lock:
                self.building -= 1
        self.kept.add(kernel)
        return Made(key=kernel, seconds=1.0, kernel=kernel)

    def boot(self, job: Job, made: Made, number: int) -> Attempt:
        with self.lock:
            self.running.append(job)
            self.boots.append(job.cell.key)
            self.most = max(self.most, len(self.running))
            self.most_memory = max(self.most_memory, sum(one.machine.memory for one in self.running))
        try:
            time.sleep(self.pause)
            word = self.sight(job, number)
            if word == "raise":
                raise InfrastructureError("no QEMU")
            return seen(word, number, seconds=self.seconds)
        finally:
            with self.lock:
                self.running.remove(job)
