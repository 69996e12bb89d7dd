"""Everything that the lab needs on this machine: what is there, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.paths import Paths
from lab.share.where import Where

Status = Literal["ok", "missing", "optional"]

APT = "sudo apt-get install --no-install-recommends"
FREE_DISK_GB = 4
"""The base ``debian-6.1``, its checkout, the object directory and five kernels take 2.0 GB; and as much again."""
FREE_MEMORY_GB = 3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``status`` ``optional``: the lab does without it; ``mend`` says what to do."""

    name: str
    status: Status
    detail: str
    mend: str = ""


@dataclass(frozen=True)
class Tool:
    """A command that the lab calls, the Debian package it comes in, and what it is for."""

    command: str
    package: str
    purpose: str
    needed: bool = True


TOOLS = (
    Tool("git", "git", "trees and series"),
    Tool("gcc", "gcc", "kernels"),
    Tool("ld", "binutils", "kernels"),
    Tool("make", "make", "kernels"),
    Tool("flex", "flex", "kconfig"),
    Tool("bison", "bison", "kconfig"),
    Tool("bc", "bc", "kernels"),
    Tool("perl", "perl", "kernels of 2012"),
    Tool("xz", "xz-utils", "kernel sources"),
    Tool("qemu-system-x86_64", "qemu-system-x86", "guests"),
    Tool("busybox", "busybox-static", "the guests' user space"),
    Tool("ccache", "ccache", "compiling nothing twice", needed=False),
    Tool("bwrap", "bubblewrap", "shutting in the builds of series that came by mail", needed=False),
)

HEADERS = (
    ("stdlib.h", "libc6-dev", "host tools of a kernel build"),
    ("gelf.h", "libelf-dev", "objtool"),
    ("openssl/opensslv.h", "libssl-dev", "certificates in a kernel build"),
)


def examine(paths: Paths, *, accelerator: bool = True, share: Where | None = None) -> list[Check]:
    """Look at everything. With ``accelerator`` a KVM that is there is tried with a real kernel, where one is built; a
    ``share`` is written to and read from."""
    checks = [python()]
    checks += [tool(entry) for entry in TOOLS]
    checks += [header(*entry) for entry in HEADERS]
    checks += [base_source(), disk(paths), memory(), boards()]
    if accelerator:
        checks.append(accelerators(paths))
    if share is not None:
        checks.append(shared(share))
    return checks


def python() -> Check:
    """The interpreter that runs this."""
    return Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def tool(entry: Tool) -> Check:
    """One command on PATH."""
    found = shutil.which(entry.command)
    if found:
        return Check(entry.command, "ok", found)
    status: Status = "missing" if entry.needed else "optional"
    return Check(entry.command, status, f"not found; needed for {entry.purpose}", f"{APT} {entry.package}")


def header(name: str, package: str, purpose: str) -> Check:
    """One C header in the places where Debian and others put it."""
    places = [Path("/usr/include"), Path("/usr/local/include"), *Path("/usr/include").glob("*-linux-gnu*")]
    found = next((place / name for place in places if (place / name).exists()), None)
    if found:
        return Check(name, "ok", str(found))
    return Check(name, "missing", f"not found; needed for {purpose}", f"{APT} {package}")


def base_source() -> Check:
    """The source of the base ``debian-6.1``."""
    path = Path("/usr/src/linux-source-6.1.tar.xz")
    if path.exists():
        return Check("base debian-6.1", "ok", str(path))
    mend = f"{APT} linux-source-6.1"
    return Check("base debian-6.1", "optional", "package linux-source-6.1 is not here; kernel.org's 6.1 is used", mend)


def boards() -> Check:
    """What drives real boards."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Check("labgrid", "ok", version("labgrid"))
    except PackageNotFoundError:
        mend = "pip install 'kernel-boot-lab[boards]'; in a checkout: ci/setup boards"
        return Check("labgrid", "optional", "not found; needed for real boards", mend)


def disk(paths: Paths) -> Check:
    """Free room where the cache is."""
    place = next(folder for folder in (paths.cache, *paths.cache.parents) if folder.exists())
    if not os.access(place, os.W_OK):
        return Check("disk", "missing", f"{place} is not writable", "set LAB_CACHE to a folder that is")
    free = shutil.disk_usage(place).free / 1e9
    detail = f"{free:.0f} GB free for {paths.cache}"
    if free >= FREE_DISK_GB:
        return Check("disk", "ok", detail)
    return Check("disk", "missing", f"{detail}; {FREE_DISK_GB} GB are needed", "free some, or set LAB_CACHE elsewhere")


def memory() -> Check:
    """Memory that is free now, as Linux estimates it (``MemAvailable`` of proc(5))."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1e6
    detail = f"{available:.0f} GB available"
    if available >= FREE_MEMORY_GB:
        return Check("memory", "ok", detail)
    return Check("memory", "missing", f"{detail}; building and booting take {FREE_MEMORY_GB} GB", "close something")


def accelerators(paths: Paths) -> Check:
    """What runs guests here: KVM only where a real kernel booted with it."""
    from lab.guest.accel import describe

    return Check("accelerator", "ok", describe(paths))


def shared(where: Where) -> Check:
    """The store's shared side: the lab does without it, but for the time that it would save."""
    from lab.share.place import Place, Unreachable

    try:
        place = Place(where)
        try:
            place.try_out()
        finally:
            place.close()
    except Unreachable as error:
        return Check("share", "optional", f"{where.name}: {error}", "kernels are built here alone until it is back")
    return Check("share", "ok", f"{where.name}: read and written")
