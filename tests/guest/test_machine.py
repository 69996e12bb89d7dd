"""Machines: what a file may say, and what is refused before any QEMU is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.guest.machine import check_host_memory, load_machine, show_size
from lab.paths import data_folder

QEMU = data_folder("qemu")
NODE = '[[node]]\ncpus = 2\nmemory = "256M"\n'


def write(folder: Path, text: str) -> str:
    path = folder / "own.toml"
    path.write_text(f'title = "own"\n{text}')
    return str(path)


@pytest.mark.parametrize("path", sorted(QEMU.glob("*.toml")), ids=lambda path: path.stem)
def test_every_machine_of_the_project_is_sound(path: Path) -> None:
    machine = load_machine(path.stem, QEMU)
    assert machine.name == path.stem
    assert machine.sockets * machine.cores * machine.threads == machine.cpus
    assert sorted(cpu for node in machine.nodes for cpu in node.cpus) == list(range(machine.cpus))


def test_the_default_machine_has_two_nodes_of_two_cpus() -> None:
    machine = load_machine("two-nodes", QEMU)
    assert [(node.cpus, node.memory) for node in machine.nodes] == [((0, 1), 256 << 20), ((2, 3), 256 << 20)]
    assert machine.distances == ()


def test_the_reporters_machine_is_what_his_console_shows() -> None:
    machine = load_machine("x3400-m3", QEMU)
    assert (machine.type, machine.options, machine.cpu) == ("pc", (("max-ram-below-4g", "2G"),), "Westmere")
    assert (machine.sockets, machine.cores, machine.memory) == (2, 4, 8 << 30)
    assert "root=" not in machine.append


def test_a_node_may_list_its_cpus(tmp_path: Path) -> None:
    text = '[[node]]\ncpus = "0,2"\nmemory = "1G"\n[[node]]\ncpus = "1,3-4"\nmemory = "1G"\n'
    machine = load_machine(write(tmp_path, text), QEMU)
    assert [node.cpus for node in machine.nodes] == [(0, 2), (1, 3, 4)]
    assert (machine.sockets, machine.cores) == (5, 1), "a socket must not lie over two nodes"


def test_distances_may_differ_in_the_two_directions(tmp_path: Path) -> None:
    text = f"{NODE}distances = [10, 21]\n{NODE}distances = [31, 10]\n"
    assert load_machine(write(tmp_path, text), QEMU).distances == ((10, 21), (31, 10))


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("node = []\n", "node", "0 nodes"),
        (NODE * 129, "node", "129 nodes"),
        (f'memory = "1G"\n{NODE}{NODE}', "memory", "adds up to 512M"),
        (f"cpus = 5\n{NODE}{NODE}", "cpus", "the nodes have 4"),
        ("[[node]]\ncpus = 2\n", "node", "no node has memory"),
        ('[[node]]\nmemory = "1G"\n', "node", "0 CPUs"),
        (f"{NODE}[[node]]\n", "node[1]", "neither CPUs nor memory"),
        ('[[node]]\ncpus = 1\nmemory = "lots"\n', "node[0].memory", "'lots' is not a size"),
        ('[[node]]\ncpus = 1\nmemory = "100K"\n', "node[0].memory", "MiB"),
        ('[[node]]\ncpus = -1\nmemory = "1G"\n', "node[0].cpus", "-1"),
        ('[[node]]\ncpus = "3-1"\nmemory = "1G"\n', "node[0].cpus", "rising range"),
        ('[[node]]\ncpus = "0"\nmemory = "1G"\n[[node]]\ncpus = "0-1"\n', "node[1].cpus", "CPU 0 is in node 0 already"),
        ('[[node]]\ncpus = "0,2"\nmemory = "1G"\n', "node", "CPU 1 is in no node"),
        (f'{NODE}[[node]]\ncpus = "2"\n', "node[0].cpus", "count"),
        (f"{NODE}distances = [10, 20]\n{NODE}", "node[1].distances", "0 entries"),
        (f"{NODE}distances = [10]\n{NODE}distances = [20, 10]\n", "node[0].distances", "1 entries"),
        (f"{NODE}distances = [20]\n", "node[0].distances[0]", "to itself"),
        (f"{NODE}distances = [10, 9]\n{NODE}distances = [20, 10]\n", "node[0].distances[1]", "9 is not 11 to 254"),
        (f"{NODE}distances = [10, 255]\n{NODE}distances = [20, 10]\n", "node[0].distances[1]", "255 is not 11 to 254"),
        (f"topology = {{ sockets = 2, cores = 2 }}\n{NODE}", "topology", "= 4, but the nodes have 2 CPUs"),
        (f"topology = {{ sockets = 0, cores = 2 }}\n{NODE}", "topology.sockets", "less than 1"),
        (f'type = "q35,accel=kvm"\n{NODE}', "type", "plain word"),
        (f'firmware = "../bios"\n{NODE}', "firmware", "plain word"),
        (f'options = {{ "a,b" = "on" }}\n{NODE}', "options.a,b", "plain word"),
        (f'cpu = "host -S"\n{NODE}', "cpu", "not a CPU model"),
        (f'append = "a\\nb"\n{NODE}', "append", "line end"),
        (f"visible_nodes = 2\n{NODE}", "visible_nodes", "2 is not 1 to 1"),
        (f"speed = 3\n{NODE}", "speed", "unknown field"),
        (f'{NODE}backend = "tape"\n', "node[0].backend", "'tape'"),
        (f"{NODE}host_node = 200\n", "node[0].host_node", "200"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(tmp_path: Path, text: str, key: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_machine(write(tmp_path, text), QEMU)
    message = caught.value.message
    assert message.startswith(str(tmp_path / "own.toml"))
    assert says in message
    assert key in message


def test_an_unknown_machine_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no machine 'ten-nodes'; known machines: .*two-nodes"):
        load_machine("ten-nodes", QEMU)


def test_a_name_does_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text('title = "x"\n' + NODE)
    with pytest.raises(UserError, match="no machine"):
        load_machine("../secret", tmp_path / "qemu")


def test_a_guest_larger_than_the_hosts_free_memory_is_refused() -> None:
    machine = load_machine("x3400-m3", QEMU)
    check_host_memory(machine, 9 << 30)
    with pytest.raises(InfrastructureError, match=r"x3400-m3 has 8G of memory, but only 4\.0 GiB are free"):
        check_host_memory(machine, 4 << 30)


def test_sizes_are_shown_in_their_largest_whole_unit() -> None:
    assert [show_size(size) for size in (0, 512 << 20, 1536 << 20, 4 << 30)] == ["0", "512M", "1536M", "4G"]
