"""Memory and NUMA nodes as a console shows them, in the forms of twenty years of x86 kernels.

From most to least exact: ACPI's SRAT (arch/x86/mm/srat.c, drivers/acpi/numa/srat.c), the early memory ranges and
``Initmem setup node`` (mm/page_alloc.c, mm/mm_init.c), the firmware's e820 map (arch/x86/kernel/e820.c), and where a
report kept none of these, the totals of ``Memory:`` (mem_init) with the addresses in the crash itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
FOUR_GIB = 4 * GIB
NODES_LIMIT = 128

ADDRESS = r"(?:0x)?([0-9a-f]{1,16})"
SPAN = rf"\[?(?:mem )?{ADDRESS}-{ADDRESS}\]?"
E820 = re.compile(rf"BIOS-e820: \[mem {ADDRESS}-{ADDRESS}\] (usable)")
E820_OLD = re.compile(rf"BIOS-e820: {ADDRESS} - {ADDRESS} \((usable)\)")
SRAT = re.compile(rf"SRAT: Node (\d+) PXM \d+ {SPAN}(.*)")
EARLY = re.compile(rf"^\W*\[?[ .\d]*\]?\s+node\s+(\d+): \[mem {ADDRESS}-{ADDRESS}\]")
EARLY_OLD = re.compile(r"^\W*\[?[ .\d]*\]?\s+(\d+): 0x([0-9a-f]{1,16}) -> 0x([0-9a-f]{1,16})\s*$")
INITMEM = re.compile(rf"Initmem setup node (\d+) {SPAN}")
NODE_DATA = re.compile(rf"NODE_DATA(?:\((\d+)\) allocated)? {SPAN}")
TOTALS = re.compile(r"Memory: \d+k/(\d+)k available \(.*?(\d+)k absent")
GS = re.compile(r"\bGS:\s*(ffff[0-9a-f]{12})")
CPU_ZERO = re.compile(r"^\W*\[?[ .\d]*\]?\s*CPU:? 0\b", re.MULTILINE)
POINTER = re.compile(r"\b(ffff8[0-9a-f]{11})\b")


@dataclass(frozen=True)
class Fact:
    """Something that the report proves: what follows, and the line (or its part) that it follows from."""

    what: str
    evidence: str


@dataclass(frozen=True)
class Memory:
    """How much memory (bytes) each node has, and where the hole below 4 GiB begins (0: there is none)."""

    nodes: tuple[int, ...]
    hole: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Range:
    """Memory from ``start`` up to ``end``, which is not part of it."""

    node: int
    start: int
    end: int
    line: str


def read_memory(text: str, direct_map: int) -> Memory:
    """The memory of the machine that printed ``text``; no nodes where it does not say. ``direct_map`` is where that
    kernel has all memory mapped (Documentation/x86/x86_64/mm.rst)."""
    lines = text.splitlines()
    usable = list(e820(lines))
    for what, ranges in (
        ("the SRAT", list(srat(lines))),
        ("the early memory ranges", list(early(lines))),
        ("the nodes' spans", list(spans(lines))),
    ):
        if ranges:
            return by_ranges(what, ranges, usable)
    if usable:
        return by_nodes_of(usable, text, direct_map)
    return by_totals(text, direct_map)


def e820(lines: list[str]) -> Iterator[Range]:
    """The firmware's usable ranges; kernels before 3.6 print the end as the first byte after it."""
    for line in lines:
        new, old = E820.search(line), E820_OLD.search(line)
        found = new or old
        if found:
            yield Range(0, int(found[1], 16), int(found[2], 16) + (1 if new else 0), found[0])


def srat(lines: list[str]) -> Iterator[Range]:
    """ACPI's ranges that are there at boot."""
    for line in lines:
        found = SRAT.search(line)
        if found and "hotplug" not in found[4].casefold() and int(found[1]) < NODES_LIMIT:
            yield Range(int(found[1]), int(found[2], 16), past(found[3]), found[0])


def past(end: str) -> int:
    """The first byte after a range: newer kernels print the last one of it (…fff), older ones the next."""
    value = int(end, 16)
    return value + 1 if value & 0xFFF == 0xFFF else value


def early(lines: list[str]) -> Iterator[Range]:
    """The ranges that memory management starts with; before 3.6 in page frames."""
    for line in lines:
        found = EARLY.match(line)
        if found and int(found[1]) < NODES_LIMIT:
            yield Range(int(found[1]), int(found[2], 16), past(found[3]), line.strip())
        old = EARLY_OLD.match(line)
        if old and int(old[1]) < NODES_LIMIT:
            yield Range(int(old[1]), int(old[2], 16) << 12, int(old[3], 16) << 12, line.strip())


def spans(lines: list[str]) -> Iterator[Range]:
    """Where each node begins and ends, with the holes in it."""
    for line in lines:
        found = INITMEM.search(line)
        if found and int(found[1]) < NODES_LIMIT:
            yield Range(int(found[1]), int(found[2], 16), past(found[3]), found[0])


