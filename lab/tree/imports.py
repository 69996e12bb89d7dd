"""Imports that have a name of their own: releases of kernel.org, source packages, tarballs. No network is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import UserError
from lab.tree.dsc import NAME, PREFIX
from lab.tree.releases import import_name, release
from lab.tree.repos import Imported, known_import

if TYPE_CHECKING:
    from lab.paths import Paths

ARCHIVE = re.compile(r"archive-[0-9a-f]{32}")
"""A tarball of the user's is known by the first half of its SHA-256."""


@dataclass(frozen=True)
class Kept:
    """An import: ``name`` is what ``series.toml`` may call it, ``stem`` its repository's name without ``.git``."""

    name: str
    stem: str
    record: Imported

    @property
    def source(self) -> str:
        """A sentence for people: what it is, and what it was checked by."""
        return f"{self.record.origin} ({self.record.checked})" if self.record.checked else self.record.origin


def kept(paths: Paths, pattern: str = "*") -> list[Kept]:
    """All imports that have a name, releases first; ``pattern`` is a glob for their repositories."""
    found = []
    for repo in sorted(paths.bases.glob(f"{pattern}.git")):
        if not repo.stem.startswith(("v", PREFIX, "archive-")):
            continue
        record = known_import(paths, repo.stem)
        name = name_of(repo.stem, record.origin) if record is not None else ""
        if record is not None and name:
            found.append(Kept(name, repo.stem, record))
    return sorted(found, key=lambda one: (not one.stem.startswith("v"), not one.stem.startswith(PREFIX)))


def name_of(stem: str, origin: str) -> str:
    """The name of the base that repository ``stem`` is; empty where it has none of its own."""
    if stem.startswith(PREFIX):
        name = origin.partition(", sha256 ")[0]
        return name if NAME.fullmatch(name) else ""
    if ARCHIVE.fullmatch(stem):
        return stem
    one = release(stem.partition("_")[0])
    return one.name if one is not None and stem == import_name(one) else ""


def kept_as(name: str, paths: Paths) -> Kept | None:
    """The source package or tarball that was imported as ``name``. Raises :class:`UserError` where two packages have
    that name."""
    if ARCHIVE.fullmatch(name):
        found = kept(paths, name)
    elif NAME.fullmatch(name):
        found = [one for one in kept(paths, f"{PREFIX}*") if one.name == name]
    else:
        return None
    if len(found) > 1:
        folders = " or ".join(str(paths.bases / f"{one.stem}.git") for one in found)
        raise UserError(f"base {name}: {len(found)} different ones were imported", hint=f"remove one: rm -r {folders}")
    return found[0] if found else None
