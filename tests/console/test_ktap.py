"""KTAP of the guest's test programs, between the lab's marks, on a console that the kernel writes to as well."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.console.ktap import Tap, read, read_programs


def program(*lines: str, status: int = 0, name: str = "counters") -> list[bytes]:
    """What a console holds of a program, with the kernel's time before each line."""
    marks = [f"lab: program {name} begin", *lines, f"lab: program {name} status={status} end"]
    return [f"[    {i}.123456] {line}\r\n".encode() for i, line in enumerate(marks)]


def only(lines: list[bytes]) -> Tap:
    (tap,) = read_programs(lines)
    return tap


def test_results_with_their_names_notes_and_the_reasons_of_skips() -> None:
    tap = only(
        program(
            "KTAP version 1",
            "1..3",
            "# it rose by 64",
            "ok 1 - the counter rises",
            "ok 2 - huge pages # SKIP no huge page to be had",
            "ok 3",
        )
    )
    assert (tap.word, tap.complaint, tap.plan, tap.status) == ("pass", "", 3, 0)
    assert [(test.number, test.name, test.result, test.why) for test in tap.tests] == [
        (1, "the counter rises", "ok", ""),
        (2, "huge pages", "skip", "no huge page to be had"),
        (3, "", "ok", ""),
    ]
    assert tap.tests[0].notes == ("it rose by 64",)
    assert tap.summary == "2 ok, 1 skip"


def test_a_failure_is_told_with_its_number_and_name() -> None:
    tap = only(program("1..2", "ok 1 - one", "not ok 2 - two", status=1))
    assert (tap.word, tap.complaint) == ("fail", "not ok 2 - two")


def test_what_the_kernel_prints_between_is_a_note_and_no_result() -> None:
    tap = only(program("1..1", "Adding 131068k swap on /dev/ram0.", "ok 1 - one"))
    assert tap.word == "pass"
    assert tap.tests[0].notes == ("Adding 131068k swap on /dev/ram0.",)


def test_good_needs_every_result_that_was_promised() -> None:
    assert only(program("1..3", "ok 1", "ok 2")).complaint == "2 results came of 3"
    assert only(program("1..1", "ok 1", "ok 1")).complaint == "2 results came of 1"
    assert only(program("1..2", "ok 2", "ok 1")).word == "fail"
    assert only(program("ok 1 - one")).complaint.startswith("it printed no plan")
    assert only(program("1..0")).complaint == "it tested nothing"
    assert only(program()).word == "fail"


def test_good_needs_a_status_of_nothing_and_an_end() -> None:
    assert only(program("1..1", "ok 1", status=139)).complaint == "it ended with status 139"
    assert only(program("1..1", "ok 1")[:-1]).complaint == "its end was not seen"


def test_a_program_that_gives_up_says_why() -> None:
    tap = only(program("1..4", "ok 1", "Bail out! mmap: Cannot allocate memory", status=2))
    assert tap.complaint == "it gave up: mmap: Cannot allocate memory"


def test_a_program_with_nothing_to_do_here_is_a_skip_and_no_pass() -> None:
    tap = only(program("1..0 # SKIP the machine has one node"))
    assert (tap.word, tap.summary) == ("skip", "skipped: the machine has one node")
    assert only(program("1..1", "ok 1 - x # SKIP not in this kernel")).word == "skip"


def test_directives() -> None:
    tap = only(program("1..4", "not ok 1 # TODO later", "ok 2 # XFAIL so it is", "ok 3 # TIMEOUT", "ok 4 # a remark"))
    assert [test.result for test in tap.tests] == ["todo", "todo", "not ok", "ok"]


def test_results_of_subtests_do_not_count_twice() -> None:
    tap = only(program("1..1", "    KTAP version 1", "    1..2", "    ok 1 - a", "    not ok 2 - b", "not ok 1 - both"))
    assert [(test.number, test.result) for test in tap.tests] == [(1, "not ok")]
    assert "    not ok 2 - b" in tap.tests[0].notes


def test_programs_are_told_apart() -> None:
    lines = [*program("1..1", "ok 1", name="one"), *program("1..1", "not ok 1 - x", name="two")[:-1]]
    lines += program("1..1", "ok 1", name="three")
    assert [(tap.name, tap.word) for tap in read_programs(lines)] == [
        ("one", "pass"),
        ("two", "fail"),
        ("three", "pass"),
    ]


def test_results_without_a_program_are_nobodys() -> None:
    assert read_programs([b"[ 1.0] ok 1 - list_test\n", b"[ 1.1] lab: program x status=0 end\n"]) == ()


@given(st.lists(st.binary(max_size=60), max_size=40))
def test_no_console_breaks_the_reader(lines: list[bytes]) -> None:
    for tap in read_programs([b"lab: program x begin", *lines]):
        assert tap.word in ("pass", "fail", "skip")
        assert tap.summary


def test_notes_do_not_grow_without_bound() -> None:
    assert len(read("x", (f"# {n}" for n in range(10_000)), 0).notes) == 1000
