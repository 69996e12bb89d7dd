"""Telling a kernel that QEMU can boot from any other file, before QEMU is started."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

from lab.errors import UserError

ImageKind = Literal["bzImage", "vmlinux", "Image"]

SETUP_BYTES = 0x264
SECTOR = 512
XEN_ELFNOTE_PHYS32_ENTRY = 18
"""The note that holds a kernel's PVH entry (include/xen/interface/elfnote.h); QEMU boots no other ELF."""


def check_image(image: Path, arch: str = "x86_64") -> ImageKind:
    """What kind of kernel ``image`` is; ``arch`` is the one of ``arches.toml`` that it is to be for.

    bzImage: the setup header of Documentation/arch/x86/boot.rst. vmlinux: an ELF with a PVH entry. Raises
    :class:`UserError` that says what the file is instead, or that it was cut off.
    """
    try:
        with image.open("rb") as file:
            head = file.read(SETUP_BYTES)
            size = file.seek(0, 2)
    except OSError as error:
        raise UserError(f"{image}: {error.strerror}", hint="give a bzImage or a vmlinux") from None
    if arch != "x86_64":
        return check_magic(image, head, arch)
    if head[:4] == b"\x7fELF":
        return check_elf(image)
    if len(head) < SETUP_BYTES or head[0x1FE:0x200] != b"\x55\xaa" or head[0x202:0x206] != b"HdrS":
        raise UserError(f"{image}: not a kernel image for x86 (no setup header)", hint="give a bzImage or a vmlinux")
    needed = ((head[0x1F1] or 4) + 1) * SECTOR + 16 * struct.unpack_from("<I", head, 0x1F4)[0]
    if size < needed:
        raise UserError(f"{image}: cut off: {size} bytes of a kernel of {needed}")
    return "bzImage"


def check_magic(image: Path, head: bytes, name: str) -> ImageKind:
    """``image``, which begins with ``head``, is to be a kernel for another architecture than x86."""
    from lab.arch import arch

    magic = arch(name).magic
    if magic and head[magic.offset :][: len(magic.text)] != magic.text.encode():
        raise UserError(f"{image}: not a kernel image for {name}", hint=f"give the {arch(name).image} of a build")
    return "Image"


def check_elf(image: Path) -> ImageKind:
    """``image`` is an ELF file: whether QEMU can start it."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.segments import NoteSegment

    try:
        with image.open("rb") as file:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_X86_64":
                raise UserError(f"{image}: an ELF file for {elf['e_machine']}, not for x86-64")
            segments = (segment for segment in elf.iter_segments("PT_NOTE") if isinstance(segment, NoteSegment))
            notes = (note for segment in segments for note in segment.iter_notes())
            if any(note["n_name"] == "Xen" and str(note["n_type"]) == str(XEN_ELFNOTE_PHYS32_ENTRY) for note in notes):
                return "vmlinux"
    except (ELFError, ValueError, KeyError, struct.error, OSError):
        raise UserError(f"{image}: a damaged ELF file") from None
    raise UserError(
        f"{image}: an ELF file without a PVH entry, which QEMU cannot boot",
        hint="give the bzImage, or build with CONFIG_PVH",
    )
