"""Address to file, line and the chain of inlined functions, from DWARF (https://dwarfstd.org, versions 4 and 5)."""

from __future__ import annotations

import bisect
import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lab.console.blame import plain
from lab.console.symbols import SECTION_STEP
from lab.errors import UserError

DEADLINE = 120.0
"""Seconds that addr2line may take."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A function at an address: the innermost inlined one comes first in a chain."""

    function: str
    file: str
    line: int


class Lines:
    """Looks addresses up in an ELF file's DWARF, and keeps what it found: the next look-up of it reads nothing."""

    def __init__(self, path: Path, kept: Path | None = None, sections: Sequence[str] = ()) -> None:
        """``sections``: a module's, see :class:`lab.console.symbols.Index`."""
        self._path = path
        self._sections = sections
        self._kept = kept or path.with_name(path.name + ".lines")
        self._known: dict[int, list[Place]] = self._load()
        self._new = False

    def _stamp(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_size, status.st_mtime_ns

    def _load(self) -> dict[int, list[Place]]:
        try:
            stamp, known = msgspec.msgpack.decode(
                self._kept.read_bytes(), type=tuple[tuple[int, int], dict[int, list[Place]]]
            )
            return known if stamp == self._stamp() else {}
        except (OSError, msgspec.DecodeError):
            return {}

    def save(self) -> None:
        """Keep what was found beside the file; where that can't be done the next look-up only takes longer."""
        if not self._new:
            return
        part = self._kept.with_name(self._kept.name + ".tmp")
        try:
            part.write_bytes(msgspec.msgpack.encode((self._stamp(), self._known)))
            part.replace(self._kept)
        except OSError:
            part.unlink(missing_ok=True)

    def look_up(self, addresses: list[int]) -> dict[int, list[Place]]:
        """The chain of functions at each address, innermost first; empty where DWARF tells nothing. Raises
        :class:`UserError` where the file's DWARF can't be read."""
        missing = sorted({address for address in addresses if address not in self._known})
        if missing:
            from elftools.common.exceptions import DWARFError, ELFError

            try:
                self._known.update(self._find(missing))
            except (DWARFError, ELFError, OSError, KeyError, ValueError) as error:
                raise UserError(f"{self._path}: its debug information can't be read: {error}") from None
            self._new = True
        return {address: self._known.get(address, []) for address in addresses}

    def _find(self, addresses: list[int]) -> dict[int, list[Place]]:
        if not self._sections:
            quick = _addr2line(self._path, addresses)
            return _read(self._path, addresses) if quick is None else quick
        found: dict[int, list[Place]] = {}
        for number, name in enumerate(self._sections):
            base = number * SECTION_STEP
            inside = [address - base for address in addresses if 0 <= address - base < SECTION_STEP]
            chains = (_addr2line(self._path, inside, name) or {}) if inside else {}
            found.update({base + address: chain for address, chain in chains.items()})
        return found


PROGRAMS = ("eu-addr2line", "addr2line")
"""elfutils' reads only the units that hold the addresses, and takes a third of the time of binutils'. Of a module's
sections it knows nothing."""
_PLACE = re.compile(r"(?P<file>.*?):(?P<line>\d+)(?::\d+)?(?: \(.*\))?\Z")


def _addr2line(path: Path, addresses: list[int], section: str = "") -> dict[int, list[Place]] | None:
    """The same from elfutils' or binutils' addr2line, which read a kernel's debug information in a second or two where
    pyelftools takes minutes; nothing where none is installed or works. Addresses count from a module's ``section``."""
    asked = "".join(f"{address:#x}\n" for address in addresses)
    for program in filter(None, map(shutil.which, PROGRAMS[1:] if section else PROGRAMS)):
        command = [program, "-e", str(path), "-a", "-f", "-i", *(["-j", section] if section else [])]
        with contextlib.suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
            done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=DEADLINE, check=True)
            return _answers(done.stdout, addresses)
    return None


def _answers(text: str, addresses: list[int]) -> dict[int, list[Place]]:
    """What addr2line said: an address, then for each function there its name and its place, each a line."""
    found: dict[int, list[Place]] = {address: [] for address in addresses}
    chain: list[Place] = []
    name = ""
    for line in text.splitlines():
        if line.startswith("0x") and not name:
            chain = found.setdefault(int(line, 16), [])
        elif not name:
            name = line
        else:
            place = _PLACE.match(line)
            if place and not line.startswith("??"):
                chain.append(
                    Place(plain(name.partition(" inlined at ")[0].strip("?")), place["file"], int(place["line"]))
                )
            name = ""
    return found


