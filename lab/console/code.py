"""The ``Code:`` bytes of a report as instructions, the one that faulted marked.

Formats: x86 prints bytes with the faulting one in ``<>`` (arch/x86/kernel/dumpstack.c, show_opcodes()); arm64 and
arm print words, the faulting one in ``()`` (arch/arm64/kernel/traps.c, dump_kernel_instr()), arm in Thumb state
halfwords; riscv words or halfwords, ``()`` (arch/riscv/kernel/traps.c, dump_instr()); powerpc words, ``<>``
(show_instructions()).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

_TOKEN = re.compile(r"([<(]?)([0-9a-fA-F]{2,8})([>)]?)(?=\s|$)")
_LIMIT = 256
_BYTES = re.compile(r"(?:[0-9a-f]{2} ){1,200}(?:<[0-9a-f]{2}>(?: [0-9a-f]{2}){0,50})?")
"""x86's bytes as they are when nothing happened to them: a tenth of the time that looking at each takes."""
_X86 = ("x86_64", "i386", "")
_TRAP = "<-- trapping instruction"


class Code(NamedTuple):
    """Instruction bytes in memory order; ``fault`` is the offset of the faulting instruction, -1 where unmarked;
    ``unit`` the bytes of one printed token."""

    data: bytes
    fault: int
    unit: int


def read(text: str, machine: str) -> Code | None:
    """Bytes of a ``Code:`` line. Nothing where it holds none (``Bad RIP value.``)."""
    if machine in _X86 and _BYTES.fullmatch(text):
        return Code(
            bytes.fromhex(text.replace("<", "").replace(">", "")), text.find("<") // 3 if "<" in text else -1, 1
        )
    tokens = _TOKEN.findall(text)[:_LIMIT]
    if not tokens:
        return None
    width = max(len(digits) for _, digits, _ in tokens)
    if width % 2 or (width == 2) != (machine in _X86):
        return None
    if width == 2:
        marked = (at for at, (left, _, _) in enumerate(tokens) if left)
        return Code(bytes.fromhex("".join(digits for _, digits, _ in tokens)), next(marked, -1), 1)
    data = bytearray()
    fault = -1
    for left, digits, _ in tokens:
        if left and fault < 0:
            fault = len(data)
        value = bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
        data += value if machine.startswith("ppc") else value[::-1]
    return Code(bytes(data), fault, width // 2)


def is_missing() -> bool:
    """Whether there is no disassembler here."""
    try:
        import capstone  # noqa: F401
    except ImportError:
        return True
    return False


@cache
def _engine(machine: str, unit: int) -> Any:
    """Capstone's disassembler for an architecture, nothing where it has none."""
    if is_missing():
        return None
    import capstone as cs

    modes = {
        "": (cs.CS_ARCH_X86, cs.CS_MODE_64),
        "x86_64": (cs.CS_ARCH_X86, cs.CS_MODE_64),
        "i386": (cs.CS_ARCH_X86, cs.CS_MODE_32),
        "arm64": (cs.CS_ARCH_ARM64, cs.CS_MODE_ARM),
        "arm": (cs.CS_ARCH_ARM, cs.CS_MODE_THUMB if unit == 2 else cs.CS_MODE_ARM),
        "riscv64": (cs.CS_ARCH_RISCV, cs.CS_MODE_RISCV64 | cs.CS_MODE_RISCVC),
        "ppc": (cs.CS_ARCH_PPC, cs.CS_MODE_32 | cs.CS_MODE_BIG_ENDIAN),
        "ppc64": (cs.CS_ARCH_PPC, cs.CS_MODE_64 | cs.CS_MODE_BIG_ENDIAN),
    }
    if machine not in modes:
        return None
    try:
        return cs.Cs(*modes[machine])
    except cs.CsError:
        return None


def disassemble(text: str, machine: str) -> tuple[str, ...]:
    """The instructions of a ``Code:`` line, one a string (``+0x1c: jne 0x20``), offsets from the faulting one; empty
    where there is nothing to read or no engine for the architecture."""
    code = read(text, machine)
    engine = _engine(machine, code.unit) if code else None
    if code is None or engine is None:
        return ()
    fault = max(code.fault, 0)
    before = _leading(engine, code.data[:fault], code.unit)
    after = list(engine.disasm_lite(code.data[fault:], 0)) or _unknown(engine, code, machine)
    lines = [f"-0x{fault - at:x}: {name} {operands}".rstrip() for at, _, name, operands in before]
    for at, _, name, operands in after:
        mark = f" {_TRAP}" if at == 0 and code.fault >= 0 else ""
        lines.append(f"+0x{at:x}: {name} {operands}".rstrip() + mark)
    return tuple(lines)


def _unknown(engine: Any, code: Code, machine: str) -> list[tuple[int, int, str, str]]:
    """The faulting instruction where it is none that is known, as its bytes, and those after it."""
    if code.fault < 0 or not code.data[code.fault :]:
        return []
    word = code.data[code.fault : code.fault + code.unit]
    digits = (word if machine.startswith("ppc") else word[::-1]).hex()
    name = {1: ".byte", 2: ".short"}.get(code.unit, ".long")
    rest = engine.disasm_lite(code.data[code.fault + code.unit :], code.unit)
    return [(0, code.unit, name, f"0x{digits}"), *rest]


def _leading(engine: Any, data: bytes, unit: int) -> list[tuple[int, int, str, str]]:
    """Instructions before the faulting one. x86's have no fixed length and the bytes may begin inside one: the first
    start from which decoding ends exactly at the fault is taken."""
    for start in range(0, len(data), 1 if unit == 1 else unit):
        found = list(engine.disasm_lite(data[start:], start))
        if found and found[-1][0] + found[-1][1] == len(data):
            return found
    return []
