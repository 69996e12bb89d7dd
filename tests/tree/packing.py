"""Source packages as Debian and Ubuntu have them, made here: a small kernel, a quilt series, what describes them."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from lab.paths import Paths
from lab.settings import Settings
from lab.tree.get import get_base
from lab.tree.git import git, text
from lab.tree.types import Base
from tests.tree.kernels import makefile

Package = Callable[..., Path]
MAKE = makefile("6.1.7").encode()
SLUB = b"int slub;\n"
PATCH = b"""Description: what DEP-3 has
 --- and more text
--- a/mm/slub.c
+++ b/mm/slub.c
@@ -1 +1,2 @@
 int slub;
+int debian;
--- /dev/null
+++ b/mm/new.c
@@ -0,0 +1 @@
+int new;
"""
TWO = b"--- a/mm/slub.c\n+++ b/mm/slub.c\n@@ -1,2 +1,3 @@\n int slub;\n+int two;\n int debian;\n"
Members = dict[str, bytes | str | tarfile.TarInfo]


def tar(members: Members, packing: str = "xz") -> bytes:
    """A tarball of files (bytes), symbolic links (the target) and anything else."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as made:
        for name, what in members.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = what if isinstance(what, bytes) else b""
            if isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


ORIG: Members = {"linux-6.1.7/Makefile": MAKE, "linux-6.1.7/mm/slub.c": SLUB, "linux-6.1.7/debian/old": b"upstream's\n"}
DEBIAN: Members = {
    "debian/control": b"Source: linux\n",
    "debian/source/format": b"3.0 (quilt)\n",
    "debian/patches/series": b"# first\nbugfix/one.patch -p1\n\ntwo.patch # why\n",
    "debian/patches/bugfix/one.patch": PATCH,
    "debian/patches/two.patch": TWO,
}
STEM = "linux_6.1.7"


def described(files: dict[str, bytes], kind: str = "3.0 (quilt)", version: str = "6.1.7-1~bpo12+1") -> str:
    """The text of a ``.dsc`` for ``files``."""
    rows = [(hashlib.sha256(data).hexdigest(), len(data), name) for name, data in files.items()]
    md5 = [(hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data), name) for name, data in files.items()]
    lines = ["".join(f" {digest} {size} {name}\n" for digest, size, name in some) for some in (rows, md5)]
    return (
        f"Format: {kind}\nSource: linux\nBinary: linux-a,\n linux-b\nVersion: {version}\n"
        f"Checksums-Sha1:\n {'0' * 40} 1 x\nChecksums-Sha256:\n{lines[0]}Files:\n{lines[1]}"
    )


def good(orig: Members = ORIG, debian: Members = DEBIAN) -> dict[str, bytes]:
    """The files of a source package in format 3.0 (quilt)."""
    return {f"{STEM}.orig.tar.xz": tar(orig), f"{STEM}-1~bpo12+1.debian.tar.xz": tar(debian)}


def add(place: Path | str, paths: Paths, sha256: str = "", keyrings: tuple[Path, ...] = ()) -> Base:
    """What ``lab bases add`` does."""
    return get_base(str(place), paths, Settings(dsc_keyrings=list(map(str, keyrings))), sha256=sha256)


def names(base: Base) -> list[str]:
    """The files that a base has."""
    return text(git(base.repo, "ls-tree", "-r", "--name-only", base.commit)).splitlines()


def content(base: Base, name: str) -> str:
    """A file of a base."""
    return text(git(base.repo, "show", f"{base.commit}:{name}"))
