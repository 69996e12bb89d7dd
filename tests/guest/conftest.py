"""What tests of guests need: a kernel that boots, an initramfs, and processes that are looked at from outside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.guest.machine import Machine, load_machine
from lab.paths import Paths, data_folder, user_paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of this test's own."""
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


@pytest.fixture(scope="session")
def kernel() -> Path:
    """A bzImage that boots: LAB_TEST_KERNEL, or the newest good one in the lab's store."""
    named = os.environ.get("LAB_TEST_KERNEL")
    if named:
        return Path(named)
    images = sorted(user_paths().kernels.glob("*/bzImage"), key=lambda path: path.stat().st_mtime, reverse=True)
    images += sorted(user_paths().kernels.glob("*/image"), key=lambda path: path.stat().st_mtime, reverse=True)
    good = next((image for image in images if boots(image)), None)
    if good is None:
        pytest.skip("no kernel that boots in the store; run `lab build early-policy --at 0`, or set LAB_TEST_KERNEL")
    return good


def boots(image: Path) -> bool:
    """Whether ``image`` comes to user space: the store holds kernels with bugs on purpose."""
    from lab.errors import LabError
    from lab.guest.initramfs import build
    from lab.guest.run import boot

    try:
        machine = load_machine("two-nodes", data_folder("qemu"))
        run = boot(image, machine, initramfs=build(user_paths()), accel="tcg", paths=user_paths(), explain=False)
    except LabError:
        return False
    return run.outcome == "userspace"


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
