"""What a ``vmlinux`` (or a module) tells of a console: addresses of functions, their real sizes, the bug table.

Sizes: a console's ``FUNC+0x1e/0xa0`` is kallsyms' size, the distance to the next symbol (kernel/kallsyms.c,
get_symbol_pos()), which the ELF symbol's own size is not.
"""

from __future__ import annotations

import bisect
import contextlib
import os
import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from lab.console import bugtable
from lab.console.blame import plain
from lab.errors import UserError

VERSION = 6
SECTION_STEP = 1 << 32
"""A module's sections all begin at 0: the second executable one is put here, the third at twice this, and so on."""
_SHF_EXECINSTR = 4
_LIMIT_BYTES = 4 << 30


class Index(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an ELF file beside it. ``starts``, ``sizes`` and ``names`` are parallel, by address; a size is 0
    where only the loaded module knows it. ``bugs`` maps the address of a BUG's or WARN's instruction to file and line;
    ``stamp`` tells whether the file is still the same; ``sections`` are a module's executable sections, in the order of
    their places (``SECTION_STEP``), and empty for a vmlinux. ``parts`` are a vmlinux's executable sections: address,
    size and place in the file; ``banner`` is what it prints first.
    """

    version: int
    stamp: tuple[int, int]
    starts: list[int]
    sizes: list[int]
    names: list[str]
    bugs: dict[int, tuple[str, int]]
    text: int
    dwarf: bool
    sections: list[str] = []
    parts: list[tuple[int, int, int]] = []
    banner: str = ""


class Symbols:
    """Functions of one ELF file by name and by address."""

    def __init__(self, path: Path, index: Index) -> None:
        self.path = path
        self.index = index
        self._named: dict[str, list[int]] = defaultdict(list)
        for at, name in enumerate(index.names):
            self._named[plain(name)].append(at)

    def addresses(self, function: str, offset: int, size: int) -> list[int]:
        """Where ``function+offset`` may be: in functions of that real size (``size`` 0: of any). None where the console
        is of another build, whose offsets say nothing here."""
        places = self._named.get(function, [])
        fitting = [at for at in places if not size or self.index.sizes[at] in (size, 0)]
        return [self.index.starts[at] + offset for at in fitting]

    def sizes(self, function: str) -> list[int]:
        """The real sizes of the functions of that name (0: unknown); empty where there is none."""
        return [self.index.sizes[at] for at in self._named.get(function, [])]

    def at(self, address: int) -> tuple[str, int, int] | None:
        """Function, offset and size for an address; nothing outside of the kernel's text."""
        place = bisect.bisect_right(self.index.starts, address) - 1
        if place < 0 or address - self.index.starts[place] >= self.index.sizes[place]:
            return None
        return plain(self.index.names[place]), address - self.index.starts[place], self.index.sizes[place]

    def begins(self, address: int) -> bool:
        """Whether a function begins at ``address``."""
        place = bisect.bisect_left(self.index.starts, address)
        return place < len(self.index.starts) and self.index.starts[place] == address

    def text(self) -> tuple[int, int]:
        """Where a vmlinux's first executable section begins and ends."""
        return (self.index.parts[0][0], sum(self.index.parts[0][:2])) if self.index.parts else (0, 0)

    def code(self, address: int, size: int) -> bytes:
        """Bytes of a vmlinux's code, fewer where its sections end, none outside of them."""
        for start, length, place in self.index.parts:
            if start <= address < start + length:
                with contextlib.suppress(OSError), self.path.open("rb") as file:
                    file.seek(place + address - start)
                    return file.read(min(size, start + length - address))
        return b""

    def bug(self, address: int) -> tuple[str, int] | None:
        """File and line of the BUG() or WARN() whose instruction is at ``address``."""
        return self.index.bugs.get(address)


def load(path: Path, *, cache: Path | None = None) -> Symbols:
    """Symbols of an ELF file, from the index beside it (or at ``cache``) if that is of the same file, else read and
    indexed. Raises :class:`UserError` where the file can't be read or is no ELF file with symbols."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    stamp = (status.st_size, status.st_mtime_ns)
    kept = cache or path.with_name(path.name + ".symbols")
    if index := _kept(kept, stamp):
        return Symbols(path, index)
    index = _read(path, stamp)
    _keep(kept, index)
    return Symbols(path, index)


def _kept(path: Path, stamp: tuple[int, int]) -> Index | None:
    try:
        index = msgspec.msgpack.decode(path.read_bytes(), type=Index)
    except (OSError, msgspec.DecodeError):
        return None
    return index if (index.version, index.stamp) == (VERSION, stamp) else None


def _keep(path: Path, index: Index) -> None:
    """Write the index; where that can't be done the next reading only takes longer."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        part.write_bytes(msgspec.msgpack.encode(index))
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)


