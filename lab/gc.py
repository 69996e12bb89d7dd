"""Making room: what was used longest ago goes first, until the rest fits a budget; what is needed stays.

Only what can be made again is looked at, and consoles, which the history names: of those none that an open finding
needs. What is in use is left alone: it was used a moment ago, or somebody holds its lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.errors import InfrastructureError
from lab.files import locked
from lab.history.consoles import SUFFIX
from lab.history.needed import Needed
from lab.paths import Paths

Kind = Literal["kernel", "boot", "console", "objects"]
YOUNG_SECONDS = 3600.0
"""What was used more lately than this may be in use."""


@dataclass(frozen=True)
class Item:
    """Something on disk: ``size`` in bytes as the disk counts them, ``used`` in seconds since the epoch."""

    kind: Kind
    name: str
    path: Path
    size: int
    used: float


@dataclass(frozen=True)
class Plan:
    """What goes and what stays. ``over`` is what is too much even then, in bytes: it is needed, or in use."""

    remove: tuple[Item, ...]
    keep: tuple[Item, ...]
    needed: tuple[Item, ...]
    over: int


def choose(items: Sequence[Item], budget: int, needed: Needed, now: float) -> Plan:
    """What has to go so that the rest takes no more than ``budget`` bytes. Pure."""
    held = {id(item) for item in items if is_needed(item, needed)}
    young = {id(item) for item in items if now - item.used < YOUNG_SECONDS}
    total = sum(item.size for item in items)
    remove = []
    for item in sorted(items, key=lambda one: (one.used, one.name)):
        if total <= budget:
            break
        if id(item) not in held and id(item) not in young:
            remove.append(item)
            total -= item.size
    gone = {id(item) for item in remove}
    return Plan(
        remove=tuple(remove),
        keep=tuple(item for item in items if id(item) not in gone),
        needed=tuple(item for item in items if id(item) in held),
        over=max(total - budget, 0),
    )


def is_needed(item: Item, needed: Needed) -> bool:
    """Whether an open finding needs it."""
    return (item.kind == "kernel" and item.name in needed.kernels) or (
        item.kind == "console" and item.name in needed.consoles
    )


def survey(paths: Paths) -> list[Item]:
    """All that could go."""
    found = [measured("kernel", folder) for folder in paths.kernels.glob("??/*") if not folder.name.startswith(".")]
    found += [measured("boot", folder) for folder in paths.boots.glob("*") if folder.is_dir()]
    found += [measured("console", file) for file in paths.consoles.glob(f"??/*{SUFFIX}")]
    found += [measured("objects", folder) for folder in paths.objects.glob("*") if folder.is_dir()]
    return [item for item in found if item is not None]


def measured(kind: Kind, path: Path) -> Item | None:
    """``path`` with its size and its last use; ``None`` where it went meanwhile. A file read is a use, where the disk
    notes that; so is one written."""
    size, used = 0, 0.0
    for file in walk(path):
        try:
            about = file.lstat()
        except OSError:
            continue
        size += about.st_blocks * 512
        read = about.st_atime if stat.S_ISREG(about.st_mode) and kind != "objects" else 0.0
        used = max(used, about.st_mtime, read)
    return Item(kind, path.name.removesuffix(SUFFIX), path, size, used) if used else None


def walk(path: Path) -> Iterable[Path]:
    """A file, or a folder's files and itself; symbolic links are not followed."""
    if not path.is_dir():
        yield path
        return
    yield path
    for place, folders, names in os.walk(path):
        yield from (Path(place, name) for name in (*folders, *names))


def remove(item: Item) -> bool:
    """Remove it, whole or not at all for whoever looks; false where somebody holds it.

    Raises :class:`InfrastructureError` where it can't be removed.
    """
    try:
        if item.kind == "console":
            item.path.unlink(missing_ok=True)
            return True
        if item.kind == "objects":
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(locked(item.path.with_name(f"{item.path.name}.lock"), 0.0))
                except InfrastructureError:
                    return False
                shutil.rmtree(item.path)
            return True
        place = item.path.with_name(f".new-gone-{item.path.name}")  # the store sweeps these up after a crash
        item.path.rename(place)
        shutil.rmtree(place)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise InfrastructureError(f"{item.path}: cannot be removed: {error.strerror}") from None
    return True


def make_room(plan: Plan) -> tuple[Item, ...]:
    """Carry ``plan`` out; what really went."""
    return tuple(item for item in plan.remove if remove(item))
