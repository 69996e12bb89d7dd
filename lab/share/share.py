"""Kernels to and from a share. Nothing that is wrong there breaks a build: it is told in a line, and built here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec

from lab.errors import InfrastructureError
from lab.files import locked
from lab.kernel.store import FAILURE, KERNEL, Built, Failed, find, folder_of, incoming, keep
from lab.paths import Paths
from lab.share.archive import MANIFEST_BYTES, WHOLE_BYTES, Damaged, Manifest, Name, blob, pack, read_manifest, unpack
from lab.share.place import FILE_SECONDS, Place, Unreachable
from lab.share.where import Where

if TYPE_CHECKING:
    from lab.kernel.types import BuildFailure, Kernel

T = TypeVar("T")
PAUSE_SECONDS = 300.0
"""A share that could not be reached is left alone for so long: no build waits for it again and again."""

KERNELS = "kernels"
ARCHIVES = "archives"


class Share:
    """The shared side of the store at ``where``. What is wrong there goes to ``tell`` in one line each time.

    Opened when it is first needed; may be used by several threads.
    """

    def __init__(self, where: Where, tell: Callable[[str], None]) -> None:
        self.where = where
        self.tell = tell
        self.lock = threading.RLock()
        self.place: Place | None = None
        self.again = 0.0
        self.damaged: set[str] = set()

    def pull(self, key: str, paths: Paths) -> Kernel | BuildFailure | None:
        """The kernel (or failure) with that key, into the store here; ``None`` where the share has none, or none that
        is what it says."""
        got = self.tried(lambda place: self.pulled(place, key, paths), f"kernel {key[:12]} is built here")
        return find(key, paths) if got else None

    def pulled(self, place: Place, key: str, paths: Paths) -> bool:
        """Whether the kernel is in the store now. Raises what :meth:`tried` tells."""
        data = place.read(manifest_name(key), MANIFEST_BYTES)
        if data is None:
            return False
        lock = paths.cache / "incoming" / f"share-{key[0]}.lock"
        try:
            with locked(lock, FILE_SECONDS), incoming(paths) as folder:
                if find(key, paths) is None:  # another process may have brought it meanwhile
                    self.bring(place, read_manifest(data, key), folder, paths)
        except Damaged:
            self.damaged.add(key)
            raise
        return True

    def bring(self, place: Place, manifest: Manifest, folder: Path, paths: Paths) -> None:
        """Get the archive, look at every byte of it, and put the files into the store here."""
        archive, expected = folder / "archive", manifest.archive
        with archive.open("wb") as file:
            if not place.fetch(archive_name(expected.sha256), file, min(expected.size, WHOLE_BYTES) + 1):
                raise Damaged("its archive is not there")
        if blob(archive) != expected:
            raise Damaged("its archive is not the one that its manifest names")
        files = folder / "files"
        files.mkdir()
        unpack(archive, manifest, files)
        archive.unlink()
        record = read_record(files, manifest)
        origin = {"share": self.where.name, "built_on": manifest.built_on}
        record = replace(record, inputs={**record.inputs, "shared": origin})
        names = (name for name in manifest.files if name not in (KERNEL, FAILURE))
        keep(manifest.key, {name: files / name for name in names}, record, paths)

    def push(self, key: str, paths: Paths) -> None:
        """Put what the store here has under ``key`` to the share, unless it is there already."""
        self.tried(lambda place: self.pushed(place, key, paths), f"kernel {key[:12]} is in the store here alone")

    def pushed(self, place: Place, key: str, paths: Paths) -> None:
        """Pack it and send it. Raises what :meth:`tried` tells."""
        if key not in self.damaged and self.has(place, key):
            return
        with incoming(paths) as work:
            folder = folder_of(key, paths)
            files = {name: folder / name for name in get_args(Name) if (folder / name).is_file()}
            pack(files, work / "archive")
            manifest = Manifest(
                key=key,
                archive=blob(work / "archive"),
                files={name: blob(path) for name, path in files.items()},
                built_on=os.uname().nodename,
            )
            data = msgspec.json.format(msgspec.json.encode(manifest))
            read_record(folder, read_manifest(data, key))  # nothing is pushed that nobody would take
            (work / "manifest").write_bytes(data)
            place.put(work / "archive", archive_name(manifest.archive.sha256))
            place.put(work / "manifest", manifest_name(key))  # last: until now nobody saw anything
            self.damaged.discard(key)

    def has(self, place: Place, key: str) -> bool:
        """Whether the share has that kernel, as far as its manifest says."""
        data = place.read(manifest_name(key), MANIFEST_BYTES)
        if data is None:
            return False
        with contextlib.suppress(Damaged):
            read_manifest(data, key)
            return True
        return False

    def tried(self, do: Callable[[Place], T], otherwise: str) -> T | None:
        """What ``do`` makes of the opened place; ``None`` while that is left alone, and where anything goes wrong,
        which is told with ``otherwise``."""
        with self.lock:
            try:
                place = self.opened()
                return None if place is None else do(place)
            except Unreachable as error:
                self.left_alone()
                self.say(f"{error}; {otherwise}")
            except Damaged as error:
                self.say(f"not taken, for {error}; {otherwise}")
            except InfrastructureError as error:
                self.say(f"{error.message}; {otherwise}")
            except OSError as error:
                self.say(f"{error.filename or 'this machine'}: {error.strerror or error}; {otherwise}")
            return None

    def opened(self) -> Place | None:
        """The place; opened now where it was not."""
        if self.place is None and time.monotonic() >= self.again:
            self.place = Place(self.where)
        return self.place

    def left_alone(self) -> None:
        """Don't try again for a while."""
        if self.place is not None:
            self.place.close()
        self.place = None
        self.again = time.monotonic() + PAUSE_SECONDS

    def say(self, text: str) -> None:
        """Tell a person."""
        self.tell(f"share {self.where.name}: {text}")


