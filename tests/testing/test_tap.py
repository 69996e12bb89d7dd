"""KTAP of guest programs as the parts that become subtests."""

from __future__ import annotations

from lab.console.ktap import Tap, inner, read
from lab.testing.tap import parts


def told(*lines: str, status: int | None = 0) -> list[tuple[str, str, str]]:
    return [(part.name, part.word, part.text) for part in parts(read("prog", lines, status))]


NESTED = (
    "KTAP version 1",
    "1..2",
    "  KTAP version 1",
    "  # Subtest: suite",
    "  1..2",
    "    KTAP version 1",
    "    1..2",
    "    ok 1 node 0",
    "    # it stayed where it was",
    "    not ok 2 node 1",
    "  not ok 1 moves",
    "  ok 2 stays # SKIP one node",
    "not ok 1 suite",
    "ok 2 - plain",
)


def test_every_level_is_told_with_the_way_to_it() -> None:
    assert told(*NESTED) == [
        ("prog: suite > moves > node 0", "pass", ""),
        ("prog: suite > moves > node 1", "fail", "not ok 2 - node 1\nit stayed where it was"),
        ("prog: suite > moves", "fail", "not ok 1 - moves"),
        ("prog: suite > stays", "skip", "one node"),
        ("prog: suite", "fail", "not ok 1 - suite"),
        ("prog: plain", "pass", ""),
    ]


def test_directives_are_skips_and_expected_failures() -> None:
    assert told(
        "1..3", "ok 1 - a # SKIP no huge page", "not ok 2 - b # TODO not written", "ok 3 - c # XFAIL so it is"
    ) == [
        ("prog: a", "skip", "no huge page"),
        ("prog: b", "xfail", "not written"),
        ("prog: c", "xfail", "so it is"),
    ]


def test_a_program_that_has_nothing_to_do_is_one_skip() -> None:
    assert told("1..0 # SKIP the machine has one node") == [("prog", "skip", "the machine has one node")]


def test_what_no_result_tells_is_a_failure_of_the_program() -> None:
    assert told("1..2", "ok 1 - a")[-1] == ("prog", "fail", "1 results came of 2")
    assert told("1..1", "ok 1 - a", status=139)[-1] == ("prog", "fail", "it ended with status 139")
    assert told("1..1", "ok 1 - a", status=None)[-1] == ("prog", "fail", "its end was not seen")
    assert told("1..2", "ok 1 - a", "Bail out! no memory")[-1] == ("prog", "fail", "it gave up: no memory")
    assert told("ok 1 - a")[-1][1] == "fail"
    assert told("1..0") == [("prog", "fail", "it tested nothing")]
    assert told() == [("prog", "fail", "it printed no plan, so nobody knows whether all results came")]
    assert [part.word for part in parts(Tap("prog"))] == ["fail"]


def test_a_failure_below_is_told_though_the_level_above_says_ok() -> None:
    assert ("prog: suite > in", "fail", "not ok 1 - in") in told("1..1", "  1..1", "  not ok 1 - in", "ok 1 - suite")


def test_subtests_that_did_not_all_come_are_a_failure() -> None:
    assert told("1..1", "  1..3", "  ok 1 - in", "ok 1 - suite")[1] == (
        "prog: suite",
        "fail",
        "its subtests: 1 results came of 3",
    )


def test_four_spaces_are_a_level_as_well_and_notes_are_none() -> None:
    (suite,) = read("prog", ("1..1", "    1..1", "    ok 1 - in", "ok 1 - suite"), 0).tests
    assert [test.name for test in (inner(suite) or Tap("")).tests] == ["in"]
    (alone,) = read("prog", ("1..1", "# a note", "  an indented note", "ok 1 - alone"), 0).tests
    assert inner(alone) is None
