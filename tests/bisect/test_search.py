"""The plain search asks about few points and never names a patch that the verdicts do not prove."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lab.bisect.search import Found, Lies, Try, next_step


def run(last, word_at):
    """Search with a full knowledge of the line; the outcome and the points that were asked about."""
    verdicts = {}
    while isinstance(step := next_step(last, verdicts), Try):
        assert step.point not in verdicts, "a point was asked about twice"
        verdicts[step.point] = word_at(step.point)
    return step, verdicts


def test_the_ends_come_first():
    assert next_step(9, {}) == Try(9)
    assert next_step(9, {9: "bad"}) == Try(0)
    assert next_step(9, {9: "bad", 0: "good"}) == Try(4)


def test_an_end_that_lies_is_told_and_nobody_is_blamed():
    assert next_step(9, {9: "good"}) == Lies("the series' end (point 9) is good, not bad")
    assert next_step(9, {9: "bad", 0: "bad"}) == Lies("the base (point 0) is bad, not good")
    assert next_step(9, {9: "skip"}) == Lies("the series' end (point 9) is skip, not bad")


def test_a_bug_that_goes_away_again_is_not_searched_for():
    step = next_step(9, {9: "bad", 0: "good", 4: "bad", 6: "good"})
    assert isinstance(step, Lies)
    assert "point 4 is bad and point 6 after it is good" in step.reason


def test_an_empty_series_has_nobody_to_blame():
    assert isinstance(next_step(0, {}), Lies)


def test_one_patch_is_the_culprit_without_a_probe_between():
    assert run(1, lambda point: "bad" if point else "good")[0] == Found((1,))


@given(st.integers(1, 400).flatmap(lambda last: st.tuples(st.just(last), st.integers(1, last))))
def test_the_culprit_is_found_in_logarithmic_time(line):
    last, culprit = line
    step, verdicts = run(last, lambda point: "bad" if point >= culprit else "good")
    assert step == Found((culprit,))
    assert len(verdicts) <= 2 + math.ceil(math.log2(last + 1))


@given(st.data())
def test_with_skips_the_culprit_is_always_among_the_candidates(data):
    last = data.draw(st.integers(1, 60))
    culprit = data.draw(st.integers(1, last))
    skipped = data.draw(st.sets(st.integers(1, last - 1))) if last > 1 else set()
    step, verdicts = run(last, lambda p: "skip" if p in skipped else "bad" if p >= culprit else "good")
    assert isinstance(step, Found)
    assert culprit in step.candidates
    # What lies strictly between the range's ends was really asked about and said nothing.
    assert all(verdicts.get(point) == "skip" for point in step.candidates[:-1])
    # One name alone is given only where both sides were seen.
    if len(step.candidates) == 1:
        assert verdicts[culprit] == "bad"
        assert verdicts[culprit - 1] == "good"
