"""Several findings in one console, and what is no report of its own: what follows from what, which lines belong to
whom, a boot that begins anew, a hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.scanner import Scanner, scan_file
from lab.console.types import Report


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close()


def test_what_follows_from_a_report_is_told_apart_from_it() -> None:
    report = scan(
        """
BUG: unable to handle kernel NULL pointer dereference at           (null)
IP: [<          (null)>]           (null)
PGD 7b0d2067 PUD 7b0d3067 PMD 0
Oops: 0010 [#1] SMP
CPU: 1 PID: 1523 Comm: sh Not tainted 4.4.0 #1
RIP: 0010:[<0000000000000000>]  [<          (null)>]           (null)
RSP: 0018:ffff88007b0fbe18  EFLAGS: 00010246
Call Trace:
 [<ffffffff8120c6d8>] ? __vfs_write+0x28/0xe0
 [<ffffffff8120ce29>] vfs_write+0xa9/0x190
 [<ffffffff8120dd35>] SyS_write+0x55/0xc0
Code:  Bad RIP value.
---[ end trace 8d9b0d5a3ee95d1c ]---
Kernel panic - not syncing: Fatal exception
"""
    )
    assert [(finding.kind, finding.primary) for finding in report.findings] == [("oops", True), ("panic", False)]


def test_panic_on_warn_speaks_before_the_trace_and_is_told_apart() -> None:
    report = scan(
        """
------------[ cut here ]------------
refcount_t: increment on 0; use-after-free.
WARNING: CPU: 1 PID: 4212 at lib/refcount.c:153 refcount_inc+0x47/0x50
Kernel panic - not syncing: panic_on_warn set ...

CPU: 1 PID: 4212 Comm: syz-executor Not tainted 4.16.0-rc1+ #0
Call Trace:
 dump_stack+0x194/0x257
 panic+0x1e4/0x41c
 __warn+0x1dc/0x200
 report_bug+0x211/0x2d0
RIP: 0010:refcount_inc+0x47/0x50
RSP: 0018:ffff8801c6a6f6c8 EFLAGS: 00010286
 sctp_association_hold+0x12/0x34
 sctp_connect_new_asoc+0x1/0x2
Kernel Offset: 0x1a000000 from 0xffffffff81000000
Rebooting in 86400 seconds..
"""
    )
    assert [(finding.title, finding.primary) for finding in report.findings] == [
        ("WARNING: refcount bug in sctp_association_hold", True),
        ("kernel panic: panic_on_warn set", False),
    ]
    assert report.kernel_offset == 0x1A000000
    assert report.first is report.findings[0]


def test_arm_frames_in_modules_and_without_offsets_are_read() -> None:
    report = scan(
        """
Unable to handle kernel NULL pointer dereference at virtual address 00000100
Internal error: Oops: 207 [#1] SMP ARM
PC is at __wake_up_common+0x40/0x150
LR is at __wake_up_common_lock+0x84/0x108
[<c0269b80>] (__wake_up_common) from [<c0269eb8>] (__wake_up_common_lock+0x84/0x108)
[<bfa0e748>] (l2cap_sock_teardown_cb [bluetooth]) from [<bfa01e9c>] (l2cap_chan_del+0x40/0x21c [bluetooth])
 l2cap_chan_del from l2cap_recv_frame+0x62c/0x2ba8 [bluetooth]
"""
    )
    assert report.findings[0].functions == ("__wake_up_common", "l2cap_sock_teardown_cb", "l2cap_chan_del")


def test_two_reports_of_two_tasks_are_kept_apart_by_printks_caller() -> None:
    report = scan(
        """
[   10.000001][   T10] BUG: sleeping function called from invalid context at mm/slab.h:400
[   10.000002][   T20] BUG: KASAN: use-after-free in foo_read+0x1/0x20
[   10.000003][   T10] Call Trace:
[   10.000004][   T20] Read of size 8 at addr ffff888076d2e470 by task cat/20
[   10.000005][   T20] Call Trace:
[   10.000006][   T10]  dump_stack+0x1/0x2
[   10.000007][   T20]  kasan_report+0x1/0x2
[   10.000008][   T10]  bar_ioctl+0x1/0x2
[   10.000009][   T20]  foo_read+0x1/0x20
"""
    )
    assert [finding.title for finding in report.findings] == [
        "BUG: sleeping function called from invalid context in bar_ioctl",
        "KASAN: use-after-free Read in foo_read",
    ]


def test_a_log_that_starts_again_silently_is_a_finding() -> None:
    boot = "Linux version 6.1.0 (lab@lab)\nMemory: 1k/2k available\nRun /init as init process\n"
    report = scan(boot + boot)
    assert [(finding.title, finding.line) for finding in report.findings] == [("unexpected kernel reboot", 4)]
    assert scan(boot + "reboot: Power down\n" + boot).findings == ()


def test_a_hang_tells_the_initcall_that_did_not_return() -> None:
    report = scan(
        """
calling  init_a+0x0/0x10 @ 1
initcall init_a+0x0/0x10 returned 0 after 1 usecs
calling  init_b+0x0/0x20 @ 1
"""
    )
    assert report.last_initcall == "init_b"
    assert report.last_sign_of_life == "calling  init_b+0x0/0x20 @ 1"


ZOO = Path(__file__).parents[1] / "data" / "consoles" / "zoo-6.1-debian"
SEVERAL = {
    "warn-then-null": [
        ("WARNING in zoo_warn", ()),
        ("BUG: unable to handle kernel NULL pointer dereference in zoo_null", ()),
    ],
    "late-null": [
        ("WARNING in zoo_warn", ()),
        ("BUG: unable to handle kernel NULL pointer dereference in zoo_null", ()),
    ],
    "three": [
        ("WARNING in zoo_warn", ("no backtrace", "mixed")),
        ("WARNING: proc registration bug in zoo_proc_twice", ("mixed",)),
        ("kernel BUG in zoo_irq_bug_fn", ()),
    ],
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_crashes_of_one_real_boot_are_each_told(name: str) -> None:
    """Which of them is to blame stands beside the trigger (tests/data/zoo/zoo.toml, test_zoo.py)."""
    findings = scan_file(ZOO / f"distro-{name}.txt").findings
    assert [(finding.title, finding.damaged) for finding in findings] == SEVERAL[name]


def test_two_processors_that_warn_at_the_same_time_are_told_to_be_mixed() -> None:
    findings = scan_file(ZOO / "distro-two-cpus.txt").findings
    assert {finding.title for finding in findings} == {"WARNING in zoo_warn"}
    assert len(findings) == 12
    assert ["mixed" in finding.damaged for finding in findings[:3]] == [True, True, False]
