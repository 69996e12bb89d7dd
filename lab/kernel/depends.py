"""Which objects hang on which files of the tree: read from what the last build left beside each object.

kbuild writes ``.NAME.o.cmd`` with ``deps_PATH := \\`` and a file a line (scripts/basic/fixdep.c). Files of the tree are
named by their path, which contains the worktree's folder; what is generated lies in the object directory and is not
counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec

from lab.kernel.objects import STATE


def groups(place: Path, worktree: str, wanted: Collection[str]) -> Counter[frozenset[str]]:
    """How many objects in ``place`` hang on each set of the ``wanted`` files; the empty set counts those that hang on
    none. ``worktree`` is the name of the folder that they were compiled from."""
    counts: Counter[frozenset[str]] = Counter()
    mark = f"/{worktree}/".encode()
    names = {name.encode("utf-8", "surrogateescape"): name for name in wanted}
    for folder, folders, files in os.walk(place):
        folders[:] = [name for name in folders if name not in ("include", "source")]
        for name in files:
            if name.startswith(".") and name.endswith(".o.cmd"):
                counts[frozenset(names[one] for one in needs(Path(folder, name), mark) & names.keys())] += 1
    return counts


def needs(path: Path, mark: bytes) -> set[bytes]:
    """The files of the tree that one object was compiled from."""
    try:
        data = path.read_bytes()
    except OSError:
        return set()
    start = data.find(b"\nsource_")
    tokens = set(data[max(start, 0) :].split()) if start >= 0 else set()
    return {token.partition(mark)[2] for token in tokens if mark in token}


def stands_at(place: Path) -> str:
    """The git tree that the object directory was last built from; empty where nobody knows."""
    try:
        state = msgspec.json.decode((place / STATE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return ""
    known = isinstance(state, dict) and state.get("state") in ("built", "failed")
    return str(state.get("tree", "")) if known else ""
