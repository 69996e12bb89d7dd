"""Clean boots: the base kernels on every machine here, from the first line to the power-off, give no finding."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.case import load_case
from lab.guest.machine import load_machine
from lab.guest.run import boot
from lab.kernel.types import Kernel
from lab.line import Setup, kernel_of, point_at, prepare
from lab.paths import Paths, data_folder, user_paths
from lab.progress import silent
from lab.settings import Settings

TREE = os.environ.get("LAB_TREE_37", "")
MACHINES = sorted(path.stem for path in data_folder("qemu").glob("*.toml") if not path.stem.startswith("arm64-"))


def clean(image: Path, machine: str, initramfs: Path, paths: Paths) -> None:
    shape = load_machine(machine, data_folder("qemu"))
    result = boot(image, shape, initramfs=initramfs, accel="tcg", paths=paths, wait_for_exit=True, deadline=120)
    assert [finding.title for finding in result.report.findings] == []
    assert result.outcome == "userspace", result.detail
    assert result.report.stages[-1].name == "shutdown"


@pytest.mark.boot
@pytest.mark.parametrize("machine", MACHINES)
def test_a_clean_boot_of_6_1_gives_no_finding(kernel: Path, machine: str, initramfs: Path, paths: Paths) -> None:
    clean(kernel, machine, initramfs, paths)


@pytest.fixture(scope="module")
def kernel37() -> Path:
    """The base of the 2012 case, built where the store has it not."""
    setup = Setup(paths=user_paths(), settings=Settings(), progress=silent, tree=Path(TREE))
    line = prepare(load_case("numa-foundation", data_folder("patches")), setup)
    built = kernel_of(line, point_at(line, 0), setup)
    assert isinstance(built, Kernel), built
    return built.image


@pytest.mark.build
@pytest.mark.boot
@pytest.mark.tree37
@pytest.mark.skipif(not TREE, reason="no Linux 3.7 tree: set LAB_TREE_37 to one")
@pytest.mark.parametrize("machine", MACHINES)
def test_a_clean_boot_of_3_7_gives_no_finding(kernel37: Path, machine: str, initramfs: Path, paths: Paths) -> None:
    clean(kernel37, machine, initramfs, paths)
