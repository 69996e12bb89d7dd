"""CPUs as a console shows them: how many, on which nodes, which model; and QEMU's name for that model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.draft.memory import NODES_LIMIT, Fact

CPUS_LIMIT = 1024

MODEL = re.compile(r"CPU0: (.{1,120}?) \(fam(?:ily)?: (?:0x)?([0-9a-f]+), model: (?:0x)?([0-9a-f]+)")
MODEL_OLD = re.compile(r"CPU0: (.{1,120}?) stepping [0-9a-f]+\s*$", re.MULTILINE)
ALLOWING = re.compile(r"(?:smpboot|SMP): Allowing (\d{1,5}) CPUs, (\d{1,5}) hotplug CPUs")
BROUGHT_UP = re.compile(r"Brought up (?:\d+ nodes?, )?(\d{1,5}) CPUs|Total of (\d{1,5}) processors activated")
BOOTING = re.compile(r"Booting Node\s+(\d{1,4}), Processors?((?:\s+#\d{1,5})+)")
BOOTING_NEW = re.compile(r"\.\.\.\. node\s+#(\d{1,4}), CPUs:((?:\s+#\d{1,5})+)")
SRAT_CPU = re.compile(r"SRAT: PXM \d+ -> APIC (?:0x)?[0-9a-f]+ -> Node (\d{1,4})")
HARDWARE = re.compile(r"(?:Hardware name: |DMI: |tainted \S+ #\d+ )([^\n]{1,120})")

INTEL = {
    0x0F: "core2duo", 0x17: "Penryn", 0x1A: "Nehalem", 0x1E: "Nehalem", 0x2E: "Nehalem", 0x25: "Westmere",
    0x2C: "Westmere", 0x2F: "Westmere", 0x2A: "SandyBridge", 0x2D: "SandyBridge", 0x3A: "IvyBridge", 0x3E: "IvyBridge",
    0x3C: "Haswell", 0x3F: "Haswell", 0x3D: "Broadwell", 0x47: "Broadwell", 0x4F: "Broadwell", 0x56: "Broadwell",
    0x4E: "Skylake-Client", 0x5E: "Skylake-Client", 0x55: "Skylake-Server", 0x6A: "Icelake-Server",
    0x6C: "Icelake-Server", 0x8F: "SapphireRapids",
}  # fmt: skip
"""Family 6 models (arch/x86/include/asm/intel-family.h) as QEMU names them."""

AMD = {0x0F: "Opteron_G2", 0x10: "Opteron_G3", 0x15: "Opteron_G4", 0x17: "EPYC", 0x19: "EPYC-Milan"}
"""Families of AMD, likewise."""

SERVERS: tuple[tuple[str, int, int, str], ...] = (
    (r"System x3[45]00 M3|System x3[56]50 M3", 2, 4, "Westmere"),
    (r"System x3[45]00 M2|System x3[56]50 M2", 2, 4, "Nehalem"),
    (r"System x3[56]00 M4|System x3[56]50 M4", 2, 8, "SandyBridge"),
    (r"System x3850 X5", 4, 8, "Nehalem"),
    (r"ProLiant (?:DL3[68]0|ML3[57]0) G6", 2, 4, "Nehalem"),
    (r"ProLiant (?:DL3[68]0|ML3[57]0) G7", 2, 4, "Westmere"),
    (r"ProLiant (?:DL3[68]0|ML350)\w? Gen8", 2, 8, "SandyBridge"),
    (r"ProLiant (?:DL3[68]0|ML350) Gen9", 2, 12, "Haswell"),
    (r"ProLiant (?:DL3[68]0|ML350) Gen10", 2, 16, "Skylake-Server"),
    (r"PowerEdge [RT][67]10", 2, 4, "Westmere"),
    (r"PowerEdge [RT][67]20", 2, 8, "SandyBridge"),
    (r"PowerEdge [RT][67]30", 2, 12, "Haswell"),
    (r"PowerEdge [RT][67]40", 2, 16, "Skylake-Server"),
)
"""Servers by their DMI name: sockets, cores of a usual processor, and its generation, by the makers' data sheets."""


