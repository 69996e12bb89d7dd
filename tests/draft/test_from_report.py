"""What a console proves of its machine and config, in the forms of several eras; and a draft that the lab can read."""

from pathlib import Path

import pytest

from lab.case import load_case
from lab.draft.cpu import read_cpus
from lab.draft.hints import read_hints
from lab.draft.memory import GIB, MIB, read_memory
from lab.draft.read import DIRECT_MAP_OLD, append_of, base_of, of_texts, read_report
from lab.draft.write import write_draft
from lab.errors import UserError
from lab.guest.machine import load_machine
from lab.kernel.fragment import render
from lab.paths import data_folder

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
ENOUGH = 1 << 50


def memory(text):
    return read_memory(text, DIRECT_MAP_OLD)


def test_the_report_that_the_lab_began_with_comes_to_its_machine(tmp_path):
    draft = write_draft(tmp_path / "d", read_report(CONSOLES / "reporter-3.7-rc4.txt"), room=ENOUGH)
    mine, known = (
        load_machine(str(tmp_path / "d" / "machine.toml"), tmp_path),
        load_machine("x3400-m3", data_folder("qemu")),
    )
    for field in ("type", "options", "cpu", "nodes", "sockets", "cores", "threads", "append", "visible_nodes"):
        assert getattr(mine, field) == getattr(known, field), field
    case = load_case(str(draft.folder), tmp_path)
    assert (case.base, case.patches, case.expect.signature) == ("v3.7-rc4", (), "bug:policy_zonelist")
    evidence = "".join(fact.evidence for fact in draft.evidence.facts)
    for quote in ("10485760k", "2108912k absent", "GS:ffff88017bc00000", "ffff88027ffbe8c0", "x3400 M3"):
        assert quote in evidence


def test_the_switches_of_a_series_that_is_named_are_on(tmp_path):
    series = load_case("numa-foundation", data_folder("patches"))
    evidence = read_report(CONSOLES / "reporter-3.7-rc4.txt")
    for name, given, brought in (("with", series, True), ("without", None, False)):
        draft = write_draft(tmp_path / name, evidence, room=ENOUGH, series=given)
        case = load_case(str(draft.folder), tmp_path)
        text = (draft.folder / "report.config.j2").read_text()
        assert case.kconfig.endswith("report.config.j2")
        assert ("\nCONFIG_BALANCE_NUMA=y  # where it exists\n" in text) is brought


def test_a_recorded_console_gives_the_machine_it_was_recorded_on():
    text = (CONSOLES / "two-cpus-oops-3.7.txt").read_text(errors="replace")
    found = memory(text)
    assert found.nodes == (256 * MIB, 256 * MIB)
    assert found.hole == 0
    assert read_cpus(text, 2).nodes == ((0, 1), (2, 3))


def test_the_machine_changes_when_the_numbers_do():
    text = (CONSOLES / "reporter-3.7-rc4.txt").read_text()
    other = text.replace("10485760k", "14680064k").replace("2108912k", "1060336k").replace("17bc00000", "1fbc00000")
    found = memory(other)  # 13 GiB below a hole of 1 GiB, ending at 14 GiB; node 0 ends at 8 GiB
    assert found.hole == 3 * GIB
    assert found.nodes[0] == 7 * GIB
    assert sum(found.nodes) == 13 * GIB


