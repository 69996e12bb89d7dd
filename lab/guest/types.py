"""Values of the third step: the machine that was asked for and one run of a kernel on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.console.types import Report

if TYPE_CHECKING:
    from lab.console.ktap import Tap

Outcome = Literal[
    "userspace",  # the marker came: user space ran
    "died",  # the kernel reported a fatal finding, or QEMU ended on a reset or power-off before the marker
    "hang",  # the deadline passed without a marker
    "accelerator",  # the accelerator broke, not the kernel
    "qemu",  # QEMU could not be started or ended by a fault of its own
    "board",  # a real board, its console, loader or power failed, or its line lost what would have told
    "interrupted",  # the run was ended from outside
]

FAULTS: tuple[Outcome, ...] = ("accelerator", "qemu", "board", "interrupted")
"""Outcomes that say nothing about the kernel."""


@dataclass(frozen=True)
class Boot:
    """One run of one kernel on one machine.

    ``console`` is the log as it came from the serial line, ``folder`` holds it and ``boot.json``; ``argv`` is the
    QEMU command without a shell, empty for a real board; ``seconds`` from exec to the end. ``fatal_seconds`` is when
    the header of the first fatal finding was read, ``last_byte_seconds`` when the console's last byte was,
    ``ended_seconds`` when QEMU was gone, all from exec; ``None`` where there was none or it is not known. ``detail``
    says in a sentence what ended it. ``nodes`` are the NUMA nodes that the machine has and that the guest must report.
    ``programs`` are the results of the test programs that were to be run in it, one each, also of those that never
    began.
    """

    outcome: Outcome
    detail: str
    report: Report
    machine: str
    nodes: int
    accel: str
    argv: tuple[str, ...]
    folder: Path
    console: Path
    seconds: float
    first_byte_seconds: float | None = None
    marker_seconds: float | None = None
    notes: tuple[str, ...] = ()
    programs: tuple[Tap, ...] = ()
    fatal_seconds: float | None = None
    last_byte_seconds: float | None = None
    ended_seconds: float | None = None
