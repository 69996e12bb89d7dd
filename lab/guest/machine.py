"""Machines: what a guest consists of, read from ``qemu/*.toml`` and checked before any QEMU is started."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from lab.errors import InfrastructureError, UserError
from lab.manifest import load

Backend = Literal["ram", "memfd"]
Complaint = Callable[[str, str], UserError]
"""Makes the error for a key and what is wrong with it."""

MAX_NODES = 128
"""QEMU's own limit (``MAX_NODES`` in include/sysemu/numa.h)."""
MAX_CPUS = 1024
LOCAL = 10
REMOTE = 20
UNREACHABLE = 255
"""Distances as ACPI's SLIT has them: 10 is local, 255 means that the node cannot be reached."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
GRANULE = 1 << 20
"""A node's memory comes in whole MiB, so that its borders are page and section friendly."""

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
CPU_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=,-]*", re.ASCII)
SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)(?:i?B)?", re.ASCII)


class NodeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[node]]`` as it is written. ``cpus`` is how many, or which (``"0-1,4"``)."""

    cpus: int | str = 0
    memory: str = "0"
    distances: list[int] = []
    backend: Backend = "ram"
    prealloc: bool = False
    host_node: int | None = None


class TopologyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[topology]`` as it is written: how the CPUs hang together."""

    sockets: int
    cores: int
    threads: int = 1


class MachineFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A machine's file as it is written. ``memory`` and ``cpus`` are totals that the nodes have to add up to."""

    title: str
    node: list[NodeFile]
    arch: str = "x86_64"
    type: str = "q35"
    options: dict[str, str] = {}
    cpu: str = ""
    firmware: str = "qboot.rom"
    memory: str = ""
    cpus: int = 0
    topology: TopologyFile | None = None
    append: str = ""
    visible_nodes: int = 0


@dataclass(frozen=True)
class Node:
    """One NUMA node: the indexes of its CPUs, its memory in bytes, and how that is backed on the host."""

    cpus: tuple[int, ...]
    memory: int
    backend: Backend = "ram"
    prealloc: bool = False
    host_node: int | None = None


@dataclass(frozen=True)
class Machine:
    """A guest that was checked.

    ``distances`` is the full matrix, or empty where QEMU's own (10 and 20) is meant. ``firmware`` is a file of
    QEMU's, empty for its default. ``append`` goes on the kernel's command line. ``visible_nodes``: what a guest is
    expected to show, which is less than there are where a kernel hides nodes without memory. ``arch`` is one of
    ``arches.toml``.
    """

    name: str
    title: str
    type: str
    options: tuple[tuple[str, str], ...]
    cpu: str
    firmware: str
    nodes: tuple[Node, ...]
    distances: tuple[tuple[int, ...], ...]
    sockets: int
    cores: int
    threads: int
    append: str
    visible_nodes: int
    arch: str = "x86_64"

    @property
    def cpus(self) -> int:
        """How many CPUs there are."""
        return sum(len(node.cpus) for node in self.nodes)

    @property
    def memory(self) -> int:
        """All memory, in bytes."""
        return sum(node.memory for node in self.nodes)


def load_machine(name: str, folder: Path) -> Machine:
    """The machine ``name``: a file in ``folder`` (without ``.toml``), or a path to a file anywhere.

    Raises :class:`UserError` that names the file and the key.
    """
    path = find_machine(name, folder)
    return check(load(path, MachineFile), path.stem, str(path))


def find_machine(name: str, folder: Path) -> Path:
    """The file of machine ``name``; :class:`UserError` with the names there are, where it is none."""
    if WORD.fullmatch(name) and (shared := folder / f"{name}.toml").is_file():
        return shared
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    known = ", ".join(sorted(path.stem for path in folder.glob("*.toml"))) or "none"
    raise UserError(f"no machine {name!r}; known machines: {known}; or give a path to a .toml file")