@pytest.mark.parametrize(
    ("text", "nodes", "hole"),
    [
        (  # 2.6.32: e820 and SRAT without [mem], ends that are not part of it
            " BIOS-e820: 0000000000000000 - 000000000009f000 (usable)\n"
            " BIOS-e820: 0000000000100000 - 00000000bf780000 (usable)\n"
            " BIOS-e820: 0000000100000000 - 0000000240000000 (usable)\n"
            "SRAT: Node 0 PXM 0 0-a0000\nSRAT: Node 0 PXM 0 100000-c0000000\n"
            "SRAT: Node 0 PXM 0 100000000-140000000\nSRAT: Node 1 PXM 1 140000000-240000000\n",
            (4 * GIB, 4 * GIB),
            3 * GIB,
        ),
        (  # 4.x to 6.x, with a hotplug range that has no memory yet
            "[    0.0] ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x7fffffff]\n"
            "[    0.0] ACPI: SRAT: Node 0 PXM 0 [mem 0x100000000-0x17fffffff]\n"
            "[    0.0] ACPI: SRAT: Node 1 PXM 1 [mem 0x180000000-0x27fffffff]\n"
            "[    0.0] ACPI: SRAT: Node 1 PXM 1 [mem 0x280000000-0x4ffffffff] hotplug\n",
            (4 * GIB, 4 * GIB),
            2 * GIB,
        ),
        (  # early ranges in page frames, as before 3.6
            "early_node_map[3] active PFN ranges\n    0: 0x00000010 -> 0x0000009f\n    0: 0x00000100 -> 0x00040000\n"
            "    1: 0x00040000 -> 0x00080000\n",
            (GIB, GIB),
            0,
        ),
        (  # Initmem lines alone; the first node's span goes over the hole that the e820 map shows
            "[    0.0] BIOS-e820: [mem 0x0000000000000000-0x000000007fffffff] usable\n"
            "[    0.0] BIOS-e820: [mem 0x0000000100000000-0x000000027fffffff] usable\n"
            "[    0.0] Initmem setup node 0 [mem 0x0000000000001000-0x000000017fffffff]\n"
            "[    0.0] Initmem setup node 1 [mem 0x0000000180000000-0x000000027fffffff]\n",
            (4 * GIB, 4 * GIB),
            2 * GIB,
        ),
        (  # the e820 map and where each node's own data lies
            "[    0.0] BIOS-e820: [mem 0x0000000000000000-0x000000007fffffff] usable\n"
            "[    0.0] NODE_DATA(0) allocated [mem 0x3ffd9000-0x3fffffff]\n"
            "[    0.0] NODE_DATA(1) allocated [mem 0x7ffd8000-0x7fffefff]\n",
            (GIB, GIB),
            0,
        ),
        ("nothing", (), 0),
    ],
)
def test_memory_in_the_forms_of_its_time(text, nodes, hole):
    found = memory(text)
    assert (found.nodes, found.hole) == (nodes, hole)


@pytest.mark.parametrize(
    ("text", "model", "count"),
    [
        ("smpboot: CPU0: Intel(R) Xeon(R) CPU E5620 @ 2.40GHz (fam: 06, model: 2c, stepping: 02)\n"
         "smpboot: Allowing 16 CPUs, 8 hotplug CPUs", "Westmere", 8),
        ("smpboot: CPU0: AMD EPYC 7551 32-Core Processor (family: 0x17, model: 0x1, stepping: 0x2)", "EPYC", 4),
        ("CPU0: Intel(R) Xeon(R) CPU           X5570  @ 2.93GHz stepping 05\nBrought up 16 CPUs", "Nehalem", 16),
        ("Hardware name: Dell Inc. PowerEdge R720/0X3D66, BIOS 2.2.2", "SandyBridge", 16),
        ("Hardware name: something else", "", 4),
    ],
)  # fmt: skip
def test_cpus(text, model, count):
    found = read_cpus(text, 2)
    assert (found.model, found.count) == (model, count)


def test_cpus_stand_where_they_were_brought_up():
    old = "smpboot: Booting Node   0, Processors  #1 #2 #3 OK\nsmpboot: Booting Node   1, Processors  #4 #5 #6 #7 OK\n"
    assert read_cpus(old, 2).nodes == ((0, 1, 2, 3), (4, 5, 6, 7))
    new = ".... node  #0, CPUs:        #2\n.... node  #1, CPUs:    #1  #3\n"
    assert read_cpus(new, 2).nodes == ((0, 2), (1, 3))


