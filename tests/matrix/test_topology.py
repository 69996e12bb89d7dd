"""What guests with each machine of the lab's said from inside, and what would not be that machine."""

import pytest

from lab.guest.machine import MachineFile, NodeFile, check, load_machine
from lab.matrix.topology import KERNEL_KB, NODE_KB, differences
from lab.paths import data_folder

RECORDED = {  # 6.1.192 with tiny-numa: the marker's fields after nodes, cpus and numa
    "one-node": ("0,1 505820 10",),
    "two-nodes": ("0,1 248572 10,20", "2,3 257688 20,10"),
    "uneven": ("0,1,2 506464 10,20", "3 128820 20,10"),
    "memoryless-node": ("0,1 248572 10,20,20", "2 0 20,10,20", "3 257680 20,20,10"),
    "cpuless-node": ("0,1 248572 10,20,20", "2,3 257724 20,10,20", "none 258000 20,20,10"),
    "far": ("0 248728 10,20,40,20", "1 257880 20,10,20,40", "2 257880 40,20,10,20", "3 257844 20,40,20,10"),
    "x3400-m3": ("0,1,2,3 4053444 10,20", "4,5,6,7 4127312 20,10"),
}


def marker(rows, **more):
    fields = {"numa": "yes", "nodes": str(len(rows))}
    count = 0
    for index, row in enumerate(rows):
        cpus, memory, distances = row.split()
        count += 0 if cpus == "none" else len(cpus.split(","))
        fields |= {f"node{index}.cpus": cpus, f"node{index}.memory_kb": memory, f"node{index}.distances": distances}
    return {**fields, "cpus": str(count)} | more


def machine(name):
    return load_machine(name, data_folder("qemu"))


@pytest.mark.parametrize("name", RECORDED)
def test_what_was_recorded_is_the_machine(name):
    assert differences(machine(name), marker(RECORDED[name])) == ()


@pytest.mark.parametrize("name", RECORDED)
def test_no_other_machine_looks_like_it(name):
    for other in RECORDED:
        if other != name:
            assert differences(machine(other), marker(RECORDED[name])), other


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (("0,1 248572 10,20", "2 257688 20,10"), "the guest sees 3 cpus, the machine has 4"),
        (("0,2 248572 10,20", "1,3 257688 20,10"), "node 0 has the CPUs 0,2, the machine's has 0,1"),
        (("0,1 248572 10,21", "2,3 257688 20,10"), "node 0 has the distances 10,21, the machine's 10,20"),
        (("0,1 248572 10,20", "2,3 0 20,10"), "node 1 has 0 KiB of memory, the machine's has 256M"),
        (("0,1 248572 10,20", "2,3 262145 20,10"), "node 1 has 262145 KiB of memory, the machine's has 256M"),
        (("0,1 131072 10,20", "2,3 257688 20,10"), "node 0 has 131072 KiB of memory, the machine's has 256M"),
        (("0,1 248572 10,20", "2,3 nonsense 20,10"), "node 1 does not say how much memory it has"),
        (("0,1,2,3 500000 10",), "the guest sees 1 nodes, the machine has 2"),
    ],
)
def test_each_difference_is_a_sentence(rows, sentence):
    assert sentence in differences(machine("two-nodes"), marker(rows))


def test_a_kernel_without_numa_is_told_so_where_there_are_nodes():
    fields = {"numa": "no", "nodes": "1", "cpus": "4"}
    found = differences(machine("two-nodes"), fields)
    assert "the guest sees 1 nodes, the machine has 2" in found
    assert differences(machine("one-node"), fields | {"cpus": "2"}) == ()


def test_what_the_kernel_keeps_for_itself_is_allowed_once_and_no_more():
    made = check(MachineFile(title="t", node=[NodeFile(cpus=1, memory="1G"), NodeFile(cpus=1, memory="1G")]), "t", "t")
    whole = 1 << 20
    least = whole - whole // 32 - NODE_KB
    good = ("0 {} 10,20", "1 {} 20,10")
    assert differences(made, marker([good[0].format(least - KERNEL_KB), good[1].format(least)])) == ()
    assert len(differences(made, marker([good[0].format(least - KERNEL_KB - 1), good[1].format(least - 1)]))) == 2


def test_where_a_kernel_hides_nodes_their_number_is_compared():
    file = MachineFile(title="t", node=[NodeFile(cpus=1, memory="1G"), NodeFile(cpus=1)], visible_nodes=1)
    assert differences(check(file, "t", "t"), marker(["0,1 1000000 10"])) == ()
    assert differences(check(file, "t", "t"), marker(["0 1000000 10"])) != ()


@pytest.mark.parametrize("junk", [{}, {"node0.cpus": "9" * 99}, {"node0.cpus": ",,x", "nodes": "-1", "cpus": "\0"}])
def test_a_marker_that_says_anything_is_no_traceback(junk):
    assert differences(machine("two-nodes"), junk)
