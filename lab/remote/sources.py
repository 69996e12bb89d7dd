"""Kernel sources that come from another host: found among what is here, or pushed into a repository of their own.

Each source has a repository, for each has worktrees and objects of its own. What other sources here hold already is not
taken again: a new repository borrows the objects of those that have all of theirs themselves (gitrepository-layout(5),
objects/info/alternates), and who pushes is told which commits these are.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab.errors import UserError
from lab.paths import Paths
from lab.tree.git import git, has_commit, make_repo, text
from lab.tree.repos import new_repo

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
KNOWN_COMMITS = 64
"""So many commits are told to who pushes: the newest of each source."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,120}")


def find_source(commit: str, paths: Paths) -> Path | None:
    """A repository here that holds ``commit`` with all its files."""
    if not COMMIT.fullmatch(commit):
        raise UserError(f"{commit[:80]!r} is no commit")
    pushed = sorted(paths.bases.glob("pushed-*.git"))
    for repo in [*(path for path in sorted(paths.bases.glob("*.git")) if path not in pushed), *pushed]:
        if has_commit(repo, commit) and is_whole(repo):
            return repo
    return None


def place_for(name: str, commit: str, paths: Paths) -> Path:
    """The bare repository that source ``name`` is pushed into; made where there is none."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name[:80]!r} is no name of a source")
    final = paths.bases / f"pushed-{name}.git"
    if final.exists() and not is_whole(final):
        shutil.rmtree(final)  # who lent it objects was removed by hand
    if not final.exists():
        object_format = "sha256" if len(commit) == 64 else "sha1"
        with new_repo(paths, f"pushed-{name}") as repo:
            if repo is not None:
                make_repo(repo, object_format)
                git(repo, "config", "receive.shallowUpdate", "true")
                git(repo, "config", "receive.autogc", "false")
                git(repo, "config", "receive.fsckObjects", "true")
                (repo / "objects" / "info").mkdir(exist_ok=True)
                alternates(repo).write_text("".join(f"{one / 'objects'}\n" for one in lenders(paths, object_format)))
    return final


def alternates(repo: Path) -> Path:
    """The file that names whose objects ``repo`` borrows."""
    return repo / "objects" / "info" / "alternates"


def borrowed(repo: Path) -> list[Path]:
    """The folders of objects that ``repo`` borrows from."""
    file = alternates(repo)
    return [Path(line) for line in file.read_text().splitlines()] if file.is_file() else []


def is_whole(repo: Path) -> bool:
    """Whether all that ``repo`` borrows objects from is still there."""
    return all(folder.is_dir() for folder in borrowed(repo))


def lenders(paths: Paths, object_format: str) -> Iterator[Path]:
    """The lab's repositories here that borrow from nobody: imports, and what was pushed first."""
    for repo in sorted(paths.bases.glob("*.git")):
        if "\n" not in str(repo) and not borrowed(repo) and (repo / "objects").is_dir():
            said = git(repo, "rev-parse", "--show-object-format", check=False)
            if said.ok and text(said) == object_format:
                yield repo.resolve()


def known_commits(place: Path) -> tuple[str, ...]:
    """The commits that the sources in and behind the repository ``place`` have by name, in turn from each, the newest
    first; :data:`KNOWN_COMMITS` at most."""
    listed = []
    for repo in (place, *(folder.parent for folder in borrowed(place))):
        refs = git(repo, "for-each-ref", "--sort=-creatordate", f"--count={KNOWN_COMMITS}", "--format=%(objectname)")
        listed.append(text(refs).splitlines())
    turns = (one[turn] for turn in range(KNOWN_COMMITS) for one in listed if turn < len(one))
    return tuple(dict.fromkeys(commit for commit in turns if COMMIT.fullmatch(commit)))[:KNOWN_COMMITS]


def holding(commits: tuple[str, ...], paths: Paths) -> dict[Path, set[str]]:
    """The lab's repositories here that hold any of ``commits`` with its files, and which."""
    found: dict[Path, set[str]] = {}
    asked = "".join(f"{commit}^{{tree}}\n" for commit in commits).encode()
    for repo in sorted(paths.bases.glob("*.git")) if commits else ():
        said = git(repo, "cat-file", "--batch-check=%(objecttype)", check=False, input=asked)
        words = said.stdout.decode("ascii", "replace").splitlines()
        held = {commit for commit, word in zip(commits, words, strict=False) if word == "tree"}
        if said.ok and held - set().union(*found.values()):
            found[repo] = held
    return found
