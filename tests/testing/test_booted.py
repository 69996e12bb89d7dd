"""What a test asks of a boot, on consoles that were really recorded, and what is printed where the answer is no."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.scanner import Scanner, scan_file
from lab.console.types import Report
from lab.errors import UserError
from lab.guest.types import Boot, Outcome
from lab.kernel.types import Kernel
from lab.testing.booted import Booted
from lab.testing.explain import Shown, excerpt, explained, tail

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
CRASH = CONSOLES / "early-policy-6.1.txt"
CLEAN = CONSOLES / "clean-6.1.txt"
KERNEL = Kernel("key", Path(), Path("bzImage"), Path("no-vmlinux"), Path("config"), "6.1", 1.0, from_store=True)


def booted(console: Path, outcome: Outcome, *, nodes: int = 1, report: Report | None = None) -> Booted:
    """The boot that the console is of."""
    read = report or scan_file(console)
    detail = read.first.title if read.first else "user space ran"
    boot = Boot(outcome, detail, read, "two-nodes", nodes, "tcg", (), folder=Path("b"), console=console, seconds=1.0)
    return Booted("early-policy-end", boot, KERNEL)


def test_a_healthy_boot_reached_every_stage_up_to_user_space() -> None:
    boot = booted(CLEAN, "userspace")
    assert all(boot.reached(stage) for stage in ("early", "memory", "smp", "initcalls", "init", "userspace"))
    assert not boot.findings
    assert boot.reached("shutdown")
    assert boot.marker["nodes"] == "1"
    assert "lab: userspace" in boot.text
    assert (boot.verdict.word, boot.outcome) == ("good", "userspace")


def test_a_crash_reached_what_came_before_it() -> None:
    boot = booted(CRASH, "died")
    assert boot.reached("early")
    assert not boot.reached("shutdown")
    reached = boot.reached("userspace")
    assert not reached
    assert repr(reached) == "<early-policy-end did not reach userspace: kernel BUG in policy_zonelist>"
    assert boot.findings.titles[0] == "kernel BUG in policy_zonelist"
    assert boot.findings.signatures[0] == "bug:policy_zonelist"
    assert repr(boot.findings).startswith("<findings of early-policy-end: kernel BUG in policy_zonelist")


def test_user_space_that_misses_a_node_was_not_reached() -> None:
    reached = booted(CLEAN, "userspace", nodes=4).reached("userspace")
    assert not reached
    assert reached.why_not == "the guest sees 1 NUMA node(s), the machine has 4"


def test_a_stage_that_there_is_none_of_is_an_error_and_no_answer() -> None:
    with pytest.raises(UserError, match="no stage 'usrspace'; there are firmware, decompress, early"):
        booted(CLEAN, "userspace").reached("usrspace")


def test_warnings_are_findings_that_are_not_serious() -> None:
    scanner = Scanner()
    scanner.feed(b"[    1.0] WARNING: CPU: 0 PID: 1 at kernel/foo.c:3 foo+0x1/0x2\n[    1.1] ---[ end trace 0 ]---\n")
    boot = booted(CLEAN, "userspace", report=scanner.close())
    assert boot.findings.titles == ["WARNING in foo"]
    assert not boot.findings.serious
    assert booted(CRASH, "died").findings.serious.titles == booted(CRASH, "died").findings.titles


def test_findings_are_a_sequence() -> None:
    findings = booted(CRASH, "died").findings
    assert findings == list(findings)
    assert findings != []
    assert booted(CLEAN, "userspace").findings == []
    assert findings[0] in findings
    assert findings[:1] == (findings[0],)


def shown(console: Path, data: bytes | None = None) -> Shown:
    return Shown("early-policy-end", "it died", scan_file(console), data or console.read_bytes(), console)


def test_a_finding_is_told_with_its_place_trace_registers_and_code() -> None:
    text = "\n".join(explained(shown(CRASH)))
    assert "kernel BUG in policy_zonelist" in text
    assert "at mm/mempolicy.c:" in text
    assert "mem_init+0x157/0x19e" in text
    assert "RAX 0000000000000000" in text
    assert "<-- trapping instruction" in text
    assert f"console: {CRASH}" in text


def test_the_excerpt_is_where_the_finding_is() -> None:
    lines = excerpt(shown(CRASH), 12).splitlines()
    assert len(lines) == 14
    assert lines[0].endswith("line(s) before")
    assert any("mm/mempolicy.c:1927!" in line for line in lines)
    assert excerpt(shown(CRASH), 0) == ""


def test_of_a_clean_console_the_last_lines_are_shown() -> None:
    assert "lab: userspace" in excerpt(shown(CLEAN), 5)


def test_where_only_the_end_of_a_console_is_known_that_is_what_is_shown() -> None:
    last = CRASH.read_bytes()[-300:]
    assert excerpt(shown(CRASH, last), 100).splitlines() == last.decode().splitlines()


def test_what_a_guest_prints_does_not_reach_the_terminal_as_it_came(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.write_bytes(b"Kernel panic - not syncing: \x1b[2J\x1b]0;title\x07\xff gone\r\n" * 2)
    one = shown(console)
    for text in (*explained(one), excerpt(one, 10), repr(booted(console, "died").findings)):
        assert not any(ord(character) < 32 and character != "\n" for character in text), text
    assert "\\x1b" in excerpt(one, 10)


def test_a_console_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == b""
    (tmp_path / "long").write_bytes(b"a" * 1000 + b"end")
    assert tail(tmp_path / "long", 5) == b"aaend"[-5:]
