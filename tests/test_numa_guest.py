"""The guest programs of the 2012 case, inside guests, on a Linux 3.7 tree (LAB_TREE_37); and what they are worth: that
they fail on kernels without the patch that they test."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.case import load_case
from lab.paths import data_folder

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.build, pytest.mark.boot, pytest.mark.tree37]

CASE = "numa-foundation"
GUEST = data_folder("patches") / CASE / "guest"
PROGRAMS = ("counters", "tracepoint", "policies", "pinning", "hugepage", "moron", "scan", "vmstat")
"""Those that need two nodes, and find nothing to skip there."""

Tap = dict[str, Any]


@pytest.fixture(scope="module")
def with_fix(lab37: Lab) -> dict[str, Any]:
    """The fixed kernel's boots, guest tests included; whatever came of them."""
    return lab37("repro", CASE, "--with-fix", status=None)


@pytest.fixture(scope="module")
def results(with_fix: dict[str, Any]) -> dict[tuple[str, str], Tap]:
    return {(test["program"], test["machine"]): test for test in with_fix["guest_tests"]}


def test_with_the_fix_it_is_good_with_every_guest_test_passing(with_fix: dict[str, Any]) -> None:
    assert [boot["verdict"] for boot in with_fix["boots"]] == ["good"]
    bad = {test["program"]: test["reason"] for test in with_fix["guest_tests"] if test["verdict"] != "good"}
    assert bad == {}
    assert with_fix["as_expected"] is True


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_piece_is_at_work_on_two_nodes(results: dict[tuple[str, str], Tap], program: str) -> None:
    ktap = results[program, "two-nodes"]["ktap"]
    assert (ktap["result"], ktap["status"], ktap["counts"]["not_ok"]) == ("pass", 0, 0), ktap["summary"]
    assert ktap["counts"]["skip"] == 0, [test["why"] for test in ktap["tests"] if test["result"] == "skip"]
    assert ktap["counts"]["ok"] == ktap["plan"] > 0


def test_the_share_of_local_faults_rises_to_1(results: dict[tuple[str, str], Tap]) -> None:
    notes = " ".join(note for test in results["moron", "two-nodes"]["ktap"]["tests"] for note in test["notes"])
    first, last = (float(share) for share in re.findall(r"local\s+share(?: of faults)? ([\d.]+)", notes))
    assert first < last
    assert last > 0.99


def run(lab37: Lab, program: str, *chosen: str, status: int | None = None, folder: str = CASE) -> Tap:
    """What a program says on a kernel of the case."""
    words = ("boot", folder, "--kconfig", "numa-tests", "--program", str(GUEST / f"{program}.c"), *chosen)
    (tap,) = lab37(*words, status=status)["programs"]
    return tap


@pytest.mark.parametrize(
    ("program", "at", "fails"),
    [
        ("counters", "0", "pgmigrate_success rises by the number of pages moved"),
        ("vmstat", "0", "there is pgmigrate_success"),
        ("policies", "0", "set_mempolicy(MPOL_LOCAL) shows as preferred, with no node"),
        ("moron", "16", "memory touched from the other node moves there"),
    ],
)
def test_a_kernel_without_the_patch_fails(lab37: Lab, program: str, at: str, fails: str) -> None:
    tap = run(lab37, program, "--at", at, status=1)
    assert fails in [test["name"] for test in tap["tests"] if test["result"] == "not ok"]


@pytest.fixture(scope="module")
def without_require(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The case as it is, for kernels with the switch off too."""
    folder = tmp_path_factory.mktemp("switch") / CASE
    case = load_case(CASE, data_folder("patches"))
    shutil.copytree(case.folder, folder)
    manifest = folder / "series.toml"
    manifest.write_text(re.sub(r"^require = .*$", 'require = ["NUMA"]', manifest.read_text(), flags=re.M))
    return str(folder)


NEW = {
    *(f"/proc/vmstat:numa_{name}" for name in ("pte_updates", "hint_faults", "hint_faults_local", "pages_migrated")),
    *(
        f"/proc/sys/kernel/balance_numa_{name}"
        for name in ("scan_delay_ms", "scan_period_max_ms", "scan_period_min_ms", "scan_size_mb", "settle_count")
    ),
    "MPOL_MF_LAZY",
}
"""What the switch adds for those who look for it: counters, sysctls, and a flag that is refused without."""


def test_on_one_node_the_switch_changes_nothing_a_program_can_see(lab37: Lab, without_require: str) -> None:
    source = str(GUEST / "onenode.c")
    facts, names = [], []
    for kconfig in ("numa-tests", "numa-tests-off"):
        words = ("boot", without_require, "--with-fix", "--machine", "one-node", "--kconfig", kconfig)
        (tap,) = lab37(*words, "--program", source)["programs"]
        assert (tap["result"], tap["counts"]["skip"]) == ("pass", 0)
        notes = [re.sub(r" active=\d+", "", note) for note in tap["notes"]]  # as far as the pagevecs were emptied
        facts.append([note for note in notes if note.startswith("fact ")])
        names.append({note.removeprefix("name ") for note in notes if note.startswith("name ")})
    assert len(facts[0]) > 40
    assert facts[0] == facts[1]
    assert names[0] - names[1] == NEW
    assert names[1] - names[0] == set()


def test_the_programs_of_the_case_are_those_that_are_tested_here() -> None:
    programs = load_case(CASE, data_folder("patches")).programs
    assert programs is not None
    assert {Path(source).stem for source in programs.sources} == {*PROGRAMS, "onenode"}
