"""Making room on a share: what was put there longest ago goes first, until the rest fits a budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.share.archive import MANIFEST_BYTES, Damaged, read_manifest
from lab.share.place import Place, Stored
from lab.share.share import ARCHIVES, KERNELS, archive_name

DAY_SECONDS = 24 * 3600.0
MANIFEST = re.compile(rf"{KERNELS}/[0-9a-f]{{2}}/([0-9a-f]{{64}})\.json")


@dataclass(frozen=True)
class Kept:
    """What is there under one name: its files in the order in which they go, their bytes, and when it was put there,
    in seconds since the epoch by the share's own clock. ``orphan``: nobody would miss it."""

    name: str
    files: tuple[str, ...]
    size: int
    written: float
    orphan: bool = False


def survey(place: Place) -> list[Kept]:
    """All that the lab put there. Raises :class:`lab.share.place.Unreachable`."""
    files = [one for folder in (KERNELS, ARCHIVES) for one in place.files(folder)]
    manifests = {one.name: place.read(one.name, MANIFEST_BYTES) for one in files if MANIFEST.fullmatch(one.name)}
    return sorted_out(files, manifests)


def sorted_out(files: Sequence[Stored], manifests: dict[str, bytes | None]) -> list[Kept]:
    """Kernels with their archives, and what belongs to nothing. Pure."""
    by_name = {one.name: one for one in files}
    found, used = [], set()
    for name, data in manifests.items():
        key, about = name.rpartition("/")[2].removesuffix(".json"), by_name[name]
        try:
            archive = by_name.get(archive_name(read_manifest(data or b"", key).archive.sha256))
        except Damaged:
            archive = None
        if archive is None:
            found.append(Kept(key, (name,), about.size, about.written, orphan=True))
            continue
        used.add(archive.name)
        found.append(Kept(key, (name, archive.name), about.size + archive.size, about.written))
    for one in files:
        if one.name not in used and one.name not in manifests:
            found.append(Kept(one.name.rpartition("/")[2], (one.name,), one.size, one.written, orphan=True))
    return found


def choose(kept: Iterable[Kept], budget: int) -> list[Kept]:
    """What has to go: orphans of a day, then the oldest until the rest takes no more than ``budget`` bytes. Pure.

    The newest file tells what time it is there: this machine's clock may be another one.
    """
    everything = sorted(kept, key=lambda one: (one.written, one.name))
    now = everything[-1].written if everything else 0.0
    gone = [one for one in everything if one.orphan and now - one.written > DAY_SECONDS]
    rest = [one for one in everything if one not in gone]
    total = sum(one.size for one in rest)
    for one in rest:
        if total <= budget:
            break
        if not one.orphan:  # a young one may be somebody's kernel on its way
            gone.append(one)
            total -= one.size
    return gone


def remove(place: Place, gone: Iterable[Kept]) -> None:
    """Remove it, the manifest first: a kernel is there whole or not at all."""
    for one in gone:
        for file in one.files:
            place.remove(file)
