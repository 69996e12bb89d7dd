"""Object directories (``O=``): hot, so that the next point is an incremental build, and never trusted after a crash."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from lab.errors import InfrastructureError
from lab.files import write_atomic

STATE = "lab-build.json"
State = Literal["building", "built", "failed"]

FREE_BYTES = 1 << 30
"""A small kernel's objects take 150 MB, with debug information a gigabyte."""

DOUBTFUL_SECONDS = 60.0
"""A file is written within this time of when its writing begins; linking the largest kernels takes half of it."""

OWN = frozenset({STATE, "build.log", "lab-count.json"})
RENAMED = ("include/config", "include/generated")
"""Below these, scripts/kconfig and kbuild's filechk write under another name and rename: what is there is whole."""


def note_state(place: Path, state: State, key: str, inputs: dict[str, Any]) -> None:
    """Say in the object directory what is being made there, so that one who finds it half-done knows."""
    write_atomic(place / STATE, msgspec.json.format(msgspec.json.encode({"state": state, "key": key, **inputs})))


def interrupted(place: Path) -> bool:
    """Whether the last build in ``place`` was ended from outside, or never had room enough."""
    try:
        state = msgspec.json.decode((place / STATE).read_bytes())
    except FileNotFoundError:
        return False
    except msgspec.DecodeError:
        return True
    return not isinstance(state, dict) or state.get("state") not in ("built", "failed")


def heal(place: Path) -> int:
    """Remove what the interrupted build may have left half-written; how many files that were.

    Make would take a truncated object for a finished one: it is newer than its source. Whatever was being written when
    the build ended is among the last that changed.
    """
    files = [(path, path.lstat()) for path in outputs(place)]
    newest = max((about.st_mtime for _, about in files), default=0.0)
    doubtful = [path for path, about in files if not about.st_size or about.st_mtime > newest - DOUBTFUL_SECONDS]
    for path in doubtful:
        path.unlink(missing_ok=True)
    return len(doubtful)


def outputs(place: Path) -> Iterator[Path]:
    """The regular files that a build made in ``place`` and can make again."""
    kept = tuple(place / folder for folder in RENAMED)
    for path in place.rglob("*"):
        if path.name in OWN or path.name.startswith(".config") or any(path.is_relative_to(folder) for folder in kept):
            continue
        if stat.S_ISREG(path.lstat().st_mode) and path != place / "Makefile":
            yield path


def empty(place: Path) -> None:
    """Remove all that is in ``place``."""
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def check_room(place: Path) -> None:
    """Raise :class:`InfrastructureError` where there is no room for a build: refused at once, not after minutes."""
    free = shutil.disk_usage(place).free
    if free < FREE_BYTES:
        raise InfrastructureError(
            f"{place}: {free / 1e6:.0f} MB are free, and building a kernel takes {FREE_BYTES / 1e6:.0f} MB",
            hint="free some, or set LAB_CACHE to another disk",
        )
