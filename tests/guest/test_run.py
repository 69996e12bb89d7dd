"""Guests that really run: how each way to end is told, and that nothing is left of any of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.guest.initramfs import build
from lab.guest.machine import Machine, load_machine
from lab.guest.run import boot
from lab.paths import Paths, data_folder

SPEWS = """#!/bin/sh
exec /bin/busybox yes "$(printf '\\033]0;title\\007\\033[2J\\377 Kernel pan')" >/dev/ttyS0
"""


def of_this_test(paths: Paths) -> list[str]:
    """The command lines of processes that have to do with this test's folders."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(paths.cache) in line and "qemu" in line and folder.name != str(os.getpid()):
            found.append(line)
    return found


def own_initramfs(paths: Paths, run: bytes) -> Path:
    return build(paths, extra={"lab/run": run})


def test_a_file_that_is_no_kernel_starts_no_qemu(paths: Paths, two_nodes: Machine) -> None:
    with pytest.raises(UserError, match="not a kernel image"):
        boot(Path(__file__), two_nodes, initramfs=Path("/i"), accel="tcg", paths=paths)
    assert not paths.boots.exists()


def test_without_qemu_the_package_is_named(paths: Paths, two_nodes: Machine, a_bzimage: Path) -> None:
    with pytest.raises(InfrastructureError) as caught:
        boot(a_bzimage, two_nodes, initramfs=a_bzimage, accel="tcg", paths=paths, qemu="/nowhere/qemu")
    assert "qemu-system-x86" in caught.value.hint


@pytest.mark.boot
def test_a_good_kernel_shows_its_two_nodes(kernel: Path, two_nodes: Machine, initramfs: Path, paths: Paths) -> None:
    seen: list[bytes] = []
    result = boot(kernel, two_nodes, initramfs=initramfs, accel="tcg", paths=paths, on_console=seen.append)
    assert (result.outcome, result.nodes) == ("userspace", 2)
    marker = result.report.marker
    assert marker is not None
    assert (marker.get("nodes"), marker.get("cpus")) == ("2", "4")
    assert (marker.get("node0.cpus"), marker.get("node1.cpus")) == ("0,1", "2,3")
    assert marker.get("node1.distances") == "20,10"
    assert not result.report.findings
    assert result.console.read_bytes() == b"".join(seen)
    assert 0 < (result.first_byte_seconds or 0) < (result.marker_seconds or 0) <= result.seconds
    document = json.loads((result.folder / "boot.json").read_bytes())
    assert (document["outcome"], document["machine"]) == ("userspace", "two-nodes")
    assert not of_this_test(paths)


@pytest.mark.boot
@pytest.mark.parametrize(
    ("name", "nodes"), [("one-node", "1"), ("four-nodes", "4"), ("far", "4"), ("uneven", "2"), ("cpuless-node", "3")]
)
def test_every_shape_of_machine_is_seen_by_its_guest(
    kernel: Path, initramfs: Path, paths: Paths, name: str, nodes: str
) -> None:
    machine = load_machine(name, data_folder("qemu"))
    result = boot(kernel, machine, initramfs=initramfs, accel="tcg", paths=paths)
    marker = result.report.marker
    assert marker is not None, result.detail
    assert marker.get("nodes") == nodes
    if machine.distances:
        assert marker.get("node0.distances") == ",".join(map(str, machine.distances[0]))


