"""Reports of old kernels in the forms in which users gave them to trackers, forums and lists, written by hand."""

from __future__ import annotations

import pytest

from lab.console.scanner import Scanner
from lab.console.types import Finding, Report


def scan(console: str) -> Report:
    scanner = Scanner()
    scanner.feed(console.encode())
    return scanner.close(disassemble=False)


def only(console: str) -> Finding:
    (found,) = scan(console).findings
    return found


def stack(names: str) -> str:
    return "".join(f" [<c01{number:05x}>] {name}+0x1/0x10\n" for number, name in enumerate(names.split()))


TRACE = """Call Trace:
 [<c0178261>] old_outer+0x11/0x20
 [<c0178262>] old_caller+0x12/0x20
 [<c0102d7f>] sysenter_past_esp+0x54/0x75
"""

BROKEN_HEADERS = {
    "before its kind": ("BUG: unable to handle kernel\npaging request at virtual address 6b6b6b7b\n", "paging request"),
    "before its kind, behind a syslog's prefix": (
        "Jun 24 22:29:52 host kernel: BUG: unable to handle kernel\n"
        "NULL pointer dereference at virtual address 0000007b\n",
        "NULL pointer dereference",
    ),
    "in the middle, filled anew": (
        "> old: controller appears to be disabled Unable to handle\n"
        "> kernel NULL pointer dereference at virtual address 00000370\n",
        "NULL pointer dereference",
    ),
    "before the address": (
        "BUG: unable to handle kernel NULL pointer dereference\n at virtual address 00000002\n",
        "NULL pointer dereference",
    ),
}


@pytest.mark.parametrize("where", BROKEN_HEADERS)
def test_a_header_that_a_mail_program_broke_in_two_is_one(where: str) -> None:
    header, kind = BROKEN_HEADERS[where]
    found = only(header + " printing eip:\nc0178260\nOops: 0000 [#1]\nEIP is at old_inner+0x1d/0x57\n" + TRACE)
    assert found.title == f"BUG: unable to handle kernel {kind} in old_inner"


def test_an_instruction_pointer_broken_between_its_addresses_is_no_trace() -> None:
    found = only(
        "general protection fault: 0000 [1] SMP\n"
        "RIP: 0010:[<ffffffff8029f3a1>] \n[<ffffffff8029f3a1>] old_inner+0x1e/0x45\n"
        "RSP: 0018:ffff810012979d58  EFLAGS: 00010202\n"
        "Call Trace:\n [<ffffffff8029f3f6>] \nold_outer+0x9/0x13\n [<ffffffff8029f76f>] old_caller+0x64/0x69\n"
    )
    assert found.title == "general protection fault in old_inner"
    assert found.functions == ("old_inner", "old_outer", "old_caller")


def test_the_place_of_a_warning_and_its_function_in_two_lines_are_one_header() -> None:
    found = only(
        "WARNING: at arch/x86/kernel/old.c:467\nold_inner+0x11e/0x140() (Not tainted)\nHardware name: foo\n"
        "Call Trace:\n[<ffffffff81067c33>] warn_slowpath_common+0x83/0xc0\n[<ffffffff81028e4e>] old_inner+0x11e/0x140\n"
        "[<ffffffff8102793b>] old_outer+0xdb/0x470\n"
    )
    assert found.title == "WARNING in old_inner"
    assert found.functions[-1] == "old_outer"


def test_the_pointer_behind_the_trace_stands_in_for_a_lost_one() -> None:
    found = only(
        "kernel BUG at include/linux/old.h:105!\ninvalid opcode: 0000 [#1] SMP\nCall Trace:\n"
        "[<ffffffff81126d05>] old_outer+0x995/0x9b0\n[<ffffffff8158659e>] old_caller+0x16e/0x330\n"
        "RIP  [<ffffffff8114e9cf>] old_inner+0x16f/0x180\n RSP <ffff88008d9efe08>\n"
    )
    assert found.title == "kernel BUG in old_inner"


def test_where_only_a_helper_is_told_it_is_in_the_title() -> None:
    found = only(
        "BUG: unable to handle kernel paging request at virtual address 5a5a5aaa\nEIP is at kref_get+0x7/0x55\n"
    )
    assert (found.title, found.damaged[0]) == (
        "BUG: unable to handle kernel paging request in kref_get",
        "no backtrace",
    )


