"""What a guest that hangs is doing: each CPU's instruction pointer from QEMU's monitor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

CPU = re.compile(r"^CPU#(\d+)", re.MULTILINE)
POINTER = re.compile(r"\b[ER]IP=([0-9a-f]{8,16})\b")
HALTED = re.compile(r"\bHLT=1\b")
MOST = 16
"""Notes for more CPUs than this would hide everything else."""


def pointers(registers: str) -> Iterator[tuple[int, int, bool]]:
    """CPU, instruction pointer and whether it is halted, from ``info registers -a`` (QEMU: x86_cpu_dump_state)."""
    parts = CPU.split(registers)
    for number, text in zip(parts[1::2], parts[2::2], strict=True):
        found = POINTER.search(text)
        if found:
            yield int(number), int(found[1], 16), bool(HALTED.search(text))


def where_cpus_are(registers: str, vmlinux: Path | None) -> list[str]:
    """A sentence for each CPU."""
    from lab.guest.symbols import read_code

    code = read_code(vmlinux) if vmlinux else None
    notes = []
    for cpu, address, halted in list(pointers(registers))[:MOST]:
        symbol = code.at(address) if code else None
        place = f"{address:#x}{f' ({symbol})' if symbol else ''}"
        notes.append(f"CPU {cpu} {'was halted' if halted else 'was running'} at {place}")
    return notes
