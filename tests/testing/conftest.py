"""A run of pytest inside the test, with boots that are consoles which were really recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lab.console.annotate
import lab.files
import lab.guest.channel
import lab.line
import lab.settings
import lab.testing.attach
import lab.testing.hooks
import lab.testing.shell
import lab.testing.tap
from lab.console.ktap import Tap
from lab.console.scanner import scan_file
from lab.errors import LabError
from lab.guest.types import Boot, Outcome
from lab.kernel.types import BuildFailure, Kernel
from lab.testing.cells import Cell, label
from lab.testing.session import CaseAt, Session

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
read = cache(scan_file)
read(
    CONSOLES / "early-policy-6.1.txt"
)  # whatever a run inside imports first is imported again in the next: all of it now
KERNEL = Kernel("key", Path(), Path("bzImage"), Path("no-vmlinux"), Path("config"), "6.1", 1.0, from_store=True)

StandIn = Callable[..., None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    """Have every boot come to what is given: a recorded console, or what is raised instead. Points named ``end`` crash,
    the others are healthy, unless ``console`` says otherwise."""

    def make(
        *,
        console: Path | None = None,
        outcome: Outcome | None = None,
        raised: LabError | None = None,
        built: Kernel | BuildFailure = KERNEL,
        programs: tuple[Tap, ...] = (),
    ) -> None:
        def case_at(_self: Session, cell: Cell | None) -> CaseAt:
            assert cell
            where: Any = SimpleNamespace(machine=cell.machine, point=cell.point)
            point: Any = SimpleNamespace()
            return CaseAt(label(cell), where, point, 60.0, (), 0.0)

        def boot_target(target: Any, *_: object, **__: object) -> Boot:
            if raised:
                raise raised
            bad = target.point == "end"
            log = console or CONSOLES / ("early-policy-6.1.txt" if bad else "clean-6.1.txt")
            report = read(log)
            how: Outcome = outcome or ("died" if bad else "userspace")
            detail = f"{report.first.title} (stage {report.stage})" if report.first else "user space ran"
            folder = tmp_path / f"boot-{target.point}"
            return Boot(
                how, detail, report, "m", 1, "tcg", (), folder=folder, console=log, seconds=1, programs=programs
            )

        def kernel_of(*_: object) -> Kernel | BuildFailure:
            return built

        monkeypatch.setattr(Session, "case_at", case_at)
        monkeypatch.setattr("lab.testing.session.build_key", lambda at: at.label)
        monkeypatch.setattr(lab.line, "kernel_of", kernel_of)
        monkeypatch.setattr(lab.line, "target_of", lambda line, _kernel: line)
        monkeypatch.setattr(lab.line, "boot_target", boot_target)
        monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("LAB_CONFIG", str(tmp_path / "config"))

    return make
