"""labgrid's own QEMU driver as the board: the line of a case, over power and console drivers of labgrid's."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from lab.paths import data_folder

pytest.importorskip("labgrid", reason="the extra 'boards' is not installed")

CASE = "early-policy"


def lab(*words: str, status: int) -> dict[str, Any]:
    argv = [sys.executable, "-m", "lab", *words, "--board", "qemu-two-nodes", "--timeout", "300", "--json"]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=900)
    assert done.returncode == status, done.stderr.decode() + done.stdout.decode()[:2000]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.build
@pytest.mark.boot
def test_the_case_is_reproduced_on_a_board() -> None:
    document = lab("repro", CASE, status=0)
    assert document["reproduced"] is True
    end, base = document["boots"]
    assert (end["verdict"], end["signature"]) == ("bad", "bug:policy_zonelist")
    assert (base["verdict"], base["stage"], base["marker"]["nodes"]) == ("good", "userspace", "2")
    assert document["machine"] == "qemu-two-nodes"


@pytest.mark.build
@pytest.mark.boot
def test_the_fix_is_good_on_a_board() -> None:
    document = lab("boot", CASE, "--with-fix", status=0)
    assert document["verdict"] == "good"
    assert (document["machine"], document["accelerator"], document["argv"]) == ("qemu-two-nodes", "labgrid", [])
    assert len(document["marker"]["build"]) == 40


@pytest.mark.build
@pytest.mark.boot
def test_a_board_that_loads_another_kernel_than_it_is_given_is_no_good(tmp_path: Any) -> None:
    """Its loader has a kernel of its own: here the series' base, where the fix is asked for."""
    argv = [sys.executable, "-m", "lab", "build", CASE, "--at", "0", "--json"]
    base = json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=3000).stdout)
    text = (data_folder("boards") / "qemu-two-nodes.yaml").read_text()
    board = tmp_path / "stale.yaml"
    own = text.replace('!template "$LG_KERNEL"', base["kernel"]["image"])
    board.write_text(own + '  unused: !template "$LG_KERNEL"\n')
    argv = [
        sys.executable,
        "-m",
        "lab",
        "boot",
        CASE,
        "--with-fix",
        "--board",
        str(board),
        "--timeout",
        "300",
        "--json",
    ]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=900)
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"]) == (125, "skip")
    assert document["reason"].startswith("the board ran another kernel: build id ")
