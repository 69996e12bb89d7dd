"""What a resolved kconfig depends on in a tree: most patches change none of it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = re.compile(rb'^[ \t]*[or]{0,2}source[ \t]+"([^"\n]+)"', re.MULTILINE)
SKIPPED = frozenset({"Documentation", "include", "tools", "LICENSES", ".git"})


def kconfig_inputs(source: Path, arch: str) -> str:
    """A hash of the Kconfig files of the tree in ``source``, and of the scripts and Makefiles that they call, for the
    architecture of folder ``arch``.

    Kconfig files are known by their names; where one includes a file called otherwise, nobody knows what else matters,
    and the answer is empty.
    """
    digest = hashlib.sha256()
    for path in sorted(files(source, arch)):
        try:
            data = path.read_bytes()
        except OSError:  # a link that leads nowhere
            continue
        if path.name.startswith("Kconfig"):
            for name in SOURCE.findall(data):
                if not name.rpartition(b"/")[2].startswith(b"Kconfig"):
                    return ""
        digest.update(f"{path.relative_to(source)}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    return digest.hexdigest()


def files(source: Path, arch: str) -> Iterator[Path]:
    """The files that matter: an architecture reads no other's."""
    yield from (source / "Makefile", *(source / "arch" / arch).glob("Makefile*"))
    for folder in (source / "scripts", source / "arch" / arch / "configs"):
        for place, _, names in os.walk(folder):
            yield from (Path(place, name) for name in names if not name.startswith("Kconfig"))
    for place, folders, names in os.walk(source):
        if Path(place) == source:
            folders[:] = [name for name in folders if name not in SKIPPED]
        elif Path(place) == source / "arch":
            folders[:] = [arch]
        yield from (Path(place, name) for name in names if name.startswith("Kconfig"))
