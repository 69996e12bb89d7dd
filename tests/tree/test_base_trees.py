"""A git repository of the user's as a base: only read, and what is near but not the real thing says so."""

import os
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.paths import Paths
from lab.tree.bases import Entry, resolve_base
from lab.tree.git import git as lab_git
from lab.tree.git import text
from tests.tree.conftest import snapshot


class TestTree:
    """A git repository of the user's."""

    def test_a_near_tree_stands_in_and_every_base_says_so(self, kernel, paths: Paths) -> None:
        base = resolve_base("v3.7-rc4", paths=paths, tree=kernel("3.7.2"))
        assert base.version == "3.7.2"
        assert base.stand_in == "stand-in base 3.7.2 for v3.7-rc4"

    def test_a_tree_of_another_series_is_refused(self, kernel, paths: Paths) -> None:
        with pytest.raises(UserError, match=r"this is Linux 6\.1\.7, and base v3\.7-rc4 is a 3\.7.*--tree PATH"):
            resolve_base("v3.7-rc4", paths=paths, tree=kernel("6.1.7"))

    def test_the_real_commit_is_taken_wherever_the_tree_stands(self, kernel, git, paths: Paths) -> None:
        tree = kernel("3.7.0-rc4")
        real = git("rev-parse", "HEAD", cwd=tree)
        (tree / "mm" / "slub.c").write_text("changed\n")
        git("commit", "-qam", "later", cwd=tree)
        table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit=real)}
        base = resolve_base("v3.7-rc4", paths=paths, tree=tree, table=table)
        assert (base.commit, base.version, base.stand_in) == (real, "3.7.0-rc4", "")

    def test_any_revision_of_the_tree_is_a_base(self, kernel, git, paths: Paths) -> None:
        tree = kernel("6.5.0")
        git("tag", "v6.5", cwd=tree)
        first = git("rev-parse", "HEAD", cwd=tree)
        git("commit", "-q", "--allow-empty", "-m", "later", cwd=tree)
        for name in ("v6.5", "HEAD~1", first, first[:12]):
            base = resolve_base(name, paths=paths, tree=tree)
            assert (base.name, base.commit, base.stand_in) == (name, first, "")
        with pytest.raises(UserError, match=r"git revision 'v9\.9' is not there"):
            resolve_base("v9.9", paths=paths, tree=tree)

    def test_bare_repositories_and_worktrees_are_trees_too(self, kernel, git, paths: Paths, tmp_path: Path) -> None:
        tree = kernel("6.1.7")
        git("clone", "-q", "--bare", str(tree), str(tmp_path / "bare.git"), cwd=tmp_path)
        git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"), cwd=tree)
        (tmp_path / "side" / "mm" / "slub.c").write_text("side\n")
        git("commit", "-qam", "side", cwd=tmp_path / "side")
        at_home = resolve_base("HEAD", paths=paths, tree=tree)
        assert resolve_base("HEAD", paths=paths, tree=tmp_path / "bare.git").commit == at_home.commit
        beside = resolve_base("HEAD", paths=paths, tree=tmp_path / "side")
        assert beside.commit == git("rev-parse", "side", cwd=tree)
        assert beside.repo == at_home.repo

    def test_the_users_tree_is_only_read(self, kernel, paths: Paths) -> None:
        tree = kernel("6.1.7")
        os.utime(tree / "mm" / "slub.c", (0, 0))  # git would refresh its index for that
        before = snapshot(tree)
        base = resolve_base("HEAD", paths=paths, tree=tree)
        lab_git(base.repo, "commit-tree", "-m", "x", f"{base.commit}^{{tree}}", env={
            f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        })  # fmt: skip
        assert snapshot(tree) == before
        assert base.repo.is_relative_to(paths.bases)

    def test_changes_that_are_not_committed_are_told(self, kernel, paths: Paths) -> None:
        tree = kernel("6.1.7")
        assert "left out" not in resolve_base("HEAD", paths=paths, tree=tree).source
        (tree / "mm" / "slub.c").write_text("changed\n")
        assert "(changes that are not committed are left out)" in resolve_base("HEAD", paths=paths, tree=tree).source

    def test_a_shallow_clone_will_do(self, kernel, git, paths: Paths, tmp_path: Path) -> None:
        tree = kernel("6.1.7")
        git("commit", "-q", "--allow-empty", "-m", "later", cwd=tree)
        git("clone", "-q", "--depth=1", f"file://{tree}", str(tmp_path / "shallow"), cwd=tmp_path)
        base = resolve_base("HEAD", paths=paths, tree=tmp_path / "shallow")
        assert text(lab_git(base.repo, "rev-list", "--count", base.commit)) == "1"

    def test_a_folder_that_is_no_kernel_is_refused(self, kernel, git, paths: Paths, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(UserError, match="neither a git repository nor a kernel source"):
            resolve_base("debian-6.1", paths=paths, tree=tmp_path / "empty")
        with pytest.raises(UserError, match="no such folder"):
            resolve_base("debian-6.1", paths=paths, tree=tmp_path / "gone")
        git("init", "-q", cwd=tmp_path / "empty")
        with pytest.raises(UserError, match="git revision 'HEAD' is not there"):
            resolve_base("debian-6.1", paths=paths, tree=tmp_path / "empty")
