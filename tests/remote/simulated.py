"""Work of workers that is made up: it takes a while, leaves a line in a file, and comes to what it is told."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.bisect.records import Boot, Build
from lab.matrix import schedule
from lab.remote import cellwork
from lab.remote.steady import Steady
from tests.matrix.made import Fake


def note(folder: str, what: str) -> None:
    """A line that says that this was done."""
    with (Path(folder) / "done").open("a") as file:
        file.write(f"{what}\n")


def done(folder: Path) -> list[str]:
    """What was done so far, also what was done for nothing."""
    file = Path(folder) / "done"
    return file.read_text().splitlines() if file.exists() else []


@dataclass(frozen=True)
class Prober:
    """A series whose points are bad from ``first_bad`` on."""

    folder: str
    first_bad: int
    seconds: float = 0.3
    signature: str = "bug:f"

    def build(self, point: int, worker: int) -> Build:
        time.sleep(self.seconds)
        note(self.folder, f"build {point}")
        return Build(point, f"image{point}", self.seconds)

    def boot(self, point: int, worker: int) -> Boot:
        time.sleep(self.seconds)
        note(self.folder, f"boot {point}")
        if point >= self.first_bad:
            return Boot(point, "bad", "kernel BUG in f", image=f"image{point}", signature=self.signature)
        return Boot(point, "good", "user space", image=f"image{point}")


@dataclass(frozen=True)
class Kernels:
    """A matrix whose cells are bad where their label is one of ``bad``."""

    folder: str
    bad: tuple[str, ...] = ("end",)
    seconds: float = 0.2

    def runner(self) -> Fake:
        return Fake(lambda job, _number: "bad" if job.cell.label in self.bad else "good", pause=self.seconds)

    def build(self, wanted: cellwork.Wanted, seconds: float) -> cellwork.Answer:
        made = schedule.build_one(self.runner(), wanted.kernel, seconds)
        note(self.folder, f"build {wanted.kernel}")
        built = cellwork.Built(made.key, made.release, whole=True, seconds=made.seconds)
        return cellwork.Answer(msgspec.json.encode(built), where="w")

    def fill(self, cell: cellwork.Cell) -> cellwork.Answer:
        terms = schedule.Terms(cell.run, cell.limits, lambda: cell.left)
        result = schedule.fill_one(self.runner(), cell.job, cell.made, terms)
        note(self.folder, f"fill {cell.job.cell.key}")
        attempts = tuple(msgspec.structs.replace(one, where=str(os.getpid())) for one in result.attempts)
        return cellwork.Answer(msgspec.json.encode(msgspec.structs.replace(result, attempts=attempts)), where="w")


class Simulating(Steady):
    """Sends :class:`Kernels`' work instead of the real one."""

    def __init__(self, post, kernels, asked):
        super().__init__(post, asked)
        self.kernels = kernels

    def submit(self, fn, /, *args, **kwargs):
        return super().submit(self.kernels.build if fn is cellwork.build else self.kernels.fill, *args)
