"""Reading a console: findings, the live answers, and that pieces of any size give the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.scanner import Scanner, scan_file

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


def test_the_marker_is_read_with_its_fields() -> None:
    scanner = Scanner()
    scanner.feed(b"[    0.71] Run /init as init process\nlab: userspace nodes=2 cpus=4 end\n")
    assert scanner.marker is not None
    assert scanner.marker.get("nodes") == "2"
    assert scanner.fatal is None