def test_a_hard_lockup_that_is_the_text_of_a_warning_is_one_finding() -> None:
    found = only(
        "------------[ cut here ]------------\n"
        "WARNING: at kernel/watchdog.c:245 watchdog_overflow_callback+0x9c/0xd0()\n"
        "Watchdog detected hard LOCKUP on cpu 0\nPid: 0, comm: swapper/0 Not tainted 3.8.9 #1\nCall Trace:\n"
        " <NMI>  [<ffffffff8105cd86>] warn_slowpath_common+0x66/0x80\n"
        " [<ffffffff810eb83c>] watchdog_overflow_callback+0x9c/0xd0\n"
        " [<ffffffff816466f0>] do_nmi+0xd0/0x310\n [<ffffffff81645c41>] end_repeat_nmi+0x1e/0x2e\n"
        " [<ffffffff81093e44>] ? old_stale+0x94/0x3c0\n <<EOE>>  [<ffffffff810944f0>] old_ticks+0x90/0xa0\n"
        " [<ffffffff8101d4cf>] cpu_idle+0x6f/0x100\n---[ end trace 4860ab585c1fcddb ]---\n"
    )
    assert found.title == "BUG: hard lockup in old_ticks"
    assert found.damaged == ()


SOFT_LOCKUP = "BUG: soft lockup detected on CPU#1!\nEIP is at _raw_spin_lock+0x69/0x85\n"


@pytest.mark.parametrize(
    ("frames", "function"),
    [
        ("_spin_lock_irq run_timer_softirq ksoftirqd kthread", "run_timer_softirq"),
        ("old_down old_ioctl do_ioctl vfs_ioctl sys_ioctl syscall_call", "old_ioctl"),
    ],
)
def test_what_called_for_it_in_old_kernels_is_not_what_a_processor_is_stuck_in(frames: str, function: str) -> None:
    assert only(SOFT_LOCKUP + stack(frames)).title == f"BUG: soft lockup in {function}"


def test_what_slab_says_of_one_object_in_two_headers_is_one_finding() -> None:
    trace = "Call Trace:\n" + stack("check_poison_obj __kmalloc old_load")
    second = "slab error in check_poison_obj(): cache `size-96': object was modified after freeing\n" + trace
    first = (
        "Slab corruption: start=d4d436ac, expend=d4d4370b, problemat=d4d436b0\nLast user: [<{}>]({})\nData: ****6C **\n"
    )
    assert only(second).title == "SLAB: corruption in old_load"
    assert only(first.format("30000000", "0x30000000") + second).title == "SLAB: corruption in old_load"
    assert only(first.format("c01c85db", "old_user+0xbb/0x120") + second).title == "SLAB: corruption in old_user"


SLUB = {
    "BUG old_task: Objects remaining on kmem_cache_close()": "Objects remaining",
    "BUG kmalloc-64: Wrong object count. Counter is 5 but counted were 4": "Wrong object count",
    "BUG kmalloc-64: Invalid object pointer 0xffff880012345678": "Invalid object pointer",
    "BUG kmalloc-64 (Not tainted): Invalid object pointer 0xffff880012345678": "Invalid object pointer",
    "BUG :t-0000064: Attempt to free object(0xffff880012345678) outside of slab": "Attempt to free object",
}


@pytest.mark.parametrize("header", SLUB)
def test_slub_is_read_in_the_words_of_2_6_22_to_3_2(header: str) -> None:
    ruler = "=" * 77 + "\n"
    trace = "Call Trace:\n" + stack("slab_err kmem_cache_destroy old_exit")
    found = only(f"{ruler}{header}\n{'-' * 77}\n\nINFO: Slab 0xffffea001f0eba00 objects=34 used=1\n{trace}")
    assert (found.title, found.kind) == (f"SLUB: {SLUB[header]} in old_exit", "corruption")


def test_who_gave_a_bad_page_back_is_to_blame() -> None:
    frames = stack(
        "dump_stack bad_page free_hot_cold_page free_hot_page __page_cache_release put_page old_zap unmap_page_range"
    )
    header = "Bad page state at free_hot_cold_page (in process 'old', page c15c03e0)\nflags:0x80000414 count:0\n"
    assert only(header + frames).title == "BUG: Bad page state in old_zap"


def test_a_remark_without_a_trace_is_not_broken_into() -> None:
    first, second = scan(
        "Out of Memory: Killed process 1336 (old).\nold: page allocation failure. order:0, mode:0xd2\n" + TRACE
    ).findings
    assert (first.title, first.damaged, second.damaged) == ("out of memory", (), ())


def test_a_trace_of_old_x86_64_is_whole_when_the_next_report_begins() -> None:
    first, second = scan(
        "Kernel BUG at fs/old.c:935\ninvalid operand: 0000 [1] SMP\nPid: 4269, comm: kded Not tainted 2.6.12\n"
        "RIP: 0010:[<ffffffff801b14fb>] <ffffffff801b14fb>{old_install+187}\n"
        "Call Trace:<ffffffff801ceb4d>{old_dup+589} <ffffffff801ced75>{sys_fcntl+309}\n"
        "       <ffffffff8011f442>{system_call+126} \n\n"
        "Code: 0f 0b 9f d9 3e 80 \n <6>note: kded[4269] exited with preempt_count 1\n"
        "scheduling while atomic: kded/0x10000001/4269\n\n"
        "Call Trace:<ffffffff803d82ea>{schedule+122} <ffffffff80199c01>{old_unmap+1841}\n"
    ).findings
    assert (first.title, first.damaged) == ("kernel BUG in old_install", ())
    assert (second.title, second.primary, second.damaged) == ("BUG: scheduling while atomic in old_unmap", False, ())


