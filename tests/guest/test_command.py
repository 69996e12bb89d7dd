"""The command line: an argument list in which no value can become more than one argument."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.guest.command import kernel_command_line, render
from lab.guest.machine import Machine, load_machine
from lab.paths import data_folder

TEMPLATE = data_folder("qemu") / "command.j2"


def argv(machine: Machine, **changed: object) -> list[str]:
    given: dict[str, object] = {
        "image": Path("/k/bzImage"),
        "initrd": Path("/k/initramfs"),
        "append": "console=ttyS0",
        "accel": "tcg",
        "template": TEMPLATE,
    }
    return render(machine, **(given | changed))  # type: ignore[arg-type]


def after(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(arguments) if name == option]


def test_nodes_have_their_cpus_and_a_backend_each(two_nodes: Machine) -> None:
    arguments = argv(two_nodes)
    assert after(arguments, "-numa") == [
        "node,nodeid=0,cpus=0,cpus=1,memdev=mem0",
        "node,nodeid=1,cpus=2,cpus=3,memdev=mem1",
    ]
    assert after(arguments, "-object") == [
        "memory-backend-ram,id=mem0,size=256M",
        "memory-backend-ram,id=mem1,size=256M",
    ]
    assert after(arguments, "-smp") == ["4,sockets=2,cores=2,threads=1"]
    assert after(arguments, "-m") == ["512M"]


def test_a_node_without_memory_has_no_backend() -> None:
    arguments = argv(load_machine("memoryless-node", data_folder("qemu")))
    assert after(arguments, "-numa")[1] == "node,nodeid=1,cpus=2"
    assert len(after(arguments, "-object")) == 2


def test_distances_are_given_for_every_pair() -> None:
    arguments = argv(load_machine("far", data_folder("qemu")))
    assert "dist,src=0,dst=2,val=40" in after(arguments, "-numa")
    assert sum(value.startswith("dist,") for value in after(arguments, "-numa")) == 16


def test_the_hosts_memory_can_be_chosen(two_nodes: Machine) -> None:
    node = replace(two_nodes.nodes[0], backend="memfd", prealloc=True, host_node=1)
    arguments = argv(replace(two_nodes, nodes=(node, two_nodes.nodes[1])))
    assert after(arguments, "-object")[0] == (
        "memory-backend-memfd,id=mem0,size=256M,prealloc=on,host-nodes=1,policy=bind"
    )


def test_nothing_but_what_is_asked_for_is_in_the_machine(two_nodes: Machine) -> None:
    arguments = argv(two_nodes)
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(arguments)
    assert (after(arguments, "-nic"), after(arguments, "-vga")) == (["none"], ["none"])


def test_with_a_monitor_the_guest_is_started_stopped(two_nodes: Machine) -> None:
    assert "-S" not in argv(two_nodes)
    arguments = argv(two_nodes, qmp="socket,fd=5")
    assert "-S" in arguments
    assert "socket,fd=5,id=qmp" in after(arguments, "-chardev")


def test_a_value_stays_one_argument(two_nodes: Machine) -> None:
    odd = "/k/a kernel; rm -rf $HOME,readonly=on"
    arguments = argv(two_nodes, image=Path(odd), append='dyndbg="file x.c +p" a,b')
    assert after(arguments, "-kernel") == [odd]
    assert after(arguments, "-append") == ['dyndbg="file x.c +p" a,b']


def test_commas_in_an_option_are_doubled(two_nodes: Machine) -> None:
    assert after(argv(replace(two_nodes, options=(("kernel-irqchip", "a,b"),))), "-machine") == [
        "q35,kernel-irqchip=a,,b"
    ]


def test_a_relative_path_is_not_taken_for_an_option(two_nodes: Machine) -> None:
    assert after(argv(two_nodes, image=Path("-S")), "-kernel")[0].startswith("/")


@pytest.mark.parametrize("bad", ["a\nb", "a\0b"])
def test_a_line_end_in_a_value_is_refused(two_nodes: Machine, bad: str) -> None:
    with pytest.raises(UserError, match="cannot be an argument"):
        argv(two_nodes, image=Path(f"/k/{bad}"))


def test_an_unknown_name_in_the_template_is_refused(two_nodes: Machine, tmp_path: Path) -> None:
    own = tmp_path / "own.j2"
    own.write_text("{{ qemu }}\n{{ machine.color }}\n")
    with pytest.raises(UserError, match="color"):
        argv(two_nodes, template=own)


def test_the_users_words_come_last_on_the_kernels_command_line(two_nodes: Machine) -> None:
    line = kernel_command_line(replace(two_nodes, append="debug"), " panic=5 ", "kvm")
    assert line == "console=ttyS0,115200 earlyprintk=ttyS0,115200 panic=-1 no_timer_check debug panic=5"
    emulated = kernel_command_line(two_nodes, "lpj=0")
    assert " no_timer_check lpj=10000000 watchdog_thresh=20 " in emulated, "a guest whose host is busy has patience"
    assert emulated.endswith(" lpj=0"), "a guest's own word comes last"


@pytest.mark.parametrize("bad", ["a\nb", "x" * 2048, "\x1b[2J"])
def test_a_kernel_command_line_that_no_kernel_takes_is_refused(two_nodes: Machine, bad: str) -> None:
    with pytest.raises(UserError, match="kernel command line"):
        kernel_command_line(two_nodes, bad)


def test_what_the_template_makes_of_a_machine_is_kept_for_every_kernel(two_nodes: Machine, tmp_path: Path) -> None:
    first = argv(two_nodes, kept=tmp_path)
    assert after(argv(two_nodes, kept=tmp_path, image=Path("/k/other")), "-kernel") == ["/k/other"]
    assert len(list(tmp_path.iterdir())) == 1
    assert argv(two_nodes, kept=tmp_path) == first == argv(two_nodes)
    assert argv(replace(two_nodes, type="pc"), kept=tmp_path) == argv(replace(two_nodes, type="pc"))
    next(tmp_path.iterdir()).write_bytes(b"half a fi")
    assert argv(two_nodes, kept=tmp_path) == first, "a damaged file is as good as none"


def test_a_value_that_looks_like_a_token_stays_what_it_is(two_nodes: Machine) -> None:
    assert after(argv(two_nodes, append="a=@image@"), "-append") == ["a=@image@"]
