"""What a person, and a script, is told of each finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console import code
from lab.console.render import ending_text, finding_text, report_json
from lab.console.scanner import Scanner, scan_file
from lab.console.types import Finding, Report

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close()


def told(finding: Finding) -> str:
    return "\n".join(finding_text(finding))


def test_all_that_is_known_of_a_finding_is_told() -> None:
    assert told(scan_file(CONSOLES / "reporter-3.7-rc4.txt").findings[0]).startswith(
        """\
kernel BUG in policy_zonelist
  at mm/mempolicy.c:1785, lines 8 to 41 of the console, 0.000000 s
  kind: bug, fatal; signature bug:policy_zonelist
  also known as: kernel BUG at mm/mempolicy.c:LINE!
  taint: none
  call trace:
    policy_zonelist+0x1e/0xa0
    alloc_pages_current+0xa6/0x170
    __get_free_pages+0x14/0x50
    kmem_cache_init+0x53/0x2d2
    start_kernel+0x1e0/0x3c7
    ? repair_env_string+0x5e/0x5e
"""
    )


def test_registers_and_the_code_around_the_fault_are_told() -> None:
    lines = told(scan_file(CONSOLES / "reporter-3.7-rc4.txt").findings[0])
    assert "  registers: RSP ffffffff818afe68  EFLAGS 00010093" in lines
    assert "    -0x2: je 0x6d\n    +0x0: ud2 <-- trapping instruction\n    +0x2: mov ebx, edi\n" in lines


def test_a_modules_function_is_told_as_such() -> None:
    lines = told(scan_file(CONSOLES / "zoo-6.1-debian-powerpc" / "powerpc-opcode.txt").findings[0])
    assert "    zoo_opcode+0x8/0x18 [lab_zoo]\n" in lines
    assert "  taint: GOE\n" in lines


def test_taint_is_told_from_not_knowing_it() -> None:
    report = (
        "BUG: kernel NULL pointer dereference, address: 0\nRIP: 0010:foo+0x1/0x20\n{}\nCall Trace:\n foo+0x1/0x20\n"
    )
    for line, taint in (("CPU: 0 PID: 1 Comm: a Not tainted 6.1", ""), ("CPU: 0", None), ("Tainted: G  W 6.1", "GW")):
        assert report_json(scan(report.format(line)))["findings"][0]["taint"] == taint


def test_every_general_register_of_powerpc_is_read() -> None:
    registers = dict(scan_file(CONSOLES / "zoo-6.1-debian-powerpc" / "powerpc-opcode.txt").findings[0].registers)
    assert [registers[f"GPR{n:02d}"] for n in (0, 1, 3, 31)] == [
        "c0080000004b169c", "c00000000410b890", "000000000000000f", "0000000000000000",
    ]  # fmt: skip
    assert (registers["NIP"], registers["LR"]) == ("c0080000004b0388", "c0080000004b169c")


@pytest.mark.parametrize(
    ("text", "machine", "trap"),
    [
        ("60420000 <00000000> 4e800020", "ppc64", "+0x0: .long 0x00000000 <-- trapping instruction"),
        ("90 90 <06> 90 90", "x86_64", "+0x0: .byte 0x06 <-- trapping instruction"),
        ("d503201f (00abcdef)", "arm64", "+0x0: .long 0x00abcdef <-- trapping instruction"),
    ],
)
def test_a_fault_at_what_is_no_instruction_is_shown_as_its_bytes(text: str, machine: str, trap: str) -> None:
    assert trap in code.disassemble(text, machine)


def test_a_missing_disassembler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "is_missing", lambda: True)
    code._engine.cache_clear()
    report = scan_file(CONSOLES / "reporter-3.7-rc4.txt")
    code._engine.cache_clear()
    assert report.notes == ("code bytes are not disassembled: the Python package capstone is missing",)
    assert "  code: e4 17 00 48" in told(report.findings[0])


def test_a_programs_own_fault_is_not_the_reports_code() -> None:
    report = scan_file(CONSOLES / "zoo-6.1-debian" / "distro-atomic-schedule.txt")
    assert [finding.code for finding in report.findings] == ["", ""]


def test_the_end_tells_stages_with_times_the_hanging_initcall_and_the_last_lines() -> None:
    report = scan(
        "[    0.000000] Linux version 6.1.0\n[    0.310000] Memory: 1024K/2048K available\n"
        "[    0.500000] calling  good_init+0x0/0x20 @ 1\n"
        "[    0.500100] initcall good_init+0x0/0x20 returned 0 after 1 usecs\n"
        "[    0.600000] calling  stuck_init+0x0/0x20 @ 1\n[    0.700000] stuck: waiting for the device\n"
    )
    assert list(ending_text(report)) == [
        "stage early: line 1, 0.000000 s",
        "stage memory: line 2, 0.310000 s",
        "last initcall that did not return: stuck_init",
        "last lines: Memory: 1024K/2048K available",
        "            calling  good_init+0x0/0x20 @ 1",
        "            initcall good_init+0x0/0x20 returned 0 after 1 usecs",
        "            calling  stuck_init+0x0/0x20 @ 1",
        "            stuck: waiting for the device",
    ]
    assert report_json(report)["last_lines"][-1] == "stuck: waiting for the device"


def test_the_hanging_initcall_is_told_whatever_was_printed_since() -> None:
    stall = (
        "[   30.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/0:1]\n" + "[   30.000000] x\n" * 3000
    )
    calls = (
        "[    1.000000] calling  other+0x0/0x1 @ 1\n[    1.000000] initcall other+0x0/0x1 returned 0 after 1 usecs\n"
    )
    assert scan(f"{calls}[    1.100000] calling  stuck+0x0/0x20 [zoo] @ 77\n{stall}").last_initcall == "stuck"
    assert scan(calls + stall).last_initcall == ""
