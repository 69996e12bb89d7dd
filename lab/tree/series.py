"""A series on its base: one commit a patch, with ``git am``'s semantics and without a checkout.

Patches are applied to an index of the lab's own (``git apply --cached``), so nothing is written but objects; what came
out is checked before it becomes a commit. Equal base and patches give equal commits, and are looked up the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lab.errors import UserError
from lab.files import locked, write_atomic
from lab.tree.git import git, printable, reason, text, tree_id, version_series
from lab.tree.mail import LAB_DATE, LAB_EMAIL, LAB_NAME, Mail, read_mail, read_patch
from lab.tree.patch import FILES, SYMLINK, failure, parse, refusal, unsafe_link, unsafe_name
from lab.tree.types import Base, Point, Role, Tree

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress

FORMAT = "1"
"""Part of every key: another one forgets all series that were applied by an older lab."""

LINK_LIMIT = 4096
LOCK_SECONDS = 1800.0
COMMITTER = {"GIT_COMMITTER_NAME": LAB_NAME, "GIT_COMMITTER_EMAIL": LAB_EMAIL}
UNDER_SUBJECT = "compat: let this kernel build with the tools that are here"


class Applied(msgspec.Struct, frozen=True):
    """A point as it is kept on disk: without the path of its patch, which may be another one next time."""

    role: Role
    subject: str
    commit: str
    tree: str


@dataclass(frozen=True)
class Patch:
    """A patch file that was read."""

    role: Role
    path: Path
    data: bytes


def apply_series(
    base: Base,
    patches: Sequence[Path],
    *,
    paths: Paths,
    under: Sequence[Path] = (),
    fix: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Tree:
    """Apply ``patches``, then ``fix``, on ``base``: one commit each, in the lab's repository of the base.

    ``under`` becomes one commit below them, which is part of point 0. Three-way where the blobs are there. The commits'
    ids depend on the base and the patches alone. Raises :class:`UserError` naming patch, file and hunk for what
    does not apply, and for a patch that would leave the tree, reach git's own folder or change nothing.
    """
    low = [Patch("base", path, read_patch(path)) for path in under]
    high = [Patch("patch", path, read_patch(path)) for path in patches]
    high += [Patch("fix", path, read_patch(path)) for path in fix]
    folder = base.repo / "lab-series"
    record = folder / f"{series_key(base, [*low, *high])}.json"
    files: list[Path | None] = [None, *(patch.path for patch in high)]
    applied = load_applied(record, base.repo, len(files))
    if applied is None:
        with locked(folder / "lock", LOCK_SECONDS):
            applied = load_applied(record, base.repo, len(files))
            if applied is None:
                with scratch(folder) as index:
                    applied = apply_all(base, low, high, index, progress)
                keep(record, applied, base.repo)
    points = tuple(
        Point(index=n, role=one.role, subject=one.subject, commit=one.commit, tree=one.tree, patch=file)
        for n, (one, file) in enumerate(zip(applied, files, strict=True))
    )
    return Tree(base=base, repo=base.repo, points=points, key=worktree_key(base))


def worktree_key(base: Base) -> str:
    """The worktree that bases of one origin and kernel series share. An unpacked folder is imported whenever it
    changes, and keeps its worktree all the same."""
    stem = base.repo.name.removesuffix(".git")
    if stem.startswith("folder-"):
        stem = stem.partition("_")[0]
    return f"{stem}_{version_series(base.version)}" if stem.startswith(("tree-", "mirror-")) else stem


def series_key(base: Base, patches: Sequence[Patch]) -> str:
    """A hash of all that the commits depend on: a plain diff gets its subject from its file's name."""
    digest = hashlib.sha256(f"{FORMAT}\0{base.commit}\0{base.name}\0{base.version}\0".encode())
    for patch in patches:
        content = hashlib.sha256(patch.data).hexdigest()
        digest.update(f"{patch.role}\0{patch.path.stem}\0{content}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def load_applied(record: Path, repo: Path, count: int) -> list[Applied] | None:
    """The ``count`` points that were kept in ``record``, if git still has each of them."""
    try:
        applied = msgspec.json.decode(record.read_bytes(), type=list[Applied])
    except (OSError, msgspec.MsgspecError):
        return None
    asked = "".join(f"{one.commit}\n{one.tree}\n" for one in applied)
    found = text(git(repo, "cat-file", "--batch-check=%(objectname) %(objecttype)", input=asked.encode()))
    wanted = [line for one in applied for line in (f"{one.commit} commit", f"{one.tree} tree")]
    return applied if len(applied) == count and found.splitlines() == wanted else None


def keep(record: Path, applied: list[Applied], repo: Path) -> None:
    """Keep what was applied; the reference keeps git from ever taking the commits for garbage."""
    git(repo, "update-ref", f"refs/lab/series/{record.stem}", applied[-1].commit)
    write_atomic(record, msgspec.json.encode(applied))


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """The name of an index file to work on. What a killed process left is removed; the caller holds the lock."""
    for left in folder.glob("work-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        yield Path(work) / "index"


def apply_all(
    base: Base, low: Sequence[Patch], high: Sequence[Patch], index: Path, progress: Progress | None
) -> list[Applied]:
    """The points of the base, ``low`` below and ``high`` on it, made in ``index``."""
    repo = base.repo
    commit, tree = base.commit, tree_id(repo, base.commit)
    git(repo, "read-tree", tree, index=index, deadline=300)
    if low:
        parent = tree
        for patch in low:
            _, parent = apply_one(patch, parent, repo, index)
        names = "".join(f"\n{printable(patch.path.name)}" for patch in low)
        mail = Mail(UNDER_SUBJECT, LAB_NAME, LAB_EMAIL, LAB_DATE, f"{UNDER_SUBJECT}\n{names}\n", b"")
        commit, tree = commit_tree(mail, parent, commit, repo), parent
    applied = [Applied("base", printable(f"{base.name} ({base.version})"), commit, tree)]
    for count, patch in enumerate(high, 1):
        if progress is not None:
            progress("apply", patch.path.name, count, len(high))
        mail, tree = apply_one(patch, tree, repo, index)
        commit = commit_tree(mail, tree, commit, repo)
        applied.append(Applied(patch.role, mail.subject, commit, tree))
    return applied


def apply_one(patch: Patch, parent: str, repo: Path, index: Path) -> tuple[Mail, str]:
    """Apply ``patch`` to ``index``, which holds tree ``parent``; its mail, and the tree that came out."""
    mail = read_mail(patch.path, patch.data, repo)
    diffs = parse(mail.diff)
    if not diffs:
        raise UserError(f"{patch.path}: has no diff in it")
    refused = refusal(diffs)
    if refused:
        raise UserError(f"{patch.path}: refused: {printable(refused)}")
    apply = ("apply", "--cached", "--whitespace=nowarn")
    done = git(repo, *apply, "-", index=index, input=mail.diff, check=False)
    if not done.ok:
        # git am's order: as it stands, else by the blobs that it was made against.
        merged = git(repo, *apply, "--3way", "-", index=index, input=mail.diff, check=False)
        if not merged.ok:
            what = failure(done.stderr.decode("utf-8", "replace"), diffs) if done.returncode > 0 else reason(done)
            raise UserError(f"{patch.path}: does not apply: {printable(what)}")
    tree = text(git(repo, "write-tree", index=index, deadline=300))
    if tree == parent:
        raise UserError(f"{patch.path}: changes nothing: what it does is there already")
    check_result(patch.path, parent, tree, repo)
    return mail, tree


def check_result(where: Path | str, old: str, new: str, repo: Path) -> None:
    """Look at what git made of a patch: every name and mode that is new, and where new symbolic links lead. ``where``
    stands in messages."""
    raw = git(repo, "diff-tree", "-r", "--raw", "-z", "--no-renames", old, new).stdout.decode("utf-8", "replace")
    fields = raw.split("\0")
    for meta, name in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, _, blob, status = meta.removeprefix(":").split(" ")
        if status == "D":
            continue
        why = unsafe_name(name)
        if not why and mode == SYMLINK:
            target = git(repo, "cat-file", "blob", blob, check=False, limit=LINK_LIMIT)
            long = target.cut or not target.ok
            why = "a symbolic link without end" if long else unsafe_link(name, target.stdout.decode("utf-8", "replace"))
        elif not why and mode not in FILES:
            why = f"mode {mode} is neither a file nor a symbolic link"
        if why:
            raise UserError(f"{where}: refused: {printable(name)}: {why}")


def commit_tree(mail: Mail, tree: str, parent: str, repo: Path) -> str:
    """A commit of ``tree`` on ``parent``. The committer's date is the author's: nothing of today gets into the id."""
    env = mail.author_environment | COMMITTER | {"GIT_COMMITTER_DATE": mail.date}
    return text(git(repo, "commit-tree", "-p", parent, tree, env=env, input=mail.message.encode()))
