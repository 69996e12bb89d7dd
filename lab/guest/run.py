"""One run of one kernel on one machine, from its image to a :class:`Boot` on disk."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.arch import arch
from lab.errors import InfrastructureError
from lab.guest.ahead import FD, QEMU, Ahead
from lab.guest.command import TEMPLATE, kernel_command_line, render
from lab.guest.image import check_image
from lab.guest.machine import Machine, available_memory, check_host_memory
from lab.guest.qemu import Wires, started
from lab.paths import Paths, data_folder

if TYPE_CHECKING:
    from lab.console.ktap import Tap
    from lab.console.types import Report
    from lab.guest.follow import Seen
    from lab.guest.types import Boot, Outcome

KVM_TROUBLE = re.compile(
    r"KVM internal error|failed to initialize kvm|kvm run failed|kvm_\w+|MSR 0x|KVM kernel module", re.I
)
"""What QEMU says when the accelerator breaks (accel/kvm/kvm-all.c, target/i386/kvm/kvm.c), other than warnings."""
DISK_HINT = "free some space, or set LAB_CACHE to another disk"
NOISE = re.compile(r"warning: |terminating on signal|^\s*$")


@dataclass(frozen=True)
class Ask:
    """What is to be run. ``append`` is the whole kernel command line."""

    image: Path
    machine: Machine
    initramfs: Path | None
    accel: str
    append: str
    deadline: float
    template: Path
    vmlinux: Path | None = None
    wait_for_exit: bool = False
    qemu: str = ""
    kept: Path | None = None
    programs: tuple[str, ...] = ()
    tether: Tether | None = None


@dataclass(frozen=True)
class Tether:
    """What ties a guest to somebody who works in it: the end of a socket that becomes its second serial line, the end
    of a pipe whose other end is closed to end it, how many seconds it has after its marker, and a memory file (and its
    size in bytes) that it shares with the host."""

    channel: int
    stop: int
    seconds: float
    share: int
    share_bytes: int


def boot(
    image: Path,
    machine: Machine,
    *,
    initramfs: Path,
    accel: str,
    paths: Paths,
    append: str = "",
    deadline: float = 60.0,
    on_console: Callable[[bytes], None] | None = None,
    vmlinux: Path | None = None,
    wait_for_exit: bool = False,
    programs: tuple[str, ...] = (),
    qemu: str = "",
    explain: bool = True,
    meanwhile: Callable[[], None] | None = None,
    ahead: Ahead | None = None,
    tether: Tether | None = None,
) -> Boot:
    """Boot ``image`` on ``machine`` and watch it until the verdict is sure, at most ``deadline`` seconds.

    Time that an overloaded host keeps the guest waiting for a core does not count towards ``deadline``, up to four
    times of it.

    ``accel`` is ``tcg`` or ``kvm`` (see :func:`lab.guest.accel.choose`); ``append`` goes on the kernel's command line
    after the lab's and the machine's words; ``on_console`` gets each piece of the console as it comes. ``vmlinux``
    names functions where a guest hangs or dies without a word. With ``wait_for_exit`` the guest is not ended at the
    marker but ends by itself, after its ``/lab/run``; so it does where that runs the ``programs`` of these names, whose
    results are then in the boot's. ``qemu`` is another QEMU than the one on PATH. A guest that
    died without a word is started again and traced (on x86), unless ``explain`` is false. ``meanwhile`` is called once
    the guest runs: a place to import what the result will be shown with. ``ahead`` may have started that QEMU already.

    Console, arguments and result are in the boot's folder before this returns. Whatever the kernel does is a result;
    raised are :class:`UserError` (not a kernel, a machine that cannot be) and :class:`InfrastructureError` (no QEMU,
    no memory, a full disk). On Ctrl-C the guest is gone and the folder says so.
    """
    check_image(image, machine.arch)
    check_host_memory(machine, available_memory())
    line = kernel_command_line(machine, append, accel)
    ask = Ask(
        image=image,
        machine=machine,
        initramfs=initramfs,
        accel=accel,
        append=line,
        deadline=deadline,
        template=data_folder("qemu") / TEMPLATE,
        vmlinux=vmlinux,
        wait_for_exit=wait_for_exit or bool(programs) or tether is not None,
        qemu=qemu or arch(machine.arch).qemu,
        kept=paths.cache / "commands",
        programs=programs,
        tether=tether,
    )
    folder = make_folder(paths)
    try:
        seen = run(ask, folder / "console.log", on_console, meanwhile, ahead)
    except KeyboardInterrupt:
        save(interrupted(ask, folder))
        raise
    result = conclude(ask, seen, folder)
    if explain and is_silent(result) and machine.arch == "x86_64":
        from lab.guest.silent import explain_boot

        result = explain_boot(result, ask)
    save(result)
    return result


def run(
    ask: Ask,
    console: Path,
    on_console: Callable[[bytes], None] | None,
    meanwhile: Callable[[], None] | None,
    ahead: Ahead | None,
) -> Seen:
    """Start QEMU for ``ask``, follow it, end it."""

    def import_the_rest() -> None:
        import msgspec.json  # noqa: F401

        import lab.files  # noqa: F401

        arguments(ask)  # and keep it
        if ahead:
            remember(ask, ahead)
        if meanwhile:
            meanwhile()

    tether = ask.tether
    log = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        passed = (tether.channel, tether.share) if tether else ()
        with started(lambda wires: arguments(ask, wires), ahead=ahead, passed=passed) as guest:
            from lab.guest.follow import follow

            return follow(
                guest,
                log=log,
                deadline=ask.deadline,
                on_console=on_console,
                wait_for_exit=ask.wait_for_exit,
                meanwhile=import_the_rest,
                hold=tether.seconds if tether else 0.0,
                stop=tether.stop if tether else -1,
            )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InfrastructureError(f"{console}: cannot be written: {error.strerror}", hint=DISK_HINT) from None
    finally:
        os.close(log)


def remember(ask: Ask, ahead: Ahead) -> None:
    """Have the next QEMU of this command line started ahead, unless it would take the host's memory at once."""
    import shutil

    if any(node.prealloc for node in ask.machine.nodes):
        return
    qemu = shutil.which(ask.qemu or QEMU) or ""
    files = (qemu, str(ask.image.absolute()), str(ask.initramfs or ""), str(ask.template))
    ahead.remember(arguments(ask, Wires(FD, -1)), files)


