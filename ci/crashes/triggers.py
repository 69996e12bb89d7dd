"""The triggers of the zoo and the titles beside them: lab_zoo.c, zoo.toml and lkdtm.toml of tests/data/zoo."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "tests" / "data" / "zoo"
VARIANTS = ("tiny", "plain", "debug", "kcsan", "kmsan", "lockup", "slab", "distro")
LKDTM = "/sys/kernel/debug/provoke-crash/DIRECT"


@dataclass(frozen=True)
class Cross:
    """Another architecture: its name for make, its compiler's prefix, QEMU's machine, the console, the image that make
    makes."""

    make: str
    prefix: str
    machine: str
    console: str
    image: str


ARCHES = {
    "arm64": Cross(
        "arm64", "aarch64-linux-gnu-", "qemu-system-aarch64 -M virt -cpu cortex-a57", "ttyAMA0 earlycon", "Image"
    ),
    "riscv": Cross("riscv", "riscv64-linux-gnu-", "qemu-system-riscv64 -M virt", "ttyS0 earlycon", "Image"),
    "powerpc": Cross(
        "powerpc",
        "powerpc64le-linux-gnu-",
        "qemu-system-ppc64 -M pseries,x-vof=on -cpu power9",
        "hvc0",
        "../../../vmlinux",
    ),
}

TRIGGER = re.compile(r'\{ "(?P<name>[\w-]+)", zoo_\w+(?:, (?P<debug>NULL|"[^"]*")(?:,\s*"(?P<plain>[^"]*)")?)? \}')
TINY = (
    "alloc-failure",
    "bug",
    "dentry",
    "divide",
    "double-fault",
    "early-null",
    "gpf",
    "init-killed",
    "irq-bug",
    "msr",
    "nmi",
    "null",
    "opcode",
    "panic-text",
    "rcu-stall",
    "warn",
)
"""Of the plain kernel's triggers those that need nothing which the smallest has not."""


@dataclass(frozen=True)
class Trigger:
    """One way to crash: the file to write its name to (empty: it is the boot itself), the title to expect, seconds to
    wait afterwards, words for the kernel, what else the guest runs, another init, and whether the machine reboots."""

    name: str
    file: str
    title: str
    seconds: int = 0
    append: str = ""
    script: str = ""
    init: str | None = None
    reboots: bool = False


def triggers(variant: str, *, old: bool = False) -> list[Trigger]:
    """All triggers that are for a variant of a kernel; ``old`` for 3.7."""
    if variant == "tiny":
        return [trigger for trigger in triggers("plain", old=old) if trigger.name in TINY]
    options = tomllib.loads((ZOO / "zoo.toml").read_text())
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for match in TRIGGER.finditer((ZOO / "lab_zoo.c").read_text()):
        titles = {"debug": (match["debug"] or "NULL").strip('"'), "plain": match["plain"] or "NULL"}
        known = {key: value for key, value in titles.items() if value != "NULL"}
        found[match["name"]] = "/proc/lab-zoo", {**known, **options.pop(match["name"], {})}
    found |= {name: ("", entry) for name, entry in options.items()}
    if not old:
        found |= {name: (LKDTM, entry) for name, entry in tomllib.loads((ZOO / "lkdtm.toml").read_text()).items()}
    return [trigger for name, (file, entry) in found.items() for trigger in made(name, file, entry, variant, old)]


def made(name: str, file: str, entry: dict[str, Any], variant: str, old: bool) -> Iterator[Trigger]:
    """The trigger of an entry, if it is for the variant."""
    title = entry.get(variant, entry.get("title") if variant in ("plain", "debug") else None)
    if variant == "distro" or variant in ARCHES:
        title = entry.get(variant, entry.get("distro", entry.get("plain", entry.get("title"))))
    if old and title is not None:
        title = entry.get("plain", entry.get("title")) if title.startswith(("KASAN", "UBSAN")) else title  # too young
    if old and title is not None:
        title = entry.get(f"old-{variant}", entry.get("old", title))
    if title is not None and title != "-":
        more = {key: entry[key] for key in ("seconds", "append", "script", "init", "reboots") if key in entry}
        yield Trigger(name, file, title, **more)
