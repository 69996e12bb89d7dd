"""What every ``make`` of a kernel is told, so that the same input gives the same image wherever it is built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from lab.arch import arches
from lab.kernel.types import Compat, Toolchain
from lab.paths import Paths

APT = "sudo apt-get install --no-install-recommends"

KEPT = ("PATH", "HOME", "TMPDIR", "CCACHE_DIR", "CCACHE_MAXSIZE", "CCACHE_CONFIGPATH")
"""Of the caller's environment nothing else reaches a build: MAKEFLAGS, CFLAGS or ARCH there would change it unseen."""


def make_environment(paths: Paths) -> dict[str, str]:
    """The environment of a build: no time, user or host gets into the image (Documentation/kbuild/reproducible-builds),
    and the compiler cache works across folders."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        "CCACHE_DIR": str(paths.cache / "ccache"),
        "CCACHE_MAXSIZE": "10G",
        **kept,
        "LC_ALL": "C",
        "CCACHE_BASEDIR": str(paths.cache),
        "CCACHE_NOHASHDIR": "1",
        "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
        "KBUILD_BUILD_USER": "lab",
        "KBUILD_BUILD_HOST": "lab",
        "KBUILD_BUILD_VERSION": "1",
    }


def make_variables(toolchain: Toolchain, compat: Compat, prefixes: Sequence[str] = ()) -> list[str]:
    """The variables on make's command line: the compiler, behind ccache where that is there, and compat's flags.

    ``prefixes`` are taken off the file names in BUG() and WARN(). 6.1 does that itself for the path of the tree, older
    kernels do not, and none does it for the relative path that ccache makes of it.
    """
    cache = "ccache " if shutil.which("ccache") else ""
    flags = dict(compat.flags)
    if toolchain.cc_version >= (8,):
        maps = " ".join(f"-fmacro-prefix-map={prefix}/=" for prefix in prefixes)
        flags["KCPPFLAGS"] = f"{flags.get('KCPPFLAGS', '')} {maps}".strip()
    cross = arches()[toolchain.arch].prefix if toolchain.arch in arches() else ""
    return [
        f"ARCH={toolchain.arch}",
        *([f"CROSS_COMPILE={cross}"] if cross else []),
        f"CC={cache}{toolchain.cc}",
        f"HOSTCC={cache}{'gcc' if cross else toolchain.cc}",
        "LOCALVERSION=",
        *(f"{name}={value}" for name, value in flags.items() if value),
    ]


def source_arch(arch: str) -> str:
    """The folder below ``arch/`` of an architecture as make's ``ARCH`` names it."""
    return arches()[arch].source if arch in arches() else "x86" if arch == "i386" else arch
