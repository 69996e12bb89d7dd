"""The zoo of planted bugs: its series are what they say, and a wrong name is never taken for a right one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "ci"))

from planting.__main__ import judge, row_of
from planting.series import FILE, HEADER, MAKEFILE, START, files_at, load_zoo, write_case

from lab.case import load_case

ZOO = load_zoo()
BASE = {
    MAKEFILE: "obj-y = fork.o\n",
    HEADER: "#ifndef MM\n#endif\n",
    START: "int a;\n\nasmlinkage void __init start_kernel(void)\n{\n\tchar *line;\n\tint more;\n\n\tsmp();\n}\n",
}


def test_there_are_more_than_thirty_of_every_shape():
    assert len(ZOO) >= 30
    assert {plant.dice for plant in ZOO.values()} >= {10, 30, 70}
    assert any(plant.broken for plant in ZOO.values())
    assert any(plant.storms for plant in ZOO.values())
    assert any(plant.arms for plant in ZOO.values())
    assert sum(bool(plant.others) for plant in ZOO.values()) >= 4
    assert sum(not plant.right for plant in ZOO.values()) >= 2


@pytest.mark.parametrize("name", ZOO)
def test_the_patches_lead_from_the_base_to_the_end(name, tmp_path):
    plant = ZOO[name]
    case = load_case(str(write_case(name, plant, "debian-6.1", BASE, tmp_path)), tmp_path)
    assert len(case.patches) == plant.patches
    tree = tmp_path / "tree"
    for file, text in BASE.items():
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(text)
    for patch in case.patches:
        subprocess.run(["patch", "-p1", "-s", "-i", str(patch)], cwd=tree, check=True)
    end = files_at(plant, plant.patches, BASE)
    assert {file: (tree / file).read_text() for file in end} == end


def test_the_culprit_and_no_other_patch_brings_the_victim():
    plant = ZOO["bug"]
    there = ["planted_victim();" in files_at(plant, point, BASE).get(FILE, "") for point in range(plant.patches + 1)]
    assert there.index(True) == plant.culprit
    assert all(there[plant.culprit :])


def test_innocent_points_are_the_same_in_every_series():
    """So that they are built once."""
    assert files_at(ZOO["bug"], 2, BASE) == files_at(ZOO["flaky-30"], 2, BASE)


def test_before_the_console_the_call_comes_first_in_start_kernel():
    text = files_at(ZOO["silent-early"], 10, BASE)[START]
    assert text.index("int more;") < text.index("planted_early();") < text.index("smp();")


@pytest.mark.parametrize(
    ("right", "named", "judgement"),
    [
        ({6}, (6,), "right"),
        ({6}, (5,), "wrong"),
        ({6}, (5, 6, 7), "range"),
        ({6}, (7, 8), "wrong"),
        ({6}, (), "none"),
        (set(), (), "right"),
        (set(), (4,), "wrong"),
        (set(), (4, 5), "wrong"),
    ],
)
def test_what_an_answer_is_worth(right, named, judgement):
    assert judge(frozenset(right), named) == judgement


def test_a_lab_that_could_not_work_has_failed_whatever_it_printed():
    document = {"candidates": [{"index": 6}], "probes": [], "reason": ""}
    assert row_of("bug", ZOO["bug"], 0, json.dumps(document).encode(), b"", seconds=1.0).judgement == "right"
    assert row_of("bug", ZOO["bug"], 128, json.dumps(document).encode(), b"", seconds=1.0).judgement == "failed"
    row = row_of("bug", ZOO["bug"], 129, b"", b"lab: no such case\n", seconds=1.0)
    assert (row.judgement, row.reason) == ("failed", "exit status 129: lab: no such case")