def _read(path: Path, addresses: list[int]) -> dict[int, list[Place]]:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        elf = ELFFile(file)
        found: dict[int, list[Place]] = {address: [] for address in addresses}
        if not elf.has_dwarf_info():
            return found
        dwarf = elf.get_dwarf_info()
        for unit, inside in _units(dwarf, addresses):
            rows, files = _table(dwarf, unit)
            for address in inside:
                found[address] = _chain(dwarf, unit, address, rows, files)
        return found


def _units(dwarf: Any, addresses: list[int]) -> Iterator[tuple[Any, list[int]]]:
    """The compilation units that hold the addresses, each once."""
    ranges = dwarf.get_aranges()
    units: dict[int, list[int]] = {}
    for address in addresses:
        offset = ranges.cu_offset_at_addr(address) if ranges else None
        if offset is not None:
            units.setdefault(offset, []).append(address)
    for offset, inside in units.items():
        yield dwarf.get_CU_at(offset), inside


def _table(dwarf: Any, unit: Any) -> tuple[list[tuple[int, int, int]], list[str]]:
    """A unit's line table: (address, file number, line) in order of address, and the files' names."""
    program = dwarf.line_program_for_CU(unit)
    if program is None:
        return [], []
    header = program.header
    folders = [name.decode("utf-8", "replace") for name in header["include_directory"]]
    base = 0 if header["version"] >= 5 else 1
    files = [""] * base
    for entry in header["file_entry"]:
        name = entry.name.decode("utf-8", "replace")
        folder = entry.dir_index - base
        known = 0 <= folder < len(folders) and not name.startswith("/")
        files.append(f"{folders[folder]}/{name}" if known else name)
    rows = [
        (entry.state.address, entry.state.file, entry.state.line)
        for entry in program.get_entries()
        if entry.state is not None and not entry.state.end_sequence
    ]
    rows.sort(key=lambda row: row[0])  # of several at one address the last holds
    return rows, files


def _chain(dwarf: Any, unit: Any, address: int, rows: list[tuple[int, int, int]], files: list[str]) -> list[Place]:
    def name_of(number: int) -> str:
        return files[number] if 0 <= number < len(files) else ""

    at = bisect.bisect_right(rows, address, key=lambda row: row[0]) - 1
    if at < 0:
        return []
    file, line = name_of(rows[at][1]), rows[at][2]
    chain: list[Place] = []
    for die in reversed(_nest(dwarf, unit, address)):
        chain.append(Place(_name(die), file, line))
        call = die.attributes
        if "DW_AT_call_line" in call:
            file, line = name_of(call["DW_AT_call_file"].value), call["DW_AT_call_line"].value
    return chain


def _nest(dwarf: Any, unit: Any, address: int) -> list[Any]:
    """The function at an address and the inlined ones in it, outermost first."""
    found: list[Any] = []
    level = unit.get_top_DIE()
    while level is not None:
        inner = None
        for die in level.iter_children():
            if die.tag not in ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine", "DW_TAG_lexical_block"):
                continue
            if _holds(dwarf, unit, die, address):
                inner = die
                break
        if inner is not None and inner.tag != "DW_TAG_lexical_block":
            found.append(inner)
        level = inner
    return found


def _holds(dwarf: Any, unit: Any, die: Any, address: int) -> bool:
    attributes = die.attributes
    if low := attributes.get("DW_AT_low_pc"):
        high = attributes.get("DW_AT_high_pc")
        if high is None:
            return bool(low.value == address)
        end = high.value if high.form == "DW_FORM_addr" else low.value + high.value
        return bool(low.value <= address < end)
    if ranges := attributes.get("DW_AT_ranges"):
        return _in_ranges(dwarf, unit, ranges, address)
    return False


def _in_ranges(dwarf: Any, unit: Any, ranges: Any, address: int) -> bool:
    top = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
    base = top.value if top else 0
    lists = dwarf.range_lists()
    if lists is None:
        return False
    for entry in lists.get_range_list_at_offset(ranges.value, cu=unit):
        if hasattr(entry, "base_address"):
            base = entry.base_address
        else:
            shift = 0 if getattr(entry, "is_absolute", False) else base
            if entry.begin_offset + shift <= address < entry.end_offset + shift:
                return True
    return False


def _name(die: Any) -> str:
    """The name, that of its declaration or abstract origin where it has none of its own."""
    for _ in range(8):
        if own := die.attributes.get("DW_AT_name"):
            return plain(own.value.decode("utf-8", "replace"))
        link = next((key for key in ("DW_AT_abstract_origin", "DW_AT_specification") if key in die.attributes), None)
        if link is None:
            break
        die = die.get_DIE_from_attribute(link)
    return ""
