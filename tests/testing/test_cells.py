"""Markers: what they ask for, by which names, and what is wrong with the ones that ask for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import UserError
from lab.testing.cells import Wish, cells, index, label, merged

HERE = Path("/tests")


def wish(*marks: dict[str, Any]) -> Wish:
    return merged([((), mark) for mark in marks], HERE)


def ids(*marks: dict[str, Any]) -> list[str]:
    return [label(cell) for cell in cells(wish(*marks))]


def test_without_more_it_is_the_end_of_the_series() -> None:
    assert ids({"case": "early-policy"}) == ["early-policy-end"]


def test_points_machines_and_kconfigs_are_combined_and_named() -> None:
    asked = {
        "case": "early-policy",
        "points": [0, "fix"],
        "machines": ["far", "x3400-m3"],
        "kconfigs": "tiny-numa-slab",
    }
    assert ids(asked) == [
        "early-policy-0-far-tiny-numa-slab",
        "early-policy-0-x3400-m3-tiny-numa-slab",
        "early-policy-fix-far-tiny-numa-slab",
        "early-policy-fix-x3400-m3-tiny-numa-slab",
    ]


def test_files_are_named_by_their_stems() -> None:
    assert ids({"case": "cases/mine", "machines": "qemu/odd.toml", "kconfigs": "k.config"}) == ["mine-end-odd-k"]


def test_several_cases_and_a_range_of_points() -> None:
    assert ids({"case": ["a", "b"], "points": range(2)}) == ["a-0", "a-1", "b-0", "b-1"]


def test_a_nearer_marker_replaces_keys_of_a_farther_one() -> None:
    near, far = {"points": ["fix"]}, {"case": "early-policy", "points": ["end"], "machines": ["far"]}
    assert ids(near, far) == ["early-policy-fix-far"]


def test_the_case_may_stand_alone() -> None:
    assert [label(cell) for cell in cells(merged([(("early-policy",), {})], HERE))] == ["early-policy-end"]


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ({"case": "a", "machine": "far"}, "no key 'machine'; there are case, points, machines"),
        ({"points": [1]}, "no case; name one"),
        ({"case": ""}, "no case"),
        ({"case": 3}, "case: [3] is not a name"),
        ({"case": "a", "points": [-1]}, "points: -1 is neither an index"),
        ({"case": "a", "points": [True]}, "points: True is neither"),
        ({"case": "a", "points": ["last"]}, "'last' is neither an index from 0 on nor one of base, end, fix"),
        ({"case": "a", "machines": [None]}, "machines: [None] is not a name"),
        ({"case": "a", "timeout": 0}, "timeout: 0 is not a number of seconds"),
        ({"case": "a", "timeout": "fast"}, "timeout: 'fast'"),
        ({"case": "a", "append": 3}, "append: 3 is not text"),
    ],
)
def test_what_is_wrong_is_named(mark: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError) as refused:
        wish(mark)
    assert why in refused.value.message


def test_two_values_without_a_key_are_refused() -> None:
    with pytest.raises(UserError, match="only the case may stand alone"):
        merged([(("a", "b"), {})], HERE)


def test_named_points() -> None:
    named = {name: index(name, series_end=10, fix_end=11, case="c") for name in ("base", "end", "fix")}
    assert named == {"base": 0, "end": 10, "fix": 11}
    assert index(4, series_end=10, fix_end=11, case="c") == 4
    with pytest.raises(UserError, match="c has no fix"):
        index("fix", series_end=10, fix_end=10, case="c")