def check(file: MachineFile, name: str, where: str) -> Machine:
    """``file`` as a machine; ``where`` stands before each complaint. Pure."""

    def refuse(key: str, text: str) -> UserError:
        return UserError(f"{where}: {key}: {text}")

    if not 1 <= len(file.node) <= MAX_NODES:
        raise refuse("node", f"there are {len(file.node)} nodes; QEMU takes 1 to {MAX_NODES}")
    check_words(file, refuse)
    if file.arch != "x86_64":
        from lab.arch import arches

        if file.arch not in arches():
            raise refuse("arch", f"{file.arch[:80]!r} is none of {', '.join(sorted(arches()))}")
    nodes = read_nodes(file.node, refuse)
    cpus = sum(len(node.cpus) for node in nodes)
    check_totals(file, nodes, cpus, refuse)
    sockets, cores, threads = topology(file, nodes, cpus, refuse)
    visible = file.visible_nodes or len(nodes)
    if not 1 <= visible <= len(nodes):
        raise refuse("visible_nodes", f"{visible} is not 1 to {len(nodes)}, the nodes there are")
    return Machine(
        name=name,
        title=file.title,
        type=file.type,
        options=tuple(sorted(file.options.items())),
        cpu=file.cpu,
        firmware=file.firmware,
        nodes=nodes,
        distances=read_distances(file.node, refuse),
        sockets=sockets,
        cores=cores,
        threads=threads,
        append=file.append,
        visible_nodes=visible,
        arch=file.arch,
    )


def check_words(file: MachineFile, refuse: Complaint) -> None:
    """Refuse what is no plain word where QEMU takes one: a file must not smuggle in further options."""
    words = [("type", file.type)]
    words += [(f"options.{key}", key) for key in file.options]
    words += [(f"options.{key}", value) for key, value in file.options.items()]
    words += [("firmware", file.firmware)] if file.firmware else []
    for key, value in words:
        if not WORD.fullmatch(value):
            raise refuse(key, f"{value!r} is not a plain word of letters, digits, '.', '_', '+' and '-'")
    if file.cpu and not CPU_MODEL.fullmatch(file.cpu):
        raise refuse("cpu", f"{file.cpu!r} is not a CPU model with options, such as 'Westmere,-aes'")
    for key, value in (("append", file.append), ("title", file.title)):
        if not value.isprintable():
            raise refuse(key, "has a line end or another control character")


def read_nodes(entries: list[NodeFile], refuse: Complaint) -> tuple[Node, ...]:
    """Each node with the indexes of its CPUs: counts take the next free ones, lists are taken as they are."""
    counted = [isinstance(entry.cpus, int) for entry in entries]
    if any(counted) and not all(counted):
        mixed = next(i for i, entry in enumerate(entries) if isinstance(entry.cpus, int))
        raise refuse(f"node[{mixed}].cpus", "is a count while other nodes list theirs; write all as lists")
    owner: dict[int, int] = {}
    nodes = []
    for index, entry in enumerate(entries):
        key = f"node[{index}]"
        if isinstance(entry.cpus, int):
            if not 0 <= entry.cpus <= MAX_CPUS:
                raise refuse(f"{key}.cpus", f"{entry.cpus} is not 0 to {MAX_CPUS}")
            cpus = tuple(range(len(owner), len(owner) + entry.cpus))
        else:
            cpus = read_cpu_list(entry.cpus, f"{key}.cpus", refuse)
        for cpu in cpus:
            if cpu in owner:
                raise refuse(f"{key}.cpus", f"CPU {cpu} is in node {owner[cpu]} already")
            owner[cpu] = index
        if entry.host_node is not None and not 0 <= entry.host_node < MAX_NODES:
            raise refuse(f"{key}.host_node", f"{entry.host_node} is not a node of a host")
        memory = read_size(entry.memory, f"{key}.memory", refuse)
        nodes.append(Node(cpus, memory, entry.backend, entry.prealloc, entry.host_node))
    missing = set(range(len(owner))) - set(owner)
    if missing:
        raise refuse("node", f"CPU {min(missing)} is in no node, though there are {len(owner)} CPUs")
    return tuple(nodes)


def read_cpu_list(text: str, key: str, refuse: Complaint) -> tuple[int, ...]:
    """``0-1,4`` as the kernel writes CPU lists; the empty string is no CPU."""
    cpus: list[int] = []
    for part in text.split(",") if text else []:
        found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        if not found:
            raise refuse(key, f"{part!r} is not a CPU or a range such as 0-3")
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last < MAX_CPUS:
            raise refuse(key, f"{part!r} is not a rising range below {MAX_CPUS}")
        cpus += range(first, last + 1)
    return tuple(cpus)


