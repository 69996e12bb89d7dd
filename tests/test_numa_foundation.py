"""The case the lab began with, on a Linux 3.7 tree: LAB_TREE_37=/path/to/tree pytest tests/test_numa_foundation.py"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.case import load_case
from lab.paths import data_folder

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.build, pytest.mark.boot, pytest.mark.tree37]

CASE = "numa-foundation"
REPORT = Path(__file__).parent / "data" / "consoles" / "reporter-3.7-rc4.txt"


def test_the_crash_of_2012_is_reproduced(lab37: Lab) -> None:
    result = lab37("repro", CASE)
    assert result["reproduced"] is True
    end, base = result["boots"]
    assert (end["verdict"], end["title"], end["signature"]) == (
        "bad",
        "kernel BUG in policy_zonelist",
        "bug:policy_zonelist",
    )
    assert base["verdict"] == "good"
    assert result["base"]["stand_in"] in ("", f"stand-in base {result['base']['version']} for v3.7-rc4")


def test_every_patch_before_the_guilty_one_boots(lab37: Lab) -> None:
    result = lab37("repro", CASE, "--at", "0-16")
    assert {boot["point"]: boot["verdict"] for boot in result["boots"]} == dict.fromkeys(range(17), "good")


def test_patch_17_is_named(lab37: Lab) -> None:
    result = lab37("bisect", CASE)
    assert result["first_bad"]["index"] == 17
    assert "Migrate on reference" in result["first_bad"]["subject"]


def test_every_point_is_what_the_case_says_and_warns_of_nothing_new(lab37: Lab) -> None:
    result = lab37("series", "check", CASE)
    points = {point["point"]: point for point in result["points"]}
    assert result["as_expected"] is True
    assert [index for index in points if not points[index]["builds"]] == []
    assert {index: point["new_warnings"] for index, point in points.items() if point["new_warnings"]} == {}
    # 4 defines what nobody uses yet, 7 is about huge pages, which this kconfig has not.
    assert [index for index, point in points.items() if point["image_changed"] is False] == [4, 7]


@pytest.fixture(scope="module")
def cut_at_17(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The case with nothing after the guilty patch, so that its fix stands right on it."""
    folder = tmp_path_factory.mktemp("at-17")
    case = load_case(CASE, data_folder("patches"))
    names = []
    for patch in (*case.patches[:17], *case.fix):
        names.append(f"{len(names) + 1:04}.patch")
        shutil.copy(patch, folder / names[-1])
    listed = "\n".join(f'    "{name}",' for name in names[:17])
    (folder / "series.toml").write_text(
        f'title = "t"\nbase = "v3.7-rc4"\npatches = [\n{listed}\n]\nfix = ["{names[17]}"]\n'
        'kconfig = "tiny-numa"\nmachine = "two-nodes"\nrequire = ["NUMA", "BALANCE_NUMA"]\n'
        '[expect]\nsignature = "bug:policy_zonelist"\nfirst_bad = 17\n'
    )
    return str(folder)


@pytest.mark.parametrize("machine", ["one-node", "two-nodes"])
@pytest.mark.parametrize(
    ("kconfig", "at", "verdict"),
    [
        ("tiny-numa", "17", "bad"),
        ("tiny-numa", "18", "good"),
        ("tiny-numa-slab", "17", "good"),
        ("tiny-numa-slab", "18", "good"),
    ],
)
def test_the_slab_allocator_decides_and_not_the_number_of_nodes(
    *, cut_at_17: str, kconfig: str, at: str, verdict: str, machine: str, lab37: Lab
) -> None:
    chosen = ["--kconfig", kconfig] if kconfig != "tiny-numa" else []
    status = 0 if (verdict == "bad") == (at == "17") else 1
    result = lab37("repro", cut_at_17, "--at", at, "--machine", machine, *chosen, status=status)
    assert [boot["verdict"] for boot in result["boots"]] == [verdict]


def test_the_reporter_s_config_and_machine_crash_as_he_saw_it(lab37: Lab) -> None:
    result = lab37("repro", CASE, "--at", "19", "--kconfig", "reporter", "--machine", "x3400-m3")
    console = result["boots"][0]["console"]
    compared = subprocess.run(
        [sys.executable, "-m", "lab", "compare", str(REPORT), console, "--json"], capture_output=True, check=True
    )
    rows = {row["name"]: row for row in json.loads(compared.stdout)["rows"]}
    agree = ("title", "signature", "call chain", "register RAX", "register RDI", "register GS", "memory total")
    assert {name: rows[name]["how"] for name in agree} == dict.fromkeys(agree, "agrees")
    assert rows["call chain"]["console"].startswith(
        "policy_zonelist < alloc_pages_current < __get_free_pages < kmem_cache_init < start_kernel"
    )
