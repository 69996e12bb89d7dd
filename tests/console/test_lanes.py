"""Two processors' reports that were printed at the same time, with no printk caller: parted where a line tells whose it
is, and told to be mixed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.console.scanner import Scanner
from lab.console.types import Finding, Report

BOTTOM = {"lockup": " ret_from_fork+0x22/0x30", "warning": "---[ end trace 0000000000000000 ]---"}


def header(kind: str, cpu: int, pid: int) -> list[str]:
    if kind == "lockup":
        return [f"watchdog: BUG: soft lockup - CPU#{cpu} stuck for 22s! [sh:{pid}]"]
    return [f"WARNING: CPU: {cpu} PID: {pid} at drivers/misc/own.c:{cpu + 10} own_{cpu}_work+0x10/0x40"]


def trace(kind: str, cpu: int, pid: int) -> list[str]:
    """What comes behind the header: the trace's first line names processor and task."""
    lines = [
        f"CPU: {cpu} PID: {pid} Comm: sh Not tainted 6.1.0 #1",
        "Hardware name: QEMU Standard PC",
        f"RIP: 0010:own_{cpu}_work+0x10/0x40",
        "Code: 90 90 90 <0f> 0b",
        f"RSP: 0018:ffffc9000000{cpu}ee8 EFLAGS: 00000246",
        f"RAX: 000000000000000{cpu} RBX: 0000000000000001 RCX: 0000000000000002",
        "Call Trace:",
        " <TASK>",
        f" own_{cpu}_thread+0x20/0x60",
        " kthread+0xd7/0x100",
        " ret_from_fork+0x22/0x30",
        " </TASK>",
    ]
    return lines + ([BOTTOM[kind]] if kind == "warning" else [])


def scan(lines: list[str], stamped: bool = False) -> Report:
    scanner = Scanner()
    stamps = [f"[{100 + at / 1000:12.6f}] " if stamped else "" for at in range(len(lines))]
    scanner.feed("".join(f"{stamp}{line}\n" for stamp, line in zip(stamps, lines, strict=True)).encode())
    return scanner.close(disassemble=False)


def essence(found: Finding) -> tuple[object, ...]:
    return found.title, found.functions, found.registers, found.code


@given(
    kind=st.sampled_from(["lockup", "warning"]),
    cpus=st.permutations([0, 1, 3]),
    swapped=st.booleans(),
    stamped=st.booleans(),
    pids=st.lists(st.integers(2, 30000), min_size=2, max_size=2, unique=True),
)
@settings(max_examples=25)
def test_whose_traces_stand_whole_behind_both_headers_are_told_as_if_alone(
    kind: str, cpus: list[int], swapped: bool, stamped: bool, pids: list[int]
) -> None:
    (one, other), (pid, pid2) = cpus[:2], pids
    blocks = [trace(kind, one, pid), trace(kind, other, pid2)]
    if swapped and kind == "lockup":
        blocks.reverse()
    report = scan([*header(kind, one, pid), *header(kind, other, pid2), *blocks[0], *blocks[1]], stamped)
    alone = [scan(header(kind, a, b) + trace(kind, a, b)).findings[0] for a, b in ((one, pid), (other, pid2))]
    assert [essence(found) for found in report.findings] == [essence(found) for found in alone]
    assert all("mixed" in found.damaged for found in report.findings)


@given(turns=st.lists(st.booleans(), min_size=18, max_size=18))
@settings(max_examples=50)
def test_lines_that_come_in_turns_go_to_who_is_told_to_have_begun_first(turns: list[bool]) -> None:
    """The second processor is never ahead of the first, as where the first took the console's lock first."""
    own = [trace("lockup", 0, 11), trace("lockup", 1, 22)]
    mixed, at = [], [0, 0]
    for turn in turns:
        lane = 1 if turn and at[1] + 1 < at[0] else 0
        if at[lane] < 7:  # a trace's frames tell nothing of whose they are
            mixed.append(own[lane][at[lane]])
            at[lane] += 1
    rest = [*own[0][at[0] : 7], *own[1][at[1] : 7], *own[0][7:], *own[1][7:]]
    report = scan([*header("lockup", 0, 11), *header("lockup", 1, 22), *mixed, *rest])
    alone = [scan(header("lockup", a, b) + trace("lockup", a, b)).findings[0] for a, b in ((0, 11), (1, 22))]
    assert [essence(found) for found in report.findings] == [essence(found) for found in alone]


def test_what_names_neither_processor_nor_task_is_not_parted() -> None:
    report = scan(
        [
            "BUG: sleeping function called from invalid context at mm/slab.h:494",
            *header("lockup", 1, 22),
            *trace("lockup", 5, 77),
            *trace("lockup", 6, 88),
        ]
    )
    assert report.findings
    assert all(found.damaged for found in report.findings[:1])
