"""Finding out why a guest died without a word: the same once more under TCG, with interrupts and resets traced.

The trace is QEMU's (``-d int,cpu_reset``; target/i386/tcg/excp_helper.c and seg_helper.c print it). A guest that
resets itself does so by a triple fault: the first exception of the chain that ends in it is what killed it. Its
address means nothing by itself, because a kernel's decompressor moves itself: the bytes there, read from the dead
guest's memory, are looked for in the ELF files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.console.types import Finding
from lab.guest.qemu import Wires, started
from lab.guest.types import Boot

if TYPE_CHECKING:
    from lab.guest.follow import Seen
    from lab.guest.run import Ask
    from lab.guest.symbols import Code

TRACED_SECONDS = 10.0
"""A traced guest is slow, but what dies without a word dies early."""
CODE_BYTES = 32
SHORTEST_MATCH = 8
EXTRACT_OFFSET = "z_extract_offset"
PHYSICAL_START = 0x1000000
"""The default of CONFIG_PHYSICAL_START (arch/x86/Kconfig): where a kernel goes that a loader put below it."""

# Intel SDM volume 3, table 6-1, in the words that the kernel uses where it has some (arch/x86/kernel/traps.c).
VECTORS = {
    0: "divide error", 1: "debug exception", 2: "NMI", 3: "int3", 4: "overflow", 5: "bounds",
    6: "invalid opcode", 7: "device not available", 8: "double fault", 10: "invalid TSS", 11: "segment not present",
    12: "stack segment fault", 13: "general protection fault", 14: "page fault", 16: "floating point exception",
    17: "alignment check", 18: "machine check", 19: "simd exception",
}  # fmt: skip

EXCEPTION = re.compile(
    r"^ *\d+: v=(?P<vector>[0-9a-f]{2}) e=(?P<error>[0-9a-f]+) i=(?P<soft>\d) cpl=\d "
    r"IP=[0-9a-f]+:[0-9a-f]+ pc=(?P<pc>[0-9a-f]+)",
    re.MULTILINE,
)
REGISTER = re.compile(r"\b(R[A-Z0-9]{1,2}|E[A-Z]{2}|CR[0-4])\s*=\s*([0-9a-f]{8,16})\b")
BYTE = re.compile(r"0x([0-9a-f]{2})\b")


@dataclass(frozen=True)
class Fault:
    """The exception that killed a guest. ``registers`` as they were then; ``triple`` where it ended in a reset."""

    vector: int
    error: int
    address: int
    registers: tuple[tuple[str, str], ...]
    triple: bool

    @property
    def name(self) -> str:
        """What the exception is called."""
        return VECTORS.get(self.vector, f"exception {self.vector:#x}")


@dataclass(frozen=True)
class Place:
    """Where a fault was: the ELF file, the function in it and how far into it. ``overwritten``: other bytes stand there
    than the file has."""

    file: Path
    function: str
    offset: int
    overwritten: bool = False


def first_fatal(trace: str) -> Fault | None:
    """The first exception of the last chain in ``trace``: those at one address that end in a triple fault, or in the
    trace's end. ``None`` where there was no exception at all. Pure."""
    end = trace.rfind("Triple fault")
    triple = end >= 0
    chain: list[re.Match[str]] = []
    for found in EXCEPTION.finditer(trace, 0, end if triple else len(trace)):
        if int(found["vector"], 16) > 31 or found["soft"] == "1":
            chain = []
        elif chain and chain[-1]["pc"] != found["pc"]:
            chain = [found]
        else:
            chain.append(found)
    if not chain:
        return None
    first = chain[0]
    dump = trace[first.end() : first.end() + 2000].partition("check_exception")[0]
    return Fault(
        vector=int(first["vector"], 16),
        error=int(first["error"], 16),
        address=int(first["pc"], 16),
        registers=tuple(dict(REGISTER.findall(dump)).items()),
        triple=triple,
    )


def read_memory(answer: str) -> bytes:
    """The bytes in the monitor's answer to ``x /NNxb ADDRESS``."""
    bytes_ = [BYTE.findall(line.partition(":")[2]) for line in answer.splitlines()]
    return bytes(int(value, 16) for line in bytes_ for value in line)


