"""The bug table of a vmlinux or a module: which file and line each BUG() and WARN() instruction is of.

``struct bug_entry`` of include/asm-generic/bug.h with GENERIC_BUG_RELATIVE_POINTERS and DEBUG_BUGVERBOSE: 12 bytes,
with HAVE_ARCH_BUG_FORMAT (from 6.19) 16. Displacements count from their own field, until 5.16 all from the entry. In
a module they are relocations still (R_X86_64_PC32, R_AARCH64_PREL32 and their like).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_SHF_ALLOC = 2


class Layout(NamedTuple):
    """Where an entry's fields are: of ``size`` bytes, ``file`` (and before it perhaps a format), the line after it."""

    size: int
    file: int


LAYOUTS = (Layout(12, 4), Layout(16, 8))
_Places = dict[int, tuple[str, int]]


def read(elf: Any, bases: Mapping[int, int]) -> _Places:
    """File and line by the instruction's address; empty where there is no table, or one in another form. ``bases``:
    where a module's sections are put, by number."""
    section = elf.get_section_by_name("__bug_table")
    if section is None:
        return {}
    order = "<" if elf.little_endian else ">"
    table = _Relocated(elf, section, bases, order) if elf["e_type"] == "ET_REL" else _Linked(elf, section, order)
    found = [dict(_entries(table, section.data(), layout, order)) for layout in LAYOUTS]
    return max(found, key=len)


def _entries(
    table: _Linked | _Relocated, data: bytes, layout: Layout, order: str
) -> Iterator[tuple[int, tuple[str, int]]]:
    line = struct.Struct(order + "H")
    for at in range(0, len(data) - layout.size + 1, layout.size):
        address = table.address(at)
        name = table.name(at, layout.file) if address is not None else ""
        if address is not None and name:
            yield address, (name, line.unpack_from(data, at + layout.file + 4)[0])


class _Linked:
    """A table whose displacements the linker has filled in."""

    def __init__(self, elf: Any, section: Any, order: str) -> None:
        self._data: bytes = section.data()
        self._base: int = section["sh_addr"]
        self._word = struct.Struct(order + "i")
        self._parts = [(one["sh_addr"], one.data()) for one in _read_only(elf).values()]

    def address(self, at: int) -> int | None:
        """Address of the instruction of the entry at ``at``."""
        return self._base + at + int(self._word.unpack_from(self._data, at)[0])

    def name(self, at: int, field: int) -> str:
        """The file's name that the entry's field points to, or empty."""
        displacement = self._word.unpack_from(self._data, at + field)[0]
        for place in (self._base + at + field + displacement, self._base + at + displacement):
            for base, data in self._parts:
                if name := path(data, place - base):
                    return name
        return ""


class _Relocated:
    """A module's table, from its relocations."""

    def __init__(self, elf: Any, section: Any, bases: Mapping[int, int], order: str) -> None:
        self._bases = bases
        self._parts = {number: one.data() for number, one in _read_only(elf).items()}
        self._targets: dict[int, tuple[int, int]] = {}
        for one in elf.iter_sections():
            if one["sh_type"] == "SHT_RELA" and elf.get_section(one["sh_info"]).name == section.name:
                symbols = elf.get_section(one["sh_link"])
                for entry in one.iter_relocations():
                    symbol = symbols.get_symbol(entry["r_info_sym"]).entry
                    self._targets.setdefault(entry["r_offset"], (symbol.st_shndx, symbol.st_value + entry["r_addend"]))

    def address(self, at: int) -> int | None:
        """Address of the instruction of the entry at ``at``."""
        section, offset = self._targets.get(at, (-1, 0))
        return self._bases[section] + offset if section in self._bases else None

    def name(self, at: int, field: int) -> str:
        """The file's name that the entry's field points to, or empty."""
        section, offset = self._targets.get(at + field, (-1, 0))
        data = self._parts.get(section, b"")
        return path(data, offset) or path(data, offset - field)


def _read_only(elf: Any) -> dict[int, Any]:
    """The sections that may hold file names, by number."""
    return {
        number: section
        for number, section in enumerate(elf.iter_sections())
        if section.name.startswith(".rodata")
        and section["sh_type"] == "SHT_PROGBITS"
        and section["sh_flags"] & _SHF_ALLOC
    }


def path(data: bytes, at: int) -> str:
    """The source file's name that begins exactly there, or empty."""
    if not 0 <= at < len(data) or (at and data[at - 1]):
        return ""
    end = data.find(b"\0", at, at + 1024)
    name = data[at:end] if end > 0 else b""
    return name.decode() if name.endswith((b".c", b".h", b".S", b".rs")) and name.isascii() else ""
