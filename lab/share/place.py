"""Files at a share's place by fsspec: bounded reads, writes that are there whole or not at all, one kind of error."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lab.share.where import Where

EXTRA = "pip install 'kernel-boot-lab[shared]'"
PIECE_BYTES = 1 << 20
CONNECT_SECONDS = 10.0
SILENT_SECONDS = 30.0
"""A place that says nothing for so long while it should is gone."""

FILE_SECONDS = 300.0
"""What takes longer than this to come or go is not waited for: building is quicker."""

READS = 5
"""So often a file is read that others replace again and again."""

NEW = ".new-"
"""What begins like this is being written, or was left by someone who died: nobody reads it."""


class Unreachable(Exception):
    """The place can't be used now: the reason, in one line."""


class Replaced(Unreachable):
    """Another wrote the file anew while it was read, which S3 tells by its ETag (s3fs as EBUSY)."""


@dataclass(frozen=True)
class Stored:
    """A file of the share by its ``name`` below the root; ``size`` in bytes, ``written`` in seconds since the epoch."""

    name: str
    size: int
    written: float


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take ``data``."""


class Place:
    """A share's folder, opened. Names are relative to it, such as ``kernels/ab/….json``.

    Every method raises :class:`Unreachable` for whatever is wrong there, and none waits for ever.
    """

    def __init__(self, where: Where) -> None:
        self.where = where
        with unreachable():
            self.fs = opened(where)
            if not self.fs.isdir(where.root) and not self.bucket():
                raise Unreachable("no such folder" if where.kind != "s3" else "no such bucket")

    def bucket(self) -> bool:
        """Whether there is at least the bucket: its folders come with their first object."""
        return self.where.kind == "s3" and bool(self.fs.exists(self.where.root.partition("/")[0]))

    def path(self, name: str) -> str:
        """The path of ``name`` as the file system has it."""
        return f"{self.where.root}/{name}"

    def read(self, name: str, limit: int) -> bytes | None:
        """All of a file, but no more than ``limit`` + 1 bytes; ``None`` where there is none. One that is replaced
        meanwhile is read anew."""
        data = bytearray()

        class Grown:
            def write(self, piece: bytes, /) -> None:
                data.extend(piece)

        for _ in range(READS - 1):
            with contextlib.suppress(Replaced):
                return bytes(data) if self.fetch(name, Grown(), limit + 1) else None
            data.clear()
        return bytes(data) if self.fetch(name, Grown(), limit + 1) else None

    def fetch(self, name: str, to: Sink, limit: int) -> bool:
        """Copy the first ``limit`` bytes of a file to ``to``; false where there is no such file."""
        path, until, room = self.path(name), time.monotonic() + FILE_SECONDS, limit
        with unreachable():
            try:
                about = self.fs.info(path)
                if about.get("type") != "file":
                    raise Unreachable(f"{name} is no file")
                with self.fs.open(path, "rb", block_size=4 * PIECE_BYTES) as file:
                    ahead(file, min(int(about.get("size") or 0), limit))
                    while room > 0 and (piece := file.read(min(PIECE_BYTES, room))):
                        with local():
                            to.write(piece)
                        room -= len(piece)
                        in_time(until)
            except FileNotFoundError:
                return False
        return True

    def put(self, file: Path, name: str) -> None:
        """Put the content of ``file`` there; who looks sees what was there before, or all of it."""
        path, until = self.path(name), time.monotonic() + FILE_SECONDS
        with unreachable():
            if self.where.kind == "s3":  # an object is there whole or not at all
                from fsspec.asyn import sync

                sync(self.fs.loop, self.fs._put_file, str(file), path, timeout=FILE_SECONDS)
                return
            folder, _, last = path.rpartition("/")
            self.make(folder)
            new = f"{folder}/{NEW}{secrets.token_hex(8)}-{last[:100]}"
            try:
                with file.open("rb") as source, self.fs.open(new, "wb") as target:
                    piped(target)
                    copy(source, target, until)
                    synced(target)
                self.fs.mv(new, path)
            except BaseException:
                with contextlib.suppress(Exception):
                    self.fs.rm_file(new)
                raise

    def make(self, folder: str) -> None:
        """Make a folder; another writer may be doing the same, and be ahead or behind at any level of it."""
        for _ in range(folder.count("/")):
            with contextlib.suppress(Exception):
                self.fs.makedirs(folder, exist_ok=True)
            if self.fs.isdir(folder):
                return
        self.fs.makedirs(folder, exist_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with unreachable(), contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.path(name))

    def files(self, folder: str, limit: int = 1_000_000) -> Iterator[Stored]:
        """All files below ``folder``."""
        with unreachable():
            found = self.fs.find(self.path(folder), detail=True) if self.fs.exists(self.path(folder)) else {}
            for path, about in list(found.items())[:limit]:
                name = str(path)[len(self.where.root) + 1 :]
                yield Stored(name, int(about.get("size") or 0), seconds(about))

    def try_out(self) -> None:
        """Write a small file, read it back, and remove it."""
        name, data = f"{NEW}{secrets.token_hex(8)}", secrets.token_bytes(64)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self.put(Path(file.name), name)
        try:
            if self.read(name, len(data)) != data:
                raise Unreachable("what was written is not what is read")
        finally:
            self.remove(name)

    def close(self) -> None:
        """Let go of a connection."""
        with contextlib.suppress(Exception):
            getattr(self.fs, "hang_up", lambda: None)()


def opened(where: Where) -> Any:
    """The file system of ``where``, this call's own."""
    try:
        import fsspec
    except ImportError:
        raise Unreachable(f"it needs fsspec, which is not installed ({EXTRA})") from None
    if where.kind == "folder":
        return fsspec.filesystem("file", skip_instance_cache=True, auto_mkdir=False)
    if where.kind == "sftp":
        from lab.share.sftp import filesystem

        return filesystem(where)
    try:
        import s3fs
    except ImportError:
        raise Unreachable(f"it needs s3fs, which is not installed ({EXTRA})") from None
    config = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": SILENT_SECONDS,
        "retries": {"max_attempts": 2, "mode": "standard"},
    }
    return s3fs.S3FileSystem(
        endpoint_url=where.endpoint or None,
        config_kwargs=config,
        use_listings_cache=False,
        skip_instance_cache=True,
        default_fill_cache=False,
    )


