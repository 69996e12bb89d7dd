"""Reports as users paste them today: journals of any language, code blocks, first lines missing; written by hand."""

from __future__ import annotations

import pytest

from lab.console.lines import clean
from lab.console.scanner import Scanner
from lab.console.types import Report

REST = (
    " <TASK>\n one_probe+0x19/0x120\n do_init_module+0x19/0x120\n entry_SYSCALL_64_after_hwframe+0x63/0xcd\n </TASK>\n"
)
REGISTERS = """RAX: 0000000000000000 RBX: ffff9ed8eacf1440 RCX: 0000000000000000
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: 00007fdb2c644030 CR3: 00000001ce00a003 CR4: 00000000003606e0
Call Trace:
"""
TOLD = '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.\n'


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close(disassemble=False)


def titles(text: str) -> list[str]:
    return [one.title for one in scan(text).findings]


@pytest.mark.parametrize(
    "prefix",
    [
        "июл 27 14:08:04 laptop kernel: ",
        "lis 02 20:23:06 box.localdomain kernel: ",
        "Mär 12 20:23:06 box kernel: ",
        "févr. 12 20:23:06 box kernel: ",
        "12月 03 20:23:06 box kernel: ",
        "[  +0,010730] ",
        "[ 1163.839859] kernel: ",
        "kernel: ",
        "`Jun  4 22:32:45 host kernel: [   18.475324] ",
        "```[   18.475324] ",
    ],
)
def test_a_prefix_of_any_language_and_block_is_taken_off(prefix: str) -> None:
    assert clean(f"{prefix}list_del corruption. x".encode()).text == "list_del corruption. x"


def test_text_of_the_kernels_own_is_no_prefix() -> None:
    for text in ("kernel BUG at mm/a.c:1!", "'foo' is bad", "kernelci 27 14:08:04 is no month", "Code: 48 89"):
        assert clean(text.encode()).text == text


def test_a_report_whose_head_was_cut_off_is_told_by_its_registers() -> None:
    assert titles(REGISTERS + REST) == ["stack dump in one_probe"]
    assert titles("sysrq: Show Regs\n" + REGISTERS + REST) == []
    assert titles("EIP: 0060:[<c0178260>]\nCR0: 8005003b CR2: 00000000 CR3: 36d5c000 CR4: 000006d0\n") == []


def test_a_report_of_which_only_the_trace_is_left_is_told_by_its_first_line() -> None:
    trace = " dump_stack+0x19/0x1b\n bad_page.part.59+0xdf/0xfc\n put_page+0x2c/0x40\n skb_release_data+0x88/0x110\n"
    assert titles(trace) == ["stack dump in skb_release_data"]


def test_registers_behind_a_report_are_neither_another_nor_the_same_again() -> None:
    bug = "kernel BUG at mm/a.c:1!\ninvalid opcode: 0000 [#1] SMP\nRIP: 0010:guilty+0x1/0x2\n" + REGISTERS + REST
    (found,) = scan(bug + "---[ end trace 0000000000000000 ]---\nRIP: 0010:guilty+0x1/0x2\n" + REGISTERS).findings
    assert (found.title, found.damaged) == ("kernel BUG in guilty", ())


def test_a_hung_task_without_its_first_line_is_one() -> None:
    rest = "txg_sync        D    0  3259      2 0x00000000\nCall Trace:\n __schedule+0x282/0x880\n schedule+0x46/0xb0\n"
    rest += " cv_wait_common+0xb2/0x130 [spl]\n arc_read+0x189/0xff0 [zfs]\n"
    assert titles(TOLD + rest) == ["INFO: task hung in arc_read"]
    assert titles("INFO: task a:1 blocked for more than 120 seconds.\n" + TOLD + rest) == [
        "INFO: task hung in arc_read"
    ]


def test_a_broken_list_that_nothing_more_is_told_of_is_a_finding() -> None:
    assert titles("list_del corruption. next->prev should be ffff9df5, but was dead000000000122\n") == [
        "BUG: corrupted list in corrupted"
    ]
    assert titles("------------[ cut here ]------------\n") == []


def test_nothing_returns_to_where_a_function_begins() -> None:
    head = "INFO: task a:1 blocked for more than 120 seconds.\n" + TOLD + "Call Trace:\n"
    rest = " [<ffffffff8de17609>] ? __schedule+0x239/0x6f0\n [<ffffffff8de182c0>] ? not_called+0x50/0x50\n"
    rest += " [<ffffffff8de182c1>] ? nor_this+0x0/0x50\n"
    assert titles(head + rest + " [<ffffffff8de17af2>] ? guilty+0x32/0x80\n") == ["INFO: task hung in guilty"]
    assert titles(head + rest) == ["INFO: task hung in not_called"]
