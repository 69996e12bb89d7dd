"""Manifests are read strictly: what is wrong is told with its file and key, and nothing leaves the case's folder."""

import pytest

from lab.case import load_case
from lab.errors import UserError

GOOD = """
title = "A series"
base = "debian-6.1"
kconfig = "tiny-numa"
machine = "two-nodes"
patches = ["0001-one.patch", "0002-two.patch"]
fix = ["fix.patch"]
require = ["NUMA"]
[expect]
signature = "bug:policy_zonelist"
first_bad = 2
"""


@pytest.fixture
def folder(tmp_path):
    case = tmp_path / "patches" / "mine"
    case.mkdir(parents=True)
    for name in ("0001-one.patch", "0002-two.patch", "fix.patch"):
        (case / name).write_text("a patch")
    (case / "series.toml").write_text(GOOD)
    return case


def refusal(folder, text):
    (folder / "series.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_case(str(folder), folder.parent)
    assert "series.toml" in str(caught.value)
    return str(caught.value)


def test_a_case_is_chosen_by_name_or_by_path(folder):
    by_name = load_case("mine", folder.parent)
    assert by_name == load_case(str(folder), folder.parent / "elsewhere")
    assert [path.name for path in by_name.patches] == ["0001-one.patch", "0002-two.patch"]
    assert by_name.expect.first_bad == 2


def test_an_unknown_case_is_answered_with_the_known_ones(folder):
    with pytest.raises(UserError, match="no case 'yours'; known cases: mine"):
        load_case("yours", folder.parent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("base", "bass"), "unknown field `bass`"),
        (lambda t: t.replace('title = "A series"', "title = 7"), "title: Expected `str`, got `int`"),
        (lambda t: t.replace("title", "title =", 1), "not valid TOML"),
        (lambda t: t.replace("first_bad = 2", "first_bad = 3"), "expect.first_bad: 3 is not a patch of 1 to 2"),
        (lambda t: t.replace("0002-two", "0003-three"), "patches[1]: no file '0003-three.patch'"),
        (lambda t: t.replace("0002-two.patch", "../../etc/passwd"), "outside the case's folder"),
        (lambda t: t.replace('"fix.patch"', '"/etc/passwd"'), "outside the case's folder"),
        (lambda t: "x = " + "[" * 5000 + "]" * 5000 + "\n" + t, "nested too deeply"),
        (lambda t: t + "#" + "x" * (1 << 20), "larger than 1 MiB"),
        (lambda t: t.replace('["0001-one.patch", "0002-two.patch"]', "[]"), "the list is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(folder, change, message):
    assert message in refusal(folder, change(GOOD))


def test_a_manifest_that_is_not_text_is_refused(folder):
    (folder / "series.toml").write_bytes(b"title = 1\n\xff\xfe")
    with pytest.raises(UserError, match=r"series\.toml:2: not UTF-8 text"):
        load_case(str(folder), folder.parent)


def test_a_patch_that_is_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "0001-one.patch").unlink()
    (folder / "0001-one.patch").symlink_to(tmp_path / "secret")
    assert "outside the case's folder" in refusal(folder, GOOD)


def test_a_machine_of_the_case_s_own_is_taken_from_its_folder(folder):
    (folder / "two-nodes").write_text("")
    assert load_case(str(folder), folder.parent).machine == str(folder / "two-nodes")
    assert load_case(str(folder), folder.parent).kconfig == "tiny-numa"
