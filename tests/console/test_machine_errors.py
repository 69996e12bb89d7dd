"""What QEMU, KVM and the firmware say on the console's stream when there is no kernel to say anything: real machines
whose firmware is a few instructions long, or that have nothing to boot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.console.scanner import Scanner

QEMU = shutil.which("qemu-system-x86_64") or ""
SECONDS = 40
pytestmark = [pytest.mark.boot, pytest.mark.skipif(not QEMU, reason="no qemu-system-x86_64")]


def rom(folder: Path, begin: bytes, at_reset: bytes) -> list[str]:
    """A firmware of 64 KiB at F000:0000, which the processor enters at its last 16 bytes."""
    file = folder / "rom"
    file.write_bytes(begin.ljust(0xFFF0, b"\xf4") + at_reset.ljust(16, b"\xf4"))
    return ["-bios", str(file)]


def titles(arguments: list[str], until: bytes) -> list[str] | None:
    """Titles of what a machine says until a line holds ``until``; nothing where none does to its end."""
    command = [QEMU, "-m", "32", "-display", "none", "-monitor", "none", "-no-reboot", *arguments]
    scanner, said = Scanner(), False
    with subprocess.Popen(
        ["timeout", "-k", "1", str(SECONDS), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as machine:
        assert machine.stdout
        for line in machine.stdout:
            scanner.feed(line)
            said = until in line
            if said:
                break
        machine.terminate()
    return [finding.title for finding in scanner.close().findings] if said else None


def test_kvm_that_cannot_go_on(tmp_path: Path) -> None:
    into_the_screen = b"\xea\x00\x00\x00\xa0"  # jmp a000:0000: no instructions are fetched from a device
    found = titles(["-accel", "kvm", "-serial", "none", *rom(tmp_path, b"", into_the_screen)], b"Code=")
    if found is None:
        pytest.skip("KVM starts no machine here")
    assert found == ["KVM internal error"]


def test_a_triple_fault_that_qemu_is_to_tell(tmp_path: Path) -> None:
    no_handlers = b"\x2e\x0f\x01\x1e\x20\x00\xcc".ljust(0x20, b"\xf4") + bytes(6)  # lidt cs:[20h]; int3
    arguments = ["-accel", "tcg", "-d", "cpu_reset", "-serial", "none", *rom(tmp_path, no_handlers, b"\xea\0\0\0\xf0")]
    assert titles(arguments, b"Triple fault") == ["triple fault"]


def test_a_machine_with_nothing_to_boot_whose_qemu_warns() -> None:
    odd = ["-fw_cfg", "name=not/prefixed,string=x"]
    arguments = ["-accel", "tcg", "-nic", "none", "-nographic", "-boot", "c", *odd]
    assert titles(arguments, b"No bootable device") == ["no bootable device"]
