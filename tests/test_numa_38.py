"""The counters of the 2012 series beside those of Linux 3.8, where it was merged in another form: the same program on
both kernels says the same of both. LAB_TREE_37 and LAB_TREE_38 name the trees; 3.8's HEAD is what is built."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.paths import data_folder

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.build, pytest.mark.boot, pytest.mark.tree37, pytest.mark.tree38]

PROGRAM = str(data_folder("patches") / "numa-foundation" / "guest" / "vmstat.c")
NOTE = """\
Subject: [PATCH] Documentation: Add a note

A case has a patch; this one is never built, for point 0 is what is asked for.
---
diff --git a/Documentation/lab-note.txt b/Documentation/lab-note.txt
new file mode 100644
--- /dev/null
+++ b/Documentation/lab-note.txt
@@ -0,0 +1 @@
+A note.
"""
CASE = """\
title = "Linux 3.8, to compare with"
base = "HEAD"
kconfig = "numa-tests"
machine = "two-nodes"
require = ["NUMA", "NUMA_BALANCING"]
patches = ["0001-note.patch"]
"""


@pytest.fixture(scope="module")
def tree38() -> str:
    tree = os.environ.get("LAB_TREE_38", "")
    if not tree:
        pytest.skip("no Linux 3.8 tree: set LAB_TREE_38 to one")
    return tree


@pytest.fixture(scope="module")
def taps(
    tmp_path_factory: pytest.TempPathFactory, lab37: Lab, lab_anywhere: Lab, tree38: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program says of the series with its fix, and of 3.8."""
    folder: Path = tmp_path_factory.mktemp("linux-3.8")
    (folder / "0001-note.patch").write_text(NOTE)
    (folder / "series.toml").write_text(CASE)
    ours = lab37("boot", "numa-foundation", "--with-fix", "--kconfig", "numa-tests", "--program", PROGRAM, status=None)
    theirs = lab_anywhere("boot", str(folder), "--at", "0", "--tree", tree38, "--program", PROGRAM, status=None)
    assert ours["marker"]["release"].startswith("3.7")
    assert theirs["marker"]["release"].startswith("3.8")
    return ours["programs"][0], theirs["programs"][0]


def statements(tap: dict[str, Any]) -> dict[str, str]:
    return {test["name"]: test["result"] for test in tap["tests"]}


def test_the_counters_have_the_names_and_the_meaning_of_3_8(taps: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, theirs = taps
    assert statements(ours) == statements(theirs) == dict.fromkeys(statements(ours), "ok")
    assert len(statements(ours)) == ours["plan"] > 20


def test_they_stand_in_the_same_order(taps: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, theirs = (
        next(note for test in tap["tests"] for note in test["notes"] if note.startswith("order:")) for tap in taps
    )
    assert ours == theirs
    assert ours.count(" ") == 9
