"""Recorded boots as attempts of a cell: what is bad is what nobody expected, or the very bug that was."""

from pathlib import Path

import pytest

from lab.case import Expect
from lab.console.scanner import scan_file
from lab.guest.types import Boot
from lab.matrix.judge import attempt_of
from tests.matrix.made import MACHINES, job
from tests.matrix.made import result as result_of

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
OWN = "bug:policy_zonelist"


def attempt(expect):
    console = CONSOLES / "early-policy-6.1.txt"
    boot = Boot("died", "", scan_file(console), "m", 2, "tcg", (), Path(), console, 1.0)
    return attempt_of(boot, MACHINES["two-nodes"], 1, 0.0, "", expect=expect)


@pytest.mark.parametrize("expect", [Expect(), Expect(signature=OWN), Expect(title="kernel BUG in policy_zonelist")])
def test_the_bug_that_is_expected_and_any_bug_where_none_is(expect):
    found = attempt(expect)
    assert (found.verdict, found.findings[0].signature) == ("bad", OWN)


def test_another_bug_than_the_expected_one_is_not_what_was_expected():
    found = attempt(Expect(signature="oops:kfree"))
    assert found.verdict == "skip"
    assert "another bug than the one looked for: kernel BUG in policy_zonelist" in found.reason
    cell = result_of(job(expected="bad"), "skip", [found])
    assert cell.finding.signature == OWN, "and it has its name, so that it can be bisected"
