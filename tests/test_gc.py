"""Making room: what was used longest ago goes, and what an open finding needs stays."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from lab.files import locked
from lab.gc import Item, choose, make_room, survey
from lab.history.consoles import keep_console
from lab.history.needed import Needed, needed
from lab.paths import Paths
from tests.history.made import BUG, attempt, cell, result, run

NOW = 1e9
NOTHING = Needed(frozenset(), frozenset(), ())


def item(name, *, kind="kernel", size=10, age=7200.0):
    return Item(kind, name, Path("/nowhere") / name, size, NOW - age)


def gone(items, budget, held=NOTHING):
    return [one.name for one in choose(items, budget, held, NOW).remove]


def test_the_longest_unused_goes_first_and_no_more_than_has_to():
    items = [item("a", age=9000), item("b", kind="boot", age=20000), item("c", kind="objects", age=5000)]
    assert gone(items, 30) == []
    assert gone(items, 29) == ["b"]
    assert gone(items, 11) == ["b", "a"]
    assert gone(items, 0) == ["b", "a", "c"]


def test_what_was_used_within_the_hour_stays():
    assert gone([item("old"), item("young", age=60)], 0) == ["old"]
    assert choose([item("young", age=60)], 0, NOTHING, NOW).over == 10


def test_what_is_needed_stays_whatever_the_budget():
    held = Needed(frozenset({"k"}), frozenset({"c"}), ("bug:a",))
    items = [item("k"), item("c", kind="console"), item("c"), item("k", kind="console"), item("x", kind="boot")]
    plan = choose(items, 0, held, NOW)
    assert [(one.kind, one.name) for one in plan.needed] == [("kernel", "k"), ("console", "c")]
    assert len(plan.remove) == 3
    assert plan.over == 20


def night(number, word, kernel, of=None, findings=(BUG,)):
    boots = ("bad", "good") if word == "flaky" else (word,)
    tried = [
        attempt(at, boot, findings=findings if boot == "bad" else (), console=f"console of {kernel}")
        for at, boot in enumerate(boots, start=1)
    ]
    return run(number), [result(run(number).id, of or cell(), word, attempts=tried, kernel=kernel)]


def test_an_open_finding_needs_its_first_and_last_sight_and_the_last_good_kernel():
    nights = [
        night(5, "bad", "k5"),
        night(4, "bad", "k4"),
        night(3, "bad", "k3"),
        night(2, "good", "k2"),
        night(1, "good", "k1"),
    ]
    found = needed([nights])
    assert found.kernels == {"k5", "k3", "k2"}
    assert found.consoles == {"console of k5", "console of k3", "console of k2"}
    assert found.signatures == (BUG.signature,)


def test_each_open_finding_of_a_cell_needs_its_own_first_sight():
    other = replace(BUG, signature="oops:kfree")
    nights = [
        night(5, "bad", "k5", findings=(BUG, other)),
        night(4, "bad", "k4", findings=(BUG, other)),
        night(3, "bad", "k3", findings=(BUG, other)),
        night(2, "bad", "k2"),
        night(1, "good", "k1"),
    ]
    assert needed([nights]).kernels == {"k5", "k3", "k2", "k1"}


def test_a_flaky_bug_is_open_also_after_a_night_in_which_it_did_not_show():
    nights = [night(4, "good", "k"), night(3, "good", "k"), night(2, "flaky", "k"), night(1, "good", "k1")]
    found = needed([nights])
    assert found.signatures == (BUG.signature,)
    assert found.consoles == {"console of k"}


def test_a_finding_that_is_gone_needs_nothing():
    assert needed([[night(3, "good", "k3"), night(2, "bad", "k2"), night(1, "good", "k1")]]) == NOTHING


def test_a_run_that_knows_nothing_of_a_cell_closes_no_finding():
    waiting = (run(3), [result(run(3).id, cell(), "waiting")])
    assert "k2" in needed([[waiting, night(2, "bad", "k2")]]).kernels


@pytest.fixture
def paths(tmp_path):
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


def old(path, age):
    for one in (path, *path.rglob("*")):
        os.utime(one, (NOW - age, NOW - age))


def test_everything_goes_from_the_disk_but_what_is_held(paths):
    for place, age in ((paths.kernels / "aa" / "aabb", 9000), (paths.boots / "b1", 9000), (paths.objects / "o1", 9000)):
        (place / "deep").mkdir(parents=True)
        (place / "deep" / "file").write_bytes(b"x" * 5000)
        old(place, age)
    hash_ = keep_console(b"text", paths)
    (console,) = paths.consoles.rglob("*.zlib")
    os.utime(console, (NOW - 9000, NOW - 9000))
    items = survey(paths)
    assert sorted((one.kind, one.name) for one in items) == [
        ("boot", "b1"),
        ("console", hash_),
        ("kernel", "aabb"),
        ("objects", "o1"),
    ]
    assert all(one.size >= 4096 or one.kind == "console" for one in items)
    assert {one.used for one in items} == {NOW - 9000}
    plan = choose(items, 0, NOTHING, NOW)
    with locked(paths.objects / "o1.lock", 1.0):
        assert {one.kind for one in make_room(plan)} == {"boot", "console", "kernel"}
    assert {one.kind for one in make_room(plan)} >= {"objects"}
    assert survey(paths) == []