@pytest.mark.boot
def test_the_command_that_is_kept_boots_without_the_lab(
    kernel: Path, two_nodes: Machine, initramfs: Path, paths: Paths
) -> None:
    result = boot(kernel, two_nodes, initramfs=initramfs, accel="tcg", paths=paths)
    bare = subprocess.run(result.argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert b"lab: userspace nodes=2 cpus=4" in bare.stdout
    assert bare.returncode == 0, "its init powers it off"


@pytest.mark.boot
def test_a_kernel_that_panics_is_ended_quickly(kernel: Path, two_nodes: Machine, initramfs: Path, paths: Paths) -> None:
    result = boot(kernel, two_nodes, initramfs=initramfs, accel="tcg", paths=paths, append="rdinit=/none init=/none")
    assert result.outcome == "died"
    assert result.fatal_seconds is not None
    assert result.ended_seconds is not None
    assert result.first_byte_seconds is not None
    assert result.first_byte_seconds <= result.fatal_seconds <= result.ended_seconds
    assert result.report.first is not None
    assert "panic" in result.report.first.title.lower()
    assert result.report.marker is None
    assert result.seconds < 20, "nobody waits for a deadline"


@pytest.mark.boot
def test_a_guest_that_hangs_gets_its_deadline_and_is_told_what_it_was_doing(
    kernel: Path, two_nodes: Machine, paths: Paths
) -> None:
    waits = own_initramfs(paths, b"#!/bin/sh\nexec /bin/busybox sleep 1000\n")
    result = boot(kernel, two_nodes, initramfs=waits, accel="tcg", paths=paths, deadline=12, wait_for_exit=True)
    assert result.outcome == "hang"
    assert "within 12 s" in result.detail
    assert 12 <= result.seconds < 5 * 12 + 4
    assert any(note.startswith("CPU 3 was") for note in result.notes)
    assert not of_this_test(paths)


@pytest.mark.boot
def test_a_host_that_stands_still_is_not_held_against_the_guest(kernel: Path, paths: Paths) -> None:
    """Lab and guest are stopped together, as by a laptop's lid, for longer than the deadline."""
    waits = own_initramfs(paths, b"#!/bin/sh\n/bin/busybox sleep 3\n")
    lab = subprocess.Popen([sys.executable, "-c", boots(kernel, waits, paths, "deadline=20, ")], stderr=subprocess.PIPE)
    try:
        wait_for(lambda: any(path.stat().st_size > 1000 for path in paths.boots.glob("*/console.log")))
        guests = [int(child) for child in Path(f"/proc/{lab.pid}/task/{lab.pid}/children").read_text().split()]
        for pid in (lab.pid, *guests):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(25)
        for pid in (*guests, lab.pid):
            os.kill(pid, signal.SIGCONT)
        assert lab.wait(timeout=100) == 0, lab.communicate()[1]
    finally:
        lab.kill()
    (document,) = paths.boots.glob("*/boot.json")
    assert json.loads(document.read_bytes())["outcome"] == "userspace"


def boots(kernel: Path, initramfs: Path, paths: Paths, more: str = "") -> str:
    """A program that boots ``kernel`` and waits for its guest's end."""
    return (
        "from pathlib import Path\n"
        "from lab.guest.machine import load_machine\n"
        "from lab.guest.run import boot\n"
        "from lab.paths import Paths, data_folder\n"
        f"cache = Path({str(paths.cache)!r})\n"
        "machine = load_machine('two-nodes', data_folder('qemu'))\n"
        f"boot(Path({str(kernel)!r}), machine, initramfs=Path({str(initramfs)!r}), accel='tcg',\n"
        f"     {more}paths=Paths(cache, cache, cache), wait_for_exit=True)\n"
    )


@pytest.mark.boot
def test_a_program_in_the_guest_runs_to_its_end(kernel: Path, two_nodes: Machine, paths: Paths) -> None:
    program = own_initramfs(paths, b"#!/bin/sh\necho ok 1 - from the guest\nexit 3\n")
    result = boot(kernel, two_nodes, initramfs=program, accel="tcg", paths=paths, wait_for_exit=True)
    console = result.console.read_bytes()
    assert result.outcome == "userspace"
    assert b"ok 1 - from the guest" in console
    assert b"lab: run status=3 end" in console


@pytest.mark.boot
def test_a_guest_that_never_stops_printing_fills_neither_memory_nor_disk(
    kernel: Path, two_nodes: Machine, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.guest.follow.LOG_BYTES", 1 << 16)
    spews = own_initramfs(paths, SPEWS.encode())
    result = boot(kernel, two_nodes, initramfs=spews, accel="tcg", paths=paths, deadline=12, wait_for_exit=True)
    assert result.outcome == "hang"
    assert result.console.stat().st_size == 1 << 16
    assert any("console.log ends after" in note for note in result.notes)
    assert result.seconds < 5 * 12 + 4, "only a host without a free core makes a deadline later"


FLOOD = """exec %s -c '
import json, re, socket, sys, threading
line = " ".join(sys.argv)
def flood():
    while True:
        sys.stdout.buffer.write(b"\\x1b[2J" + bytes(1 << 20))
monitor = socket.socket(fileno=int(re.search(r"socket,fd=(\\d+),id=qmp", line)[1]))
def say(message):
    monitor.sendall(json.dumps(message).encode() + b"\\n")
say({"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}})
threading.Thread(target=flood, daemon=True).start()
for request in monitor.makefile():
    say({"return": {}, "id": json.loads(request).get("id")})
' "$@"
"""


@pytest.mark.boot
def test_gigabytes_from_a_console_are_read_within_bounds(
    a_bzimage: Path, two_nodes: Machine, initramfs: Path, paths: Paths, qemu_script: Callable[[str], str]
) -> None:
    """A stand-in for QEMU whose guest prints faster than any guest could."""
    seen = 0

    def count(chunk: bytes) -> None:
        nonlocal seen
        seen += len(chunk)

    before = peak_memory()
    result = boot(
        a_bzimage, two_nodes, initramfs=initramfs, accel="tcg", paths=paths, deadline=5, on_console=count,
        qemu=qemu_script(FLOOD % sys.executable), explain=False,
    )  # fmt: skip
    assert result.outcome == "hang"
    assert seen > 64 << 20
    assert result.console.stat().st_size == min(seen, 64 << 20)
    assert peak_memory() - before < 60 << 20


def peak_memory() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.boot
def test_an_option_that_qemu_does_not_know_is_qemus_outcome(
    kernel: Path, two_nodes: Machine, initramfs: Path, paths: Paths
) -> None:
    from dataclasses import replace

    result = boot(kernel, replace(two_nodes, type="pdp11"), initramfs=initramfs, accel="tcg", paths=paths)
    assert result.outcome == "qemu"
    assert "unsupported machine type" in result.detail


@pytest.mark.boot
def test_a_console_that_no_longer_fits_on_the_disk_is_told_by_name(kernel: Path, initramfs: Path, paths: Paths) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    program = [sys.executable, "-c", limit + boots(kernel, initramfs, paths)]
    lab = subprocess.run(program, capture_output=True, timeout=300, check=False)
    assert b"console.log: cannot be written: File too large (free some space" in lab.stderr
    assert not of_this_test(paths)
    assert not list(paths.boots.glob("*/boot.json"))


@pytest.mark.boot
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_lab_is_ended(kernel: Path, paths: Paths, sig: signal.Signals) -> None:
    waits = own_initramfs(paths, b"#!/bin/sh\nexec /bin/busybox sleep 1000\n")
    lab = subprocess.Popen([sys.executable, "-c", boots(kernel, waits, paths)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: any(path.stat().st_size > 1000 for path in paths.boots.glob("*/console.log")))
        assert of_this_test(paths)
        lab.send_signal(sig)
        lab.wait(timeout=10)
    finally:
        lab.kill()
    wait_for(lambda: not of_this_test(paths))
    assert not [path for path in paths.cache.rglob("*") if path.is_socket()]
    if sig == signal.SIGINT:
        (document,) = paths.boots.glob("*/boot.json")
        assert json.loads(document.read_bytes())["outcome"] == "interrupted"


def test_waiting_for_a_core_of_the_host_is_known() -> None:
    """Two busy processes on one core: each waits half of the time."""
    from lab.guest.follow import host_delay

    core = min(os.sched_getaffinity(0))
    program = f"import os, time; os.sched_setaffinity(0, {{{core}}}); end = time.monotonic() + 20\n"
    program += "while time.monotonic() < end: pass"
    busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        wait_for(lambda: all(host_delay(process.pid) > 0.3 for process in busy))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert host_delay(os.getpid()) >= 0
    assert host_delay(busy[0].pid) == 0, "a process that is gone waits for nothing"


def wait_for(seen: Callable[[], bool], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


UD2 = b"\x0f\x0b"
"""The instruction that is invalid by definition (Intel SDM volume 2, UD)."""


@pytest.mark.boot
def test_a_kernel_that_dies_without_a_word_is_found_out(
    kernel: Path, two_nodes: Machine, initramfs: Path, paths: Paths, tmp_path: Path
) -> None:
    """An invalid opcode where the kernel starts: nothing is printed, and a triple fault resets the machine."""
    image = bytearray(kernel.read_bytes())
    start = (image[0x1F1] + 1) * 512 + 0x200  # startup_64 of the decompressor (boot.rst, "64-bit boot protocol")
    code = bytes(image[start : start + 32])
    image[start : start + 2] = UD2
    dead = tmp_path / "bzImage"
    dead.write_bytes(image)
    decompressor = kernel.parent / "decompressor"
    if decompressor.is_file():  # the store keeps it; an image of LAB_TEST_KERNEL may stand alone
        elf = decompressor.read_bytes()
        assert elf.count(code) == 1, "the ELF file is the one that the image was made of"
        (tmp_path / "decompressor").write_bytes(elf.replace(code, UD2 + code[2:]))
    result = boot(dead, two_nodes, initramfs=initramfs, accel="tcg", paths=paths)
    assert result.console.read_bytes() == b""
    assert result.outcome == "died"
    assert result.report.first is not None
    where = " in startup_64" if decompressor.is_file() else ""
    assert result.report.first.title == f"silent death: invalid opcode{where}"
    assert result.seconds < 10
