"""The cases that this machine's workers were sent: kept by their hash, unpacked once for all who share this cache, and
gone when nobody used them for long."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from lab.case import Case
from lab.errors import InfrastructureError
from lab.files import locked
from lab.paths import Paths
from lab.remote import wire

CASES = "cluster"
UNUSED_SECONDS = 7 * 24 * 3600.0
"""A case that was not used for so long goes; it is longer than any probe takes."""

LOCK_SECONDS = 120.0


def cases_folder(paths: Paths) -> Path:
    """Where cases are: ``KEY.json`` as they came, and ``KEY/`` unpacked. Whoever uses one or removes some holds the
    folder's lock for that moment."""
    return paths.cache / "jobs" / CASES


def use(key: str, paths: Paths) -> bool:
    """Note that case ``key`` is used now; whether it is still there unpacked."""
    folder = cases_folder(paths)
    with locked(folder / "lock", LOCK_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(folder / f"{key}.json")
        try:
            os.utime(folder / key)
        except OSError:
            return False
        return True


def unpacked(key: str, request: wire.Request, paths: Paths) -> Case:
    """The case of ``request``, whose hash is ``key``, on disk; with :func:`use` before each use it stays."""
    folder = cases_folder(paths)
    with locked(folder / "lock", LOCK_SECONDS):
        sweep(paths, keep=key)
        place = folder / key
        if not wire.is_unpacked(request, place):
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
            try:
                wire.unpack(request, new)
                if place.exists():
                    shutil.rmtree(place)  # what was there is not what it should be
                new.rename(place)
            except OSError as error:
                raise InfrastructureError(f"{place}: cannot be made: {error.strerror}") from None
            finally:
                shutil.rmtree(new, ignore_errors=True)
        os.utime(place)
    return wire.case_in(request, place)


def sweep(paths: Paths, *, keep: str = "") -> None:
    """Remove what was not used for long, but for case ``keep``. What a clock that lies makes younger stays longer."""
    folder = cases_folder(paths)
    for path in folder.glob("*"):
        if path.name in (keep, f"{keep}.json", "lock"):
            continue
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > UNUSED_SECONDS:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
