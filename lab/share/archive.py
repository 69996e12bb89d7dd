"""A kernel as one file and its manifest: packed the same each time, and unpacked as what a stranger sent."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec

from lab.kernel.store import FAILURE, KERNEL

FORMAT = 1
MANIFEST_BYTES = 64 << 10
WHOLE_BYTES = 2 << 30
"""No kernel of the lab comes near this, with all its debugging information."""

PIECE_BYTES = 1 << 20
LEVEL = 1
"""zlib's level: a third of the size, at a hundred MB a second."""

Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Name = Literal["bzImage", "vmlinux", "decompressor", "System.map", "config", "build.log", "kernel.json", "failure.json"]
NEEDED = (frozenset({"bzImage", "vmlinux", "config", KERNEL}), frozenset({"build.log", FAILURE}))
"""What a kernel has at least, and what the failure to build one has."""


class Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file by its content: SHA-256 and size in bytes."""

    sha256: Hash
    size: Annotated[int, msgspec.Meta(ge=0, le=WHOLE_BYTES)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept under a kernel's ``key``: the archive, the files in it, the machine that built it."""

    key: Hash
    archive: Blob
    files: dict[Name, Blob]
    built_on: Annotated[str, msgspec.Meta(max_length=255)] = ""
    format: int = FORMAT


class Damaged(Exception):
    """What came is not what it has to be: why, in one line."""


def blob(path: Path) -> Blob:
    """The content of ``path``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Blob(digest, file.tell())


def read_manifest(data: bytes, key: str) -> Manifest:
    """The manifest in ``data``, which has to be that of ``key``. Raises :class:`Damaged`."""
    if len(data) > MANIFEST_BYTES:
        raise Damaged("its manifest is larger than any")
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"its manifest can't be read: {str(error)[:120]}") from None
    if found.format != FORMAT:
        raise Damaged(f"its manifest has format {found.format}, and this lab knows {FORMAT}")
    if found.key != key:
        raise Damaged("its manifest is another kernel's")
    if not any(needed <= found.files.keys() for needed in NEEDED) or {KERNEL, FAILURE} <= found.files.keys():
        raise Damaged("its manifest names neither a whole kernel nor a failure")
    if sum(one.size for one in found.files.values()) > WHOLE_BYTES:
        raise Damaged("it is larger than any kernel")
    return found


def pack(files: Mapping[str, Path], to: Path) -> None:
    """Write ``files`` (name → file) as one compressed archive: the same bytes for the same content."""
    with (
        to.open("wb") as raw,
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in sorted(files.items()):
            about = tarfile.TarInfo(name)
            about.size, about.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(about, file)


def unpack(archive: Path, manifest: Manifest, folder: Path) -> None:
    """Unpack into ``folder`` the files that ``manifest`` names, each with the size and hash that it says.

    Only plain headers of POSIX.1-1988 (tar(5), ustar) are read, so that nothing in an archive has a size that was not
    announced. Raises :class:`Damaged` for an archive that holds anything else.
    """
    left = dict(manifest.files)
    try:
        with gzip.open(archive) as packed:
            while (head := packed.read(tarfile.BLOCKSIZE)).strip(b"\0"):
                member = tarfile.TarInfo.frombuf(head, "ascii", "strict")
                expected = left.pop(member.name, None)  # type: ignore[call-overload]
                if expected is None or member.type != tarfile.REGTYPE or member.size != expected.size:
                    raise Damaged("its archive holds something that its manifest does not name")
                take(packed, folder / member.name, expected)
                packed.read(-expected.size % tarfile.BLOCKSIZE)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise Damaged(f"its archive can't be read: {str(error)[:120]}") from None
    if left:
        raise Damaged(f"its archive has no {min(left)}")


def take(source: BinaryIO | gzip.GzipFile, path: Path, expected: Blob) -> None:
    """Write ``source`` to ``path``: no more than was announced, and only that."""
    digest, room = hashlib.sha256(), expected.size
    with path.open("xb") as file:
        while room and (piece := source.read(min(PIECE_BYTES, room))):
            digest.update(piece)
            file.write(piece)
            room -= len(piece)
    if room or digest.hexdigest() != expected.sha256:
        raise Damaged(f"its {path.name} is not the one that its manifest names")
