"""The machine hunt's steps, on made-up bugs that need something of a machine."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from lab.bisect.smaller import Trial, as_file, cpus_of, exchanges, memory_of, next_trial, toml, value
from lab.errors import UserError
from lab.guest.machine import MachineFile, check, load_machine
from lab.paths import data_folder
from lab.verdict import Word

QEMU = data_folder("qemu")
NAMES = sorted(path.stem for path in QEMU.glob("*.toml"))


def shrink(file: MachineFile, needs: Callable[[MachineFile], bool]) -> tuple[MachineFile, dict[str, tuple[Word, str]]]:
    """Take ``file`` down with a bug that shows where ``needs`` says so; what was tried."""
    known: dict[str, tuple[Word, str]] = {}
    while trial := next_trial(file, known):
        try:
            check(trial.file, "trial", trial.what)
        except UserError as error:
            known[toml(trial.file)] = ("skip", str(error))
            continue
        known[toml(trial.file)] = ("bad" if needs(trial.file) else "good", "")
        if needs(trial.file):
            file = trial.file
    return file, known


def file_of(name: str) -> MachineFile:
    return as_file(load_machine(name, QEMU))


def total(file: MachineFile) -> int:
    return sum(cpus_of(node) for node in file.node)


@pytest.mark.parametrize("name", NAMES)
def test_every_machine_survives_the_way_into_a_file_and_back(name: str):
    machine = load_machine(name, QEMU)
    again = check(msgspec.convert(tomllib.loads(toml(as_file(machine))), MachineFile), name, name)
    assert (again.nodes, again.distances, again.type, again.options) == (
        machine.nodes, machine.distances, machine.type, machine.options,
    )  # fmt: skip
    assert (again.cpu, again.append, again.visible_nodes) == (machine.cpu, machine.append, machine.visible_nodes)


def test_a_topology_that_is_not_the_usual_one_survives_too():
    machine = replace(load_machine("two-nodes", QEMU), sockets=1, cores=2, threads=2)
    again = check(msgspec.convert(tomllib.loads(toml(as_file(machine))), MachineFile), "own", "own")
    assert (again.sockets, again.cores, again.threads) == (1, 2, 2)
    assert value(as_file(machine), "layout") == "1 sockets, 2 cores, 2 threads"


@pytest.mark.parametrize("name", NAMES)
def test_a_bug_that_needs_nothing_ends_on_one_node_with_one_cpu(name: str):
    file, known = shrink(file_of(name), lambda _file: True)
    assert len(file.node) == 1
    assert total(file) == 1
    assert memory_of(file.node[0]) == 8 << 20
    assert (value(file, "layout"), file.cpu, file.type, file.append) == ("plain", "", "q35", "")
    assert len(known) < 20


@pytest.mark.parametrize("name", ["two-nodes", "eight-nodes", "x3400-m3", "far", "uneven"])
def test_a_bug_that_needs_two_nodes_keeps_two(name: str):
    file, _ = shrink(file_of(name), lambda file: len(file.node) >= 2)
    assert len(file.node) == 2
    assert total(file) == 1


def test_a_bug_that_needs_a_certain_node_keeps_that_one_alone():
    uneven = file_of("uneven")
    file, _ = shrink(uneven, lambda file: any(memory_of(node) == 128 << 20 for node in file.node[1:]))
    assert [memory_of(node) >> 20 for node in file.node] == [0, 128] or len(file.node) == 2


def test_a_bug_that_needs_three_cpus_keeps_three():
    file, _ = shrink(file_of("two-nodes"), lambda file: total(file) >= 3)
    assert total(file) == 3


def test_a_bug_that_needs_memory_keeps_more_than_half_of_what_it_needs():
    file, _ = shrink(file_of("two-nodes"), lambda file: sum(map(memory_of, file.node)) >= 300 << 20)
    assert 300 <= sum(map(memory_of, file.node)) >> 20 < 600


def test_a_bug_that_needs_distances_keeps_them():
    file, _ = shrink(file_of("far"), lambda file: any(40 in node.distances for node in file.node))
    assert "40" in value(file, "layout")
    assert len(file.node) == 2, "nodes without the one in between"


def test_what_differs_from_the_good_machine_is_exchanged_alone():
    trials = {trial.property: trial for trial in exchanges(file_of("x3400-m3"), file_of("one-node"))}
    assert {"nodes", "CPUs", "memory", "CPU model", "machine type", "command line"} <= trials.keys()
    assert len(trials["nodes"].file.node) == 1
    assert trials["CPU model"].file.cpu == ""
    assert len(trials["CPU model"].file.node) == 2, "all else is as it was"
    for trial in trials.values():
        check(trial.file, "trial", trial.what)


def test_a_bug_of_machines_with_one_node_is_told_by_the_exchange():
    trials = list(exchanges(file_of("one-node"), file_of("two-nodes")))
    nodes = next(trial for trial in trials if trial.property == "nodes")
    assert isinstance(nodes, Trial)
    assert len(nodes.file.node) == 2
