"""Values of the first step: a base, the points of a series on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["base", "patch", "fix"]


@dataclass(frozen=True)
class Base:
    """A named kernel source to start from, as a commit in a git repository.

    ``name`` is what the case asked for, ``version`` the kernel's own (``6.1.192``), ``source`` a sentence for people
    that says what was really found, ``repo`` a bare repository of the lab's (never the user's) that holds ``commit``.
    ``stand_in`` is empty, or the sentence that every result on this base has to carry
    (``stand-in base 3.7.2 for v3.7-rc4``).
    """

    name: str
    version: str
    source: str
    repo: Path
    commit: str
    stand_in: str = ""


@dataclass(frozen=True)
class Point:
    """A commit on the line base, patch 1, … patch n, fix: what can be built and booted.

    ``index`` is 0 for the base, n for the nth patch, and counts on through the fix. ``tree`` is the git tree id, the
    content alone; ``patch`` the file it came from.
    """

    index: int
    role: Role
    subject: str
    commit: str
    tree: str
    patch: Path | None = None


@dataclass(frozen=True)
class Tree:
    """A base with a series (and, after it, its fix) applied, one commit a patch.

    ``key`` names the worktree that its points are checked out in; all series on one base share it.
    """

    base: Base
    repo: Path
    points: tuple[Point, ...]
    key: str

    def at(self, index: int) -> Point:
        """The point with that index; ``IndexError`` where there is none."""
        return self.points[index] if index >= 0 else self.points[len(self.points)]
