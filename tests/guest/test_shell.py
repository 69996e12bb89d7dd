"""A shell in the guest, from a person's terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect
import pytest

from lab.errors import UserError
from lab.guest.machine import Machine
from lab.guest.shell import interact
from lab.paths import Paths

PROGRAM = """
import sys
from pathlib import Path
from lab.guest.machine import load_machine
from lab.guest.shell import interact
from lab.paths import Paths, data_folder
cache = Path(sys.argv[2])
machine = load_machine("two-nodes", data_folder("qemu"))
sys.exit(interact(Path(sys.argv[1]), machine, paths=Paths(cache, cache, cache), requested="tcg", append=sys.argv[3]))
"""


def lab(kernel: Path, paths: Paths, append: str = "") -> pexpect.spawn[str]:
    arguments = ["-c", PROGRAM, str(kernel), str(paths.cache), append]
    return pexpect.spawn(sys.executable, arguments, timeout=40, encoding="utf-8", codec_errors="replace")


@pytest.mark.boot
def test_a_person_gets_a_shell_and_leaves_it_with_ctrl_bracket(kernel: Path, paths: Paths) -> None:
    terminal = lab(kernel, paths)
    terminal.expect("a shell in the guest; Ctrl-] ends it")
    terminal.expect("# ")
    terminal.send("echo $((40 + 2)) $(ls -d /sys/devices/system/node/node* | wc -l)\r")
    terminal.expect("42 2\r+\n")
    terminal.send("\x1d")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.boot
def test_leaving_the_guests_shell_ends_the_guest(kernel: Path, paths: Paths) -> None:
    terminal = lab(kernel, paths)
    terminal.expect("# ")
    terminal.send("exit\r")
    terminal.expect("Power down")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.boot
def test_a_kernel_that_dies_gives_no_shell(kernel: Path, paths: Paths) -> None:
    terminal = lab(kernel, paths, append="rdinit=/none init=/none")
    terminal.expect("did not come to user space")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1


def test_it_needs_a_terminal(a_bzimage: Path, two_nodes: Machine, paths: Paths) -> None:
    with pytest.raises(UserError, match="needs a terminal"):
        interact(a_bzimage, two_nodes, paths=paths, requested="tcg")
