"""What tests of the 2012 case share: a Linux 3.7 tree of the user's, and the commands on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any, Protocol

import pytest

MOST_SECONDS = 3400

# A shell without job control starts what goes to the background with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Lab(Protocol):
    def __call__(self, *arguments: str, status: int | None = 0) -> dict[str, Any]: ...


def run_lab(*arguments: str, status: int | None = 0) -> dict[str, Any]:
    """Run the command with ``--json``; its document. Its exit status must be ``status``, where that is one."""
    argv = [sys.executable, "-m", "lab", *arguments, "--json"]
    result = subprocess.run(argv, capture_output=True, check=False, timeout=MOST_SECONDS)
    if status is not None:
        assert result.returncode == status, result.stderr.decode() + result.stdout.decode()[:2000]
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture(scope="session")
def tree37() -> str:
    """The path of a 3.7 tree; tests that ask for one are skipped without."""
    tree = os.environ.get("LAB_TREE_37", "")
    if not tree:
        pytest.skip("no Linux 3.7 tree: set LAB_TREE_37 to one")
    return tree


@pytest.fixture(scope="session")
def lab37(tree37: str) -> Lab:
    """A command of the lab's on the 3.7 tree."""

    def lab(*arguments: str, status: int | None = 0) -> dict[str, Any]:
        return run_lab(*arguments, "--tree", tree37, status=status)

    return lab


@pytest.fixture(scope="session")
def lab_anywhere() -> Lab:
    """A command of the lab's."""
    return run_lab
