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
        "60836.026959] ",
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


def test_a_trace_is_told_by_its_heading_alone() -> None:
    trace = "Call Trace:\n <IRQ>\n ? veth_xmit+0x75/0x340\n guilty_xmit+0x69/0x1d0\n arp_xmit+0x44/0xd0\n"
    assert titles(trace) == ["stack dump in guilty_xmit"]
    assert titles("Call Trace:\n  at Foo.bar(Foo.java:12)\n") == []


def test_the_stacks_of_all_tasks_that_were_asked_for_are_none() -> None:
    task = "task:kthreadd        state:S stack:0     pid:{0}     ppid:0      flags:0x00004000\nCall Trace:\n <TASK>\n"
    task += " __schedule+0x282/0x880\n schedule+0x46/0xb0\n kthreadd+0x2d4/0x300\n ret_from_fork+0x22/0x30\n </TASK>\n"
    assert titles("sysrq: Show State\n" + "".join(task.format(number) for number in range(700))) == []


def test_what_prints_a_panic_of_zfs_is_not_to_blame() -> None:
    head = "VERIFY(x) failed\nSPLError: 1942:0:(zap.c:444:zap_leaf_pageout()) SPL PANIC\n"
    head += "Pid: 1942, comm: arc_reclaim Tainted: P           O 3.3.1 #1\nCall Trace:\n"
    trace = " spl_debug_dumpstack+0x27/0x40 [spl]\n spl_debug_bug+0x84/0xf0 [spl]\n zap_leaf_pageout+0x7e/0x80 [zfs]\n"
    assert titles(head + trace) == ["stack dump in zap_leaf_pageout"]


@pytest.mark.parametrize(
    "words",
    [
        "Kernel panic-not syncing: ",
        "Kernel panic \N{EN DASH} not syncing: ",
        "kernel panic - not syncing: ",
        "**Kernel Panic - not syncing: ",
    ],
)
def test_a_panic_that_was_typed_from_a_screen_is_one(words: str) -> None:
    assert titles(words + "Attempted to kill init!\n") == ["kernel panic: Attempted to kill init!"]


def test_a_sentence_about_panics_is_none() -> None:
    assert titles("systemd[1]: Set up reboot on kernel panic: yes\n") == []


def test_a_waiting_tasks_stack_without_a_head_is_of_who_waits() -> None:
    trace = "Call Trace:\n schedule+0x29/0x70\n schedule_timeout+0x1fc/0x260\n wait_for_completion+0x96/0x100\n"
    assert titles(trace + " sync_inodes_sb+0xa8/0x1c0\n") == ["stack dump in sync_inodes_sb"]


def test_a_hard_lockup_of_a_kernel_that_was_built_elsewhere_is_one_finding() -> None:
    head = (
        "WARNING: CPU: 3 PID: 0 at /build/linux-3.16.7/kernel/watchdog.c:265 watchdog_overflow_callback+0x98/0xc0()\n"
    )
    trace = "Call Trace:\n <NMI>  [<ffffffff8150b4c5>] dump_stack+0x41/0x51\n"
    trace += " <<EOE>>  [<ffffffff8150b4c6>] guilty+0x1/0x2\n"
    assert titles(head + "Watchdog detected hard LOCKUP on cpu 3\n" + trace) == ["BUG: hard lockup in guilty"]


def test_what_stands_before_a_function_is_not_to_blame() -> None:
    head = "watchdog: BUG: soft lockup - CPU#3 stuck for 27s! [swapper/3:0]\nCall Trace:\n"
    frames = " watchdog_timer_fn+0x1e2/0x220\n ? __pfx_watchdog_timer_fn+0x10/0x10\n __hrtimer_run_queues+0x10f/0x2b0\n"
    assert titles(head + frames) == ["BUG: soft lockup in corrupted"]


def test_the_function_that_reads_a_register_of_the_processor_is_not_to_blame() -> None:
    head = (
        "unchecked MSR access error: WRMSR to 0x680 (tried to write 0x0) at rIP: 0xffffffff8100b384 (wrmsrl+0xc/0xf)\n"
    )
    assert titles(head + "Call Trace:\n ? lbr_reset+0x49/0xb0\n ? pmu_starting+0x35/0x1f9\n") == [
        "unchecked MSR access error in lbr_reset"
    ]


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