def manifest_name(key: str) -> str:
    """Where the manifest of a kernel is."""
    return f"{KERNELS}/{key[:2]}/{key}.json"


def archive_name(sha256: str) -> str:
    """Where the archive with that hash is."""
    return f"{ARCHIVES}/{sha256[:2]}/{sha256}.tar.gz"


def read_record(files: Path, manifest: Manifest) -> Built | Failed:
    """What ``kernel.json`` or ``failure.json`` says. What went into the kernel has to lead to its key, and the
    ``config`` beside it has to be the one that went in. Raises :class:`Damaged`."""
    name, type_ = (KERNEL, Built) if KERNEL in manifest.files else (FAILURE, Failed)
    try:
        record: Any = msgspec.json.decode((files / name).read_bytes(), type=type_)
        led_to = key_of(record.inputs)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, ValueError):
        raise Damaged(f"its {name} can't be read") from None
    if led_to != manifest.key:
        raise Damaged(f"its {name} is another kernel's")
    if isinstance(record, Built):
        with (files / "config").open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record.inputs["kconfig"]["key"]:
                raise Damaged("its config is not the one that went into it")
    return record  # type: ignore[no-any-return]


def key_of(inputs: dict[str, Any]) -> str:
    """The key to which the record of a kernel's inputs leads (:func:`lab.kernel.build.kernel_key`)."""
    from lab.kernel.build import kernel_key
    from lab.kernel.types import Compat, Kconfig, Toolchain

    tools, kconfig = inputs["toolchain"], inputs["kconfig"]
    toolchain = Toolchain("", (), (), (), (), str(tools["identity"]), str(tools["arch"]))
    flags = tuple((str(name), str(value)) for name, value in inputs["flags"])
    return kernel_key(str(inputs["tree"]), Kconfig("", "", str(kconfig["key"])), toolchain, Compat(flags))
