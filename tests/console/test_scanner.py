"""Reading a console: findings, the live answers, and that pieces of any size give the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console import finding
from lab.console.scanner import Scanner, scan_file
from lab.console.search import Hit, Search
from lab.console.types import Finding

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
REPORTER = CONSOLES / "reporter-3.7-rc4.txt"


def test_the_reporters_console_tells_the_bug() -> None:
    report = scan_file(REPORTER)
    assert report.first is not None
    assert report.first.title == "kernel BUG in policy_zonelist"
    assert report.first.signature == "bug:policy_zonelist"
    assert report.first.functions[:3] == ("policy_zonelist", "alloc_pages_current", "__get_free_pages")
    assert (report.first.file, report.first.file_line) == ("mm/mempolicy.c", 1785)
    assert [finding.primary for finding in report.findings] == [True, False]


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_pieces_of_any_size_give_the_same_report(size: int) -> None:
    data = REPORTER.read_bytes()
    scanner = Scanner()
    for at in range(0, len(data), size):
        scanner.feed(data[at : at + size])
    assert scanner.close() == scan_file(REPORTER)


def test_live_a_fatal_finding_is_known_at_its_header_and_complete_at_its_end() -> None:
    scanner = Scanner()
    known = complete = 0
    for number, line in enumerate(REPORTER.read_bytes().splitlines(keepends=True), 1):
        scanner.feed(line)
        known = known or (number if scanner.fatal else 0)
        complete = complete or (number if scanner.complete else 0)
    assert (known, complete) == (8, 41)


def test_a_line_that_ends_in_spaces_does_not_swallow_the_instruction_pointer() -> None:
    """3.7 on a machine without a name: two spaces stand at the end of the line before."""
    text = b"""[    0.838032] kernel BUG at kernel/planted.c:66!
[    0.838032] invalid opcode: 0000 [#1] SMP 
[    0.838032] CPU 3 
[    0.838032] Pid: 1, comm: swapper/0 Not tainted 3.7.2 #1  
[    0.838032] RIP: 0010:[<ffffffff8107c301>]  [<ffffffff8107c301>] planted_victim+0x1/0x10
[    0.838032] RSP: 0000:ffff880000105ee8  EFLAGS: 00000216
[    0.838032] Call Trace:
[    0.838032]  [<ffffffff81230b88>] do_one_initcall+0x7a/0x12f
[    0.838032]  [<ffffffff8116835a>] kernel_init+0x103/0x269
[    0.838032] ---[ end trace c8fa7b191b8d9134 ]---
"""  # noqa: W291 - as it is printed
    scanner = Scanner()
    scanner.feed(text)
    assert scanner.close().findings[0].title == "kernel BUG in planted_victim"


def test_the_marker_is_read_with_its_fields() -> None:
    scanner = Scanner()
    scanner.feed(b"[    0.71] Run /init as init process\nlab: userspace nodes=2 cpus=4 end\n")
    assert scanner.marker is not None
    assert scanner.marker.get("nodes") == "2"
    assert scanner.fatal is None


def test_asking_at_every_piece_builds_no_more_than_a_few_reports_worth_of_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0
    build = finding.build

    def counting(report: finding.Open, time: float | None = None) -> Finding:
        nonlocal asked
        asked += len(report.lines)
        return build(report, time)

    monkeypatch.setattr(finding, "build", counting)
    lines = [b"kernel BUG at mm/slub.c:1!\n", *(b" foo%d+0x1/0x2\n" % number for number in range(500))]
    scanner = Scanner()
    for line in lines:
        scanner.feed(line)
        assert scanner.fatal is not None
    report = scanner.close()
    assert len(report.findings[0].frames) == 500
    assert asked < 5 * len(lines)


def test_a_line_that_comes_a_byte_at_a_time_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0
    hits = Search.hits

    def counting(self: Search, block: bytes | bytearray, size: int) -> list[Hit]:
        nonlocal searched
        searched += size
        return hits(self, block, size)

    monkeypatch.setattr(Search, "hits", counting)
    data = b"x" * 5000 + b"\nkernel BUG at mm/slub.c:1!\n"
    scanner = Scanner()
    for byte in data:
        scanner.feed(bytes([byte]))
    assert scanner.fatal is not None
    assert searched == len(data)


def test_a_report_of_bare_addresses_is_not_complete_before_kaslrs_offset() -> None:
    scanner = Scanner()
    scanner.feed(
        b"BUG: kernel NULL pointer dereference, address: 0000000000000000\nRIP: 0010:0xffffffff9a0c1234\n"
        b"Call Trace:\n 0xffffffff9a0c1234\n 0xffffffff9a0c5678\n---[ end trace 0000000000000000 ]---\n"
    )
    assert scanner.fatal
    assert not scanner.complete
    scanner.feed(b"Kernel panic - not syncing: Fatal exception\nKernel Offset: 0x19000000 from 0xffffffff81000000\n")
    assert scanner.complete


def test_a_report_with_names_is_complete_at_its_end() -> None:
    scanner = Scanner()
    scanner.feed(
        b"BUG: kernel NULL pointer dereference, address: 0000000000000000\nRIP: 0010:foo+0x1/0x20\n"
        b"Call Trace:\n foo+0x1/0x20\n bar+0x1/0x20\n---[ end trace 0000000000000000 ]---\n"
    )
    assert scanner.complete


def test_a_header_as_a_field_of_a_log_is_not_taken_for_one_that_is_only_spoken_of() -> None:
    for line in (
        '{"msg":"BUG: Bad page state in process a  pfn:1","n":1}',
        'msg="Kernel panic - not syncing: x" level=0',
    ):
        scanner = Scanner()
        scanner.feed(line.encode() + b"\n")
        assert scanner.close().first is not None
