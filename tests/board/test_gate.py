"""Which lines of a board's console are this run's."""

from __future__ import annotations

import random
import subprocess

import pytest

from lab.board.gate import Gate, check_sum
from lab.board.run import is_subsequence
from lab.console.scanner import Scanner
from lab.console.types import Report
from tests.board.made import CONSOLES, lossy, replayed

OURS, OLD = "lab.boot=1f3a5c7e", "lab.boot=00c0ffee"


def recorded(name: str, word: str) -> bytes:
    return replayed(CONSOLES / name, word)


def read(data: bytes, *, word: str = OURS, strict: bool = True, piece: int = 1000) -> tuple[Gate, Report]:
    gate = Gate(word.removeprefix("lab.boot="), Scanner(), strict=strict)
    for at in range(0, len(data), piece):
        gate.feed(data[at : at + piece])
    gate.close()
    return gate, gate.scanner.close()


CLEAN, CRASH = recorded("clean-6.1.txt", OURS), recorded("early-policy-6.1.txt", OURS)
OLD_CLEAN, OLD_CRASH = recorded("clean-6.1.txt", OLD), recorded("early-policy-6.1.txt", OLD)
FOREIGN_CRASH = (CONSOLES / "early-policy-6.1.txt").read_bytes()


def test_a_boot_of_this_run_is_read_whole():
    gate, report = read(CLEAN)
    assert report.marker is not None
    assert (gate.strange, gate.earlier, gate.damaged) == (False, 0, 0)
    assert report.stages == read(CLEAN, piece=7)[1].stages
    assert [stage.name for stage in report.stages][:2] == ["early", "memory"]
    assert read(CRASH)[1].first.title == "kernel BUG in policy_zonelist"


@pytest.mark.parametrize("old", [OLD_CLEAN, OLD_CRASH, FOREIGN_CRASH], ids=["clean", "crash", "foreign crash"])
def test_an_earlier_boot_counts_for_nothing(old):
    gate, report = read(old)
    assert report.marker is None
    assert not gate.confirmed
    assert not gate.fatal
    gate, report = read(old + CLEAN)
    assert report.marker is not None
    assert report.findings == ()
    assert gate.earlier == 1
    gate, report = read(old + CRASH)
    assert report.first.title == "kernel BUG in policy_zonelist"
    assert report.marker is None


def test_an_earlier_boots_marker_alone_is_none():
    marker = next(line for line in OLD_CLEAN.splitlines(keepends=True) if b"lab: userspace" in line)
    crash = CRASH.splitlines(keepends=True)
    _, report = read(b"".join([*crash[:60], marker, *crash[60:]]))
    assert report.marker is None
    assert report.first.title == "kernel BUG in policy_zonelist"


def test_what_this_runs_boot_did_stays_when_another_kernel_follows():
    """It crashed, and the board's own kernel came up from its disk."""
    gate, report = read(CRASH + OLD_CLEAN)
    assert report.first.title == "kernel BUG in policy_zonelist"
    assert report.marker is None
    assert gate.strange


def test_a_damaged_word_is_forgiven_where_the_next_line_has_it():
    first = CLEAN.replace(b"Command line: lab.boot=1f3a5c7e", b"Command line: lab.boot=1f3a5ce", 1)
    gate, report = read(first)
    assert report.marker is not None
    assert gate.earlier == 0


def test_a_marker_without_its_sum_or_word_is_none_where_the_labs_init_speaks():
    marker = next(line for line in CLEAN.splitlines(keepends=True) if b"lab: userspace" in line)
    for lost in (b" sum=", b" boot=", b"nodes=1", b" end"):
        gate, report = read(CLEAN.replace(marker, marker.replace(lost, b"")))
        assert report.marker is None, lost
        assert gate.damaged == 1


def test_a_user_space_of_the_boards_own_may_say_less():
    plain = (CONSOLES / "clean-6.1.txt").read_bytes()
    assert read(plain, word="", strict=False)[1].marker is not None
    told = plain.replace(b"ommand line: ", b"ommand line: " + OURS.encode() + b" ")
    assert read(told, strict=False)[1].marker is not None
    _, report = read(plain, strict=False)
    assert report.marker is None, "its kernel was not started with this run's command line"


@pytest.mark.parametrize("rate", [0.0003, 0.001, 0.004, 0.01])
@pytest.mark.parametrize(("name", "good"), [("clean-6.1.txt", True), ("early-policy-6.1.txt", False)])
def test_a_line_that_loses_bytes_never_makes_a_crash_good_nor_a_clean_boot_bad(rate, name, good):
    random_ = random.Random(rate)
    whole = recorded(name, OURS)
    markers = [line for line in whole.splitlines(keepends=True) if b"lab: userspace" in line] * 20
    right = 0
    for _ in range(6):
        gate, report = read(lossy(OLD_CLEAN + OLD_CRASH + whole + b"".join(markers), rate, random_))
        assert good or report.marker is None
        assert not (good and gate.fatal)
        found = report.marker is not None if good else gate.fatal
        right += found and (good or report.first.title == "kernel BUG in policy_zonelist")
    assert right >= {0.0003: 5, 0.001: 5, 0.004: 2, 0.01: 0}[rate]


def test_the_sum_is_what_busybox_says():
    for text in (b"", b"lab: userspace nodes=2"):
        said = subprocess.run(["busybox", "md5sum"], input=text, capture_output=True, check=True).stdout
        assert check_sum(text) == said[:8]


def test_characters_that_were_lost_make_no_other_kernel():
    assert is_subsequence("6.1.12", "6.1.192")
    assert not is_subsequence("6.1.193", "6.1.192")
