"""The machine as the guest's sysfs shows it, beside the machine that was asked for: nodes, CPUs, memory, distances."""

from __future__ import annotations

from collections.abc import Mapping

from lab.guest.machine import LOCAL, REMOTE, Machine, show_size

SHARE = 32
"""A node may show up to 1/32 (3.1 %) less memory than it has. ``MemTotal`` of a node counts the pages that the kernel
manages there; from it are gone the page structs (64 bytes for 4 KiB: 1.6 %), what the debug kconfig keeps beside them
(mm/page_ext.c) and page tables of the direct map in 4 KiB steps (0.2 %)."""
NODE_KB = 8 << 10
"""And this much in any node: its pgdat, the per-CPU areas of its CPUs, and tables that ACPI puts at the end of RAM."""
KERNEL_KB = 96 << 10
"""And this much once, in the lowest node with memory: the kernel with its data (24 MiB in the largest kconfig here, and
16 MiB of lockdep's tables in debug), the first MiB, the large hash tables and the log buffer, where they are not
spread, and the initramfs before it is freed."""


def differences(machine: Machine, marker: Mapping[str, str]) -> tuple[str, ...]:
    """Each way in which what the guest saw (the fields of its marker) differs from ``machine``, as a sentence. Pure.

    Where a machine says that fewer nodes are visible than it has, only the count can be compared.
    """
    if marker.get("numa") == "no" and machine.visible_nodes == 1:
        return counted(machine, marker)
    found = list(counted(machine, marker))
    if machine.visible_nodes != len(machine.nodes):
        return tuple(found)
    lowest = next(index for index, node in enumerate(machine.nodes) if node.memory)
    for index, node in enumerate(machine.nodes):
        name = f"node{index}"
        if f"{name}.cpus" not in marker:
            found.append(f"node {index} is not there")
            continue
        wanted = ",".join(map(str, sorted(node.cpus))) or "none"
        seen = ",".join(map(str, cpu_list(marker[f"{name}.cpus"]))) or "none"
        if seen != wanted:
            found.append(f"node {index} has the CPUs {seen}, the machine's has {wanted}")
        found += memory(index, node.memory, marker.get(f"{name}.memory_kb", ""), KERNEL_KB if index == lowest else 0)
        row = machine.distances[index] if machine.distances else default_row(index, len(machine.nodes))
        far = marker.get(f"{name}.distances", "")
        if far != ",".join(map(str, row)):
            found.append(f"node {index} has the distances {far or 'none'}, the machine's {','.join(map(str, row))}")
    return tuple(found)


def counted(machine: Machine, marker: Mapping[str, str]) -> tuple[str, ...]:
    """What differs of the totals."""
    totals = (("nodes", machine.visible_nodes), ("cpus", machine.cpus))
    return tuple(
        f"the guest sees {marker.get(key) or 'no'} {key}, the machine has {count}"
        for key, count in totals
        if marker.get(key) != str(count)
    )


def memory(index: int, size: int, said: str, kernel_kb: int) -> list[str]:
    """What is wrong with the memory of a node of ``size`` bytes that shows ``said`` KiB."""
    asked = size >> 10
    if not said.isdecimal():
        return [f"node {index} does not say how much memory it has"]
    seen = int(said)
    least = asked - asked // SHARE - NODE_KB - kernel_kb if asked else 0
    if seen > asked or seen < least or (asked and not seen):
        return [f"node {index} has {seen} KiB of memory, the machine's has {show_size(size) or '0'}"]
    return []


def default_row(index: int, count: int) -> tuple[int, ...]:
    """Distances as QEMU has them where nobody says."""
    return tuple(LOCAL if other == index else REMOTE for other in range(count))


def cpu_list(text: str) -> list[int]:
    """``0,1`` as the guest writes it; what is none is no CPU."""
    return sorted(int(word) for word in text.split(",") if word.isdecimal() and len(word) < 6)
