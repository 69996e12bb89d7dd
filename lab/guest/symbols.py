"""Names for addresses in a kernel's ELF files."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

STT_WANTED = ("STT_FUNC", "STT_NOTYPE")


@dataclass(frozen=True)
class Symbol:
    """A function and how far into it an address is."""

    name: str
    offset: int

    def __str__(self) -> str:
        return f"{self.name}+{self.offset:#x}"


@dataclass(frozen=True)
class Code:
    """The executable sections of an ELF file, and its symbols sorted by address."""

    path: Path
    sections: tuple[tuple[int, bytes], ...]
    addresses: tuple[int, ...]
    names: tuple[str, ...]

    def at(self, address: int) -> Symbol | None:
        """The symbol that ``address`` is in, if it is in this file's code at all."""
        if not any(start <= address < start + len(data) for start, data in self.sections):
            return None
        index = bisect_right(self.addresses, address) - 1
        return Symbol(self.names[index], address - self.addresses[index]) if index >= 0 else None

    def value(self, name: str) -> int | None:
        """The value of the symbol ``name``, where the file has it."""
        return self.addresses[self.names.index(name)] if name in self.names else None

    def find(self, code: bytes) -> tuple[int, ...]:
        """Every address at which ``code`` stands."""
        found = []
        for start, data in self.sections:
            position = data.find(code)
            while position >= 0:
                found.append(start + position)
                position = data.find(code, position + 1)
        return tuple(found)


def read_code(path: Path) -> Code | None:
    """The code of the ELF file ``path``; ``None`` where it is none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            sections = tuple(
                (section["sh_addr"], section.data())
                for section in elf.iter_sections()
                if section["sh_flags"] & 4 and section["sh_type"] == "SHT_PROGBITS"  # SHF_EXECINSTR
            )
            table = elf.get_section_by_name(".symtab")
            symbols = sorted(
                (symbol["st_value"], symbol["st_info"]["type"] != "STT_FUNC", symbol.name)
                for symbol in (table.iter_symbols() if isinstance(table, SymbolTableSection) else ())
                if symbol["st_info"]["type"] in STT_WANTED and symbol.name and symbol["st_shndx"] != "SHN_UNDEF"
            )
    except (ELFError, OSError, ValueError, KeyError):
        return None
    first = {address: name for address, _, name in reversed(symbols)}  # a function's name before a label's
    ordered = sorted(first)
    return Code(path, sections, tuple(ordered), tuple(first[address] for address in ordered))
