"""Releases of Linux by their tag's name: where kernel.org has them, and the hash that it publishes for each.

A release lies below https://cdn.kernel.org/pub/linux/kernel/ in a folder of its major version, beside a clear-signed
``sha256sums.asc``. A release candidate is only packed by git.kernel.org when it is asked for; there is no hash of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import InfrastructureError, UserError
from lab.files import locked
from lab.tree.download import download
from lab.tree.repos import LOCK_SECONDS, Imported, import_archive, known_import, slug
from lab.tree.signed import clear_text, verified_text

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress

RELEASES = "https://cdn.kernel.org/pub/linux/kernel"
CANDIDATES = "https://git.kernel.org/torvalds/t"
SUMS = "sha256sums.asc"
SUMS_LIMIT = 16 << 20
"""Several times what the longest of these lists has."""

NAME = re.compile(r"v((?:2\.6|[1-9]\d?)\.(?:0|[1-9]\d{0,2}))((?:\.[1-9]\d{0,3})?)((?:-rc[1-9]\d?)?)", re.ASCII)
ANY = "vX.Y[.Z], vX.Y-rcN"
"""How the names are told to people."""

HASH_ONLY = "its signature was not checked, as no kernel_org_keyring is configured"


@dataclass(frozen=True)
class Release:
    """``version`` is what its Makefile says (``6.1.0`` of ``v6.1``); ``sums`` is empty where no hash is published."""

    name: str
    version: str
    url: str
    sums: str = ""

    @property
    def file(self) -> str:
        """The tarball's name."""
        return self.url.rpartition("/")[2]


def release(name: str) -> Release | None:
    """The release of which ``name`` is the tag (``v6.12``, ``v6.12.3``, ``v6.13-rc2``, ``v2.6.32.9``), else None."""
    found = NAME.fullmatch(name)
    if found is None or (found[2] and found[3]):
        return None
    series, stable, candidate = found.groups()
    old = series.startswith("2.")
    if (old and not series.startswith("2.6.")) or series.startswith("1."):
        return None
    version = series + (stable if stable or old else ".0") + candidate
    if candidate:
        return Release(name, version, f"{CANDIDATES}/linux-{name[1:]}.tar.gz")
    folder = f"{RELEASES}/v{'2.6' if old else series.partition('.')[0] + '.x'}"
    return Release(name, version, f"{folder}/linux-{name[1:]}.tar.xz", f"{folder}/{SUMS}")


def import_name(one: Release) -> str:
    """The name of the repository that a release is imported as."""
    return slug(one.name, "kernel.org")


def import_release(one: Release, paths: Paths, keyring: str, progress: Progress | None) -> Imported:
    """Get a release from kernel.org, checked before it is unpacked; what was imported before is used again.

    With ``keyring``, the path of a file for gpgv, the list of hashes must be signed by a key in it. Raises
    :class:`InfrastructureError` for what can't be had, has another hash, or is another version inside.
    """
    name_of = import_name(one)
    found = known_import(paths, name_of)
    if found is not None:
        return found
    target = paths.cache / "downloads" / one.file
    with locked(target.with_name(f"{one.file}.lock"), LOCK_SECONDS):
        found = known_import(paths, name_of)
        if found is not None:
            return found
        sha256, checked = published_hash(one, target.with_name(f"{one.file}.{SUMS}"), keyring)
        try:
            digest = download(one.url, target, sha256=sha256, progress=progress)
            # What is told of the check is no part of the commit: its id must be the same on every machine.
            origin = f"{one.file} of kernel.org" + (f", sha256 {digest}" if sha256 else "")
            return import_archive(
                paths, name_of, target, origin=origin, progress=progress, version=one.version, checked=checked
            )
        except UserError as error:  # nothing that the user gave is at fault
            raise InfrastructureError(f"{one.url}: {error.message}", hint=error.hint) from None
        finally:
            target.unlink(missing_ok=True)


def published_hash(one: Release, target: Path, keyring: str) -> tuple[str, str]:
    """The SHA-256 that kernel.org publishes for a release, empty for a candidate, and what it was checked by."""
    way = "TLS" if one.url.startswith("https:") else "no TLS"
    if not one.sums:
        return "", f"checked by {way} alone: no hash is published for a release candidate"
    try:
        download(one.sums, target, size_limit=SUMS_LIMIT)
        data = target.read_bytes()
    finally:
        target.unlink(missing_ok=True)
    if keyring:
        sums = verified_text(data, one.sums, [Path(keyring)], "kernel_org_keyring")
        checked = f"checked by {SUMS}, whose signature is good by {Path(keyring).name}"
    else:
        sums = clear_text(data, one.sums)
        checked = f"checked by {SUMS} over {way}; {HASH_ONLY}"
    return find_hash(sums, one.file, one.sums), checked


def find_hash(sums: str, file: str, where: str) -> str:
    """The SHA-256 of ``file`` in the output of sha256sum(1). Raises :class:`InfrastructureError` where it has none, or
    two."""
    found = {line[:64] for line in sums.split("\n") if line[64:] in (f"  {file}", f" *{file}")}
    if not found:
        raise InfrastructureError(f"{where}: has no {file}", hint="is there such a release?")
    digest = found.pop()
    if found or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InfrastructureError(f"{where}: has no clear SHA-256 of {file}")
    return digest
