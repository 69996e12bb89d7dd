"""A ``.config`` that someone has, made a kconfig for cases: what it is, and what a kernel tree made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.errors import UserError
from lab.kernel.fragment import Fragment
from lab.kernel.types import Kconfig, Unmet

HEADER = re.compile(r"^# Linux(?:/(?P<arch>\w+))?(?: kernel version:)? (?P<version>\d\S*)", re.MULTILINE)
"""The third line of a ``.config`` (scripts/kconfig/confdata.c): ``# Linux/x86 6.1.55 Kernel Configuration``, in 2.6
``# Linux kernel version: 2.6.32``."""
LISTED = re.compile(r"^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$", re.MULTILINE)
ARCHES = {"x86_64": ("x86", "x86_64"), "i386": ("x86", "i386")}
"""What the header calls an architecture, by make's ``ARCH``; others have one name."""

GUEST_NEEDS: Mapping[str, str] = {
    "BLK_DEV_INITRD": "the lab's user space comes as an initramfs",
    "BINFMT_ELF": "its programs are ELF files",
    "BINFMT_SCRIPT": "its init is a script",
    "TTY": "the console is a serial port",
    "SERIAL_8250": "the console is a serial port",
    "SERIAL_8250_CONSOLE": "the console is a serial port",
    "PRINTK": "without it the kernel says nothing",
    "EARLY_PRINTK": "without it a kernel that dies early says nothing",
    "PROC_FS": "init reads /proc",
    "SYSFS": "init counts the nodes in /sys",
}
"""What has to be built in for a boot of the lab to say anything."""


@dataclass(frozen=True)
class About:
    """What a ``.config`` says of itself: the architecture and the kernel that it was made for, where it does."""

    arch: str = ""
    version: str = ""


def about(text: str) -> About:
    """What the head of a ``.config`` says."""
    found = HEADER.search(text[:4096])
    return About(found["arch"] or "", found["version"]) if found else About()


def check_arch(fragment: Fragment, arch: str, file: str) -> None:
    """Raise :class:`UserError` for a ``.config`` of another architecture than ``arch``: nothing of it would be left."""
    made_for = about(fragment.text).arch
    values = {ask.symbol: ask.value for ask in fragment.asked}
    if made_for and made_for not in ARCHES.get(arch, (arch,)):
        raise UserError(f"{file}: made for {made_for}, and kernels for {arch} are built here")
    if arch == "x86_64" and (values.get("64BIT") == "n" or values.get("X86_32") == "y"):
        raise UserError(f"{file}: made for 32-bit x86, and kernels for {arch} are built here")


def as_kconfig(fragment: Fragment, origin: str) -> str:
    """``fragment`` as a file that ``--kconfig`` and ``series.toml`` take: each symbol once, with its last value."""
    made_for = about(fragment.text)
    made = f", made for Linux {made_for.version}" if made_for.version else ""
    head = [f"# base: {fragment.base}", f"# Imported from {origin}{made}."]
    lines = [
        (f"# CONFIG_{ask.symbol} is not set" if ask.value == "n" else f"CONFIG_{ask.symbol}={ask.value}")
        + (" # where it exists" if ask.optional else "")
        for ask in fragment.asked
    ]
    return "".join(f"{line}\n" for line in (*head, *lines))


@dataclass(frozen=True)
class Judged:
    """What a tree made of a ``.config``: the symbols that it does not know, those that it gave another value, those
    that the case requires and the ``.config`` had not, and what the lab's guest needs and will not find, with reasons.
    """

    unknown: tuple[Unmet, ...]
    dropped: tuple[Unmet, ...]
    added: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


def judge(fragment: Fragment, resolved: Kconfig) -> Judged:
    """``fragment`` beside what it was resolved to."""
    own = {ask.symbol: ask.value for ask in fragment.asked}
    return Judged(
        unknown=tuple(one for one in resolved.unmet if not one.where),
        dropped=tuple(one for one in resolved.unmet if one.where),
        added=tuple(f"{symbol}={value}" for symbol, value in resolved.asked if own.get(symbol) != value),
        missing=tuple(missing_for_guest(resolved.text).items()),
    )


def missing_for_guest(config: str) -> dict[str, str]:
    """Of what a guest of the lab needs, what a resolved ``.config`` could have built in and has not, with reasons."""
    listed = {found[1] or found[3]: found[2] or "n" for found in LISTED.finditer(config)}
    return {symbol: why for symbol, why in GUEST_NEEDS.items() if listed.get(symbol, "y") != "y"}
