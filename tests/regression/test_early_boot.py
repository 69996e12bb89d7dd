"""The bugs that the cases are about: there without the fix, under the very title, and gone with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.testing.booted import Booted

pytestmark = [pytest.mark.build, pytest.mark.boot]

TITLE = "kernel BUG in policy_zonelist"
SIGNATURE = "bug:policy_zonelist"
GUILTY = 6


def is_healthy(boot: Booted, nodes: str) -> None:
    assert boot.reached("userspace")
    assert not boot.findings.serious
    assert boot.marker["nodes"] == nodes


def is_the_bug(boot: Booted) -> None:
    assert not boot.reached("smp"), "it comes before the slab allocator is up"
    assert not boot.reached("userspace")
    assert boot.report.first
    assert (boot.report.first.title, boot.report.first.signature) == (TITLE, SIGNATURE)
    assert boot.report.first.file == "mm/mempolicy.c"
    assert {"kmem_cache_init", "start_kernel"} <= set(boot.report.first.functions)


@pytest.mark.lab(case="early-policy")
class TestEarlyPolicy:
    @pytest.mark.lab(points=["base", GUILTY - 1, "fix"])
    def test_there_is_no_bug_before_the_guilty_patch_and_with_the_fix(self, lab_boot: Booted) -> None:
        is_healthy(lab_boot, "2")
        assert not lab_boot.findings, "nor a warning"

    @pytest.mark.lab(points=["fix"], machines=["one-node", "four-nodes"])
    def test_nor_is_there_one_on_other_machines(self, lab_boot: Booted) -> None:
        is_healthy(lab_boot, "1" if "one-node" in lab_boot.label else "4")
        assert not lab_boot.findings, "nor a warning"

    @pytest.mark.lab(points=[GUILTY, "end"])
    def test_without_the_fix_there_is_the_bug(self, lab_boot: Booted) -> None:
        is_the_bug(lab_boot)

    @pytest.mark.lab(points=["end"], machines=["one-node"])
    def test_and_the_number_of_nodes_does_not_matter(self, lab_boot: Booted) -> None:
        is_the_bug(lab_boot)


@pytest.mark.tree37
@pytest.mark.usefixtures("tree37")
@pytest.mark.lab(case="numa-foundation", tree=os.environ.get("LAB_TREE_37", ""))
class TestNumaFoundation:
    @pytest.mark.lab(points=["fix"], machines=["two-nodes", "one-node"])
    def test_with_the_fix_there_is_no_bug(self, lab_boot: Booted) -> None:
        is_healthy(lab_boot, "1" if "one-node" in lab_boot.label else "2")

    @pytest.mark.lab(points=["end"])
    def test_without_it_there_is_the_bug_of_2012(self, lab_boot: Booted) -> None:
        is_the_bug(lab_boot)