def locate(address: int, memory: bytes, codes: Iterable[Code]) -> Place | None:
    """The function that a fault at ``address`` was in: by the address where a file has code there, else by the
    bytes that stand there, as many as it takes to be sure. Pure."""
    known = list(codes)
    for code in known:
        symbol = code.at(address)
        if symbol and (not memory or address in code.find(memory[:SHORTEST_MATCH])):
            return Place(code.path, symbol.name, symbol.offset)
    for code in known:
        for length in (len(memory), len(memory) // 2, SHORTEST_MATCH):
            places = code.find(memory[:length]) if length >= SHORTEST_MATCH else ()
            symbol = code.at(places[0]) if len(places) == 1 else None
            if symbol:
                return Place(code.path, symbol.name, symbol.offset)
    return moved(address, known)


def moved(address: int, codes: Iterable[Code]) -> Place | None:
    """The function at ``address`` of a decompressor that moved itself ``z_extract_offset`` bytes behind the
    place of the kernel (arch/x86/boot/compressed/head_64.S until Linux 4.5), and was written over there. Pure."""
    for code in codes:
        distance = code.value(EXTRACT_OFFSET)
        symbol = code.at(address - PHYSICAL_START - distance) if distance is not None else None
        if symbol:
            return Place(code.path, symbol.name, symbol.offset, overwritten=True)
    return None


def elf_files(image: Path, vmlinux: Path | None) -> list[Path]:
    """The ELF files that may hold the code that ``image`` runs: its kernel, and its decompressor where that is kept,
    beside the image or as a kernel's build folder has it."""
    beside = [image.parent / "compressed" / "vmlinux", image.parent / "decompressor"]
    if vmlinux:
        beside += [
            vmlinux.parent / "decompressor",
            vmlinux.parent / "compressed" / "vmlinux",
            vmlinux.parent / "arch/x86/boot/compressed/vmlinux",
        ]
    found = [path for path in (*([vmlinux] if vmlinux else []), *beside) if path.is_file()]
    return list(dict.fromkeys(found))


def explain_boot(result: Boot, ask: Ask) -> Boot:
    """``result`` of a guest that died or hung without a word, with what a traced second run tells about it."""
    seen = trace(ask, result.folder / "traced.log")
    (result.folder / "trace.log").write_bytes(seen.trace)
    second = seen.scanner.close()
    if ask.accel != "tcg" and (second.marker or second.stage not in ("", "firmware", "decompress")):
        detail = f"the accelerator {ask.accel} broke: {result.detail}, where TCG runs the same kernel"
        return replace(result, outcome="accelerator", detail=detail)
    if second.marker or second.findings:
        note = "it was silent once, but a second, traced run was not: not deterministic"
        return replace(result, notes=(*result.notes, note))
    fault = first_fatal(seen.trace.decode(errors="replace"))
    if fault is None:
        return replace(result, notes=(*result.notes, "no exception came before it went silent"))
    place = locate(fault.address, read_memory(seen.memory), codes(elf_files(ask.image, ask.vmlinux)))
    finding = as_finding(fault, place)
    notes = (*result.notes, sentence(fault, place))
    report = replace(result.report, findings=(finding, *result.report.findings))
    if not fault.triple:  # exceptions are part of what kernels do: only a reset makes one of them fatal
        return replace(result, notes=notes)
    return replace(result, outcome="died", detail=sentence(fault, place), report=report, notes=notes)


def codes(files: Sequence[Path]) -> list[Code]:
    """The code of each file that can be read."""
    from lab.guest.symbols import read_code

    return [code for code in map(read_code, files) if code]


def as_finding(fault: Fault, place: Place | None) -> Finding:
    """What killed the guest, as a finding; its title names no address."""
    function = place.function if place else ""
    return Finding(
        kind="silent",
        title=f"silent death: {fault.name}{f' in {function}' if function else ''}",
        signature=f"silent:{function or fault.name.replace(' ', '-')}",
        function=function,
        line=0,
        last_line=0,
        fatal=True,
        functions=(function,) if function else (),
        registers=fault.registers,
        text=(sentence(fault, place),),
    )


def sentence(fault: Fault, place: Place | None) -> str:
    """What happened, with the address."""
    where = f", {place.function}+{place.offset:#x} in {kind_of(place.file)}" if place else ""
    where += ", whose code there was overwritten" if place and place.overwritten else ""
    cause = f" (address {dict(fault.registers).get('CR2', '?')})" if fault.vector == 14 else ""
    end = "; then a triple fault" if fault.triple else ""
    return f"first fatal exception: {fault.name}{cause} at {fault.address:#x}{where}{end}"


def kind_of(file: Path) -> str:
    """What an ELF file of a kernel is, for people."""
    decompressor = file.name == "decompressor" or file.parent.name == "compressed"
    return "the decompressor" if decompressor else "the kernel"


def trace(ask: Ask, console: Path) -> Seen:
    """Run ``ask`` again under TCG, traced, and stopped where it resets so that its memory can be read."""
    from lab.guest.run import arguments

    traced = replace(ask, accel="tcg", deadline=min(ask.deadline, TRACED_SECONDS), wait_for_exit=False, tether=None)

    def argv(wires: Wires) -> list[str]:
        more = ("-no-shutdown", "-d", "int,cpu_reset", "-D", f"/proc/self/fd/{wires.trace}")
        return arguments(traced, wires, more)

    log = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        with started(argv, traced=True) as guest:
            from lab.guest.follow import follow

            return follow(guest, log=log, deadline=traced.deadline, inspect=where_to_look)
    finally:
        os.close(log)


def where_to_look(trace_: bytes) -> str:
    """The monitor command that reads the bytes at the fault in ``trace_``."""
    fault = first_fatal(trace_.decode(errors="replace"))
    return f"x /{CODE_BYTES}xb {fault.address:#x}" if fault else ""
