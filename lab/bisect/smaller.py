"""Which property of a machine a bug needs, and the smallest machine that shows it: pure functions.

A machine is taken down step by step, a step that still shows the bug is kept, until no step is left that does. Then
each property in which that smallest machine differs from a good one is exchanged alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from lab.errors import UserError
from lab.guest.machine import (
    GRANULE,
    Machine,
    MachineFile,
    NodeFile,
    TopologyFile,
    check,
    read_size,
    show_size,
)
from lab.verdict import Word

Property = Literal["nodes", "CPUs", "memory", "layout", "CPU model", "machine type", "command line"]
PROPERTIES: tuple[Property, ...] = (
    "nodes", "CPUs", "memory", "layout", "CPU model", "machine type", "command line",
)  # fmt: skip

ENOUGH_BYTES = 64 << 20
"""A small kernel and its initramfs come up with this much a node; tried before memory is halved step by step."""
LEAST_BYTES = 8 << 20


@dataclass(frozen=True)
class Trial:
    """A machine to try: ``what`` says in words how it differs from the one it was made from."""

    property: Property
    what: str
    file: MachineFile


@dataclass(frozen=True)
class Seen:
    """What a trial came to."""

    trial: Trial
    word: Word
    reason: str


Known = Mapping[str, tuple[Word, str]]
"""What is known of machines, by their :func:`toml`: the verdict and what it rests on."""


def as_file(machine: Machine) -> MachineFile:
    """``machine`` as a file would describe it. CPUs are counts where they are in order."""
    in_order = [cpu for node in machine.nodes for cpu in node.cpus] == list(range(machine.cpus))
    nodes = [
        NodeFile(
            cpus=len(node.cpus) if in_order else ",".join(map(str, node.cpus)),
            memory=show_size(node.memory),
            distances=list(machine.distances[index]) if machine.distances else [],
            backend=node.backend,
            prealloc=node.prealloc,
            host_node=node.host_node,
        )
        for index, node in enumerate(machine.nodes)
    ]
    file = MachineFile(
        title=machine.title,
        node=nodes,
        arch=machine.arch,
        type=machine.type,
        options=dict(machine.options),
        cpu=machine.cpu,
        firmware=machine.firmware,
        append=machine.append,
        visible_nodes=0 if machine.visible_nodes == len(machine.nodes) else machine.visible_nodes,
    )
    usual = check(file, machine.name, machine.name)
    shape = (machine.sockets, machine.cores, machine.threads)
    return (
        file
        if shape == (usual.sockets, usual.cores, usual.threads)
        else replace(file, topology=TopologyFile(sockets=shape[0], cores=shape[1], threads=shape[2]))
    )


def cpus_of(node: NodeFile) -> int:
    """How many CPUs a node has."""
    if isinstance(node.cpus, int):
        return node.cpus
    return len(node.cpus.split(",")) if node.cpus else 0


def memory_of(node: NodeFile) -> int:
    """A node's memory in bytes."""
    return read_size(node.memory, "memory", lambda key, text: UserError(f"{key}: {text}"))


def value(file: MachineFile, name: Property) -> str:
    """A property in words."""
    return VALUES[name](file)


def layout(file: MachineFile) -> str:
    """How nodes, CPUs and memory hang together, where that is not the usual."""
    words = []
    if any(node.distances for node in file.node):
        words.append("distances " + "; ".join(" ".join(map(str, node.distances)) for node in file.node))
    if any(isinstance(node.cpus, str) for node in file.node):
        words.append("CPUs " + "; ".join(str(node.cpus) for node in file.node))
    if file.topology:
        words.append(f"{file.topology.sockets} sockets, {file.topology.cores} cores, {file.topology.threads} threads")
    if any(node.backend != "ram" or node.prealloc or node.host_node is not None for node in file.node):
        words.append("memory backends")
    return ", ".join(words) or "plain"