def arguments(ask: Ask, wires: Wires | None = None, trace: tuple[str, ...] = ()) -> list[str]:
    """QEMU's arguments: with ``wires`` as the lab runs it, with a monitor and stopped; without as a person would."""
    tether = ask.tether if wires else None
    return render(
        ask.machine,
        image=ask.image,
        initrd=ask.initramfs,
        append=ask.append,
        accel=ask.accel,
        template=ask.template,
        qmp=f"socket,fd={wires.qmp}" if wires else "",
        channel=f"socket,fd={tether.channel}" if tether else "",
        share=f"size={tether.share_bytes},mem-path=/proc/self/fd/{tether.share}" if tether else "",
        trace=trace,
        qemu=ask.qemu or QEMU,
        kept=ask.kept,
    )


def make_folder(paths: Paths) -> Path:
    """A new folder below ``paths.boots``, named so that names sort by time."""
    folder = paths.boots / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InfrastructureError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder


def conclude(ask: Ask, seen: Seen, folder: Path) -> Boot:
    """What was seen, as a result."""
    from lab.guest.follow import LOG_BYTES
    from lab.guest.types import Boot

    report = seen.scanner.close()
    if report.nameless and ask.vmlinux:
        from lab.console.annotate import named

        report = named(report, ask.vmlinux)
    outcome = corrected(seen, ask.accel)
    notes = []
    if seen.console_bytes > LOG_BYTES:
        notes.append(f"the guest printed {seen.console_bytes >> 20} MiB; console.log ends after {LOG_BYTES >> 20} MiB")
    if seen.registers:
        from lab.guest.where import where_cpus_are

        notes += where_cpus_are(seen.registers, ask.vmlinux)
    if seen.errors.strip():
        notes.append(f"QEMU: {first_line(seen.errors)}")
    return Boot(
        outcome=outcome,
        detail=describe(outcome, seen, report, ask),
        report=report,
        machine=ask.machine.name,
        nodes=ask.machine.visible_nodes,
        accel=ask.accel,
        argv=tuple(arguments(ask)),
        folder=folder,
        console=folder / "console.log",
        seconds=round(seen.seconds, 4),
        first_byte_seconds=seen.first_byte,
        marker_seconds=seen.marker,
        fatal_seconds=seen.sight.fatal,
        last_byte_seconds=seen.sight.last_byte,
        ended_seconds=seen.ended,
        notes=tuple(notes),
        programs=programs_in(folder / "console.log", ask.programs) if ask.programs else (),
    )