@dataclass(frozen=True)
class Cpus:
    """``model`` is QEMU's name, empty where nothing says; ``nodes`` has the indexes of each node's CPUs; 0 sockets:
    unknown."""

    model: str
    count: int
    nodes: tuple[tuple[int, ...], ...]
    sockets: int
    facts: tuple[Fact, ...]


def read_cpus(text: str, nodes: int) -> Cpus:
    """The CPUs of the machine that printed ``text`` and has ``nodes`` nodes with memory."""
    facts: list[Fact] = []
    hardware = HARDWARE.search(text)
    server = next((row for row in SERVERS if hardware and re.search(row[0], hardware[1])), None)
    model = qemu_model(text, facts)
    if not model and server and hardware:
        model = server[3]
        facts.append(Fact(f"CPUs of the generation {model}", hardware[1].strip()))
    placed = places(text, facts)
    count = counted(text, facts)
    sockets = 0
    if placed:
        count = max(count, sum(map(len, placed.values())))
    elif not count and server and hardware:
        sockets, count = server[1], server[1] * server[2]
        facts.append(Fact(f"{server[1]} sockets of {server[2]} cores, as such a machine usually has",
                          hardware[1].strip()))  # fmt: skip
    count = min(count, CPUS_LIMIT) or 2 * max(nodes, 1)
    if placed and sum(map(len, placed.values())) == count and max(placed) < max(nodes, 1):
        rows = tuple(tuple(sorted(placed.get(node, ()))) for node in range(max(nodes, 1)))
    else:
        each, rest = divmod(count, max(nodes, 1))
        rows, at = (), 0
        for node in range(max(nodes, 1)):
            size = each + (node < rest)
            rows, at = (*rows, tuple(range(at, at + size))), at + size
    return Cpus(model, count, rows, sockets, tuple(facts))


def qemu_model(text: str, facts: list[Fact]) -> str:
    """QEMU's model for the CPU that the console names."""
    found = MODEL.search(text)
    if not found:
        old = MODEL_OLD.search(text)
        if not old:
            return ""
        name = (
            "Westmere" if re.search(r"[EXL]56\d\d", old[1]) else "Nehalem" if re.search(r"[EXL]55\d\d", old[1]) else ""
        )
        facts += [Fact(f"CPUs of the generation {name}", old[0].strip())] if name else []
        return name
    family, number = int(found[2], 16), int(found[3], 16)
    if "QEMU" in found[1]:
        facts.append(Fact("QEMU's own default CPU", found[0]))
        return ""
    name = INTEL.get(number, "") if family == 6 and "Intel" in found[1] else AMD.get(family, "")
    if name:
        facts.append(Fact(f"CPUs of the generation {name}", found[0]))
    return name


def counted(text: str, facts: list[Fact]) -> int:
    """How many CPUs there are."""
    allowing, up = ALLOWING.search(text), BROUGHT_UP.search(text)
    count = int(allowing[1]) - int(allowing[2]) if allowing else int(up[1] or up[2]) if up else 0
    if count > 0:
        facts.append(Fact(f"{count} CPUs", (allowing or up or [""])[0]))
    return max(count, 0)


def places(text: str, facts: list[Fact]) -> dict[int, list[int]]:
    """Node to its CPUs, as they were brought up; CPU 0 is the one that boots."""
    found: dict[int, list[int]] = {}
    for pattern in (BOOTING, BOOTING_NEW):
        for match in pattern.finditer(text):
            if int(match[1]) < NODES_LIMIT:
                found.setdefault(int(match[1]), []).extend(int(cpu) for cpu in re.findall(r"#(\d+)", match[2]))
    if found:
        found.setdefault(0, []).append(0)
        facts.append(Fact("which CPUs are on which node", "Booting Node …, Processors …"))
        return {node: sorted(set(cpus)) for node, cpus in found.items()}
    by_acpi = [int(match[1]) for match in SRAT_CPU.finditer(text)][:CPUS_LIMIT]
    for cpu, node in enumerate(by_acpi):
        found.setdefault(node, []).append(cpu)
    if found:
        facts.append(Fact("which CPUs are on which node", "SRAT: PXM … -> APIC … -> Node …"))
    return found
