"""Kernel images are told from other files before QEMU is started."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.guest.image import check_image


def test_a_bzimage_is_known_by_its_setup_header(a_bzimage: Path) -> None:
    assert check_image(a_bzimage) == "bzImage"


def test_a_bzimage_that_was_cut_off_is_refused(a_bzimage: Path) -> None:
    data = bytearray(a_bzimage.read_bytes())
    struct.pack_into("<I", data, 0x1F4, 1000)
    a_bzimage.write_bytes(data)
    with pytest.raises(UserError, match="cut off: 4096 bytes of a kernel of 17024"):
        check_image(a_bzimage)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x1f\x8b" + bytes(5000), bytes(5000)])
def test_any_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a kernel image"):
        check_image(path)


def test_a_program_is_no_kernel() -> None:
    with pytest.raises(UserError, match=r"without a PVH entry|for EM_"):
        check_image(Path(sys.executable).resolve())


def test_a_damaged_elf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(20))
    with pytest.raises(UserError, match="vmlinux"):
        check_image(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        check_image(tmp_path / name)