def test_vli_is_no_taint() -> None:
    oops = "Oops: 0000 [#1]\nEIP:    0060:[<c04f9568>]    Tainted: P      VLI\nEIP is at old_inner+0x48/0x6c\n"
    assert only(oops + TRACE).taint == "P"


def test_the_trace_of_an_oops_in_an_oops_names_not_who_printed_it() -> None:
    frames = stack("dump_trace show_trace_log_lvl show_trace dump_stack down_read old_chain do_exit")
    header = (
        "BUG: sleeping function called from invalid context at kernel/rwsem.c:20\nin_atomic():0, irqs_disabled():1\n"
    )
    assert only(header + frames).title == "BUG: sleeping function called from invalid context in old_chain"


def test_locks_are_lines_of_a_report_that_came_without_a_trace() -> None:
    found = only(
        "[ BUG: lock held when returning to user space! ]\n3.4.0 #104 Tainted: G        W\n" + "-" * 48 + "\n"
        "old/8384 is leaving the kernel with locks still held!\n1 lock held by old/8384:\n"
        " #0:  (sk_lock-AF_INET){+.+.+.}, at: [<ffffffff82b9503f>] old_sendmsg+0x2f/0x550\n\nthe end\n"
    )
    assert (found.title, found.last_line) == ("BUG: lock held when returning to user space in old_sendmsg", 6)


def test_a_lock_whose_line_lost_its_first_letter_is_told() -> None:
    found = only(
        "BUG: bad unlock balance detected! ]\n.4.0+ #288 Not tainted\n" + "-" * 36 + "\n"
        "io/17706 is trying to release lock (&q->lock) at:\n<ffffffff81329372>] old_queue+0x2a2/0x380\n"
        "ut there are no more locks to release!\n"
    )
    assert found.title == "BUG: bad unlock balance in old_queue"


def test_registers_whose_values_a_mail_program_put_into_the_next_line_are_read() -> None:
    found = only(
        "general protection fault: 0000 [1] SMP\n"
        "RIP: 0010:[<ffffffff8029f3a1>]  [<ffffffff8029f3a1>] old_inner+0x1e/0x45\n"
        "RAX: 0000003200000000 RBX: ffff8801537947d0 \nRCX: 000000000000001a\n"
        "RDX: 0000000000000020 RSI: 0000000000000024 RDI: \nffff8801537947d8\n" + TRACE
    )
    assert dict(found.registers).items() >= {"RCX": "000000000000001a", "RDI": "ffff8801537947d8"}.items()


def test_what_slub_finds_after_another_corruption_is_a_finding_of_its_own() -> None:
    first, second = scan(
        "BUG: Bad rss-counter state mm:ffff8801fb90af40 idx:0 val:5\n"
        "BUG kmalloc-4096 (Tainted: GF       W   ): Padding overwritten. 0xffff88019152fc28-0xffff88019152ffff\n"
        "Call Trace:\n" + stack("slab_err old_check kthread")
    ).findings
    assert (first.primary, second.primary) == (True, True)
    assert second.title == "SLUB: Padding overwritten in old_check"


def test_frames_that_were_cut_where_a_line_was_full_are_whole() -> None:
    found = only(
        "INFO: rcu_sched_state detected stall on CPU 0 (t=60000 jiffies)\nNMI backtrace for cpu 0\n"
        "Jan 18 10:28:29 host kernel: [   56.286007]  [<ffffffff8102a04e>] arch_trigger_all_cpu_bac\nktrace+0x5e/0xa0\n"
        "Jan 18 10:28:29 host kernel: [   56.286007]  [<ffffffff810bca09>] ? __rcu_pending\n+0x169/0x3b0\n"
        "Jan 18 10:28:29 host kernel: [   56.286007]  [<ffffffff810bca0a>] old_reclaim+0x1\n7/0x80\n"
        "Jan 18 10:28:29 host kernel: [   56.286007]  [<ffffffff810bca0b>] kthread+0x96/0xa0\n"
    )
    assert found.functions == ("arch_trigger_all_cpu_backtrace", "? __rcu_pending", "old_reclaim", "kthread")
    assert (found.frames[2].offset, found.frames[2].size) == (0x17, 0x80)


def test_a_pentiums_machine_check_is_one() -> None:
    assert only("CPU#0: Machine Check Exception:  0x  10C200 (type 0x       9).\n").title == "Machine Check Exception"
