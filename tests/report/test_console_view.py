"""How a console is taken apart for a page: lines, stages, marks, cuts, and bytes that are not to be trusted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.history.records import Attempt, Seen, StageTime
from lab.report.html.console import LINE_LIMIT, UNSEEN, WHOLE, Gap, Line, console_view, visible


def attempt(findings=(), stages=()):
    return Attempt(
        number=1, verdict="bad", reason="", outcome="died", started=0.0, seconds=1.0, findings=findings, stages=stages
    )


def seen(line, last=0):
    return Seen(signature="bug:f", title="kernel BUG in f", kind="bug", line=line, last_line=last)


def lines_of(view):
    return [item for part in view.parts for item in part.items if isinstance(item, Line)]


def test_a_recorded_console_is_shown_whole_with_its_finding_marked(nights):
    data, findings, stages = nights.recorded("early-policy-6.1")
    view = console_view(data, attempt(findings, stages))
    lines = lines_of(view)
    assert [line.number for line in lines] == list(range(1, data.count(b"\n") + 1))
    assert not view.cut
    first = next(line for line in lines if line.first)
    assert "kernel BUG at" in first.text
    assert first.number == findings[0].line
    marked = [line.number for line in lines if line.finding == 0]
    assert marked == list(range(findings[0].line, findings[0].last_line + 1))


def test_stages_part_the_lines(nights):
    data, findings, stages = nights.recorded("clean-6.1")
    view = console_view(data, attempt(findings, stages))
    assert sum(part.lines for part in view.parts) == view.lines
    names = [part.stage for part in view.parts]
    assert names[-3:] == ["init", "userspace", "shutdown"]
    init = next(part for part in view.parts if part.stage == "init")
    assert init.items[0].number == next(stage.line for stage in stages if stage.stage == "init")


def test_a_long_console_is_cut_but_not_at_its_finding():
    data = b"".join(b"line %d\n" % number for number in range(1, 100_001))
    view = console_view(data, attempt((seen(50_000, 50_020),), (StageTime(stage="early", seconds=0.1, line=2),)))
    lines = lines_of(view)
    assert len(lines) < 1000
    assert {1, 49_990, 50_000, 50_020, 100_000} <= {line.number for line in lines}
    assert all(line.text == f"line {line.number}" for line in lines)
    gaps = sum(item.lines for part in view.parts for item in part.items if isinstance(item, Gap))
    assert gaps + len(lines) == view.lines == 100_000
    assert view.cut


def test_of_a_huge_console_both_ends_keep_their_numbers():
    data = b"".join(b"%07d %s\n" % (number, b"x" * 60) for number in range(1, 200_001))
    view = console_view(data, attempt((seen(199_990),)))
    lines = lines_of(view)
    assert all(line.text.startswith(f"{line.number:07d} ") for line in lines)
    assert {1, 199_990, 200_000} <= {line.number for line in lines}


def test_a_line_without_end_is_cut_and_its_length_told():
    view = console_view(b"x" * 1_000_000, attempt())
    (line,) = lines_of(view)
    assert len(line.text) < LINE_LIMIT + 60
    assert line.text.endswith("(a line of 1000000 bytes)")


def test_what_is_not_seen_is_shown_by_a_symbol():
    assert visible("\x1b[31mred\x07\x00") == "␛[31mred␇␀"
    assert visible("a\u202eb\u200bc\x9b\x7f") == "a⟨U+202E⟩b⟨U+200B⟩c⟨U+009B⟩␡"
    assert visible("tab\tstays ümlaut") == "tab\tstays ümlaut"


def test_lines_or_stages_that_the_console_does_not_have_do_no_harm():
    stages = (StageTime(stage="early", seconds=0.1, line=-5), StageTime(stage="late", seconds=0.2, line=10**12))
    view = console_view(b"one\ntwo\n", attempt((seen(-3, 10**12), seen(10**12)), stages))
    assert [line.text for line in lines_of(view)] == ["one", "two"]


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=2000),
    st.lists(st.tuples(st.integers(-3, 60), st.integers(-3, 60)), max_size=4),
    st.lists(st.integers(-3, 60), max_size=5),
)
def test_every_line_is_shown_or_counted_whatever_the_bytes(data, findings, stages):
    times = tuple(StageTime(stage=f"s{at}", seconds=0.1 * at, line=line) for at, line in enumerate(stages))
    view = console_view(data, attempt(tuple(seen(*one) for one in findings), times))
    numbers = [line.number for line in lines_of(view)]
    assert numbers == list(range(1, view.lines + 1))
    assert view.lines <= WHOLE or view.cut
    assert not any(UNSEEN.search(line.text) for line in lines_of(view))
