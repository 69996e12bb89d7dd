"""Kernel sources as tarballs or folders, turned into the input of ``git fast-import``.

Nothing is unpacked to disk: what is read goes straight into git's object store. The commit that comes out depends on
the content and the message alone, so that its id is the same on every machine. Format: git-fast-import(1).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from lab.errors import UserError
from lab.tree.patch import unsafe_link

AUTHOR = "Kernel boot lab <lab@localhost>"
DATE = "1136073600 +0000"
"""1 January 2006: any fixed date does, git only refuses to print very old ones in some formats."""

BRANCH = "refs/heads/base"
BATCH_BYTES = 1 << 20
TOTAL_LIMIT = 8 << 30
COUNT_LIMIT = 1_000_000
"""Several times what a kernel has: a larger archive would only fill the disk."""

BUILT = (".config", "include/generated", "include/config")
"""Where a source folder has one of these it was built in, and kbuild refuses to build out of it."""


@dataclass(frozen=True)
class Entry:
    """A file (``100644``, ``100755``), a symbolic link (``120000``, ``data`` is its target), or, with ``copy_of``, a
    second name of an entry before it."""

    path: bytes
    mode: bytes
    data: bytes
    copy_of: bytes = b""


def commit_stream(entries: Iterable[Entry], message: str) -> Iterator[bytes]:
    """The input of ``git fast-import --done`` that makes one commit of ``entries`` on :data:`BRANCH`, in pieces of
    about a megabyte."""
    text = message.encode()
    identity = f"{AUTHOR} {DATE}".encode()
    batch: list[bytes] = [
        b"commit %s\nauthor %s\ncommitter %s\n" % (BRANCH.encode(), identity, identity),
        b"data %d\n%s\n" % (len(text), text),
    ]
    size = 0
    for entry in entries:
        if entry.copy_of:
            batch.append(b"C %s %s\n" % (quoted(entry.copy_of), quoted(entry.path)))
            continue
        batch += (b"M %s inline %s\ndata %d\n" % (entry.mode, quoted(entry.path), len(entry.data)), entry.data, b"\n")
        size += len(entry.data)
        if size > BATCH_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
    batch.append(b"done\n")
    yield b"".join(batch)


def quoted(path: bytes) -> bytes:
    """A path in the quoting of fast-import."""
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def tar_entries(
    file: IO[bytes], name: str, on_comment: Callable[[str], None] = lambda comment: None, top: str = ""
) -> Iterator[Entry]:
    """The entries of a tarball (plain, gzip, bzip2 or xz), without its one top folder, ``top`` if that is given.

    ``on_comment`` gets the archive's comment, in which git-archive(1) leaves the commit id. ``name`` stands in
    messages. Raises :class:`UserError` for a damaged archive, unsafe paths and links, and more than one top folder.
    """
    total = 0
    try:
        with tarfile.open(fileobj=decompressed(file), mode="r|", errors="strict", encoding="utf-8") as tar:
            for count, member in enumerate(tar):
                if count == 0:
                    on_comment(tar.pax_headers.get("comment", ""))
                total += member.size
                if count > COUNT_LIMIT or total > TOTAL_LIMIT:
                    raise UserError(f"{name}: far larger than a kernel source")
                first, _, path = member.name.removeprefix("./").partition("/")
                top = top or first
                if first != top:
                    raise UserError(f"{name}: not a kernel source archive: {first!r} is beside its top folder {top!r}")
                if path:
                    entry = tar_entry(tar, member, path, name)
                    if entry is not None:
                        yield entry
                tar.members = []  # type: ignore[attr-defined] # else it keeps every header it has seen
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, UnicodeError) as error:
        raise UserError(f"{name}: a damaged archive: {error}") from None


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """``file`` without its compression, which its first bytes tell."""
    magic = file.read(6)
    file.seek(0)
    if magic == b"\xfd7zXZ\x00":
        return cast(IO[bytes], lzma.open(file))
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(file))
    return cast(IO[bytes], bz2.open(file)) if magic.startswith(b"BZh") else file


def tar_entry(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, name: str) -> Entry | None:
    """One member as an entry; None for a folder, which git does not keep."""
    if member.isdir():
        return None
    where = safe(path, name)
    if member.issym():
        why = unsafe_link(path, member.linkname)
        if why:
            raise UserError(f"{name}: {path!r}: {why}")
        return Entry(where, b"120000", member.linkname.encode())
    if member.islnk():
        target = member.linkname.removeprefix("./").partition("/")[2]
        return Entry(where, b"", b"", copy_of=safe(target, name))
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise UserError(f"{name}: {path!r} is neither a file, a folder nor a link")
    return Entry(where, file_mode(member.mode), content.read())


def safe(path: str, name: str) -> bytes:
    """``path`` as bytes; :class:`UserError` where it would leave the tree or reach into git's own folder."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts) or not path.isprintable():
        raise UserError(f"{name}: unsafe path {path!r}")
    return path.encode()


def file_mode(mode: int) -> bytes:
    """git knows two kinds of files; the owner's bit tells, as the others depend on the packer's umask."""
    return b"100755" if mode & stat.S_IXUSR else b"100644"


def folder_entries(folder: Path) -> Iterator[Entry]:
    """The entries of an unpacked source, sorted by name; the folder is only read.

    Raises :class:`UserError` for a folder that was built in, and for files that can't be read.
    """
    for built in BUILT:
        if (folder / built).exists():
            raise UserError(
                f"{folder}: a kernel was built in this folder (it has {built})",
                hint="run `make mrproper` in a copy of it, or name a git tree",
            )
    for path, found in walk(folder):
        where = safe(path.relative_to(folder).as_posix(), str(folder))
        try:
            if stat.S_ISLNK(found.st_mode):
                yield Entry(where, b"120000", str(path.readlink()).encode())
            elif stat.S_ISREG(found.st_mode):
                yield Entry(where, file_mode(found.st_mode), path.read_bytes())
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None


def fingerprint(folder: Path) -> str:
    """A hash of every file's name, size, mode and time: another one means that the folder may have changed."""
    import hashlib

    digest = hashlib.sha256()
    for path, found in walk(folder):
        digest.update(
            f"{path.relative_to(folder)}\0{found.st_size} {found.st_mtime_ns} {found.st_mode:o}\0".encode(
                "utf-8", "surrogateescape"
            )
        )
    return digest.hexdigest()


def walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All that is below ``folder`` but folders and ``.git``, in a fixed order, without following links."""
    try:
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda item: item.name)
        for item in found:
            if item.is_dir(follow_symlinks=False):
                if item.name != ".git":
                    yield from walk(Path(item.path))
            else:
                yield Path(item.path), item.stat(follow_symlinks=False)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
