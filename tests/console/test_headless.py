"""Traces without a header that is known: told where nothing else is, and only there."""

from __future__ import annotations

import pytest

from lab.console.scanner import Scanner
from lab.console.types import Report

DUMP = """CPU: 0 PID: 123 Comm: insmod Not tainted 6.1.0 #1
Hardware name: QEMU
Call Trace:
 <TASK>
 dump_stack_lvl+0x45/0x5a
 guilty_probe+0x19/0x120
 do_init_module+0x19/0x120
 do_syscall_64+0x3a/0x90
 entry_SYSCALL_64_after_hwframe+0x63/0xcd
 </TASK>
"""
BUG = """kernel BUG at mm/a.c:1!
invalid opcode: 0000 [#1] SMP
CPU: 0 PID: 123 Comm: insmod Not tainted 6.1.0 #1
RIP: 0010:other+0x1/0x2
Call Trace:
 one+0x1/0x2
---[ end trace 0000000000000000 ]---
"""


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close(disassemble=False)


def titles(text: str) -> list[tuple[str, bool]]:
    return [(one.title, one.primary) for one in scan(text).findings]


def test_a_trace_under_unknown_words_is_told() -> None:
    assert titles("foo: what no table has\n" + DUMP) == [("stack dump in guilty_probe", True)]
    assert scan(DUMP).findings[0].kind == "warning"


def test_a_report_with_a_header_is_what_is_blamed() -> None:
    assert titles(DUMP + BUG) == [("stack dump in guilty_probe", False), ("kernel BUG in other", True)]
    assert scan(DUMP + BUG).findings[1].damaged == ()


def test_a_trace_behind_a_report_is_not_told() -> None:
    assert titles(BUG + DUMP) == [("kernel BUG in other", True)]


def test_a_panic_of_no_cause_of_its_own_leaves_the_trace_to_blame() -> None:
    found = scan(DUMP + "Kernel panic - not syncing: Fatal exception\n")
    assert found.first is not None
    assert found.first.title == "stack dump in guilty_probe"


@pytest.mark.parametrize(
    "before",
    [
        "FAULT_INJECTION: forcing a failure.\nname failslab, interval 1, probability 0, space 0, times 0\n",
        "sysrq: Show backtrace of all active CPUs\n",
        "SysRq : Show Regs\n",
        "Sending NMI from CPU 0 to CPUs 1:\nNMI backtrace for cpu 1\n",
        "The following trace is a kernel self test and not a bug!\n",
    ],
)
def test_a_trace_that_was_asked_for_is_none(before: str) -> None:
    assert titles(before + DUMP) == []
    assert titles(before + DUMP + BUG) == [("kernel BUG in other", True)]
    assert scan(before + DUMP + BUG).findings[0].damaged == ()


def test_a_programs_registers_are_no_trace() -> None:
    user = "CPU: 1 PID: 300 Comm: init Not tainted 6.1.0 #1\nHardware name: linux,dummy-virt (DT)\n"
    user += "pstate: 60000000 (nZCv daif -PAN -UAO -TCO -DIT)\npc : 0000aaaac2f10a5c\nlr : 0000ffff9c2a0e18\n"
    assert titles("init[300]: unhandled signal 11 code 0x1 at 0x0 in init[aaaac2f10000+1000]\n" + user) == []
