"""The tester's configuration and machine of 2012, as far as his console proves them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.kernel.fragment import Fragment, render
from lab.paths import data_folder

TREE = os.environ.get("LAB_TREE_37", "")
REPORT = Path(__file__).parent / "data" / "consoles" / "reporter-3.7-rc4.txt"

tree37 = [
    pytest.mark.tree37,
    pytest.mark.skipif(not TREE, reason="no Linux 3.7 tree: set LAB_TREE_37 to one"),
]
boots = [pytest.mark.build, pytest.mark.boot, *tree37]

PROVEN = {
    "SLUB": ["kmem_cache_init", "__get_free_pages"],
    "SMP": ["invalid opcode: 0000 [#1] SMP"],
    "PREEMPT": ["no PREEMPT"],
    "DEBUG_PAGEALLOC": ["DEBUG_PAGEALLOC"],
    "FRAME_POINTER": ["55 48 89 e5", "Code:"],
    "BUG": ["kernel BUG at"],
    "DEBUG_BUGVERBOSE": ["kernel BUG at"],
    "MODULES": ["Modules linked in:"],
    "PRINTK_TIME": ["[ 0.000000]"],
    "GART_IOMMU": ["Checking aperture"],
    "AGP_AMD64": ["No AGP bridge found"],
    "BUILDTIME_EXTABLE_SORT": ["__ex_table already sorted"],
    "BLK_DEV_INITRD": ["rd.md", "rd.lvm", "rd.dm", "rd.luks"],
    "EARLY_PRINTK": ["earlyprintk=ttyS0,115200"],
    "SERIAL_8250_CONSOLE": ["console=ttyS0,115200"],
    "VT_CONSOLE": ["console=tty0"],
}
"""Each symbol that the report proves, and the words of the report that do. What it has not (PREEMPT in the line of the
trap) is proven by that, and the comment says so."""
NOT_SET = {"PREEMPT", "DEBUG_PAGEALLOC"}


def template() -> Fragment:
    return render("reporter", "3.7.2", {}, folder=data_folder("kconfigs"))


def lab(*arguments: str, status: int = 0) -> Any:
    argv = [sys.executable, "-m", "lab", *arguments, "--tree", TREE, "--json"]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=3400)
    assert done.returncode == status, done.stderr.decode() + done.stdout.decode()[:2000]
    return json.loads(done.stdout)


def test_every_symbol_that_the_report_proves_is_asked_for_under_its_evidence() -> None:
    fragment = template()
    lines = fragment.text.splitlines()
    asked = {ask.symbol: ask.value for ask in fragment.asked}
    for symbol, evidence in PROVEN.items():
        assert asked[symbol] == ("n" if symbol in NOT_SET else "y"), symbol
        at = next(i for i, line in enumerate(lines) if re.search(rf"CONFIG_{symbol}\b", line))
        comments = [line for line in lines[:at] if line.startswith("#") and "CONFIG_" not in line][-3:]
        assert any(word in "\n".join(comments) for word in evidence), symbol
    assert fragment.base == "defconfig"


def test_what_is_quoted_as_evidence_stands_in_the_report() -> None:
    report = " ".join(REPORT.read_text().split())
    for words in PROVEN.values():
        for quoted in words:
            assert quoted in report or quoted in ("no PREEMPT", "DEBUG_PAGEALLOC"), quoted
    assert "PREEMPT" not in report
    assert "DEBUG_PAGEALLOC" not in report


@pytest.mark.parametrize("name", ["reporter", "reporter-slab"])
@pytest.mark.parametrize("at", ["0", "19"])
@pytest.mark.tree37
@pytest.mark.skipif(not TREE, reason="no Linux 3.7 tree: set LAB_TREE_37 to one")
def test_nothing_that_is_asked_of_3_7_is_lost(name: str, at: str) -> None:
    rendered = lab("kconfig", "render", "numa-foundation", "--at", at, "--kconfig", name)
    assert rendered["unmet"] == []
    values = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", rendered["config"], re.MULTILINE))
    for symbol, value in rendered["asked"].items():
        if symbol == "BALANCE_NUMA" and at == "0":
            continue
        assert values.get(symbol, "n") == value, symbol


class TestBoots:
    """On the machine with his memory and sockets."""

    pytestmark = boots
    where = ("--machine", "x3400-m3")

    def test_his_crash_comes_again(self, tmp_path: Path) -> None:
        result = lab("repro", "numa-foundation", "--at", "19", "--kconfig", "reporter", *self.where)
        (boot,) = result["boots"]
        assert (boot["verdict"], boot["title"]) == ("bad", "kernel BUG in policy_zonelist")
        argv = [sys.executable, "-m", "lab", "compare", str(REPORT), boot["console"], "--json"]
        compared = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
        assert compared["same_crash"] is True
        rows = {row["name"]: row for row in compared["rows"]}
        same = [
            "title",
            "signature",
            "call chain",
            "register RAX",
            "register RDI",
            "register GS",
            "memory total",
            "trap",
        ]
        assert {name: rows[name]["how"] for name in same} == dict.fromkeys(same, "agrees")
        assert rows["register RAX"]["console"] == "0" * 16
        assert int(rows["register RDI"]["console"], 16) == 0x8000
        assert rows["register GS"]["console"] == "ffff88017bc00000"
        assert rows["memory total"]["console"] == "10485760"
        chain = rows["call chain"]["console"].split(" < ")
        assert chain[:5] == [
            "policy_zonelist", "alloc_pages_current", "__get_free_pages", "kmem_cache_init", "start_kernel"
        ]  # fmt: skip
        # The archive of the list ate what stood in angle brackets; the console here has it.
        assert {name for name, row in rows.items() if row["how"] == "lost"} >= {
            "instruction address",
            "trace addresses",
        }
        # His command line, but for the words that name his disk.
        told = set(rows["command line"]["report"].split()) - set(rows["command line"]["console"].split())
        assert {word.partition("=")[0] for word in told} == {"BOOT_IMAGE", "root"}

    def test_without_the_series_his_kernel_boots(self) -> None:
        (boot,) = lab("repro", "numa-foundation", "--at", "0", "--kconfig", "reporter", *self.where)["boots"]
        assert boot["verdict"] == "good"

    def test_on_slab_it_does_not_crash(self) -> None:
        result = lab("repro", "numa-foundation", "--at", "19", "--kconfig", "reporter-slab", *self.where, status=1)
        assert [boot["verdict"] for boot in result["boots"]] == ["good"]
