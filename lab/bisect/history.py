"""Any git history as the points of a bisect: the commits between good and bad ones, merges and all.

What git's own bisect takes for granted is taken for granted here too: what a good commit was made from is good. Compat
is chosen anew at every commit, for a history may lead over many kernel versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.bisect.graph import Graph, from_commits
from lab.case import Case
from lab.errors import UserError
from lab.tree.git import git, printable, text

if TYPE_CHECKING:
    from lab.line import Line, Setup

MOST_COMMITS = 200_000
"""More than this lie between no two releases of Linux (v2.6.12 to v4.0 is half a million)."""
SECONDS = 300.0


@dataclass(frozen=True)
class Commit:
    """A commit of the user's history, with its subject and its parents."""

    id: str
    parents: tuple[str, ...]
    subject: str


@dataclass(frozen=True)
class History:
    """The commits in question, parents before children, the good ends among them; ``graph`` numbers them."""

    repo: Path
    commits: tuple[Commit, ...]
    graph: Graph

    @property
    def bad(self) -> Commit:
        """The bad end."""
        return self.commits[self.graph.bad]


def read_history(case: Case, good: Sequence[str], bad: str, setup: Setup) -> History:
    """The history in the user's tree between the ``good`` revisions and the ``bad`` one.

    Raises :class:`UserError` for a tree without git, a revision that it does not have, and ends with nothing between.
    """
    from lab.tree.bases import resolve_base
    from lab.tree.repos import find_git_dir

    if setup.tree is None:
        raise UserError("--good and --bad name commits of a tree of yours: say which with --tree PATH")
    if find_git_dir(setup.tree) is None:
        raise UserError(f"{setup.tree}: no git repository, so it has no history")
    if not good:
        raise UserError("--good: name at least one commit without the bug")
    bases = [resolve_base(name, paths=setup.paths, tree=setup.tree, progress=setup.progress) for name in (bad, *good)]
    return history(bases[0].repo, [base.commit for base in bases[1:]], bases[0].commit)


def history(repo: Path, good: Sequence[str], bad: str) -> History:
    """The commits of ``repo`` that can have brought what ``bad`` has and no ``good`` one has."""
    asked = ("rev-list", "--topo-order", "--reverse", "--parents", "--boundary", bad, "--not", *good)
    lines = text(git(repo, *asked, deadline=SECONDS, limit=256 << 20)).splitlines()
    if not lines:
        raise UserError("nothing lies between: the bad commit is a good one, or one that a good one was made from")
    if len(lines) > MOST_COMMITS:
        raise UserError(f"{len(lines)} commits lie between; name ends that are nearer to each other")
    rows = [line.split() for line in lines]
    inside = {row[0]: tuple(row[1:]) for row in rows if not row[0].startswith("-")}
    edge = [row[0].removeprefix("-") for row in rows if row[0].startswith("-")]
    if not edge:
        raise UserError("the good and the bad commit have no common history")
    order = [*((commit, ()) for commit in edge), *inside.items()]
    names = subjects(repo, [commit for commit, _ in order])
    commits = tuple(Commit(commit, parents, names.get(commit, "")) for commit, parents in order)
    return History(repo, commits, from_commits(order, bad, edge))


def subjects(repo: Path, commits: Sequence[str]) -> dict[str, str]:
    """The subject of each commit, harmless to print."""
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    args = ("log", "--no-walk=unsorted", "--stdin", "--format=%H %s")
    lines = text(git(repo, *args, input=asked, deadline=SECONDS, limit=256 << 20)).splitlines()
    return {line[: line.find(" ")]: printable(line[line.find(" ") + 1 :])[:200] for line in lines}


def line_at(case: Case, commit: Commit, setup: Setup) -> Line:
    """The case's kconfig and machine on ``commit`` of the user's tree, with the compat that this commit needs; the
    line's only point is the commit."""
    from lab.line import prepare

    line = prepare(replace(case, base=commit.id, patches=(), fix=()), setup)
    point = replace(line.tree.points[0], subject=commit.subject)
    return replace(line, tree=replace(line.tree, points=(point,)))
