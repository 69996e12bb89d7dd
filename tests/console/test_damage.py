"""Reports that are damaged by themselves: cut off, printed twice, nested, mixed with another processor's."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.scanner import Scanner, scan_file
from lab.console.types import Report

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
OOPS = [
    "BUG: unable to handle kernel NULL pointer dereference at 0000000000000010",
    "IP: [<ffffffff8107c350>] victim+0x10/0x50",
    "Oops: 0000 [#1] SMP ",
    "CPU 3 ",
    "Pid: 1, comm: swapper/0 Not tainted 3.7.2 #1  ",
    "RIP: 0010:[<ffffffff8107c350>]  [<ffffffff8107c350>] victim+0x10/0x50",
    "RAX: 0000000000000000 RBX: ffffffff81cbfe00 RCX: 000000000000049d",
    "Call Trace:",
    " [<ffffffff8107c386>] victim_init+0x36/0x40",
    " [<ffffffff81230b88>] do_one_initcall+0x7a/0x12f",
    " [<ffffffff811683ea>] kernel_init+0x103/0x269",
    " [<ffffffff8117a12c>] ret_from_fork+0x7c/0xb0",
    "Code: 90 90 <0f> 0b 90 90",
    "---[ end trace ce62cfec816bb3fe ]---",
]


def scan(lines: list[str]) -> Report:
    scanner = Scanner()
    scanner.feed("".join(f"{line}\n" for line in lines).encode())
    return scanner.close()


def stamped(lines: list[str], start: float = 1.0, step: float = 0.0001) -> list[str]:
    return [f"[{start + step * at:12.6f}] {line}" for at, line in enumerate(lines)]


def damage(report: Report) -> list[tuple[str, ...]]:
    return [finding.damaged for finding in report.findings]


def test_a_whole_report_is_not_damaged() -> None:
    assert damage(scan(OOPS)) == [()]


@pytest.mark.parametrize("kept", [3, 8, 10])
def test_a_report_that_the_log_ends_in_is_cut_off(kept: int) -> None:
    assert "cut off" in scan(OOPS[:kept]).findings[0].damaged


def test_a_report_whose_trace_came_to_its_bottom_is_not_cut_off() -> None:
    assert damage(scan(OOPS[:12])) == [()]


@pytest.mark.parametrize("lines", [OOPS, stamped(OOPS)])
def test_each_line_printed_twice_is_told_and_changes_nothing_else(lines: list[str]) -> None:
    (found,) = scan([line for line in lines for _ in range(2)]).findings
    assert found.damaged == ("printed twice",)
    assert found.functions == scan(OOPS).findings[0].functions


@pytest.mark.parametrize("lag", [1, 2, 3, 7])
def test_two_consoles_of_which_one_lags_are_told_and_change_nothing_else(lag: int) -> None:
    lines = stamped(OOPS)
    late = [None] * lag + lines
    mixed = [line for pair in zip([*lines, *([None] * lag)], late, strict=True) for line in pair if line]
    (found,) = scan(mixed).findings
    assert found.damaged == ("printed twice",)
    assert [frame.function for frame in found.frames] == [frame.function for frame in scan(OOPS).findings[0].frames]


@pytest.mark.parametrize("lines", [OOPS, stamped(OOPS)])
def test_a_whole_report_printed_again_is_one_finding_and_told(lines: list[str]) -> None:
    (found,) = scan([*lines, "console [ttyS0] enabled", *lines]).findings
    assert found.damaged == ("printed twice",)


def test_the_same_oops_a_second_time_is_not_the_same_report_again() -> None:
    again = [line.replace("[#1]", "[#2]") for line in OOPS]
    assert damage(scan([*OOPS, *again])) == [(), ()]


def test_a_function_that_calls_itself_is_not_printed_twice() -> None:
    deep = [*OOPS[:9], *([OOPS[8].replace("_init", "_deep")] * 30), *OOPS[9:]]
    assert damage(scan(deep)) == [()]
    assert damage(scan_file(CONSOLES / "zoo-6.1-debian" / "distro-stack-overflow.txt"))[0] == ()


def test_a_processor_that_breaks_into_anothers_report_is_told_at_both() -> None:
    report = scan_file(CONSOLES / "soft-lockup-twice-6.1.txt")
    assert ["mixed" in finding.damaged for finding in report.findings] == [True, True]
    assert ["printed twice" in finding.damaged for finding in report.findings] == [True, True]


def test_a_stall_that_breaks_into_anothers_trace_is_told_at_both() -> None:
    report = scan_file(CONSOLES / "two-stalls-3.7.txt")
    assert damage(report) == [("mixed",), ("mixed",)]


def test_a_console_that_lags_behind_another_is_read_once() -> None:
    (found,) = scan_file(CONSOLES / "soft-lockup-lagging-6.1.txt").findings
    assert found.damaged == ("printed twice",)
    names = [frame.function for frame in found.frames]
    assert names.count("smpboot_thread_fn") == 2  # once sure and once not


def test_a_report_in_a_report_of_the_same_processor_is_nested() -> None:
    inner = [line.replace("victim", "other").replace("[#1]", "[#2]") for line in OOPS]
    report = scan([*OOPS[:5], *inner])
    assert ["nested" in finding.damaged for finding in report.findings] == [True, True]


def test_lines_of_another_processor_torn_into_one_are_mixed() -> None:
    lines = stamped(OOPS)
    lines[8] = lines[8][:30] + "[    1.000900] usb 1-1: new device"
    assert scan(lines).findings[0].damaged == ("mixed",)


def test_the_same_warning_of_two_tasks_while_the_clock_stands_still_is_two_findings() -> None:
    lines = [
        "------------[ cut here ]------------",
        "zoo: 7",
        "WARNING: CPU: 1 PID: 102 at lab_zoo.c:646 zoo_warn+0x16/0x20",
        "CPU: 1 PID: 102 Comm: run Tainted: G        W  OE      6.1.0",
        "RIP: 0010:zoo_warn+0x16/0x20",
        "Call Trace:",
        " zoo_write+0x1/0x20",
        " vfs_write+0x1/0x20",
        " entry_SYSCALL_64_after_hwframe+0x6e/0xd8",
        "---[ end trace 0000000000000000 ]---",
    ]
    other = [line.replace("102", "105") for line in lines]
    assert damage(scan(stamped([*lines, *other], step=0))) == [(), ()]
    assert damage(scan(stamped([*lines, *lines], step=0))) == [("printed twice",)]


def test_two_headers_torn_into_one_line_end_no_earlier_than_they_begin() -> None:
    header = "[    1.000000] BUG: KASAN: slab-out-of-bounds in foo"
    report = scan([f"{header}[    1.000001] Uhhuh. NMI received for unknown reason 31 on CPU 0.", "x"])
    assert all(one.line <= one.last_line for one in report.findings)
    assert report.findings


QUIET = [
    "BUG: soft lockup - CPU#2 stuck for 61s! [handler:4617]",
    "Stack:",
    "Call Trace:",
    "Code: 48 c7 c2 ae 06 03 81 48 c7 c1 b1 06 03 81 74 06 <f3> 90 8a 07 eb f6 c9 c3",
    "BUG: soft lockup - CPU#3 stuck for 61s! [tuner:4495]",
    "Stack:",
    "Call Trace:",
    "Code: c2 ae 06 03 81 48 c7 c1 b1 06 03 81 e9 fe fe ff f3 90 <8a> 07 eb f6 c9 c3",
]


@pytest.mark.parametrize("lines", [QUIET, stamped(QUIET)])
def test_reports_whose_traces_a_quiet_console_leaves_out_are_not_said_to_be_mixed(lines: list[str]) -> None:
    assert damage(scan(lines)) == [("no backtrace",)] * 2


def test_each_task_that_hangs_is_told_though_none_has_a_trace() -> None:
    told = [
        f"INFO: task {task} blocked for more than 120 seconds." for task in ("marker:53", "dhclient:76", "mixer:2120")
    ]
    hint = '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.'
    report = scan(stamped([line for task in told for line in (task, hint)]))
    assert [one.title for one in report.findings] == ["INFO: task hung in corrupted"] * 3
    assert damage(report) == [("no backtrace",)] * 3


ENTERED = [
    "Entering kdb (current=0xffff888003a58000, pid 57) on processor 0 Oops: (null)",
    "due to oops @ 0xffffffff8147e2a0",
    "CPU: 0 PID: 57 Comm: sh Not tainted 6.1.0 #1",
    "RIP: 0010:foo_null+0x10/0x20",
    "Call Trace:",
    " <TASK>",
    " foo_write+0x5e/0x90",
    "more> ",
    "[0]kdb> ",
]


def test_the_debugger_that_an_error_entered_waits_for_somebody() -> None:
    (found,) = scan(ENTERED).findings
    assert (found.title, found.fatal) == ("kernel debugger entered in foo_null", True)


def test_the_debugger_tells_the_rest_of_the_report_that_it_was_entered_for() -> None:
    (found,) = scan(["kernel BUG at kernel/foo.c:12!", *ENTERED]).findings
    assert (found.title, found.functions) == ("kernel BUG in foo_null", ("foo_null", "foo_write"))


def test_the_debugger_that_somebody_asked_for_is_no_finding() -> None:
    asked = ENTERED[0].replace("Oops: (null)", "due to Keyboard Entry")
    assert scan([asked, ENTERED[-1]]).findings == ()


def test_the_warning_right_behind_what_a_line_alone_says_follows_from_it() -> None:
    warned = ["WARNING: CPU: 0 PID: 1 at kernel/locking/lockdep.c:4840 lockdep_init_map_type+0x1f2/0x270", *OOPS[8:]]
    said = ["BUG: key ffff888003a58000 has not been registered!", "------------[ cut here ]------------"]
    assert [one.primary for one in scan([*said, "DEBUG_LOCKS_WARN_ON(1)", *warned]).findings] == [True, False]
    assert [one.primary for one in scan([*said[:1], *["clean"] * 5, *warned]).findings] == [True, True]


def test_stalls_of_long_after_are_each_a_finding_of_its_own() -> None:
    stalls = ["rcu_sched_state detected stall on CPU 0 (t=105060 jiffies)"] * 2
    stalls.append("rcu_sched_state detected stalls on CPUs/tasks: { 2} (detected by 7, t=15002 jiffies)")
    report = scan([f"[{at:12.6f}] INFO: {text}" for at, text in zip((3556.5, 5914.4, 12757.5), stalls, strict=True)])
    assert [(one.primary, one.damaged) for one in report.findings] == [(True, ("no backtrace",))] * 3
    lockups = [f"BUG: soft lockup - CPU#{at} stuck for 22s! [migration/{at}:104]" for at in (19, 34, 20)]
    assert [one.primary for one in scan(lockups).findings] == [True] * 3
