"""What holds for every console: no bytes are too bad, and a report is the same report whatever stands around it."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.console import collect, lines
from lab.console.collect import FINDINGS
from lab.console.lines import clean, count
from lab.console.rules import all_rules
from lab.console.scanner import Scanner
from lab.console.types import Finding, Report

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
REPORT = """\
------------[ cut here ]------------
kernel BUG at mm/mempolicy.c:1785!
invalid opcode: 0000 [#1] SMP
Modules linked in:
CPU 0
Pid: 0, comm: swapper Not tainted 3.7.0-rc4+ #9 IBM
RIP: 0010:[<ffffffff81175bce>]  [<ffffffff81175bce>] policy_zonelist+0x1e/0xa0
RSP: 0000:ffffffff818afe68  EFLAGS: 00010093
RAX: 0000000000000000 RBX: ffffffff81cbfe00 RCX: 000000000000049d
Stack:
 ffff88027ffbe8c0 ffffffff81cbfe00 ffffffff818afec8 ffffffff81176966
Call Trace:
 [<ffffffff81176966>] alloc_pages_current+0xa6/0x170
 [<ffffffff81135f54>] __get_free_pages+0x14/0x50
 [<ffffffff81d0e7bb>] ? repair_env_string+0x5e/0x5e
 [<ffffffff81d2b3f3>] kmem_cache_init+0x53/0x2d2
Code: 74 08 66 83 f8 02 74 42 <0f> 0b 89 fb 81 e3
RIP  [<ffffffff81175bce>] policy_zonelist+0x1e/0xa0
 RSP <ffffffff818afe68>
---[ end trace ce62cfec816bb3fe ]---
""".splitlines()
QUIET = (
    "Linux version 3.7.0-rc4+ (user@host) (gcc version 4.7.2) #9 SMP",
    "PID hash table entries: 4096 (order: 3, 32768 bytes)",
    "usb 1-1: New USB device found, idVendor=1d6b, idProduct=0002",
    "",
    "Freeing unused kernel memory: 1176k freed",
    "systemd[1]: Started Journal Service.",
    "   -> no IOMMU found",
)
STAMPS = {
    "none": lambda n: "",
    "seconds": lambda n: f"[{n / 1000:12.6f}] ",
    "seconds and task": lambda n: f"[{n / 1000:12.6f}][    T7] ",
    "one space": lambda n: f"[ {n / 1000:.6f}] ",
    "level": lambda n: f"<{n % 7}>[{n / 1000:12.6f}] ",
    "kmsg": lambda n: f"6,{n},{n * 1000},-;",
    "dmesg -T": lambda n: f"[Wed Nov  7 10:00:{n % 60:02d} 2012] ",
    "dmesg --time-format iso": lambda n: f"2012-11-07T10:00:{n % 60:02d},000000+01:00 ",
    "dmesg -x": lambda n: f"kern  :warn  : [{n / 1000:12.6f}] ",
    "syslog": lambda n: f"Nov  7 10:00:{n % 60:02d} host kernel: [{n / 1000:12.6f}] ",
    "journal": lambda n: f"Nov 07 10:00:{n % 60:02d} host.example kernel: ",
    "iso syslog": lambda n: f"2012-11-07T10:00:{n % 60:02d}.123456+01:00 host kernel: [{n / 1000:12.6f}] ",
    "quoted": lambda n: f"> [{n / 1000:12.6f}] ",
    "quoted twice": lambda n: "> > ",
    "colour": lambda n: f"\x1b[32m[{n / 1000:12.6f}] \x1b[0m",
    "wall clock": lambda n: f"10:00:{n % 60:02d}.123 [{n / 1000:12.6f}] ",
}


def scan(data: bytes, sizes: list[int] | None = None) -> Report:
    scanner = Scanner()
    at = 0
    for size in sizes or []:
        scanner.feed(data[at : at + size])
        at += size
    scanner.feed(data[at:])
    return scanner.close()


def essence(finding: Finding) -> tuple[object, ...]:
    return (
        finding.title,
        finding.signature,
        finding.functions,
        finding.registers,
        finding.code,
        finding.file_line,
        finding.last_line - finding.line,
        finding.text,
    )


EXPECTED = essence(scan("\n".join(REPORT).encode()).findings[0])


def test_the_expected_report_is_a_whole_one() -> None:
    assert EXPECTED[0] == "kernel BUG in policy_zonelist"
    assert EXPECTED[2] == (
        "policy_zonelist",
        "alloc_pages_current",
        "__get_free_pages",
        "? repair_env_string",
        "kmem_cache_init",
    )


@given(st.binary(max_size=4096))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    scan(data)


fragment = st.one_of(
    st.sampled_from([rule.example for rule in all_rules()]),
    st.sampled_from(REPORT),
    st.sampled_from(list(QUIET)),
    st.text(max_size=40),
    st.sampled_from(
        ["\x1b[", "\r", "\x00", "[<", ">]", "+0x1/0x2", "---[ end trace", "at: ", "Call Trace:", "[    1.0] "]
    ),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(fragment, st.sampled_from(["\n", "", " ", "\r\n"])), max_size=40), st.integers(8, 200))
def test_no_mixture_of_fragments_makes_it_fail_or_depends_on_the_pieces_it_comes_in(
    parts: list[tuple[str, str]], size: int
) -> None:
    data = "".join(text + end for text, end in parts).encode("utf-8", "surrogatepass")
    assert scan(data) == scan(data, [size] * (len(data) // size + 1))


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(QUIET), max_size=30),
    st.lists(st.sampled_from(QUIET), max_size=30),
    st.sampled_from(sorted(STAMPS)),
    st.lists(st.integers(1, 400), max_size=20),
)
def test_a_report_is_the_same_among_clean_lines_in_any_pieces_under_any_time_stamp(
    before: list[str], after: list[str], stamp: str, sizes: list[int]
) -> None:
    # A second boot would be a finding of its own.
    lines = [
        *(line for line in before if "Linux version" not in line),
        *REPORT,
        *(line for line in after if "Linux version" not in line),
    ]
    data = "".join(f"{STAMPS[stamp](number)}{line}\n" for number, line in enumerate(lines)).encode()
    report = scan(data, sizes)
    assert [essence(finding) for finding in report.findings] == [EXPECTED]
    assert (
        report.findings[0].line
        == len(lines) - len(REPORT) - len([1 for line in after if "Linux version" not in line]) + 2
    )
    assert report.lines == len(lines)


@pytest.mark.parametrize("stamp", sorted(STAMPS))
def test_clean_lines_give_no_finding_under_any_time_stamp(stamp: str) -> None:
    data = "".join(f"{STAMPS[stamp](number)}{line}\n" for number, line in enumerate(QUIET * 5)).encode()
    assert [finding for finding in scan(data).findings if finding.title != "unexpected kernel reboot"] == []


def test_html_that_ate_the_addresses_changes_no_title() -> None:
    eaten = [line.replace("<ffffffff81175bce>", "").replace("<ffffffff81176966>", "") for line in REPORT]
    found = scan("\n".join(eaten).encode()).findings[0]
    assert (found.title, found.functions) == (EXPECTED[0], EXPECTED[2])


def test_carriage_returns_and_a_prompt_in_front_change_nothing() -> None:
    data = "\r\n".join(["login: [    5.000000] " + REPORT[0], *REPORT[1:]]).encode() + b"\r\n"
    assert scan(data).findings[0].title == EXPECTED[0]


def test_a_line_without_end_is_read_with_bounded_memory() -> None:
    scanner = Scanner()
    tracemalloc.start()
    for _ in range(64):
        scanner.feed(b"x" * (1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    scanner.feed(b"\n" + "\n".join(REPORT).encode())
    assert scanner.close().findings[0].title == EXPECTED[0]


def peak(data: bytes, times: int) -> tuple[int, Report]:
    """Bytes that reading ``data`` so many times took at most, and what was read."""
    scanner = Scanner()
    scanner.feed(data)
    tracemalloc.start()
    try:
        for _ in range(times):
            scanner.feed(data)
        report = scanner.close(disassemble=False)
        return tracemalloc.get_traced_memory()[1], report
    finally:
        tracemalloc.stop()


@settings(max_examples=5, deadline=None)
@given(st.lists(st.one_of(fragment, st.binary(max_size=200)), min_size=1, max_size=30), st.booleans())
def test_no_bytes_however_often_take_more_than_bounded_memory(parts: list[str | bytes], lined: bool) -> None:
    data = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]
    piece = (b"\n" if lined else b"").join(data) + b"\n"
    assert peak(piece, 40_000 // len(piece) + 1)[0] < 8 << 20


def test_long_reports_however_many_take_bounded_memory_and_that_they_are_short_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect, "SIZE", 1 << 18)
    monkeypatch.setattr(collect, "REPORT_SIZE", 1 << 16)
    wide = "\N{GRINNING FACE}" * 900
    lines = ["------------[ cut here ]------------", "WARNING: CPU: 0 PID: 1 at mm/a.c:7 NAME+0x1/0x2", "Call Trace:"]
    lines += [" NAME+0x1/0x2", f"RAX: 0000000000000000 {wide}"] * 100
    lines += ["---[ end trace 0000000000000000 ]---", ""]
    data = "\n".join(lines)
    scanner = Scanner()
    tracemalloc.start()
    for number in range(20):
        scanner.feed(data.replace("NAME", f"func_{number:04d}").encode())
    report = scanner.close()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 << 20 < 20 * 4 * len(data)
    assert [one.title for one in report.findings] == [f"WARNING in func_{number:04d}" for number in range(20)]
    assert report.notes[0].endswith("findings are kept in short")
    assert len(report.findings[0].text) > 100
    assert len(report.findings[-1].text) < 30


def test_a_storm_of_reports_is_kept_bounded_and_told() -> None:
    scanner = Scanner()
    for number in range(FINDINGS + 50):
        scanner.feed(f"BUG: Bad rss-counter state mm:{number:016x} type:1 val:{number}\n".encode())
    report = scanner.close()
    assert len(report.findings) == FINDINGS
    assert report.notes == ("50 more findings were not kept",)


def test_a_report_that_never_ends_is_kept_bounded() -> None:
    scanner = Scanner()
    scanner.feed(b"BUG: KASAN: use-after-free in foo+0x1/0x2\n")
    for _ in range(20):
        scanner.feed(b" bar+0x1/0x2\n" * 1000)
    assert len(scanner.close().findings[0].text) <= 1000


@given(st.text(max_size=200))
def test_cleaning_leaves_no_control_character(text: str) -> None:
    cleaned = clean(text.encode("utf-8", "replace")).text
    assert cleaned.isprintable()


def test_what_turns_the_direction_or_has_no_shape_is_not_passed_on() -> None:
    assert clean("a\u202eb\u2028c\u200bd\ue000e\u00a0f".encode()).text == "a\ufffdb c\ufffdd\ufffde f"


@given(
    st.lists(st.tuples(st.binary(max_size=90), st.integers(0, 900)), max_size=6),
    st.integers(0, 300),
    st.integers(0, 300),
)
@settings(max_examples=60, deadline=None)
def test_line_ends_are_counted_right_in_blocks_of_short_and_of_long_lines(
    parts: list[tuple[bytes, int]], skipped: int, left: int
) -> None:
    block = bytearray(b"".join((part + b"\n") * times for part, times in parts))
    end = max(skipped, len(block) - left)
    assert count(block, skipped, end) == block.count(b"\n", skipped, end)
    assert count(bytes(block), 0, len(block)) == block.count(b"\n")


@settings(max_examples=300)
@given(
    st.sampled_from(["[    0.000000]", "[1.000000][    T1]", "<4>[ 12.345678]", "[12.345678][T123456]", "[  1.5]", ""]),
    st.sampled_from(["", " ", "  "]),
    st.one_of(
        fragment,
        st.sampled_from(
            [
                "host kernel: x",
                "kernel: [    1.000000] x",
                "kern  :warn  : x",
                "user :info : x",
                "Nov  7 10:00:00 h kernel: x",
                "AB> x",
                "> x",
                "R10: 0",
                "RAX: 0000000000000000",
                "[<ffffffff81175bce>] foo+0x1/0x2",
                "[<>] foo+0x1/0x2",
                "[] foo",
                "[    2.000000] x",
                "(3)[1:swapper/0]x",
                "daemon :err : x",
            ]
        ),
    ),
)
def test_the_quick_way_to_clean_a_line_is_the_same_as_the_careful_one(prefix: str, space: str, text: str) -> None:
    line = (prefix + space + text).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_plain", lambda: re.compile("(?!)"))
        careful = clean(line)
    assert clean(line) == careful


def test_most_lines_of_a_report_are_cleaned_the_quick_way_which_is_the_same() -> None:
    raw = [line for path in CONSOLES.rglob("*.txt") for line in path.read_bytes().splitlines()]
    quick = [lines._plain().match(lines.decode(line)) is not None for line in raw]
    assert sum(quick) * 2 > len(quick)
    got = [clean(line) for line in raw]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_plain", lambda: re.compile("(?!)"))
        assert [clean(line) for line in raw] == got
