"""Kernel sources that come from another host: found among what is here, or pushed into a repository of their own."""

from __future__ import annotations

import re
from pathlib import Path

from lab.errors import UserError
from lab.paths import Paths
from lab.tree.git import git, has_commit, make_repo
from lab.tree.repos import new_repo

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,120}")


def find_source(commit: str, paths: Paths) -> Path | None:
    """A repository here that holds ``commit`` with all its files."""
    if not COMMIT.fullmatch(commit):
        raise UserError(f"{commit[:80]!r} is no commit")
    pushed = sorted(paths.bases.glob("pushed-*.git"))
    for repo in [*(path for path in sorted(paths.bases.glob("*.git")) if path not in pushed), *pushed]:
        if has_commit(repo, commit):
            return repo
    return None


def place_for(name: str, commit: str, paths: Paths) -> Path:
    """The bare repository that source ``name`` is pushed into; made where there is none."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name[:80]!r} is no name of a source")
    final = paths.bases / f"pushed-{name}.git"
    if not final.exists():
        with new_repo(paths, f"pushed-{name}") as repo:
            if repo is not None:
                make_repo(repo, "sha256" if len(commit) == 64 else "sha1")
                git(repo, "config", "receive.shallowUpdate", "true")
                git(repo, "config", "receive.autogc", "false")
                git(repo, "config", "receive.fsckObjects", "true")
    return final
