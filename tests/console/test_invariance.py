"""Every recorded console says the same when it was quoted, logged, stripped of its times, torn into pieces, or has
clean lines around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.console.scanner import Scanner
from lab.console.types import Report

CONSOLES = {
    str(path.relative_to(folder)): path.read_bytes()
    for folder in [Path(__file__).parents[1] / "data" / "consoles"]
    for path in sorted(folder.rglob("*.txt"))
}
STAMP = re.compile(rb"^\[ *\d+\.\d+\] ?")
QUIET = b"usb 1-1: New USB device found, idVendor=1d6b\nPCI: Using configuration type 1 for base access\n\n"


def bare(line: bytes) -> bytes:
    return STAMP.sub(b"", line)


WAYS: dict[str, Callable[[int, bytes], bytes]] = {
    "quoted": lambda n, line: b"> " + line,
    "quoted twice": lambda n, line: b"> > " + line,
    "without times": lambda n, line: bare(line),
    "syslog": lambda n, line: b"Nov  7 10:00:%02d host kernel: " % (n % 60) + line,
    "journal": lambda n, line: b"Nov 07 10:00:%02d host.example kernel: " % (n % 60) + bare(line),
    "iso": lambda n, line: b"2012-11-07T10:00:%02d,000000+01:00 " % (n % 60) + bare(line),
    "kmsg": lambda n, line: b"4,%d,%d,-;" % (n, n * 1000) + bare(line),
    "dmesg -x": lambda n, line: b"kern  :warn  : " + line,
    "carriage returns": lambda n, line: line.rstrip(b"\r\n") + b"\r\n",
    "level": lambda n, line: b"<4>" + line,
    "coloured": lambda n, line: b"\x1b[32m" + line.rstrip(b"\n") + b"\x1b[0m\n",
}


def scan(data: bytes, sizes: list[int] | None = None) -> Report:
    scanner = Scanner()
    at = 0
    for size in sizes or []:
        scanner.feed(data[at : at + size])
        at += size
    scanner.feed(data[at:])
    return scanner.close(disassemble=False)


def essence(report: Report) -> list[tuple[object, ...]]:
    return [(one.title, one.signature, one.functions, one.primary, one.registers) for one in report.findings]


@cache
def plain(name: str) -> Report:
    return scan(CONSOLES[name])


def differing(name: str, ways: Iterable[str]) -> dict[str, list[tuple[object, ...]]]:
    lines = CONSOLES[name].splitlines(keepends=True)
    told = {way: essence(scan(b"".join(map(WAYS[way], range(len(lines)), lines)))) for way in ways}
    return {way: found for way, found in told.items() if found != essence(plain(name))}


@pytest.mark.parametrize(("at", "name"), list(enumerate(CONSOLES)), ids=CONSOLES)
def test_a_recorded_console_says_the_same_under_three_other_prefixes(at: int, name: str) -> None:
    ways = list(WAYS)
    assert differing(name, [ways[(at * 3 + step) % len(ways)] for step in range(3)]) == {}


@pytest.mark.system
@pytest.mark.parametrize("way", WAYS)
def test_every_recorded_console_says_the_same_under_every_other_prefix(way: str) -> None:
    told = {name: differing(name, [way]) for name in CONSOLES}
    assert {name: found for name, found in told.items() if found} == {}


@settings(max_examples=60)
@given(st.sampled_from(sorted(CONSOLES)), st.lists(st.integers(1, 3000), max_size=60))
def test_a_recorded_console_says_the_same_in_pieces_of_any_size(name: str, sizes: list[int]) -> None:
    whole, torn = plain(name), scan(CONSOLES[name], sizes)
    assert (torn.findings, torn.stages, torn.lines) == (whole.findings, whole.stages, whole.lines)


@settings(max_examples=40)
@given(st.sampled_from(sorted(CONSOLES)), st.integers(0, 40), st.integers(0, 40))
@example("zoo-6.1-debug/debug-early-bug.txt", 0, 21)
def test_a_recorded_console_says_the_same_among_clean_lines(name: str, before: int, after: int) -> None:
    data = CONSOLES[name]
    report = scan(QUIET * before + data + (b"" if data.endswith(b"\n") else b"\n") + QUIET * after)
    assert essence(report) == essence(plain(name))
    assert [one.line - 3 * before for one in report.findings] == [one.line for one in plain(name).findings]