def _read(path: Path, stamp: tuple[int, int]) -> Index:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            return _index(ELFFile(file), stamp)
    except (ELFError, struct.error, UnicodeDecodeError, ValueError, OSError) as error:
        raise UserError(f"{path}: not an ELF file with symbols that can be read: {error}") from None


def _index(elf: Any, stamp: tuple[int, int]) -> Index:
    table = elf.get_section_by_name(".symtab")
    if table is None:
        raise ValueError("it has no symbol table")
    places: dict[int, str] = {}
    order = "<" if elf.little_endian else ">"
    layout = struct.Struct(order + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH"))
    names = elf.get_section(table["sh_link"]).data()
    text = _executable(elf)
    movable = elf["e_type"] == "ET_REL"
    bases = {number: place * SECTION_STEP if movable else 0 for place, number in enumerate(text)}
    for entry in layout.iter_unpack(table.data()):
        if elf.elfclass == 64:
            name, info, _, section, value, _ = entry
        else:
            name, value, _, info, _, section = entry
        if section not in text or info & 15 > 2:
            continue
        string = names[name : names.index(b"\0", name)].decode("ascii", "replace")
        value += bases[section]
        if string and not string.startswith((".L", "$", "__pfx_", "__cfi_")) and _better(string, places.get(value)):
            places[value] = string
    starts = sorted(places)
    ends = max((end for _, end in text.values()), default=0)
    sizes = [after - before for before, after in zip(starts, [*starts[1:], ends], strict=True)] if starts else []
    if movable:  # what follows a section's last function is known only where the module was loaded
        following = [start // SECTION_STEP for start in starts[1:]]
        sizes = [
            size if start // SECTION_STEP == after else 0
            for start, size, after in zip(starts, sizes, [*following, -1], strict=True)
        ]
    return Index(
        VERSION,
        stamp,
        starts,
        sizes,
        [places[start] for start in starts],
        bugtable.read(elf, bases),
        next((start for start in starts if places[start] in ("_text", "_stext")), starts[0] if starts else 0),
        elf.has_dwarf_info(),
        [name for name, _ in text.values()] if movable else [],
        [] if movable else _parts(elf, text),
        "" if movable else _banner(elf),
    )


def _parts(elf: Any, text: Iterable[int]) -> list[tuple[int, int, int]]:
    sections = [elf.get_section(number) for number in text]
    held = [one for one in sections if one["sh_type"] == "SHT_PROGBITS"]
    return [(one["sh_addr"], one["sh_size"], one["sh_offset"]) for one in held]


_BANNER = b"Linux version "


def _banner(elf: Any) -> str:
    """``linux_banner`` of init/version.c, from the read-only data."""
    section = elf.get_section_by_name(".rodata")
    data = section.data() if section is not None and section["sh_type"] == "SHT_PROGBITS" else b""
    at = data.find(_BANNER)
    while at >= 0 and data[at + len(_BANNER) : at + len(_BANNER) + 1] not in b"0123456789":
        at = data.find(_BANNER, at + 1)
    end = data.find(b"\0", at, at + 1024)
    return data[at:end].decode("utf-8", "replace").strip() if 0 <= at < end else ""


def _executable(elf: Any) -> dict[int, tuple[str, int]]:
    """Executable sections: number to name and end address."""
    return {
        number: (section.name, section["sh_addr"] + section["sh_size"])
        for number, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & _SHF_EXECINSTR
    }


def _better(name: str, other: str | None) -> bool:
    """Of two names for one address the more telling: a function's rather than a section mark's."""
    return other is None or (other.startswith(("_", ".")) and not name.startswith(("_", ".")))
