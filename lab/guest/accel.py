"""Which accelerator to run guests with: KVM only where a real kernel has booted with it on this machine.

``/dev/kvm`` can exist, open and create a vCPU, and still not run a kernel: the guest hangs, or QEMU reports an
internal error. So ``auto`` tries, once, and keeps the answer until QEMU, the host's kernel or the device changes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from lab.arch import DEFAULT
from lab.errors import InfrastructureError, UserError
from lab.paths import Paths

if TYPE_CHECKING:
    from lab.guest.types import Boot

DEVICE = Path("/dev/kvm")
PROBE_SECONDS = 5.0
"""A small kernel takes half a second with KVM; one that has printed nothing after this does not run."""
CHECK_SECONDS = 30.0
KVM_HINT = "load kvm_intel or kvm_amd, add yourself to the group kvm, or use --accel tcg"

Proof = Literal["runs", "broken", "unsure"]


@dataclass(frozen=True)
class Accel:
    """The accelerator to use, and what there is to say about why; the note is empty where nothing is odd."""

    name: Literal["kvm", "tcg"]
    note: str = ""


class Known(msgspec.Struct, frozen=True):
    """What is kept: whether KVM ran a kernel on the machine with this ``identity``, and what happened when not."""

    identity: str
    kvm: bool
    detail: str = ""


def choose(
    requested: str,
    *,
    paths: Paths,
    image: Path,
    initramfs: Path,
    qemu: str = "",
    device: Path = DEVICE,
    seconds: float = PROBE_SECONDS,
    arch: str = DEFAULT,
) -> Accel:
    """The accelerator for ``requested``: ``auto``, ``kvm`` or ``tcg``.

    ``auto`` boots ``image`` with KVM where that was not tried on this machine yet; where it does not come to user
    space within ``seconds``, the same image under TCG tells whether KVM or the kernel is to blame. Raises
    :class:`InfrastructureError` for ``kvm`` where there is none, :class:`UserError` for another word.
    """
    if requested == "tcg":
        return Accel("tcg")
    if arch != DEFAULT:
        if requested == "kvm":
            raise UserError(f"KVM was asked for, and guests of {arch} are only emulated here")
        return Accel("tcg")
    if requested not in ("auto", "kvm"):
        raise UserError(f"accelerator {requested!r}: there are auto, kvm and tcg")
    trouble = why_closed(device)
    if trouble and requested == "kvm":
        raise InfrastructureError(f"KVM was asked for, but {trouble}", hint=KVM_HINT)
    if trouble:
        return Accel("tcg")
    host = identity(qemu, device)
    known = recall(paths, host)
    if requested == "kvm":
        said = f"KVM was asked for; it did not run a kernel here before: {known.detail}" if known else ""
        return Accel("kvm", said if known and not known.kvm else "")
    if known is None:
        from lab.files import locked

        def run(accel: str, limit: float) -> Boot:
            return attempt(image, accel=accel, seconds=limit, initramfs=initramfs, paths=paths, qemu=qemu)

        with locked(paths.cache / "accelerators.lock", deadline=2 * (seconds + CHECK_SECONDS)):
            known = recall(paths, host) or prove(paths, host, run, seconds)
    if known.kvm:
        return Accel("kvm")
    return Accel("tcg", f"{device} is there but does not run a kernel ({known.detail}); TCG is used")


def prove(paths: Paths, machine: str, run: Callable[[str, float], Boot], seconds: float) -> Known:
    """Find out whether KVM runs a kernel and keep the answer, where there is a sure one."""
    with_kvm = run("kvm", seconds)
    proof, detail = judge(with_kvm, None)
    if proof == "unsure":
        proof, detail = judge(with_kvm, run("tcg", CHECK_SECONDS))
    known = Known(machine, proof == "runs", detail)
    if proof != "unsure":
        remember(paths, known)
    return known


def judge(with_kvm: Boot, with_tcg: Boot | None) -> tuple[Proof, str]:
    """What a boot with KVM, and then one of the same kernel without it, say about KVM. Pure.

    A kernel that dies with both says nothing; one that printed nothing with KVM but does without it was not run.
    """
    if with_kvm.outcome == "userspace":
        return "runs", "a kernel booted with it"
    detail = with_kvm.detail
    if with_kvm.outcome == "accelerator":
        return "broken", detail
    if with_tcg is None:
        return "unsure", detail
    silent = with_kvm.first_byte_seconds is None
    if with_tcg.outcome == "userspace" or (silent and with_tcg.first_byte_seconds is not None):
        return "broken", f"{detail}, where TCG runs it"
    return "unsure", f"{detail}, and the same without KVM: it is tried again with the next kernel"


def attempt(image: Path, *, accel: str, seconds: float, initramfs: Path, paths: Paths, qemu: str) -> Boot:
    """One boot of ``image`` on a small machine, looked at for its accelerator alone."""
    from lab.guest.machine import load_machine
    from lab.guest.run import boot
    from lab.paths import data_folder

    machine = load_machine("one-node", data_folder("qemu"))
    return boot(
        image, machine, initramfs=initramfs, accel=accel, paths=paths, deadline=seconds, qemu=qemu, explain=False
    )


def why_closed(device: Path) -> str:
    """Why ``device`` cannot be used, or nothing where it can be opened."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{device}: {error.strerror}"
    return ""


def identity(qemu: str, device: Path) -> str:
    """Changes whenever QEMU, the host's kernel or the device does, and with it perhaps the answer."""
    from lab.guest.ahead import QEMU

    program = shutil.which(qemu or QEMU)
    host = os.uname()
    parts = [host.release, host.version, host.machine]
    if program:
        status = Path(program).stat()
        parts += [str(Path(program).resolve()), str(status.st_size), str(status.st_mtime_ns)]
    node = device.stat()
    parts += [str(node.st_dev), str(node.st_ino), str(node.st_rdev), oct(node.st_mode), str(node.st_ctime_ns)]
    return " ".join(parts)


def recall(paths: Paths, machine: str) -> Known | None:
    """What is known about the machine as it is now."""
    try:
        known = msgspec.json.decode(paths.accelerators.read_bytes()[: 1 << 16], type=Known)
    except (OSError, msgspec.DecodeError):
        return None
    return known if known.identity == machine else None


def remember(paths: Paths, known: Known) -> None:
    """Keep ``known``."""
    from lab.files import write_atomic

    write_atomic(paths.accelerators, msgspec.json.encode(known))


def describe(paths: Paths, *, qemu: str = "", device: Path = DEVICE) -> str:
    """What guests are run with here, for people; nothing is tried for it."""
    trouble = why_closed(device)
    if trouble:
        return f"TCG; no KVM ({trouble})"
    known = recall(paths, identity(qemu, device))
    if known is None:
        return f"{device} is there; whether it runs a kernel is tried with the first boot"
    if known.kvm:
        return "KVM; a kernel booted with it"
    return f"TCG; {device} is there but does not run a kernel ({known.detail})"