class LocalFault(Exception):
    """This machine's own disk, not the share."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def local() -> Iterator[None]:
    """What goes wrong inside is this machine's fault."""
    try:
        yield
    except OSError as error:
        raise LocalFault(error) from None


@contextlib.contextmanager
def unreachable() -> Iterator[None]:
    """Whatever a library says of a place, as :class:`Unreachable`; a full disk here as the :class:`OSError` it is."""
    try:
        yield
    except Unreachable:
        raise
    except LocalFault as fault:
        raise fault.error from None
    except Exception as error:
        replaced = isinstance(error, OSError) and error.errno == errno.EBUSY
        raise (Replaced if replaced else Unreachable)(reason(error)) from None


def reason(error: Exception) -> str:
    """What a library said, in one short line."""
    text = str(getattr(error, "message", "") or getattr(error, "strerror", "") or error).strip()
    name = type(error).__name__
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return "no answer in time"
    return text.splitlines()[0][:200] if text else name


def in_time(until: float) -> None:
    """Raise :class:`Unreachable` after ``until`` of the monotonic clock."""
    if time.monotonic() > until:
        raise Unreachable(f"a file took more than {FILE_SECONDS:g} s")


def copy(source: BinaryIO, target: Any, until: float) -> None:
    """All of ``source`` to ``target``."""
    while piece := source.read(PIECE_BYTES):
        target.write(piece)
        in_time(until)


def ahead(file: Any, size: int) -> None:
    """Have an SFTP file ask for all of it at once, not for a piece after the other."""
    method: Callable[[int], None] | None = getattr(file, "prefetch", None)
    if method is not None and size:
        asking = getattr(file, "_prefetch_thread", None)
        if asking is not None:  # paramiko's own name for it
            file._prefetch_thread = quietly(asking)
        method(size)


def quietly(asking: Callable[..., None]) -> Callable[..., None]:
    """``asking``, in which paramiko's thread asks for piece after piece, without the traceback that it ends with where
    the line is cut meanwhile. Who reads the file is told of the cut by his own read."""
    from paramiko import SSHException

    def ask(*arguments: Any, **more: Any) -> None:
        with contextlib.suppress(EOFError, OSError, SSHException):
            asking(*arguments, **more)

    return ask


def piped(file: Any) -> None:
    """Have an SFTP file not wait for each piece's answer; what went wrong is told when it is closed."""
    method: Callable[[bool], None] | None = getattr(file, "set_pipelined", None)
    if method is not None:
        method(True)


def synced(file: Any) -> None:
    """A folder's file is on its disk before it gets its name."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        file.flush()
        os.fsync(file.fileno())


def seconds(about: dict[str, Any]) -> float:
    """When a file was written, as the place's own clock has it; 0 where it does not say."""
    when = about.get("mtime") or about.get("LastModified") or 0
    return when.timestamp() if isinstance(when, datetime.datetime) else float(when)
