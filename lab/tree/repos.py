"""The lab's own repositories, one a source: imported from a tarball or folder, or borrowing a user's objects.

Each is a bare repository below ``paths.bases`` that appears by a rename when it is whole. The user's are only read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from lab.errors import InfrastructureError, UserError
from lab.files import locked, sync_folder, write_atomic
from lab.tree.archive import BRANCH, Entry, commit_stream, tar_entries
from lab.tree.git import git, has_commit, kernel_version, make_repo, printable, reason, text

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress

RECORD = "lab.json"
IMPORT_SECONDS = 1800.0
FETCH_SECONDS = 3600.0
LOCK_SECONDS = IMPORT_SECONDS + FETCH_SECONDS


class Imported(msgspec.Struct, frozen=True):
    """What an imported repository holds. ``comment`` is the archive's, ``origin`` says where it came from,
    ``checked`` what it was checked by where that is not the same everywhere, ``url`` where the user had it from."""

    commit: str
    version: str
    origin: str
    comment: str = ""
    checked: str = ""
    url: str = ""


def slug(*parts: str) -> str:
    """A folder name for ``parts``: readable, and another one for other parts."""
    text = "_".join(parts)
    name = re.sub(r"[^A-Za-z0-9_.+-]", "-", text).lstrip(".-")[:100]
    return name if name == text else f"{name[:60]}-{short_hash(text)}"


def short_hash(text: str) -> str:
    """Sixteen hex digits that stand for ``text``."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def known_import(paths: Paths, name: str) -> Imported | None:
    """What was imported as ``name``, if it was."""
    repo = paths.bases / f"{name}.git"
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        record = msgspec.json.decode((repo / RECORD).read_bytes(), type=Imported)
        return record if has_commit(repo, record.commit) else None
    return None


def import_once(
    paths: Paths,
    name: str,
    origin: str,
    entries: Callable[[], Iterable[Entry]],
    comment: Callable[[], str] = lambda: "",
    *,
    version: str = "",
    checked: str = "",
    url: str = "",
    then: Callable[[Path, str], str] = lambda repo, commit: commit,
) -> Imported:
    """The import ``name``, made from ``entries`` when it is not there yet, by one process at a time.

    The commit's id depends on the entries, ``origin`` and ``then`` alone, which may make another commit of the first
    one. ``comment`` is asked after the entries were read.
    With ``version``, :class:`InfrastructureError` for a kernel of another; nothing of it is kept.
    """
    known = known_import(paths, name)
    if known is not None:
        return known
    with new_repo(paths, name) as repo:
        if repo is None:
            return known_import(paths, name) or damaged(paths, name)
        make_repo(repo)
        # The tree is packed once and read often: hardly compressed it costs a quarter of the time and little room.
        options = ("-c", "core.compression=1", "-c", "pack.compression=1")
        git(
            repo,
            *options,
            "fast-import",
            "--quiet",
            "--done",
            "--depth=0",
            input=commit_stream(entries(), f"Import {origin}\n"),
            deadline=IMPORT_SECONDS,
            guard=True,
        )
        commit = then(repo, text(git(repo, "rev-parse", "--verify", BRANCH)))
        git(repo, "update-ref", BRANCH, commit)
        record = Imported(commit, kernel_version(repo, commit), origin, comment(), checked, url)
        if version and record.version != version:
            raise InfrastructureError(f"{origin}: this is Linux {printable(record.version)}, not {version}")
        write_atomic(repo / RECORD, msgspec.json.encode(record))
    return record


def damaged(paths: Paths, name: str) -> Imported:
    """Say that an import is there and can't be read."""
    repo = paths.bases / f"{name}.git"
    raise InfrastructureError(f"{repo}: damaged", hint=f"remove this folder; it is made again: rm -r '{repo}'")


