"""The store of built kernels: one folder a key, whole or not there.

A folder holds ``bzImage``, ``vmlinux``, ``decompressor`` (the ELF of arch/x86/boot/compressed), ``System.map``,
``config``, ``build.log`` and ``kernel.json``; that of a point which does not compile has ``build.log`` and
``failure.json``. It is filled under another name and renamed, so that a build killed at any moment leaves nothing here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lab.errors import InfrastructureError
from lab.files import sync_folder
from lab.kernel.types import BuildFailure, Kernel
from lab.paths import Paths

KERNEL = "kernel.json"
FAILURE = "failure.json"
STALE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Built:
    """What ``kernel.json`` says: the release, the seconds it took, the warnings, and under ``inputs`` what went in."""

    release: str
    seconds: float
    warnings: tuple[str, ...]
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """What ``failure.json`` says of a point that does not compile."""

    message: str
    file: str
    line: int
    seconds: float
    inputs: dict[str, Any]


def folder_of(key: str, paths: Paths) -> Path:
    """Where the kernel with that key is, or will be."""
    return paths.kernels / key[:2] / key


def find(key: str, paths: Paths) -> Kernel | BuildFailure | None:
    """What was built under ``key``: a kernel, the failure it came to, or ``None``."""
    folder = folder_of(key, paths)
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        built = msgspec.json.decode((folder / KERNEL).read_bytes(), type=Built)
        if not all((folder / name).is_file() for name in ("bzImage", "vmlinux", "config")):
            return None  # someone made room by hand: it is built again
        return Kernel(
            key=key,
            folder=folder,
            image=folder / "bzImage",
            vmlinux=folder / "vmlinux",
            config=folder / "config",
            release=built.release,
            seconds=built.seconds,
            from_store=True,
            warnings=built.warnings,
        )
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        failed = msgspec.json.decode((folder / FAILURE).read_bytes(), type=Failed)
        return BuildFailure(key, failed.message, failed.file, failed.line, folder / "build.log", failed.seconds)
    return None


def keep(key: str, files: Mapping[str, Path], record: Built | Failed, paths: Paths) -> None:
    """Put ``files`` (name in the store → file) and what is known of them into the store, all at once.

    Raises :class:`InfrastructureError` when there is no room; nothing is left then.
    """
    target = folder_of(key, paths)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        place = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
        try:
            for name, file in files.items():
                shutil.copyfile(file, place / name)
            record_name = KERNEL if isinstance(record, Built) else FAILURE
            (place / record_name).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
            for file in place.iterdir():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            place.chmod(0o755)
            replace_folder(place, target)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        sync_folder(target.parent)
    except OSError as error:
        raise InfrastructureError(f"{target}: cannot be stored: {error.strerror or error}") from None


def replace_folder(new: Path, target: Path) -> None:
    """Put ``new`` in the place of ``target``. What was there (another process kept the same, or its record is damaged)
    may be what a guest is being started from: it goes aside, and :func:`sweep` takes it a day later."""
    aside = target.with_name(f"{new.name}-before")
    with contextlib.suppress(FileNotFoundError):
        target.rename(aside)
        os.utime(aside)
    try:
        new.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            aside.rename(target)
        raise


def sweep(folder: Path) -> None:
    """Remove what a killed process left here a day ago or longer."""
    for left in folder.glob(".new-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def incoming(paths: Paths) -> Iterator[Path]:
    """A folder on the cache's disk for what is on its way in; it is gone afterwards."""
    place = paths.cache / "incoming"
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(place)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
    except OSError as error:
        raise InfrastructureError(f"{place}: {error.strerror or error}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