VALUES: dict[Property, Callable[[MachineFile], str]] = {
    "nodes": lambda file: str(len(file.node)),
    "CPUs": lambda file: "+".join(str(cpus_of(node)) for node in file.node),
    "memory": lambda file: "+".join(node.memory for node in file.node),
    "layout": layout,
    "CPU model": lambda file: file.cpu or "QEMU's default",
    "machine type": lambda file: ",".join(
        [file.type, *(f"{key}={text}" for key, text in sorted(file.options.items()))]
    ),
    "command line": lambda file: file.append or "nothing of the machine's own",
}


def steps(file: MachineFile) -> Iterator[Trial]:
    """What is smaller or plainer than ``file`` by one step, the largest steps first."""
    count = len(file.node)
    for kept in dict.fromkeys((1, count // 2)):
        if 0 < kept < count:
            yield Trial("nodes", f"{kept} of {count} nodes", of_nodes(file, list(range(kept))))
    if count > 2:
        for gone in reversed(range(count)):
            left = [index for index in range(count) if index != gone]
            yield Trial("nodes", f"without node {gone}", of_nodes(file, left))
    yield from plainer(file)
    yield from fewer_cpus(file)
    yield from less_memory(file)


def plainer(file: MachineFile) -> Iterator[Trial]:
    """Without one of the things that a machine can do without."""
    if file.options or file.type != "q35":
        yield Trial("machine type", "a plain q35", replace(file, type="q35", options={}, firmware="qboot.rom"))
    if file.cpu:
        yield Trial("CPU model", "QEMU's default CPU", replace(file, cpu=""))
    if file.append:
        yield Trial("command line", "without the machine's own words", replace(file, append=""))
    if layout(file) != "plain":
        nodes = [NodeFile(cpus=cpus_of(node), memory=node.memory) for node in file.node]
        yield Trial("layout", "QEMU's own distances, CPUs in order", replace(file, topology=None, node=nodes))


def fewer_cpus(file: MachineFile) -> Iterator[Trial]:
    """One CPU in all, one a node, or one node's CPUs halved."""
    counts = [cpus_of(node) for node in file.node]
    owner = next(index for index, number in enumerate(counts) if number)
    single = [int(index == owner) for index in range(len(counts))]
    wanted = [(single, "one CPU in all"), ([min(number, 1) for number in counts], "one CPU a node")]
    for index, number in enumerate(counts):
        wanted.append(([*counts[:index], number // 2, *counts[index + 1 :]], f"node {index} with {number // 2} CPUs"))
    for tried, what in wanted:
        if tried != counts and any(tried):
            yield Trial("CPUs", what, of_cpus(file, tried))


def less_memory(file: MachineFile) -> Iterator[Trial]:
    """Little memory, half of it, half of one node's, or a node without."""
    sizes = [memory_of(node) for node in file.node]
    wanted = [
        ([min(size, ENOUGH_BYTES) for size in sizes], f"{show_size(ENOUGH_BYTES)} a node"),
        ([half(size) for size in sizes], "half the memory"),
    ]
    for index, size in enumerate(sizes):
        wanted.append(([*sizes[:index], half(size), *sizes[index + 1 :]], f"half of node {index}'s memory"))
        if cpus_of(file.node[index]):
            wanted.append(([*sizes[:index], 0, *sizes[index + 1 :]], f"no memory on node {index}"))
    for tried, what in wanted:
        if tried != sizes and any(tried):
            yield Trial("memory", what, of_memory(file, tried))


def half(size: int) -> int:
    """Half of ``size`` in whole MiB, not less than a kernel's image needs."""
    return min(size, max(LEAST_BYTES, size // 2 // GRANULE * GRANULE))


def of_nodes(file: MachineFile, kept: list[int]) -> MachineFile:
    """``file`` with these of its nodes, with a CPU and memory at least."""
    nodes = []
    for index in kept:
        node = file.node[index]
        distances = [node.distances[other] for other in kept] if node.distances and len(kept) > 1 else []
        nodes.append(replace(node, cpus=cpus_of(node), distances=distances))
    if not any(cpus_of(node) for node in nodes):
        nodes[0] = replace(nodes[0], cpus=1)
    if not any(memory_of(node) for node in nodes):
        nodes[0] = replace(nodes[0], memory=max(file.node, key=memory_of).memory)
    return replace(file, node=nodes, cpus=0, memory="", topology=None, visible_nodes=0)


def of_cpus(file: MachineFile, counts: list[int]) -> MachineFile:
    """``file`` with so many CPUs on each node."""
    nodes = [replace(node, cpus=count) for node, count in zip(file.node, counts, strict=True)]
    return replace(file, node=nodes, cpus=0, topology=None)


def of_memory(file: MachineFile, sizes: list[int]) -> MachineFile:
    """``file`` with so many bytes on each node."""
    nodes = [replace(node, memory=show_size(size)) for node, size in zip(file.node, sizes, strict=True)]
    return replace(file, node=nodes, memory="")


def next_trial(file: MachineFile, known: Known) -> Trial | None:
    """The next smaller machine to try; ``None`` where all that there are were tried, and none showed the bug."""
    return next((trial for trial in steps(file) if toml(trial.file) not in known), None)


def exchanges(file: MachineFile, good: MachineFile) -> Iterator[Trial]:
    """``file`` with one property as the good machine has it, for each in which they differ."""
    for name in PROPERTIES:
        if value(file, name) == value(good, name):
            continue
        other = exchanged(file, good, name)
        if other is not None and other != file:
            yield Trial(name, f"{name} as the good machine has it: {value(other, name)}", other)


def exchanged(file: MachineFile, good: MachineFile, name: Property) -> MachineFile | None:
    """``file`` with the property ``name`` of ``good``; ``None`` where nodes are too different for that."""
    count = len(file.node)

    def spread(total: int) -> list[int]:
        return [total // count + (index < total % count) for index in range(count)]

    match name:
        case "nodes":
            other = of_nodes(file, [min(index, count - 1) for index in range(len(good.node))])
        case "CPUs":
            other = of_cpus(file, spread(sum(cpus_of(node) for node in good.node)))
        case "memory":
            sizes = spread(sum(memory_of(node) for node in good.node) // GRANULE)
            other = of_memory(file, [size * GRANULE for size in sizes])
        case "layout":
            return exchanged_layout(file, good)
        case "CPU model":
            other = replace(file, cpu=good.cpu)
        case "machine type":
            other = replace(file, type=good.type, options=good.options, firmware=good.firmware)
        case "command line":
            other = replace(file, append=good.append)
    return other


def exchanged_layout(file: MachineFile, good: MachineFile) -> MachineFile | None:
    """``file`` with the good machine's distances; ``None`` where it has other nodes."""
    if len(good.node) != len(file.node):
        return None
    nodes = [replace(mine, distances=other.distances) for mine, other in zip(file.node, good.node, strict=True)]
    return replace(file, node=nodes)


def toml(file: MachineFile) -> str:
    """``file`` as a TOML file that the lab takes."""
    import json

    lines = [f"title = {json.dumps(file.title)}"]
    for key, default in (("arch", "x86_64"), ("type", "q35"), ("cpu", ""), ("firmware", "qboot.rom"), ("append", "")):
        text = getattr(file, key)
        lines += [f"{key} = {json.dumps(text)}"] if text != default else []
    if file.options:
        lines.append(
            f"options = {{ {', '.join(f'{key} = {json.dumps(text)}' for key, text in file.options.items())} }}"
        )
    lines += [f"visible_nodes = {file.visible_nodes}"] if file.visible_nodes else []
    if file.topology:
        shape = file.topology
        lines += ["", "[topology]", f"sockets = {shape.sockets}", f"cores = {shape.cores}"]
        lines.append(f"threads = {shape.threads}")
    for node in file.node:
        lines += ["", "[[node]]", f"cpus = {json.dumps(node.cpus)}", f"memory = {json.dumps(node.memory)}"]
        lines += [f"distances = {json.dumps(node.distances)}"] if node.distances else []
        lines += [f'backend = "{node.backend}"'] if node.backend != "ram" else []
        lines += ["prealloc = true"] if node.prealloc else []
        lines += [f"host_node = {node.host_node}"] if node.host_node is not None else []
    return "\n".join(lines) + "\n"