def read_size(text: str, key: str, refuse: Complaint) -> int:
    """``256M`` in bytes; a bare number is bytes."""
    found = SIZE.fullmatch(text)
    if not found:
        raise refuse(key, f"{text!r} is not a size such as 256M or 4G")
    size = int(found[1]) * UNITS[found[2]]
    if size % GRANULE:
        raise refuse(key, f"{text!r} is not a whole number of MiB")
    return size


def check_totals(file: MachineFile, nodes: tuple[Node, ...], cpus: int, refuse: Complaint) -> None:
    """Refuse totals that the nodes don't add up to, and machines that cannot run."""
    memory = sum(node.memory for node in nodes)
    if not memory:
        raise refuse("node", "no node has memory")
    if file.memory and read_size(file.memory, "memory", refuse) != memory:
        raise refuse("memory", f"{file.memory} is asked for, but the nodes' memory adds up to {show_size(memory)}")
    if not 1 <= cpus <= MAX_CPUS:
        raise refuse("node", f"the nodes have {cpus} CPUs in all, which is not 1 to {MAX_CPUS}")
    if file.cpus and file.cpus != cpus:
        raise refuse("cpus", f"{file.cpus} are asked for, but the nodes have {cpus}")
    for index, node in enumerate(nodes):
        if not node.memory and not node.cpus:
            raise refuse(f"node[{index}]", "has neither CPUs nor memory")


def topology(file: MachineFile, nodes: tuple[Node, ...], cpus: int, refuse: Complaint) -> tuple[int, int, int]:
    """Sockets, cores a socket, threads a core.

    Where the file does not say, a node is a socket where that is possible, else each CPU is one: a socket over two
    nodes would make Linux warn that CPUs share a cache and not a node.
    """
    wanted = file.topology
    if wanted is None:
        sizes = {len(node.cpus) for node in nodes if node.cpus}
        in_order = [cpu for node in nodes for cpu in node.cpus] == list(range(cpus))
        cores = sizes.pop() if len(sizes) == 1 and in_order else 1
        return cpus // cores, cores, 1
    for key in ("sockets", "cores", "threads"):
        if getattr(wanted, key) < 1:
            raise refuse(f"topology.{key}", f"{getattr(wanted, key)} is less than 1")
    product = wanted.sockets * wanted.cores * wanted.threads
    if product != cpus:
        parts = f"{wanted.sockets} x {wanted.cores} x {wanted.threads} = {product}"
        raise refuse("topology", f"sockets x cores x threads is {parts}, but the nodes have {cpus} CPUs")
    return wanted.sockets, wanted.cores, wanted.threads


def read_distances(entries: list[NodeFile], refuse: Complaint) -> tuple[tuple[int, ...], ...]:
    """The matrix, all of it or none; the two directions may differ, as ACPI allows."""
    if not any(entry.distances for entry in entries):
        return ()
    for row, entry in enumerate(entries):
        key = f"node[{row}].distances"
        if len(entry.distances) != len(entries):
            raise refuse(key, f"has {len(entry.distances)} entries; {len(entries)} nodes need one each, in every row")
        for column, distance in enumerate(entry.distances):
            if row == column and distance != LOCAL:
                raise refuse(f"{key}[{column}]", f"{distance} to itself; a node's own distance is {LOCAL}")
            if row != column and not LOCAL < distance < UNREACHABLE:
                raise refuse(f"{key}[{column}]", f"{distance} is not {LOCAL + 1} to {UNREACHABLE - 1}")
    return tuple(tuple(entry.distances) for entry in entries)


def show_size(size: int) -> str:
    """Bytes for people: ``512M``, ``8G``."""
    unit = next(unit for unit in "TGMK" if size % UNITS[unit] == 0) if size else ""
    return f"{size // UNITS[unit]}{unit}"


def check_host_memory(machine: Machine, available: int) -> None:
    """:class:`InfrastructureError` where the guest is larger than what is free on this host (bytes)."""
    if machine.memory > available:
        raise InfrastructureError(
            f"machine {machine.name} has {show_size(machine.memory)} of memory, but only "
            f"{available / (1 << 30):.1f} GiB are free on this host",
            hint="end something, or take a smaller machine",
        )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """What is free on this host without swapping, in bytes: ``MemAvailable`` of proc(5)."""
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 62
