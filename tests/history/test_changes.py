"""What changed since the runs before."""

import pytest
from msgspec.structs import replace

from lab.history.changes import changes
from lab.history.records import Bisected
from tests.history.made import BUG, attempt, cell, result, run

OTHER = type(BUG)(signature="oops:kfree", title="general protection fault in kfree", kind="oops", line=9, fatal=True)


def tried(word, *, kernel="k", finding=BUG, boots=None):
    """A result of the cell with these boots (``gb``: good, then bad)."""
    boots = boots or {"good": "g", "bad": "bbb", "skip": "sss", "flaky": "bg"}.get(word, "")
    verdicts = {"g": "good", "b": "bad", "s": "skip"}
    attempts = [
        attempt(number, verdicts[letter], findings=[finding] if letter == "b" else [])
        for number, letter in enumerate(boots, start=1)
    ]
    return lambda number, of: result(run(number).id, of, word, attempts=attempts, kernel=kernel)


def compare(*nights, of=None, bisects=()):
    """The changes of the last of ``nights``, each of which is what the one cell came to."""
    of = of or cell()
    made = [(run(number), [one(number, of)] if one else []) for number, one in enumerate(nights, start=1)]
    now, results = made[-1]
    return changes(now, results, list(reversed(made[:-1])), bisects)


def kinds(*nights, **more):
    return [change.kind for change in compare(*nights, **more)]


GOOD, BAD = tried("good"), tried("bad", kernel="k2")


def test_nothing_changed():
    assert compare(GOOD, GOOD) == ()
    assert compare(GOOD) == ()


def test_a_new_failure_names_its_bug_and_when_it_was_good():
    (change,) = compare(GOOD, GOOD, BAD)
    assert (change.kind, change.signature, change.title) == ("new", BUG.signature, BUG.title)
    assert change.first_seen == change.since == run(3).id
    assert "it was good in " + run(2).id in change.sentence
    assert change.cell.name not in change.sentence
    assert change.line == f"early-policy end tiny-numa on two-nodes: {change.sentence}"


def test_a_failure_that_stays_is_told_since_when():
    (change,) = compare(GOOD, BAD, BAD, BAD)
    assert (change.kind, change.since) == ("still", run(2).id)


def test_another_bug_in_a_cell_that_failed_already_is_new():
    (change,) = compare(GOOD, BAD, tried("bad", kernel="k3", finding=OTHER))
    assert (change.kind, change.signature) == ("new", OTHER.signature)
    assert "before it was another: kernel BUG" in change.sentence


def test_a_crash_of_what_did_not_build_before_is_new_and_so_is_the_other_way_round():
    unbuilt = tried("skip", kernel="k2")
    assert kinds(GOOD, unbuilt, tried("bad", kernel="k3")) == ["new"]
    assert kinds(GOOD, BAD, unbuilt) == ["new"]
    assert kinds(GOOD, unbuilt, tried("skip", kernel="k3")) == ["still"]


def test_a_warning_of_a_boot_that_is_good_or_says_nothing_names_no_cell():
    warning = replace(BUG, signature="warning:smpboot", kind="warning", fatal=False)

    def warned(word, kernel):
        return lambda number, of: result(
            run(number).id, of, word, attempts=[attempt(1, word, findings=[warning])], kernel=kernel
        )

    (change,) = compare(warned("good", "k"), warned("skip", "k2"))
    assert (change.kind, change.signature) == ("new", "")
    (change,) = compare(tried("flaky"), warned("good", "k"))
    assert (change.kind, change.signature) == ("flaky", BUG.signature)


def test_fixed():
    (change,) = compare(BAD, tried("good", kernel="k3"))
    assert (change.kind, change.signature, change.since) == ("fixed", BUG.signature, run(1).id)


def test_no_longer_building_or_reaching_user_space_is_a_failure_too():
    assert kinds(GOOD, tried("skip", kernel="k2")) == ["new"]


def test_a_bug_that_the_case_expects_is_no_failure_and_its_absence_is_one():
    expected = cell(expected="bad")
    assert kinds(BAD, BAD, of=expected) == []
    assert kinds(BAD, tried("good", kernel="k3"), of=expected) == ["new"]


