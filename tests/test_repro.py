"""What a case expects of each of its points, and when it counts as reproduced."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.case import Case, Expect
from lab.guest_tests import GuestTest
from lab.line import Probe
from lab.repro import conclude, expected, plan
from lab.tree.types import Point
from lab.verdict import Verdict


def case(first_bad=5, patches=9):
    names = tuple(Path(f"{n}.patch") for n in range(1, patches + 1))
    return Case("mine", Path(), "t", "b", names, (Path("fix"),), "k", "m", "", (), Expect(first_bad=first_bad))


def conclusion(**words):
    """The conclusion for points given as ``p0="good"``."""
    probes = tuple(
        Probe(Point(int(name[1:]), "patch", "", "", ""), Verdict(word, ""), 0.0, 0.0) for name, word in words.items()
    )
    result = conclude(SimpleNamespace(case=case()), probes)
    return result.reproduced, result.as_expected


def test_the_end_and_the_base_are_tried_unless_told_otherwise():
    assert plan(case(), 10, (), with_fix=False) == (9, 0)
    assert plan(case(), 10, (), with_fix=True) == (10,)
    assert plan(case(), 10, (3, 4), with_fix=False) == (3, 4)


def test_the_case_says_what_each_point_is():
    words = [expected(case(), index) for index in range(11)]
    assert words == ["good"] * 5 + ["bad"] * 5 + ["good"]


def test_a_case_that_names_no_first_bad_patch_expects_the_bug_at_the_end_alone():
    assert [expected(case(first_bad=0), index) for index in (0, 8, 9, 10)] == ["good", "good", "bad", "good"]


@pytest.mark.parametrize(
    ("words", "reproduced", "as_expected"),
    [
        ({"p9": "bad", "p0": "good"}, True, True),
        ({"p9": "bad", "p0": "bad"}, False, False),
        ({"p9": "bad", "p0": "skip"}, False, False),
        ({"p9": "good", "p0": "good"}, False, False),
        ({"p9": "skip", "p0": "good"}, False, False),
        ({"p10": "good"}, False, True),
        ({"p10": "bad"}, False, False),
        ({"p4": "good"}, False, True),
        ({"p5": "bad"}, True, True),
    ],
)
def test_reproduced_means_the_bug_where_it_is_expected_and_not_at_the_base(words, reproduced, as_expected):
    assert conclusion(**words) == (reproduced, as_expected)


def test_with_the_fix_each_test_program_must_not_fail():
    probes = (Probe(Point(10, "fix", "", "", ""), Verdict("good", ""), 0.0, 0.0),)

    def as_expected(*words):
        tests = tuple(GuestTest("counters", "two-nodes", Verdict(word, "")) for word in words)
        return conclude(SimpleNamespace(case=case()), probes, tests).as_expected

    assert as_expected("good", "good")
    assert not as_expected("good", "skip")
    assert not as_expected("bad", "good")