def programs_in(console: Path, names: tuple[str, ...]) -> tuple[Tap, ...]:
    """What the programs said on the console."""
    from lab.console.ktap import read_file
    from lab.guest.programs import complete

    return complete(read_file(console), names)


def corrected(seen: Seen, accel: str) -> Outcome:
    """The outcome, where QEMU's own words show that the accelerator broke and not QEMU or the kernel."""
    if not accel.startswith("kvm") or seen.outcome not in ("qemu", "died", "hang"):
        return seen.outcome
    said = "\n".join(line for line in seen.errors.splitlines() if not NOISE.search(line))
    return "accelerator" if KVM_TROUBLE.search(said) else seen.outcome


def describe(outcome: Outcome, seen: Seen, report: Report, ask: Ask) -> str:
    """In a sentence, what ended the run."""
    stage = report.stage or "nothing on the console"
    if outcome == "userspace":
        marker = report.marker
        seen_there = f"{marker.get('nodes', '?')} node(s), {marker.get('cpus', '?')} CPU(s)" if marker else "no marker"
        return f"user space ran: {seen_there}"
    if outcome == "died":
        return f"{how_it_died(seen, report)} (stage {stage})"
    said = first_line(seen.errors)
    status = seen.status
    how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
    waited = "the guest did not end" if report.marker else "no marker from user space"
    return {
        "hang": f"{waited} within {ask.deadline:g} s (stage {stage}{doing(report)})",
        "accelerator": f"the accelerator {ask.accel} broke: {said or 'QEMU stopped the guest with an internal error'}",
        "qemu": f"QEMU ended by itself with {how}{': ' if said else ''}{said}",
    }.get(outcome, "the run was ended from outside")


def doing(report: Report) -> str:
    """What a guest that hangs did last: the initcall that did not return, else its last line."""
    if report.marker is None and report.last_initcall:
        return f", in initcall {report.last_initcall}"
    return f"; last line: {report.last_sign_of_life[:120]}" if report.last_sign_of_life else ""


def how_it_died(seen: Seen, report: Report) -> str:
    """What the kernel said last, or else what the machine did."""
    if report.first is not None and report.first.fatal:
        return report.first.title
    if seen.sight.shutdown == "guest-shutdown":
        return "the guest powered itself off before user space"
    return "the guest reset itself before user space"


def first_line(text: str) -> str:
    """The first line of QEMU's messages that is more than a warning, without what comes before its own words."""
    lines = [line.strip() for line in text.splitlines()]
    line = next((line for line in lines if not NOISE.search(line)), next(iter(lines), ""))
    return re.sub(r"^\S*qemu-system-\S+?: ", "", line)[:400]


def is_silent(result: Boot) -> bool:
    """Whether the guest ended without the kernel having said what happened, before it even named itself."""
    early = result.report.stage in ("", "firmware", "decompress")
    return result.outcome in ("died", "hang") and early and not result.report.findings


def interrupted(ask: Ask, folder: Path) -> Boot:
    """What is kept of a run that Ctrl-C ended."""
    from lab.console.types import Report
    from lab.guest.types import Boot

    return Boot(
        outcome="interrupted",
        detail="the run was ended from outside",
        report=Report(),
        machine=ask.machine.name,
        nodes=ask.machine.visible_nodes,
        accel=ask.accel,
        argv=tuple(arguments(ask)),
        folder=folder,
        console=folder / "console.log",
        seconds=0.0,
    )


def save(result: Boot) -> None:
    """Put ``boot.json`` beside the console."""
    import msgspec

    from lab.files import write_atomic

    write_atomic(result.folder / "boot.json", msgspec.json.encode(result, enc_hook=str))
