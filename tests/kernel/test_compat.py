"""What lets a kernel of one age build with the tools of another: the table, and choosing from it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.kernel.compat import choose_compat, inside, kernel_version
from lab.kernel.types import Toolchain
from lab.paths import data_folder

TABLE = """\
[[entry]]
name = "one"
why = "gcc 12 is strict"
kernel = [">=4.4 <4.9", ">=4.14 <4.15"]
tools = { gcc = ">=12" }
flags = { KCFLAGS = "-Wno-error -fno-pie" }

[[entry]]
name = "two"
why = "make 4.3 escapes differently"
kernel = [">=4.4 <5"]
tools = { make = ">=4.3" }
flags = { KCFLAGS = "-fno-pie -fwrapv" }
patches = ["make.patch"]
"""


def tools(gcc: tuple[int, ...] = (12, 2, 0), make: tuple[int, ...] = (4, 3)) -> Toolchain:
    return Toolchain("gcc", gcc, (2, 40), (5, 36, 0), make, "id")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compat.toml").write_text(TABLE)
    (tmp_path / "make.patch").write_text("--- a/x\n+++ b/x\n")
    return tmp_path


def test_another_age_is_an_entry_in_the_table(folder):
    compat = choose_compat("4.4.302", tools(), folder=folder)
    assert dict(compat.flags) == {"KCFLAGS": "-Wno-error -fno-pie -fwrapv"}
    assert [path.name for path in compat.patches] == ["make.patch"]
    assert compat.reasons == ("gcc 12 is strict", "make 4.3 escapes differently")


@pytest.mark.parametrize(
    ("version", "gcc", "make", "reasons"),
    [
        ("4.14.1", (12, 2), (4, 3), 2),
        ("4.9", (12, 2), (4, 3), 1),
        ("4.4", (11, 9), (4, 3), 1),
        ("4.4", (11, 9), (4, 2, 1), 0),
        ("4.3.9", (12, 2), (4, 3), 0),
        ("5.0", (12, 2), (4, 3), 0),
        ("v4.4-rc1", (12, 2), (4, 3), 2),
    ],
)
def test_an_entry_is_for_certain_kernels_and_certain_tools(folder, version, gcc, make, reasons):
    assert len(choose_compat(version, tools(gcc, make), folder=folder).reasons) == reasons


def test_a_range_holds_where_all_its_bounds_do():
    assert inside((3, 7, 2), ">=3.7 <3.8")
    assert inside((3, 7), "<=3.7.0")
    assert not inside((3, 8, 0), ">=3.7 <3.8")
    assert not inside((12,), ">12.0")


def test_a_release_candidate_is_of_the_age_of_its_release():
    assert kernel_version("v3.7-rc4") == (3, 7, 0)
    assert kernel_version("6.1.192-2") == (6, 1, 192)
    with pytest.raises(UserError, match="no kernel version"):
        kernel_version("next")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('">=12"', '"12"', r"entry\[0\]\.tools\.gcc: '12' is no range"),
        ("gcc =", "clang =", r"entry\[0\]\.tools: no tool 'clang'"),
        ("KCFLAGS", "CC", r"entry\[0\]\.flags: 'CC' is no make variable"),
        ("make.patch", "../make.patch", "outside the case's folder"),
        ("make.patch", "no.patch", "no file 'no.patch'"),
        ('"gcc 12 is strict"', '" "', r"entry\[0\]\.why"),
        ("flags = { KCFLAGS", "flag = { KCFLAGS", "unknown field `flag`"),
    ],
)
def test_a_mistake_in_the_table_is_named(folder, old, new, message):
    (folder / "compat.toml").write_text(TABLE.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        choose_compat("4.4", tools(), folder=folder)


def test_a_kernel_of_2012_needs_what_the_table_says():
    compat = choose_compat("3.7-rc4", tools())
    assert {path.name for path in compat.patches} == {
        "gcc-header.patch",
        "no-pie.patch",
        "timeconst-perl.patch",
        "make-pound.patch",
        "acpi-section.patch",
        "decompressor-sse.patch",
        "elfcore-mcount.patch",
        "max-page-size.patch",
    }
    # -fcommon would put variables of the kernel behind __bss_stop, where nobody clears them: for host programs only.
    assert "-fcommon" not in dict(compat.flags)["KCFLAGS"].split()
    assert "-fcommon" in dict(compat.flags)["HOSTCFLAGS"].split()


def test_a_kernel_of_today_needs_nothing():
    assert choose_compat("6.1.192", tools()).reasons == ()
    assert choose_compat("5.10.223", tools()).reasons == ()


@pytest.mark.tree37
def test_the_patches_for_3_7_apply_to_it():
    if not os.environ.get("LAB_TREE_37"):
        pytest.skip("LAB_TREE_37 names no Linux 3.7 tree")
    tree = Path(os.environ["LAB_TREE_37"])
    for patch in choose_compat("3.7", tools()).patches:
        argv = ["git", "apply", "--check", f"--directory={tree.name}", str(patch)]
        done = subprocess.run(argv, cwd=tree.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_every_patch_is_used():
    folder = data_folder("patches") / "compat"
    text = (folder / "compat.toml").read_text()
    assert [path.name for path in folder.glob("*.patch") if path.name not in text] == []
