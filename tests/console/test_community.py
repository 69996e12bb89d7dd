"""Reports in the community's words, as data: which function is to blame, under every kind of prefix; and lines of
healthy machines, which give nothing. A new report is one entry in tests/data/reports/blame.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.scanner import Scanner
from lab.console.types import Report

DATA = Path(__file__).parents[1] / "data" / "reports"


def entries() -> dict[str, str]:
    blocks = (DATA / "blame.txt").read_text().removeprefix("== ").split("\n== ")
    return {f"{number}: {block.partition(chr(10))[0]}": block.partition("\n")[2] for number, block in enumerate(blocks)}


REPORTS = entries()
HARMLESS = (DATA / "harmless.txt").read_text().splitlines()
STYLES = {
    "bare": "{line}",
    "stamp": "[{time:12.6f}] {line}",
    "task": "[{time:12.6f}][ T5101] {line}",
    "cpu": "[{time:12.6f}][    C0] {line}",
    "level": "<4>[{time:12.6f}] {line}",
    "syslog": "Nov 25 10:00:01 host kernel: [{time:12.6f}] {line}",
    "iso": "2026-11-25T10:00:01,000000+00:00 {line}",
    "quoted": "> > {line}",
    "colour": "\x1b[31m[{time:12.6f}] {line}\x1b[0m\r",
}


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close(disassemble=False)


def styled(text: str, style: str) -> str:
    return "".join(
        STYLES[style].format(time=100 + number / 1000, line=line) + "\n"
        for number, line in enumerate(text.splitlines())
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", REPORTS)
def test_the_function_to_blame_is_the_communitys_under_every_prefix(name: str, style: str) -> None:
    report = scan(styled(REPORTS[name], style))
    assert report.first is not None
    assert report.first.title == name.partition(": ")[2]


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_one_primary_finding(name: str) -> None:
    assert [finding.title for finding in scan(REPORTS[name]).findings if finding.primary] == [name.partition(": ")[2]]


def test_healthy_lines_give_nothing_alone_and_together() -> None:
    for style in ("bare", "stamp", "task", "syslog"):
        assert scan(styled("\n".join(HARMLESS), style)).findings == ()
    assert [line for line in HARMLESS if scan(f"[    1.000000] {line}\n").findings] == []


def test_a_warning_whose_trace_is_missing_is_damaged() -> None:
    console = "------------[ cut here ]------------\nWARNING: CPU: 0 PID: 4 at kernel/workqueue.c:3182 flush+0x1/0x2\n"
    assert scan(console).findings[0].damaged == ("no backtrace",)
    assert scan(console + "Call Trace:\n one+0x1/0x2\n two+0x1/0x2\n").findings[0].damaged == ()


def test_a_frame_that_stands_twice_is_recursion_and_no_damage() -> None:
    console = "kernel BUG at mm/a.c:1!\nCall Trace:\n one+0x1/0x2\n two+0x1/0x2\n two+0x1/0x2\n three+0x1/0x2\n"
    assert "printed twice" not in scan(console).findings[0].damaged


def test_a_console_that_prints_every_line_twice_is_damaged() -> None:
    lines = ["kernel BUG at mm/a.c:1!", "invalid opcode: 0000 [#1] SMP", "RIP: 0010:one+0x1/0x2", "Call Trace:"]
    lines += [f" frame_{number}+0x1/0x2" for number in range(6)]
    assert "printed twice" in scan("".join(f"{line}\n{line}\n" for line in lines)).findings[0].damaged


def test_a_warning_long_before_something_fatal_is_not_what_is_blamed() -> None:
    warning = "[    0.080000] WARNING: at kernel/smpboot.c:28 early_thread+0x1e/0xa0()\n[    0.080000]  late+0x1/0x2\n"
    bug = "[    5.000000] kernel BUG at mm/a.c:1!\n[    5.000000] RIP: 0010:guilty+0x1/0x2\n"
    first = scan(warning + bug).first
    assert first is not None
    assert first.title == "kernel BUG in guilty"
    first = scan(warning + bug.replace("5.000000", "0.090000")).first
    assert first is not None
    assert first.title == "WARNING in early_thread"


def test_older_names_of_a_bug_stand_beside_its_title() -> None:
    bug = scan("kernel BUG at ./mm/mempolicy.c:1785!\nRIP: 0010:guilty+0x1/0x2\n").findings[0]
    assert bug.alternatives == ("kernel BUG at mm/mempolicy.c:LINE!",)
    freed = scan("BUG: KASAN: double-free in kfree+0x1/0x2\nCall Trace:\n kfree+0x1/0x2\n twice+0x1/0x2\n").findings[0]
    assert (freed.title, freed.alternatives) == ("KASAN: invalid-free in twice", ("KASAN: double-free in twice",))


@pytest.mark.parametrize(
    ("complaint", "title"),
    [
        (
            "list_add corruption. next->prev should be prev (ffffffff82a3c0e0), but was 0000000000000000.",
            "BUG: corrupted list in guilty",
        ),
        ("refcount_t: underflow; use-after-free.", "WARNING: refcount bug in guilty"),
        ("something else", "WARNING in guilty"),
    ],
)
def test_a_warning_of_a_kind_of_its_own_is_known_as_a_warning_too(complaint: str, title: str) -> None:
    header = "WARNING: CPU: 0 PID: 1 at kernel/planted.c:7 guilty+0x1e/0xa0"
    cut = "------------[ cut here ]------------"
    found = scan(f"{cut}\n{complaint}\n{header}\nCall Trace:\n guilty+0x1e/0xa0\n").findings[0]
    assert found.title == title
    assert found.alternatives == (() if title == "WARNING in guilty" else ("WARNING in guilty",))
