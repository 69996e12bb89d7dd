"""Consoles that last: compressed files in the user's data folder, named by the SHA-256 of what was printed."""

from __future__ import annotations

import hashlib
import re
import zlib
from pathlib import Path

from lab.errors import InfrastructureError, UserError
from lab.files import write_atomic
from lab.paths import Paths

SUFFIX = ".log.zlib"
LIMIT_BYTES = 256 << 20
"""No boot leaves a larger one (lab.guest.follow.LOG_BYTES is far less)."""
HASH = re.compile(r"[0-9a-f]{64}")


def console_path(hash_: str, paths: Paths) -> Path:
    """Where the console with that hash is, or would be."""
    if not HASH.fullmatch(hash_):
        raise UserError(f"{hash_[:80]!r} is not the SHA-256 of a console")
    return paths.consoles / hash_[:2] / f"{hash_}{SUFFIX}"


def keep_console(data: bytes, paths: Paths) -> str:
    """Keep ``data``; its hash. What is there already is not written again."""
    hash_ = hashlib.sha256(data).hexdigest()
    path = console_path(hash_, paths)
    if not path.exists():
        write_atomic(path, zlib.compress(data, 6))
    return hash_


def read_console(hash_: str, paths: Paths) -> bytes:
    """The console with that hash.

    Raises :class:`UserError` where it is not here (removed, or on another host of a shared history) and
    :class:`InfrastructureError` where the file is damaged.
    """
    path = console_path(hash_, paths)
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"console {hash_[:16]} is not here", hint="'lab gc' may have removed it") from None
    except OSError as error:
        raise InfrastructureError(f"{path}: {error.strerror}") from None
    data = unpacked(packed)
    if data is None or hashlib.sha256(data).hexdigest() != hash_:
        raise InfrastructureError(f"{path}: damaged: it is not what its name says")
    return data


def unpacked(packed: bytes) -> bytes | None:
    """A console that was compressed; ``None`` where that is damaged, cut, or larger than any."""
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(packed, LIMIT_BYTES)
    except zlib.error:
        return None
    return data if unpack.eof else None


def keep_packed(hash_: str, packed: bytes, paths: Paths) -> bool:
    """Keep a console that comes compressed from elsewhere; whether it is here now, and is what ``hash_`` says."""
    if not HASH.fullmatch(hash_):
        return False
    if console_path(hash_, paths).exists():
        return True
    data = unpacked(packed)
    return data is not None and keep_console(data, paths) == hash_
