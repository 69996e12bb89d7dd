"""The series' end without the culprit, to see the bug go: the patch is taken back there, or else left out together with
what depends on it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.tree.git import git, text
from lab.tree.mail import LAB_DATE, LAB_EMAIL, LAB_NAME
from lab.tree.types import Point, Tree

LIMIT_BYTES = 64 << 20
DEADLINE = 300.0


@dataclass(frozen=True)
class Without:
    """A point without the culprit; ``dropped`` are the later patches that had to go with it."""

    point: Point
    dropped: tuple[Point, ...] = ()

    @property
    def name(self) -> str:
        """What it is, for people."""
        also = ", ".join(str(point.index) for point in self.dropped)
        return self.point.subject if not also else f"{self.point.subject}, and without what depends on it: {also}"


def without(tree: Tree, culprit: int, end: int, index: int, also: Sequence[int] = ()) -> Without | None:
    """The point with number ``index``: the series up to ``end`` without patch ``culprit`` and without the patches
    ``also``. ``None`` where nothing can be left out so that the rest applies."""
    if culprit < 1 or culprit > end:
        return None
    with tempfile.TemporaryDirectory(prefix="lab-revert-") as folder:
        work = Path(folder) / "index"
        made = None if also else taken_back(tree, culprit, end, work)
        dropped: tuple[Point, ...] = ()
        if made is None:
            made, dropped = left_out(tree, culprit, end, work, also)
    subject = f"the series' end without patch {culprit}"
    known = next((point.commit for point in tree.points if point.tree == made), None)
    point = Point(index, "patch", subject, known or commit(tree, made, tree.points[end].commit, subject), made)
    return Without(point, dropped)


def taken_back(tree: Tree, culprit: int, end: int, index: Path) -> str | None:
    """The end's tree with the culprit's change reverted, as ``git revert`` would; ``None`` where that conflicts."""
    git(tree.repo, "read-tree", tree.points[end].tree, index=index, deadline=DEADLINE)
    return applied(tree, diff(tree, culprit), index, reverse=True)


def left_out(tree: Tree, culprit: int, end: int, index: Path, also: Sequence[int]) -> tuple[str, tuple[Point, ...]]:
    """The tree of the patches before the culprit and those after it that still apply, and those that don't."""
    made = tree.points[culprit - 1].tree
    dropped: list[Point] = []
    for point in tree.points[culprit + 1 : end + 1]:
        git(tree.repo, "read-tree", made, index=index, deadline=DEADLINE)
        new = None if point.index in also else applied(tree, diff(tree, point.index), index)
        if new is None:
            dropped.append(point)
        else:
            made = new
    return made, tuple(dropped)


def diff(tree: Tree, patch: int) -> bytes:
    """What patch number ``patch`` changes."""
    old, new = tree.points[patch - 1].tree, tree.points[patch].tree
    words = ("-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    return git(tree.repo, "diff-tree", *words, old, new, limit=LIMIT_BYTES, deadline=DEADLINE).stdout


def applied(tree: Tree, change: bytes, index: Path, *, reverse: bool = False) -> str | None:
    """The tree that applying ``change`` to ``index`` gives, or ``None`` where it does not apply."""
    words = ("apply", "--cached", "--whitespace=nowarn", *(("-R",) if reverse else ()))
    for more in ((), ("--3way",)):
        if git(tree.repo, *words, *more, "-", index=index, input=change, check=False, deadline=DEADLINE).ok:
            return text(git(tree.repo, "write-tree", index=index, deadline=DEADLINE))
    return None


def commit(tree: Tree, content: str, parent: str, subject: str) -> str:
    """A commit of the lab's, so that git and the journal can name the tree."""
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in WHO.items()}
    return text(git(tree.repo, "commit-tree", "-p", parent, content, env=who, input=f"{subject}\n".encode()))


WHO = {"NAME": LAB_NAME, "EMAIL": LAB_EMAIL, "DATE": LAB_DATE}
