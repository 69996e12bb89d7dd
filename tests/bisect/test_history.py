"""Git histories with merges as the points of a bisect."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.bisect.graph import members
from lab.bisect.history import History, history
from lab.errors import UserError


class Repo:
    """A repository whose commits are made by name: each has one file that is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids: dict[str, str] = {}
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *args], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, name: str, *parents: str) -> None:
        tree = self.git("mktree", "--missing") if not self.ids else self.git("rev-parse", "HEAD^{tree}")
        above = [word for parent in parents for word in ("-p", self.ids[parent])]
        self.ids[name] = self.git("commit-tree", *above, "-m", name, tree)
        self.git("update-ref", "refs/heads/main", self.ids[name])

    def between(self, good: list[str], bad: str) -> History:
        return history(self.folder / ".git", [self.ids[name] for name in good], self.ids[bad])


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    r"""a - b - c - d - m - e, with a branch x - y from a merged at m, and z that forked before a."""
    made = Repo(tmp_path)
    made.commit("root")
    made.commit("a", "root")
    for name, parents in {
        "b": "a", "c": "b", "d": "c", "x": "a", "y": "x", "z": "root", "m": "d y", "n": "m z", "e": "n",
    }.items():  # fmt: skip
        made.commit(name, *parents.split())
    return made


def names(found: History, mask: int) -> set[str]:
    return {found.commits[point].subject for point in members(mask)}


def test_what_lies_between_is_suspected_and_nothing_else(repo: Repo):
    found = repo.between(["a"], "e")
    assert names(found, found.graph.suspects) == {"b", "c", "d", "x", "y", "z", "m", "n", "e"}
    assert {found.commits[point].subject for point in found.graph.good} == {"a", "root"}
    assert found.bad.subject == "e"


def test_parents_come_before_children(repo: Repo):
    found = repo.between(["a"], "e")
    for point, parents in enumerate(found.graph.parents):
        assert all(parent < point for parent in parents)
        known = {commit.id for commit in found.commits}
        assert len(parents) == len([parent for parent in found.commits[point].parents if parent in known])


def test_a_second_good_commit_clears_its_branch(repo: Repo):
    found = repo.between(["d", "y"], "e")
    assert names(found, found.graph.suspects) == {"m", "n", "z", "e"}


def test_a_good_commit_on_another_branch_clears_what_both_have(repo: Repo):
    found = repo.between(["y"], "d")
    assert names(found, found.graph.suspects) == {"b", "c", "d"}
    assert {found.commits[point].subject for point in found.graph.good} == {"a"}


def test_ends_that_have_nothing_between_are_refused(repo: Repo):
    with pytest.raises(UserError, match="nothing lies between"):
        repo.between(["e"], "c")
    with pytest.raises(UserError, match="nothing lies between"):
        repo.between(["c"], "c")


def test_two_histories_are_refused(repo: Repo):
    repo.commit("stranger")
    with pytest.raises(UserError, match="no common history"):
        repo.between(["e"], "stranger")