def test_faults_of_the_world_are_no_regression_and_are_not_compared_with():
    broken = tried("infrastructure")
    assert kinds(GOOD, broken) == ["infrastructure"]
    assert kinds(GOOD, broken, GOOD) == []
    assert kinds(BAD, broken, BAD) == ["still"]
    assert kinds(GOOD, broken, BAD) == ["new"]


def test_what_was_not_tried_has_not_changed_and_is_not_compared_with():
    waiting = tried("waiting")
    assert kinds(GOOD, waiting) == []
    assert kinds(BAD, waiting, tried("good", kernel="k3")) == ["fixed"]


def test_flaky_has_a_rate_and_began_in_a_run():
    (change,) = compare(GOOD, GOOD, tried("flaky", boots="bbg"), GOOD, tried("flaky"))
    assert (change.kind, change.since, change.rate) == ("flaky", run(3).id, 0.375)
    assert "failed 1 of 2 boots tonight, 3 of 8 in all (38%), first in " + run(3).id in change.sentence


def test_a_flake_that_does_not_show_tonight_is_not_fixed():
    assert kinds(GOOD, tried("flaky"), GOOD) == ["flaky"]


def test_a_flake_that_has_not_shown_for_long_enough_is_fixed_once():
    nights = [tried("flaky", boots="bbg"), *[tried("good", boots="gggg")] * 5]
    seen = [kinds(*nights[: count + 1]) for count in range(1, len(nights))]
    assert seen.count(["fixed"]) == 1
    assert seen[0] == ["flaky"]
    assert seen[-1] == []


def test_a_flake_whose_boots_happen_to_be_all_bad_is_no_regression():
    assert kinds(tried("flaky", boots="bbbg"), GOOD, tried("bad", boots="bb", kernel="k")) == ["flaky"]


def test_a_rare_flake_that_now_strikes_always_is_a_regression():
    rare = [tried("good", boots="g" * 10), tried("flaky", boots="bg"), *[tried("good", boots="g" * 8)] * 2]
    assert kinds(*rare, tried("bad", boots="bbbbb", kernel="k2")) == ["new"]


def test_a_flake_does_not_hide_another_bug():
    other = tried("bad", boots="bbbbb", finding=OTHER, kernel="k2")
    assert kinds(tried("flaky"), GOOD, other) == ["new"]


def test_cells_come_and_go():
    one, other = cell(machine="far"), cell(machine="uneven")
    old, now = [result(run(1).id, one)], [result(run(2).id, other)]
    found = changes(run(2), now, [(run(1), old)])
    assert [(change.kind, change.cell) for change in found] == [("appeared", other), ("gone", one)]


def test_a_cell_that_was_never_there_and_fails_is_new():
    assert kinds(None, BAD) == ["new"]
    assert kinds(BAD) == ["still"], "in the first run of all nothing is known to have been better"


def test_the_gravest_comes_first():
    cells = [cell(machine=name) for name in "abc"]
    old = [GOOD(1, cells[0]), BAD(1, cells[1]), BAD(1, cells[2])]
    now = [BAD(2, cells[0]), BAD(2, cells[1]), tried("good", kernel="k3")(2, cells[2])]
    assert [change.kind for change in changes(run(2), now, [(run(1), old)])] == ["new", "still", "fixed"]


@pytest.mark.parametrize("key", [cell().key, "early-policy/end/tiny-numa/far/gcc"])
def test_a_bisect_is_shown_with_every_cell_of_the_same_bug(key):
    summary = f"{BUG.title} ({BUG.signature}): first bad patch: 6 mm: slub: Place new slabs"
    found = Bisected(
        case="early-policy", cell=key, first_bad=6, subject="mm: slub", commit="c", sure=0.99, summary=summary
    )
    assert compare(GOOD, BAD, bisects=[found])[0].bisected == found
    longer = f"another ({BUG.signature}_too): first bad patch: 6 x"
    alike = Bisected(case="early-policy", cell="x", first_bad=6, subject="s", commit="c", sure=0.9, summary=longer)
    if key != cell().key:
        assert compare(GOOD, BAD, bisects=[alike])[0].bisected is None, "a name that begins with this one"
    another = Bisected(case="other", cell="x", first_bad=6, subject="s", commit="c", sure=0.9, summary=summary)
    assert compare(GOOD, BAD, bisects=[another])[0].bisected is None