def rounded(size: int) -> int:
    """A size as it was bought: firmware and tables take a little off, never more than a sixteenth."""
    granule = max(MIB, 1 << max(0, size.bit_length() - 5))
    return -(-size // granule) * granule


def hole_start(ranges: list[Range]) -> int:
    """Where memory below 4 GiB ends, where there is more above; else 0."""
    low = max((min(one.end, FOUR_GIB) for one in ranges if one.start < FOUR_GIB), default=0)
    high = any(one.end > FOUR_GIB for one in ranges)
    start = -(-low // (128 * MIB)) * 128 * MIB
    return start if high and start < FOUR_GIB else 0


def by_ranges(what: str, ranges: list[Range], usable: list[Range]) -> Memory:
    """Nodes that the kernel names, with the hole that they or the firmware's map show."""
    hole = hole_start(usable or ranges)
    sizes: dict[int, int] = {}
    facts = []
    for one in ranges:
        size = one.end - one.start
        if one.start < hole and one.end > FOUR_GIB:
            size -= FOUR_GIB - hole
        sizes[one.node] = sizes.get(one.node, 0) + max(size, 0)
    for node in sorted(sizes):
        line = next(one.line for one in ranges if one.node == node)
        facts.append(Fact(f"node {node}: {shown(rounded(sizes[node]))}, by {what}", line))
    if hole:
        last = max((one for one in (usable or ranges) if one.start < FOUR_GIB), key=lambda one: one.end)
        facts.append(Fact(f"a hole from {shown(hole)} to 4G", last.line))
    nodes = tuple(rounded(sizes[node]) for node in sorted(sizes) if sizes[node] >= MIB)
    return Memory(nodes, hole, tuple(facts))


def by_nodes_of(usable: list[Range], text: str, direct_map: int) -> Memory:
    """The firmware's map alone: so much memory, divided by where the nodes' own data or the crash's addresses lie."""
    hole = hole_start(usable)
    end = max(one.end for one in usable)
    total = rounded(sum(one.end - one.start for one in usable))
    last = max(usable, key=lambda one: one.end)
    facts = [Fact(f"{shown(total)} of memory, by the firmware's map", last.line)]
    if hole:
        low = max((one for one in usable if one.start < FOUR_GIB), key=lambda one: one.end)
        facts.append(Fact(f"a hole from {shown(hole)} to 4G", low.line))
    nodes, more = divided(total, hole, rounded(end), text, direct_map)
    return Memory(nodes, hole, (*facts, *more))


def by_totals(text: str, direct_map: int) -> Memory:
    """Without any map: the totals, what is absent, and the addresses in the crash.

    ``absent`` are the page frames below the end that are no memory. The hole for devices ends at 4 GiB on a PC; the
    rest of what is absent, some MiB, is the firmware's.
    """
    found = TOTALS.search(text)
    if not found:
        return Memory((), 0, ())
    end, absent = int(found[1]) * KIB, int(found[2]) * KIB
    gap = absent // (256 * MIB) * 256 * MIB if end > FOUR_GIB else 0
    hole = FOUR_GIB - gap if gap and gap < FOUR_GIB else 0
    total = rounded(end - (FOUR_GIB - hole if hole else absent))
    facts = [Fact(f"{shown(total)} of memory that end at {shown(rounded(end))}", found[0])]
    if hole:
        facts.append(Fact(f"a hole of {shown(gap)} below 4G: from {shown(hole)}", f"{found[2]}k absent"))
    nodes, more = divided(total, hole, rounded(end), text, direct_map)
    return Memory(nodes, hole, (*facts, *more))


def divided(total: int, hole: int, end: int, text: str, direct_map: int) -> tuple[tuple[int, ...], list[Fact]]:
    """``total`` as nodes. Each node's own data lies at its upper end: NODE_DATA where it is told, else CPU 0's per-CPU
    area, which is memory of node 0 (mm/percpu.c, pcpu_embed_first_chunk)."""
    told = [(int(found[1] or index), past(found[3]), found[0]) for index, found in enumerate(NODE_DATA.finditer(text))]
    if len(told) > 1:
        edges = [-(-top // (128 * MIB)) * 128 * MIB for _, top, _ in sorted(told)[:NODES_LIMIT]]
        sizes = [size_between(low, high, hole) for low, high in zip([0, *edges[:-1]], edges, strict=True)]
        if all(size > 0 for size in sizes):
            return tuple(sizes), [Fact(f"node {node} ends at {shown(top)}", line) for (node, _, line), top
                                  in zip(sorted(told), edges, strict=False)]  # fmt: skip
    gs = GS.search(text)
    base = int(gs[1], 16) - direct_map if gs and CPU_ZERO.search(text) else 0
    granule = GIB if end >= FOUR_GIB else 128 * MIB
    edge = -(-base // granule) * granule
    if not gs or not 0 < base < end or edge >= end:
        return (total,), []
    first = size_between(0, edge, hole)
    count = round(total / first) if first else 0
    what = f"node 0 ends at {shown(edge)}: CPU 0's own memory lies below that, and {shown(end - edge)} lie above"
    facts = [Fact(what, gs[0])]
    near = next((p for p in POINTER.findall(text) if end - 2 * MIB < int(p, 16) - direct_map < end), "")
    if near:
        facts.append(Fact(f"the last node's own data is at its end, {shown(end)}", near))
    if 1 < count <= NODES_LIMIT and abs(total - count * first) <= first // 4:
        return (first,) * (count - 1) + (total - first * (count - 1),), facts
    return (first, total - first), facts


def size_between(low: int, high: int, hole: int) -> int:
    """How much memory there is between two addresses."""
    size = high - low
    if hole:
        size -= max(0, min(high, FOUR_GIB) - max(low, hole))
    return size


def shown(size: int) -> str:
    """Bytes for people: ``4G``, ``512M``."""
    for unit, letter in ((GIB, "G"), (MIB, "M"), (KIB, "K")):
        if size and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)
