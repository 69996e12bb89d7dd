"""The worktree that builds work in: moved from point to point, touching only the files that differ.

It has no ``.git``: kbuild would put the commit's id into the kernel's version, and compile for it at every step. Its
index lies beside it. Whatever was left behind by a killed checkout, a build or a curious person is put right
when it is taken the next time.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import InfrastructureError
from lab.files import locked
from lab.process import Completed
from lab.tree.git import git, printable, reason, text

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.tree.types import Point, Tree

CHECKOUT_SECONDS = 1800.0
WAIT_SECONDS = 4 * 3600.0
"""The lock is held while a kernel is built, and others may be before us."""


@contextlib.contextmanager
def checked_out(tree: Tree, point: Point, *, paths: Paths, wait: float = WAIT_SECONDS) -> Iterator[Path]:
    """Inside, the folder that is yielded holds exactly ``point``, and no other process moves it.

    Files that are the same keep their time stamps, so that a build in an object folder stays incremental; nothing that
    is not in the point is left. ``wait`` is how many seconds to wait for others. Raises :class:`InfrastructureError`
    where the files can't be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", tree.key):
        raise InfrastructureError(f"{printable(tree.key)!r}: not a worktree's name")
    folder = paths.worktrees / tree.key
    with locked(paths.worktrees / f"{tree.key}.lock", wait):
        move(tree.repo, point.tree, folder, paths.worktrees / f"{tree.key}.index")
        yield folder


def move(repo: Path, wanted: str, folder: Path, index: Path) -> None:
    """Make ``folder`` hold tree ``wanted``; the caller holds its lock."""
    folder.mkdir(parents=True, exist_ok=True)
    index.with_name(f"{index.name}.lock").unlink(missing_ok=True)  # of a checkout that was killed
    if switch(repo, wanted, folder, index):
        # An index that git can't read or trust: everything is looked at anew, which only costs time.
        index.unlink(missing_ok=True)
        why = switch(repo, wanted, folder, index)
        if why:
            raise InfrastructureError(f"{folder}: cannot be made clean: {why}", hint=f"rm -r '{folder}'")


def switch(repo: Path, wanted: str, folder: Path, index: Path) -> str:
    """Check ``wanted`` out over what is there. Empty when exactly that is there afterwards, else what is wrong."""
    # A second worker pays where everything is written, and costs where little is.
    workers = () if index.exists() else ("-c", f"checkout.workers={os.cpu_count() or 1}")

    def run(*args: str) -> Completed:
        return git(repo, *args, index=index, work_tree=folder, deadline=CHECKOUT_SECONDS, check=False, guard=True)

    done = run(*workers, "read-tree", "--reset", "-u", wanted)
    if b"No space left on device" in done.stderr:
        raise InfrastructureError(f"{folder}: the disk is full", hint="free about 2 GB and try again")
    if not done.ok:
        return reason(done)
    cleaned = run("clean", "-ffdxq")
    if not cleaned.ok:
        return reason(cleaned)
    if not run("diff-files", "--quiet").ok:
        return "files differ from what git wrote"
    return "" if text(run("write-tree")) == wanted else "git's index is not what was asked for"