def test_hints_have_their_evidence():
    text = (CONSOLES / "reporter-3.7-rc4.txt").read_text()
    hints = {hint.symbol: hint for hint in read_hints(text, (3, 7))}
    assert hints["SLUB"].value == "y"
    assert "kmem_cache_init" in hints["SLUB"].evidence
    assert (hints["PREEMPT"].value, hints["SMP"].value, hints["FRAME_POINTER"].value) == ("n", "y", "y")
    assert "55 48 89 e5" in hints["FRAME_POINTER"].evidence
    assert "SLAB" not in hints
    assert not {"KASAN", "LOCKDEP", "PREEMPT_RT"} & set(hints)
    assert read_hints("CONFIG_NODES_SHIFT=6\nCONFIG_SLAB=y\n", (3, 7))[0].value == "6"


def test_the_kconfig_can_be_rendered(tmp_path):
    write_draft(tmp_path / "d", read_report(CONSOLES / "reporter-3.7-rc4.txt"), room=ENOUGH)
    fragment = render(str(tmp_path / "d" / "report.config.j2"), "3.7.2", {}, folder=data_folder("kconfigs"))
    asked = {one.symbol: one.value for one in fragment.asked}
    assert (asked["SLUB"], asked["PREEMPT"], asked["NUMA"]) == ("y", "n", "y")
    assert fragment.base == "allnoconfig"


@pytest.mark.parametrize(
    ("release", "base"),
    [("3.7.0-rc4+", "v3.7-rc4"), ("6.1.0-13-amd64", "debian-6.1"), ("6.6.8", "v6.6.8"), ("5.10.0", "v5.10"),
     ("2.6.32-431.el6.x86_64", "v2.6.32"), ("what", "")],
)  # fmt: skip
def test_the_base_of_a_release(release, base):
    assert base_of(release) == base


def test_a_machine_larger_than_this_host_is_made_smaller(tmp_path):
    draft = write_draft(tmp_path / "d", read_report(CONSOLES / "reporter-3.7-rc4.txt"), room=2 * GIB)
    machine = load_machine(str(tmp_path / "d" / "machine.toml"), tmp_path)
    assert [node.memory for node in machine.nodes] == [GIB, GIB]
    assert any("4G + 4G in the report" in note for note in draft.notes)


def test_a_report_in_a_mail_and_quoted(tmp_path):
    console = (CONSOLES / "reporter-3.7-rc4.txt").read_text()
    quoted = "".join(f"> {line}\n" for line in console.splitlines())
    mail = f"From: T <t@x>\nSubject: Re: [PATCH] x\nMessage-Id: <1@x>\n\nOn Wed, T wrote:\n{quoted}\nThanks.\n"
    path = tmp_path / "m.eml"
    path.write_text(mail)
    found = read_report(path)
    assert found.memory.nodes == (4 * GIB, 4 * GIB)
    assert found.finding.signature == "bug:policy_zonelist"


def test_what_only_the_reporter_has_is_left_out_of_the_command_line():
    assert append_of("BOOT_IMAGE=/x root=UUID=1 ro debug resume=/dev/sda crashkernel=128M") == "ro debug"


def test_hostile_reports(tmp_path):
    with pytest.raises(UserError, match="no kernel console in it"):
        of_texts("x", ["hello"])
    evil = (
        "[ 0.0] Linux version 6.1.0 (x) {{ 7*7 }}{% include '/etc/passwd' %}\n"
        '[ 0.0] Kernel command line: x" -drive file=/etc/passwd \x1b[2J\n'
        "[ 0.0] Hardware name: {% raw %} \x1b]0;x\x07 PowerEdge R720\nSRAT: Node 99999 PXM 0 0-ffffffffffffffff\n"
        "smpboot: Allowing 99999 CPUs, 0 hotplug CPUs\n[#1] SMP {{ x }}\n"
        "SRAT: Node 0 PXM 0 [mem 0x0-0xffffffffffffffff]\n"
    )
    draft = write_draft(tmp_path / "d", of_texts("x", [evil]), room=4 * GIB)
    machine = load_machine(str(tmp_path / "d" / "machine.toml"), tmp_path)
    assert machine.memory <= 4 * GIB
    assert machine.cpus <= 16
    assert machine.append.isprintable()
    render(str(tmp_path / "d" / "report.config.j2"), "6.1.0", {}, folder=data_folder("kconfigs"))
    assert "\x1b" not in (tmp_path / "d" / "machine.toml").read_text()
    assert draft.notes
