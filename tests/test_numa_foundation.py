"""The case the lab began with, on a Linux 3.7 tree: LAB_TREE_37=/path/to/tree pytest tests/test_numa_foundation.py"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.case import load_case
from lab.paths import data_folder

TREE = os.environ.get("LAB_TREE_37", "")

pytestmark = [
    pytest.mark.build,
    pytest.mark.boot,
    pytest.mark.tree37,
    pytest.mark.skipif(not TREE, reason="no Linux 3.7 tree: set LAB_TREE_37 to one"),
]

CASE = "numa-foundation"
REPORT = Path(__file__).parent / "data" / "consoles" / "reporter-3.7-rc4.txt"


def lab(*arguments, status=0):
    """Run the command with ``--json`` on the 3.7 tree; its document. The exit status must be ``status``."""
    argv = [sys.executable, "-m", "lab", *arguments, "--tree", TREE, "--json"]
    result = subprocess.run(argv, capture_output=True, check=False, timeout=3400)
    assert result.returncode == status, result.stderr.decode() + result.stdout.decode()[:2000]
    return json.loads(result.stdout)


def test_the_crash_of_2012_is_reproduced():
    result = lab("repro", CASE)
    assert result["reproduced"] is True
    end, base = result["boots"]
    assert (end["verdict"], end["title"], end["signature"]) == (
        "bad",
        "kernel BUG in policy_zonelist",
        "bug:policy_zonelist",
    )
    assert base["verdict"] == "good"
    assert result["base"]["stand_in"] in ("", f"stand-in base {result['base']['version']} for v3.7-rc4")


def test_every_patch_before_the_guilty_one_boots():
    result = lab("repro", CASE, "--at", "0-16")
    assert {boot["point"]: boot["verdict"] for boot in result["boots"]} == dict.fromkeys(range(17), "good")


def test_patch_17_is_named():
    result = lab("bisect", CASE)
    assert result["first_bad"]["index"] == 17
    assert "Migrate on reference" in result["first_bad"]["subject"]


def test_with_the_fix_it_boots():
    assert [boot["verdict"] for boot in lab("repro", CASE, "--with-fix")["boots"]] == ["good"]


@pytest.fixture(scope="module")
def cut_at_17(tmp_path_factory):
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
def test_the_slab_allocator_decides_and_not_the_number_of_nodes(cut_at_17, kconfig, at, verdict, machine):
    chosen = ["--kconfig", kconfig] if kconfig != "tiny-numa" else []
    status = 0 if (verdict == "bad") == (at == "17") else 1
    result = lab("repro", cut_at_17, "--at", at, "--machine", machine, *chosen, status=status)
    assert [boot["verdict"] for boot in result["boots"]] == [verdict]


def test_the_reporter_s_config_and_machine_crash_as_he_saw_it():
    result = lab("repro", CASE, "--at", "19", "--kconfig", "reporter", "--machine", "x3400-m3")
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
