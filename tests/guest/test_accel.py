"""The accelerator: KVM only where a real kernel booted with it.

A KVM that works cannot be had everywhere, so a stand-in for it runs the real QEMU with TCG where ``kvm`` was asked
for; a KVM that is broken is the host's own where it has one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.console.types import Report
from lab.errors import InfrastructureError, UserError
from lab.guest.accel import Accel, Known, choose, describe, identity, judge, recall, remember
from lab.guest.types import Boot, Outcome
from lab.paths import Paths

WORKS = 'for a; do shift; [ "$a" = kvm ] && a=tcg; set -- "$@" "$a"; done; exec qemu-system-x86_64 "$@"'
BREAKS = (
    'case " $* " in *" kvm "*) echo "KVM internal error. Suberror: 1" >&2; exit 1 ;; esac; exec qemu-system-x86_64 "$@"'
)


def run(outcome: Outcome, first_byte: float | None = 0.1) -> Boot:
    return Boot(
        outcome=outcome,
        detail=f"it was {outcome}",
        report=Report(),
        machine="one-node",
        nodes=1,
        accel="kvm",
        argv=(),
        folder=Path(),
        console=Path(),
        seconds=1.0,
        first_byte_seconds=first_byte,
    )


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A device that can be opened, as /dev/kvm can where the user may use it."""
    path = tmp_path / "kvm"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("with_kvm", "with_tcg", "proof"),
    [
        (run("userspace"), None, "runs"),
        (run("accelerator", None), None, "broken"),
        (run("hang", None), None, "unsure"),
        (run("hang", None), run("userspace"), "broken"),
        (run("hang", None), run("died"), "broken"),
        (run("hang", None), run("died", None), "unsure"),
        (run("died"), run("died"), "unsure"),
        (run("died"), run("userspace"), "broken"),
        (run("qemu", None), run("userspace"), "broken"),
    ],
)
def test_only_a_booted_kernel_proves_kvm_and_only_tcg_proves_that_the_kernel_is_not_to_blame(
    with_kvm: Boot, with_tcg: Boot | None, proof: str
) -> None:
    assert judge(with_kvm, with_tcg)[0] == proof


def test_tcg_is_tcg(paths: Paths) -> None:
    assert choose("tcg", paths=paths, image=Path("k"), initramfs=Path("i")) == Accel("tcg")


def test_another_word_is_refused(paths: Paths) -> None:
    with pytest.raises(UserError, match="'hvf': there are auto, kvm and tcg"):
        choose("hvf", paths=paths, image=Path("k"), initramfs=Path("i"))


def test_without_a_device_auto_is_tcg_and_kvm_is_an_error(paths: Paths, tmp_path: Path) -> None:
    missing = tmp_path / "no-kvm"
    assert choose("auto", paths=paths, image=Path("k"), initramfs=Path("i"), device=missing) == Accel("tcg")
    with pytest.raises(InfrastructureError, match=r"KVM was asked for, but .*no-kvm: No such file"):
        choose("kvm", paths=paths, image=Path("k"), initramfs=Path("i"), device=missing)


def test_what_is_known_is_not_tried_again(paths: Paths, device: Path) -> None:
    remember(paths, Known(identity("", device), kvm=False, detail="it hung"))
    accel = choose("auto", paths=paths, image=Path("no such image"), initramfs=Path("i"), device=device)
    assert accel.name == "tcg"
    assert "does not run a kernel (it hung); TCG is used" in accel.note
    assert "does not run a kernel" in describe(paths, device=device)


def test_it_is_forgotten_when_the_device_changes(paths: Paths, device: Path) -> None:
    remember(paths, Known(identity("", device), kvm=True))
    assert recall(paths, identity("", device)) is not None
    device.chmod(0o600 if device.stat().st_mode & 0o077 else 0o666)
    assert recall(paths, identity("", device)) is None


def test_a_damaged_memory_is_as_good_as_none(paths: Paths, device: Path) -> None:
    paths.cache.mkdir()
    paths.accelerators.write_bytes(b'{"identity": 7')
    assert recall(paths, identity("", device)) is None


@pytest.mark.boot
def test_kvm_that_boots_a_kernel_is_used_from_then_on(
    paths: Paths, device: Path, kernel: Path, initramfs: Path, qemu_script: Callable[[str], str]
) -> None:
    qemu = qemu_script(WORKS)
    assert choose(
        "auto", paths=paths, image=kernel, initramfs=initramfs, qemu=qemu, device=device, seconds=30
    ) == Accel("kvm")
    known = recall(paths, identity(qemu, device))
    assert known is not None
    assert known.kvm


@pytest.mark.boot
def test_kvm_that_breaks_falls_back_to_tcg_and_says_so(
    paths: Paths, device: Path, kernel: Path, initramfs: Path, qemu_script: Callable[[str], str]
) -> None:
    accel = choose("auto", paths=paths, image=kernel, initramfs=initramfs, qemu=qemu_script(BREAKS), device=device)
    assert accel.name == "tcg"
    assert "KVM internal error" in accel.note


@pytest.mark.boot
@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="this host has no /dev/kvm")
def test_the_hosts_own_kvm_is_used_exactly_where_it_runs_a_kernel(paths: Paths, kernel: Path, initramfs: Path) -> None:
    from lab.guest.machine import load_machine
    from lab.guest.run import boot
    from lab.paths import data_folder

    accel = choose("auto", paths=paths, image=kernel, initramfs=initramfs)
    assert accel.name == "kvm" or "does not run a kernel" in accel.note
    machine = load_machine("one-node", data_folder("qemu"))
    result = boot(kernel, machine, initramfs=initramfs, accel="kvm", paths=paths, deadline=5)
    assert (result.outcome == "userspace") == (accel.name == "kvm")
    assert result.outcome in ("userspace", "accelerator"), "a broken KVM is never the kernel's death"


def test_the_note_is_for_people(paths: Paths, device: Path) -> None:
    remember(paths, Known(identity("", device), kvm=True))
    assert describe(paths, device=device) == "KVM; a kernel booted with it"
