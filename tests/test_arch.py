"""An architecture is data: what is different about one stands in a table, and building and booting look it up there."""

import struct

import pytest

from lab.arch import arch, arches
from lab.errors import InfrastructureError, UserError
from lab.guest.accel import choose
from lab.guest.command import TEMPLATE, kernel_command_line, render
from lab.guest.image import check_image
from lab.guest.initramfs import build, skeleton
from lab.guest.machine import MachineFile, NodeFile, check, load_machine
from lab.kernel.build import build_command
from lab.kernel.environment import make_variables, source_arch
from lab.kernel.types import Compat, Toolchain
from lab.line import Setup, kernel_of, prepare
from lab.paths import Paths, data_folder, user_paths
from lab.progress import silent
from lab.settings import Settings


@pytest.fixture
def paths(tmp_path):
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


@pytest.fixture
def machine():
    return load_machine("arm64-two-nodes", data_folder("qemu"))


def toolchain(name):
    return Toolchain(f"{arch(name).prefix}gcc", (12, 2), (2, 40), (5, 36), (4, 3), "i", name)


def test_the_make_of_another_architecture_crosses_and_builds_its_own_tools_for_the_host(monkeypatch, tmp_path):
    monkeypatch.setattr("lab.arch.platform.machine", lambda: "x86_64")
    said = build_command(tmp_path, tmp_path, toolchain("arm64"), Compat(), 2)
    assert "ARCH=arm64" in said
    assert "CROSS_COMPILE=aarch64-linux-gnu-" in said
    assert [word.rpartition(" ")[2] for word in said if word.startswith("HOSTCC=")] in (["gcc"], ["HOSTCC=gcc"])
    assert said[-1] == "Image"
    assert (source_arch("arm64"), source_arch("x86_64"), source_arch("riscv")) == ("arm64", "x86", "riscv")


def test_on_a_host_of_that_architecture_nothing_crosses(monkeypatch):
    monkeypatch.setattr("lab.arch.platform.machine", lambda: "aarch64")
    assert toolchain("arm64").cc == "gcc"
    assert not any("CROSS" in word for word in make_variables(toolchain("arm64"), Compat()))


def test_x86_is_built_as_ever():
    said = make_variables(toolchain("x86_64"), Compat())
    assert [word.partition("=")[0] for word in said] == ["ARCH", "CC", "HOSTCC", "LOCALVERSION"]


def test_the_guest_gets_the_console_and_the_emulator_of_its_architecture(machine, tmp_path):
    line = kernel_command_line(machine, "")
    patience = "watchdog_thresh=20 rcupdate.rcu_cpu_stall_timeout=42"
    assert line == f"console=ttyAMA0,115200 earlycon=pl011,0x9000000 panic=-1 {patience}"
    argv = render(
        machine,
        image=tmp_path / "Image",
        initrd=None,
        append=line,
        accel="tcg",
        template=data_folder("qemu") / TEMPLATE,
        qemu=arch(machine.arch).qemu,
    )
    assert argv[0] == "qemu-system-aarch64"
    assert argv[argv.index("-cpu") + 1] == "cortex-a57"
    assert argv[argv.index("-machine") + 1] == "virt"
    assert "-bios" not in argv
    (name, _, _) = arch("arm64").console
    assert [entry.device for entry in skeleton(b"", b"", "arm64") if entry.name == f"dev/{name}"] == [(204, 64)]


def test_x86_gets_the_command_line_it_always_got():
    line = kernel_command_line(load_machine("two-nodes", data_folder("qemu")), "quiet")
    words = "console=ttyS0,115200 earlyprintk=ttyS0,115200 panic=-1 no_timer_check"
    patience = "watchdog_thresh=20 rcupdate.rcu_cpu_stall_timeout=42"
    assert line == f"{words} lpj=10000000 {patience} quiet"


def test_an_architecture_that_nobody_knows_is_refused():
    file = MachineFile(title="t", node=[NodeFile(cpus=1, memory="1G")], arch="vax")
    with pytest.raises(UserError, match="m: arch: 'vax' is none of arm64, x86_64"):
        check(file, "m", "m")
    with pytest.raises(UserError, match="no architecture 'vax'"):
        arch("vax")


def test_another_architecture_is_emulated_and_kvm_is_not_pretended(paths, tmp_path):
    assert choose("auto", paths=paths, image=tmp_path, initramfs=tmp_path, arch="arm64").name == "tcg"
    with pytest.raises(UserError, match="guests of arm64 are only emulated"):
        choose("kvm", paths=paths, image=tmp_path, initramfs=tmp_path, arch="arm64")


def test_without_its_busybox_there_is_no_guest_and_the_command_that_gets_it(paths, monkeypatch):
    monkeypatch.setattr("lab.arch.platform.machine", lambda: "x86_64")
    with pytest.raises(InfrastructureError, match=r"no busybox for guests of arm64 \(ci/cross arm64\)"):
        build(paths, arch="arm64")


def test_an_image_is_one_of_its_architecture(tmp_path):
    image = tmp_path / "Image"
    image.write_bytes(struct.pack("<56x4s4x", b"ARMd"))
    assert check_image(image, "arm64") == "Image"
    with pytest.raises(UserError, match="not a kernel image for x86"):
        check_image(image)
    image.write_bytes(b"MZ" + bytes(100))
    with pytest.raises(UserError, match=r"not a kernel image for arm64 \(give the Image of a build\)"):
        check_image(image, "arm64")


def test_the_table_is_whole():
    for name, one in arches().items():
        assert one.make == name
        assert one.targets and one.append and one.qemu.startswith("qemu-system-")


@pytest.mark.build
@pytest.mark.boot
def test_two_nodes_of_arm64_come_up_and_show_the_bug_of_the_example_where_they_should():
    """Only with kernels that are in the store: another architecture is built by ``lab matrix run ci/arm64.toml``."""
    from dataclasses import replace

    from lab.case import load_case
    from lab.kernel.build import kernel_key
    from lab.kernel.store import find
    from lab.kernel.types import Kernel
    from lab.line import boot_target, known_kconfig, target_of
    from lab.matrix.topology import differences
    from lab.verdict import judge_boot

    own = load_case("early-policy", data_folder("patches"))
    case = replace(own, kconfig="tiny-arm64", machine="arm64-two-nodes")
    setup = Setup(paths=user_paths(), settings=Settings(), progress=silent)
    try:
        line = prepare(case, setup)
        build(setup.paths, arch="arm64")
    except InfrastructureError as missing:
        pytest.skip(str(missing))
    words = {}
    for index in (0, line.series_end, line.fix_end):
        point = line.tree.points[index]
        kconfig = known_kconfig(line, point, setup)
        key = kernel_key(point.tree, kconfig, line.toolchain, line.compat) if kconfig else ""
        found = find(key, setup.paths)
        if not isinstance(found, Kernel):
            pytest.skip("no kernels for arm64 in the store: lab matrix run ci/arm64.toml builds them")
        boot = boot_target(target_of(line, found), setup)
        words[index] = judge_boot(boot, case.expect).word
        if boot.report.marker:
            assert differences(line.machine, dict(boot.report.marker.fields)) == ()
    assert words == {0: "good", line.series_end: "bad", line.fix_end: "good"}
    assert kernel_of(line, line.tree.points[0], setup).image.is_file()
