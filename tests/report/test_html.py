"""The pages: what they say, that they hold together, and that nothing a guest says gets through."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from lab.errors import InfrastructureError, UserError
from lab.history.records import Bisected, Night
from lab.report.html import folder as folders
from lab.report.html.book import Book, cell_file, dots, grid, night_folder, places, stage_bars, tally
from lab.report.html.folder import write_folder
from lab.report.html.pages import STYLE, Pages
from lab.report.html.words import in_groups, look

VOID = {"meta", "link", "br", "input", "col", "img", "hr"}


class Checked(HTMLParser):
    """A page's links, ids and text; anything that is not closed as it was opened fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.ids, self.words, self.tags = [], [], [], [], set()
        self.feed(text)
        self.close()
        assert [tag for tag in self.open if tag not in ("tr", "td", "th")] == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in VOID and tag not in ("tr", "td", "th"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("tr", "td", "th"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.words.append(data)


def page(folder, path):
    return Checked((folder / path).read_text())


def cell_page(folder, week, *parts):
    key = "/".join(("early-policy", *parts, "gcc 12.2"))
    return folder / f"nights/{week.nights[0].run.id}/c/{cell_file(key)}.html"


def test_every_page_is_well_formed_and_every_link_in_it_leads_somewhere(folder):
    pages = {path: Checked(path.read_text()) for path in folder.rglob("*.html")}
    assert len(pages) == 1 + 2 + 54 + 18 + 1 + 2
    for path, checked in pages.items():
        assert len(set(checked.ids)) == len(checked.ids), path
        ids = set(checked.ids)
        for link in set(checked.links) - {"data:,"}:
            if link.startswith("#"):
                assert link[1:] in ids, f"{path}: {link}"
            else:
                target = Path(os.path.normpath(path.parent / link))
                assert target in pages or target.is_file(), f"{path}: {link}"


def test_pages_have_no_script_no_style_of_their_own_and_reach_for_nothing_outside(folder):
    for path in folder.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script|javascript:|\son\w+=|\sstyle=|https?://|<iframe|<form", text, re.I), path
    assert not re.search(r"@import|url\(|https?:", STYLE.read_text())


def test_a_night_tells_what_changed_first(folder):
    text = " ".join("".join(page(folder, "index.html").words).split())
    assert text.index("1 new failure, 1 flaky, 1 slower, 1 still failing") < text.index("What changed")
    assert text.index("New failures") < text.index("Flaky") < text.index("Slower boots") < text.index("The grid")
    assert "First bad: 6 mm: slub: Place new slabs" in text
    assert "sure to 99.45 %" in text


def test_a_night_says_which_workers_did_what(by_workers, week, tmp_path):
    made = places(by_workers.results)
    assert sum(place.cells for place in made) == 54
    assert [place.cells for place in made] == sorted((place.cells for place in made), reverse=True)
    assert next(place for place in made if not place.name).cells == 1
    assert sum(place.boots for place in made) == sum(len(result.attempts) for result in by_workers.results)
    assert places(week.nights[0].results) == (), "one machine did it all"
    out = write_folder(Pages(Book((by_workers,)), week.consoles.get, made="test"), tmp_path / "r").folder
    text = (out / "index.html").read_text()
    assert "<b>attic" not in text
    words = " ".join("".join(Checked(text).words).split())
    assert re.search(r"Who booted ?WorkerCellsBootsFaults of the world.*cellar/0 ?26", words)
    assert re.search(r"booted by (cellar/0|<b>attic</b>/1)", words)
    new = next(one for one in by_workers.changes if one.kind == "new")
    text = (out / f"nights/{by_workers.run.id}/c/{cell_file(new.cell.key)}.html").read_text()
    assert re.search(r"· on (cellar/0|<b>attic</b>/1)", " ".join("".join(Checked(text).words).split()))


def test_a_night_of_one_machine_does_not_ask_who_booted(folder):
    text = (folder / "index.html").read_text()
    assert "Who booted" not in text
    assert "booted by" not in text


def test_the_grid_has_a_row_for_each_kernel_and_a_column_for_each_machine(week, nights):
    made = grid(week.nights[0].results)
    assert made.machines == nights.MACHINES
    assert [(row.cell.label, row.cell.kconfig) for table in made.tables for row in table.rows] == [
        (label, kconfig) for label in ("base", "end", "fix") for kconfig in ("tiny-numa", "debug")
    ]
    assert made.toolchain == "gcc 12.2"
    assert sum(count.cells for count in tally(week.nights[0].results)) == 54


def test_an_expected_bug_is_quiet_and_its_absence_is_not(week):
    by = {result.cell.key: look(result) for result in week.nights[0].results}
    assert by["early-policy/end/debug/two-nodes/gcc 12.2"].word == "known"
    assert by["early-policy/end/debug/two-nodes/gcc 12.2"].quiet
    assert by["early-policy/end/debug/one-node/gcc 12.2"].word == "odd"
    assert by["early-policy/fix/tiny-numa/four-nodes/gcc 12.2"].word == "bad"


def test_a_cells_page_has_its_bug_marked_and_linked(folder, week):
    text = cell_page(folder, week, "fix", "tiny-numa", "four-nodes").read_text()
    assert '<span id="a1-84" class="m m1">' in text
    assert 'href="#a1-84">kernel BUG in policy_zonelist' in text
    assert "▶ kernel BUG in policy_zonelist" in text
    assert text.count("The whole console as text") == 3
    assert text.count("<details open>") == 1  # the two other attempts tell the same


def test_a_page_without_boots_says_so(folder, week):
    text = cell_page(folder, week, "base", "debug", "cpuless-node").read_text()
    assert "QEMU could not have 2 GiB of memory" in text
    assert "node 2 has 512 MiB" in cell_page(folder, week, "fix", "debug", "memoryless-node").read_text()


HOSTILE = "</pre><script>alert(1)</script>\x1b[2J\u202e<!--&\"'"


def test_nothing_that_a_stranger_wrote_gets_through(week, tmp_path):
    night = week.nights[0]
    result = next(one for one in night.results if one.word == "bad")
    attempt = result.attempts[0]
    seen = replace(attempt.findings[0], title=HOSTILE, signature=HOSTILE, line=1, last_line=2)
    bad = replace(
        attempt, reason=HOSTILE, outcome=HOSTILE, accel=HOSTILE, topology=(HOSTILE,), build=HOSTILE, console="f" * 64,
        findings=(seen,), stages=(replace(attempt.stages[0], stage=HOSTILE, line=1),),
    )  # fmt: skip
    names = ("case", "label", "subject", "commit", "kconfig", "machine", "toolchain", "base")
    cell = replace(result.cell, **dict.fromkeys(names, HOSTILE))
    run = replace(night.run, name=HOSTILE, host=HOSTILE, lab_version=HOSTILE, manifest=HOSTILE, id="../../" + HOSTILE)
    bisected = Bisected(case=HOSTILE, cell="", first_bad=1, subject=HOSTILE, commit=HOSTILE, sure=None, summary=HOSTILE)
    change = replace(night.changes[0], cell=cell, sentence=HOSTILE, title=HOSTILE, bisected=bisected)
    made = replace(result, cell=cell, reason=HOSTILE, attempts=(bad,), kernel=HOSTILE, release=HOSTILE, run=run.id)
    hostile = Night(run=run, results=(made,), changes=(change,), before=run, bisects=(replace(bisected, case="x"),))
    consoles = {"f" * 64: HOSTILE.encode() + b"\xff\x00\n" + HOSTILE.encode()}
    written = write_folder(Pages(Book((hostile,)), consoles.get), tmp_path / "deep" / "report").folder
    for path in written.rglob("*.html"):
        text = path.read_text()
        assert "<script" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "script" not in Checked(text).tags
    assert {path.name for path in tmp_path.rglob("*")}.isdisjoint({"alert(1)"})
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    cell_text = next(written.glob("nights/*/c/*.html")).read_text()
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;␛[2J⟨U+202E⟩" in cell_text


def test_names_of_runs_and_cells_are_made_fit_for_a_folder():
    assert night_folder("20261125T020000-nightly") == "20261125T020000-nightly"
    for odd in ("..", ".hidden", "a/b", "a\nb", "", "x" * 200, "a..b"):
        assert re.fullmatch(r"[0-9a-f]{16}", night_folder(odd))


def test_a_bisect_over_thousands_of_points_counts_those_that_nobody_tested():
    bisected = Bisected(case="c", cell="", first_bad=1501, subject="", commit="", sure=None,
                        points=((0, "good"), (1500, "good"), (1501, "bad"), (3000, "bad")))  # fmt: skip
    line = dots(bisected)
    assert [(dot.index, dot.skipped) for dot in line] == [
        (0, 0),
        (1, 1499),
        (1500, 0),
        (1501, 0),
        (1502, 1498),
        (3000, 0),
    ]
    assert [dot.index for dot in line if dot.culprit] == [1501]


def test_the_stages_of_a_dead_boot_are_not_compared_where_it_died(nights):
    made = nights.Made()
    maker = nights.Maker(made, 0)
    good, dead = maker.attempt(1, "clean-6.1", 0.0), maker.attempt(1, "early-policy-6.1", 0.0)
    assert all(bar.before is not None for bar in stage_bars(good, [good]))
    assert stage_bars(dead, [good])[-1].before is None


def test_two_nights_are_compared_by_what_is_handed_in(week):
    asked = []

    def compare(new, old):
        asked.append((new.run.id, old.run.id))
        return new.changes[:1]

    few = tuple(replace(night, results=night.results[:2]) for night in week.nights)
    made = Pages(Book(few), week.consoles.get, compare)
    paths = {one.path: one.text for one in made.all() if one.path.startswith("compare/")}
    assert len(paths) == 3
    # Nights that follow on each other have their changes already.
    assert asked == [(week.nights[0].run.id, week.nights[2].run.id)]
    assert "1 new failure" in next(text for path, text in paths.items() if "20261123" in path and "20261125" in path)


def test_changes_come_in_the_order_in_which_one_wants_them(week):
    assert [heading.kind for heading, _ in in_groups(week.nights[0].changes)] == [
        "new", "flaky", "slower", "infrastructure", "still",
    ]  # fmt: skip


# The folder.


def test_a_folder_that_is_no_report_is_left_alone(pages, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="left alone"):
        write_folder(pages, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        write_folder(pages, tmp_path / "link")


def small(week, consoles):
    night = replace(week.nights[1], results=week.nights[1].results[:2], changes=(), before=None)
    return Pages(Book((night,)), consoles)


def test_a_report_that_cannot_be_made_leaves_the_old_one_and_nothing_beside_it(week, tmp_path):
    target = tmp_path / "report"
    write_folder(small(week, week.consoles.get), target)
    old = {path: path.stat().st_ino for path in target.rglob("*")}

    def broken(_digest):
        raise OSError(28, "No space left on device")

    with pytest.raises(InfrastructureError, match="No space left"):
        write_folder(small(week, broken), target)
    assert {path: path.stat().st_ino for path in target.rglob("*")} == old
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_new_report_takes_the_place_of_the_old_one(week, tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    target = tmp_path / "report"
    write_folder(small(week, week.consoles.get), target)
    (target / "stale.html").write_text("")
    left = tmp_path / ".report.1-dead.new"  # of a writer that was killed
    left.mkdir()
    done = write_folder(small(week, {}.get), target)
    assert (done.consoles, done.missing) == (0, 1)
    assert not (target / "stale.html").exists()
    assert "no longer in the store" in next(target.glob("nights/*/c/*.html")).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


# Colours.


def themes():
    """The style sheet's colours: light, and dark on top of light."""
    first, second = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.S)
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", first))
    return {"light": light, "dark": {**light, **dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", second))}}


def luminance(colour):
    """By WCAG 2's definition."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_what_is_below_it(theme):
    colours = themes()[theme]
    pairs = [(f"{name}-ink", name) for name in "gkbufsiw"]
    pairs += [("f-ink", "f2"), *((ink, ground) for ink in ("ink", "soft", "link") for ground in ("bg", "card"))]
    pairs += [("ink", "mark"), ("mark-edge", "mark"), ("soft", "mark")]
    assert {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs if contrast(
        colours[pair[0]], colours[pair[1]]) < 4.5} == {}  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bad_is_told_from_good_without_any_hue(theme):
    colours = themes()[theme]
    assert contrast(colours["b"], colours["g"]) > 3
    assert contrast(colours["b"], colours["k"]) > 3
    assert contrast(colours["b"], colours["card"]) > 3


def test_every_look_has_a_symbol_or_border_of_its_own():
    from lab.report.html.words import LOOKS

    assert len({one.word for one in LOOKS}) == len(LOOKS)
    assert len({(one.symbol, one.css) for one in LOOKS}) == len(LOOKS)
