"""The zoo's guests: boot, trigger, read, and keep of the console what shows the crash."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from crashes.kernels import MACHINE
from crashes.triggers import Cross, Trigger
from lab.console.scanner import scan_file
from lab.guest.initramfs import INIT, archive, extra_entries, skeleton
from lab.guest.initramfs import build as initramfs
from lab.guest.machine import load_machine
from lab.guest.run import boot
from lab.paths import data_folder, user_paths

PATIENCE = "watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=100 rcutree.rcu_cpu_stall_timeout=100"
"""What a guest on a busy host needs, by the names of today and of 3.7."""
HEAD_LINES = 3
LINES_BEFORE, MOST_LINES = 12, 200
BEGIN, BEGINNINGS = b"Linux version ", 3
CROSS_SECONDS = 600
"""A distribution's kernel takes 20 s to its trigger where the host is idle."""


def script(trigger: Trigger, loaded: Sequence[Path] = ()) -> bytes:
    """What the guest runs: the trigger, and time for what comes of it."""
    lines = ["#!/bin/sh", "debug=/sys/kernel/debug", *(f"insmod /lab/{path.name}" for path in loaded)]
    if loaded:
        lines.append("mount -t debugfs debugfs $debug")
    write = f"echo {trigger.name} >{trigger.file}"
    if trigger.file and trigger.seconds:  # what gets stuck on one CPU must not keep this from the other
        lines += ["taskset -p 1 $$ >/dev/null", f"taskset 2 sh -c '{write}' &"]
    elif trigger.file:
        lines.append(write)
    return "\n".join([*lines, trigger.script or f"sleep {trigger.seconds or 1}", ""]).encode()


def run(image: Path, trigger: Trigger, work: Path, loaded: Sequence[Path] = ()) -> tuple[str, Path]:
    """Boot, load modules, trigger, read: the title of the finding to blame (empty for none) and the console."""

    paths = user_paths({**os.environ, "LAB_CACHE": str(work / "cache")})
    extra: dict[str, Path | bytes] = {"lab/run": script(trigger, loaded)}
    extra.update({f"lab/{path.name}": path for path in loaded})
    if trigger.init is not None:
        names = ("init",) if trigger.init.startswith("#!") else ("init", "bin/sh")  # a kernel tries the shell last
        extra |= dict.fromkeys(names, trigger.init.encode())
    machine = load_machine(MACHINE, data_folder("qemu"))
    result = boot(
        image,
        machine,
        initramfs=initramfs(paths, extra=extra),
        accel="tcg",
        paths=paths,
        append=f"{PATIENCE} {trigger.append}",
        deadline=240,
        wait_for_exit=True,
        explain=False,
    )
    report = result.report
    if trigger.reboots:
        watch([word for word in result.argv if word != "-no-reboot"], result.console, trigger.seconds)
        report = scan_file(result.console)
    return report.first.title if report.first else "", result.console


def watch(argv: Sequence[str], console: Path, seconds: float) -> None:
    """Run a machine that may reboot until it has begun three times, ended, or run for ``seconds``."""
    until = time.monotonic() + seconds
    with console.open("wb") as log, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log) as machine:
        while machine.poll() is None and time.monotonic() < until and console.read_bytes().count(BEGIN) < BEGINNINGS:
            time.sleep(0.2)
        machine.kill()


def run_cross(
    image: Path, trigger: Trigger, work: Path, loaded: Sequence[Path], *, busybox: Path, cross: Cross
) -> tuple[str, Path]:
    """The same on another architecture's machine, without the lab's guest."""

    files = {"lab/run": script(trigger, loaded), **{f"lab/{path.name}": path.read_bytes() for path in loaded}}
    init = trigger.init.encode() if trigger.init is not None else INIT.read_bytes()
    initrd, console = work / f"{trigger.name}.cpio", work / f"{trigger.name}.log"
    initrd.write_bytes(archive([*skeleton(busybox.read_bytes(), init), *extra_entries(files)]))
    machine = f"{cross.machine} -smp 2 -m 1G -nic none -display none -serial stdio -monitor none -no-reboot"
    words = f"console={cross.console} panic=-1 oops=panic watchdog_thresh=30 rdinit=/init {trigger.append}"
    argv = [*machine.split(), "-kernel", str(image), "-initrd", str(initrd), "-append", words]
    if trigger.reboots:
        argv.remove("-no-reboot")
    watch(argv, console, CROSS_SECONDS + trigger.seconds)
    initrd.unlink()
    report = scan_file(console)
    return report.first.title if report.first else "", console


def keep(console: Path, to: Path) -> None:
    """A console without most of the clean boot before the trigger, or before what came of it sooner, and without what
    is printed again and again."""

    lines = console.read_bytes().splitlines(keepends=True)
    marks = (b"lab: userspace", b"lab-zoo: ")
    start = next((number for number, line in enumerate(lines) if any(mark in line for mark in marks)), 0)
    if first := scan_file(console).first:
        start = max(0, min(start, first.line - LINES_BEFORE))
    to.parent.mkdir(parents=True, exist_ok=True)
    kept = lines if start < HEAD_LINES else lines[:HEAD_LINES] + lines[start - 1 :]
    to.write_bytes(b"".join(kept[:MOST_LINES]))