@contextlib.contextmanager
def new_repo(paths: Paths, name: str) -> Iterator[Path | None]:
    """A folder to build repository ``name`` in, which gets its name when the block ends well.

    None where another process has made it in the meantime. What a killed process left is removed.
    """
    final = paths.bases / f"{name}.git"
    with locked(paths.bases / f"{name}.lock", LOCK_SECONDS):
        if final.exists():
            yield None
            return
        prefix = f".{name}."
        for left in paths.bases.glob(f"{prefix}*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=paths.bases))
        try:
            yield folder / "repo"
            (folder / "repo").rename(final)
            sync_folder(paths.bases)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def import_archive(
    paths: Paths,
    name: str,
    archive: Path,
    *,
    origin: str,
    progress: Progress | None = None,
    version: str = "",
    checked: str = "",
) -> Imported:
    """Import a source tarball as repository ``name``; ``origin`` becomes part of the commit's message and id.

    Raises :class:`UserError` for a tarball that is damaged, unsafe, or not a kernel's.
    """
    comment: list[str] = []

    def entries() -> Iterator[Entry]:
        try:
            file = archive.open("rb")
        except OSError as error:
            raise UserError(f"{archive}: {error.strerror}") from None
        with file:
            for entry in tar_entries(file, str(archive), comment.append):
                yield entry
                tell(file, archive, progress)

    return import_once(paths, name, origin, entries, lambda: "".join(comment), version=version, checked=checked)


def tell(file: IO[bytes], archive: Path, progress: Progress | None) -> None:
    """Report how far the archive has been read."""
    if progress is not None:
        progress("import", archive.name, file.tell(), archive.stat().st_size)


def linked_repo(paths: Paths, git_dir: Path) -> Path:
    """The lab's repository that borrows the objects of the user's ``git_dir``; nothing is copied and nothing is ever
    written there (gitrepository-layout(5), objects/info/alternates)."""
    asked = ("--show-object-format", "--git-path", "objects", "--git-path", "shallow")
    object_format, *found = text(git(git_dir, "rev-parse", *asked)).splitlines()
    # Relative to where git ran; the worktrees of a repository share both.
    objects, shallow = ((git_dir / name).resolve() for name in found) if len(found) == 2 else (git_dir, git_dir)
    if "\n" in str(objects) or objects == git_dir or not objects.is_dir():
        raise UserError(f"{git_dir}: its objects cannot be borrowed from {str(objects)!r}")
    name = f"tree-{short_hash(str(objects))}"
    final = paths.bases / f"{name}.git"
    if not final.exists():
        with new_repo(paths, name) as repo:
            if repo is not None:
                make_repo(repo, object_format)
                (repo / "objects" / "info").mkdir(exist_ok=True)
                (repo / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    if shallow.is_file():
        write_atomic(final / "shallow", shallow.read_bytes())
    else:
        (final / "shallow").unlink(missing_ok=True)
    return final


def find_git_dir(tree: Path) -> Path | None:
    """The git directory of a tree that a user named: a repository, a worktree of one, or a bare one; else None."""
    dot = tree / ".git"
    if dot.is_dir():
        return dot.resolve()
    if dot.is_file():
        found = re.match(r"gitdir: ([^\n]+)", dot.read_text(errors="surrogateescape"))
        inside = (tree / found[1]).resolve() if found else None
        if inside is None or not inside.is_dir():
            raise UserError(f"{dot}: names no git directory that exists")
        return inside
    bare = (tree / "HEAD").is_file() and (tree / "objects").is_dir() and (tree / "refs").is_dir()
    return tree.resolve() if bare else None


def fetch_commit(paths: Paths, url: str, revision: str, commit: str = "") -> tuple[Path, str]:
    """The lab's repository for ``url``, and the commit that ``revision`` (a tag, a branch, a commit id) is there.

    Only that commit is fetched, without history. What cannot change asks the network once: a tag of a version, a
    commit id, and anything of which ``commit`` is known to be the right answer. :class:`InfrastructureError` where
    the fetch fails.
    """
    name = f"mirror-{short_hash(url)}"
    repo = paths.bases / f"{name}.git"
    with new_repo(paths, name) as fresh:
        if fresh is not None:
            make_repo(fresh)
    ref = f"refs/lab/{short_hash(revision)}"
    fixed = commit or (revision if re.fullmatch(r"[0-9a-f]{40}", revision) else "")
    if not fixed and re.match(r"v\d", revision):
        fixed = ref
    if fixed and has_commit(repo, fixed):
        return repo, text(git(repo, "rev-parse", "--verify", f"{fixed}^{{commit}}"))
    with locked(paths.bases / f"{name}.lock", LOCK_SECONDS):
        args = ("--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", url, f"+{revision}:{ref}")
        ssh = os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")  # nobody is there to type a passphrase
        protocols = {"GIT_ALLOW_PROTOCOL": "https:http:git:ssh:file", "GIT_SSH_COMMAND": ssh}
        done = git(
            repo, "fetch", *args, deadline=FETCH_SECONDS, check=False, guard=True, user_config=True, env=protocols
        )
    if not done.ok:
        raise InfrastructureError(f"{printable(url)}: {revision} could not be fetched: {reason(done)}")
    return repo, text(git(repo, "rev-parse", "--verify", f"{ref}^{{commit}}"))
