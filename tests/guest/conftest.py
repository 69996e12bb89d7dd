"""What tests of guests need: a kernel that boots, an initramfs, and processes that are looked at from outside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.case import load_case
from lab.guest.machine import Machine, load_machine
from lab.kernel.types import Kernel
from lab.line import Setup, kernel_of, point_at, prepare
from lab.paths import Paths, data_folder, user_paths
from lab.progress import silent
from lab.settings import Settings


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of this test's own."""
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


@pytest.fixture(scope="session")
def kernel() -> Path:
    """A bzImage that boots: LAB_TEST_KERNEL, or the base of the example case, built where the store has it not."""
    named = os.environ.get("LAB_TEST_KERNEL")
    if named:
        return Path(named)
    setup = Setup(paths=user_paths(), settings=Settings(), progress=silent)
    line = prepare(load_case("early-policy", data_folder("patches")), setup)
    built = kernel_of(line, point_at(line, 0), setup)
    assert isinstance(built, Kernel), built
    return built.image


@pytest.fixture(scope="session")
def initramfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's initramfs."""
    from lab.guest.initramfs import build

    folder = tmp_path_factory.mktemp("initramfs")
    return build(Paths(folder, folder, folder))


@pytest.fixture
def two_nodes() -> Machine:
    """The default machine."""
    return load_machine("two-nodes", data_folder("qemu"))


@pytest.fixture
def a_bzimage(tmp_path: Path) -> Path:
    """A file with a bzImage's header and nothing to run in it: firmware starts it, and it prints nothing."""
    image = bytearray(4096)
    image[0x1F1] = 1
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = b"HdrS"
    path = tmp_path / "bzImage"
    path.write_bytes(image)
    return path


@pytest.fixture
def qemu_script(tmp_path: Path) -> Callable[[str], str]:
    """Makes a program that stands in for QEMU, for what a real one cannot be made to do here."""

    def make(body: str) -> str:
        path = tmp_path / "qemu-stand-in"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make
