"""Consoles that guests of the lab (and the series' first tester) really printed, and what is read from each."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.render import report_json, report_text
from lab.console.scanner import scan_file

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"

# Console: the finding to blame, and how many there are in all.
EXPECTED = {
    "clean-6.1": ("", 0),
    "reporter-3.7-rc4": ("kernel BUG in policy_zonelist", 2),
    "early-policy-6.1": ("kernel BUG in policy_zonelist", 2),
    "two-cpus-oops-3.7": ("BUG: unable to handle kernel NULL pointer dereference in timer_interrupt", 3),
    "zoo-6.1-atomic-schedule": ("BUG: scheduling while atomic in zoo_sleep_locked", 2),
    "zoo-6.1-preemptible": ("BUG: using smp_processor_id() in preemptible code in zoo_preemptible", 1),
    "zoo-6.1-copy-oob": ("KFENCE: out-of-bounds in zoo_copy_oob", 1),
    "zoo-6.1-alloc-failure": ("page allocation failure in zoo_huge_alloc", 1),
    "zoo-6.1-panic-text": ("kernel panic: zoo: number NUM at ADDR", 1),
    "zoo-6.1-irq-bug": ("kernel BUG in zoo_irq_bug_fn", 1),
    "zoo-6.1-opcode": ("invalid opcode in zoo_opcode", 1),
    "zoo-6.1-soft-lockup": ("INFO: rcu detected stall in proc_reg_write", 3),
    "soft-lockup-twice-6.1": ("BUG: soft lockup in debug_vm_pgtable", 2),
    "soft-lockup-lagging-6.1": ("BUG: soft lockup in cpu_stopper_thread", 1),
    "two-stalls-3.7": ("INFO: rcu detected stall in corrupted", 2),
    "kaslr-no-kallsyms-6.1": ("kernel BUG in corrupted", 2),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_console_gives_its_finding(name: str) -> None:
    report = scan_file(CONSOLES / f"{name}.txt")
    title, count = EXPECTED[name]
    assert (report.first.title if report.first else "", len(report.findings)) == (title, count)


def test_every_recorded_console_is_expected_to_give_something() -> None:
    assert {path.stem for path in CONSOLES.glob("*.txt")} == set(EXPECTED)


def test_a_clean_boot_tells_its_stages_with_their_times() -> None:
    report = scan_file(CONSOLES / "clean-6.1.txt")
    assert [stage.name for stage in report.stages] == [
        "early", "memory", "smp", "initcalls", "init", "userspace", "shutdown",
    ]  # fmt: skip
    times = [stage.time for stage in report.stages if stage.time is not None]
    assert times == sorted(times)
    assert report.marker is not None
    assert report.marker.get("nodes") == "1"


def test_the_code_around_the_fault_is_shown_as_instructions() -> None:
    found = scan_file(CONSOLES / "reporter-3.7-rc4.txt").findings[0]
    trap = next(line for line in found.disassembly if "<--" in line)
    assert trap == "+0x0: ud2 <-- trapping instruction"
    assert dict(found.registers)["RAX"] == "0000000000000000"


def test_a_report_as_json_has_what_a_script_asks_for() -> None:
    document = report_json(scan_file(CONSOLES / "reporter-3.7-rc4.txt"))
    first = document["findings"][document["first"]]
    assert first["title"] == "kernel BUG in policy_zonelist"
    assert first["functions"][:2] == ["policy_zonelist", "alloc_pages_current"]
    assert (first["line"], first["last_line"]) == (8, 41)
    assert document["stages"][0]["name"] == "memory"


@pytest.mark.parametrize("name", EXPECTED)
def test_text_for_people_holds_no_escape(name: str) -> None:
    assert all(line.isprintable() for line in report_text(scan_file(CONSOLES / f"{name}.txt")))
