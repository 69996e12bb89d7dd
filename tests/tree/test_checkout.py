"""The worktree holds exactly the point that was asked for, whatever happened to it before."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.paths import Paths
from lab.process import run
from lab.tree.bases import resolve_base
from lab.tree.checkout import checked_out
from lab.tree.git import git as lab_git
from lab.tree.series import apply_series
from lab.tree.types import Point, Tree


@pytest.fixture
def tree(kernel, git, paths: Paths, tmp_path: Path) -> Tree:
    """A base with two patches: one changes slub.c, one adds a file in a new folder and removes one."""
    linux = kernel("6.1.7")
    (linux / "mm" / "slub.c").write_text("int slub = 1;\n")
    git("commit", "-qam", "slub", cwd=linux)
    (linux / "mm" / "new").mkdir()
    (linux / "mm" / "new" / "file.c").write_text("new\n")
    (linux / "scripts" / "run.sh").unlink()
    git("add", "-A", cwd=linux)
    git("commit", "-qam", "new file", cwd=linux)
    git("format-patch", "-q", "-2", "-o", str(tmp_path / "patches"), cwd=linux)
    git("reset", "-q", "--hard", "HEAD~2", cwd=linux)
    base = resolve_base("HEAD", paths=paths, tree=linux)
    return apply_series(base, sorted((tmp_path / "patches").iterdir()), paths=paths)


def assert_holds(folder: Path, tree: Tree, point: Point) -> None:
    """Compare all of the folder with git's own idea of the point, byte by byte."""
    listed = lab_git(tree.repo, "ls-tree", "-r", "-z", point.tree).stdout.decode().split("\0")[:-1]
    expected = {}
    for line in listed:
        meta, _, name = line.partition("\t")
        mode, _, blob = meta.split(" ")
        expected[name] = (mode, lab_git(tree.repo, "cat-file", "blob", blob).stdout)
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = ("120000", str(path.readlink()).encode())
        elif path.is_file():
            mode = "100755" if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else "100644"
            found[str(path.relative_to(folder))] = (mode, path.read_bytes())
    assert found == expected


def test_each_point_is_checked_out_byte_by_byte(tree: Tree, paths: Paths) -> None:
    for index in (0, 2, 1, 0, 2):
        with checked_out(tree, tree.at(index), paths=paths) as folder:
            assert_holds(folder, tree, tree.at(index))
            assert folder == paths.worktrees / tree.key


def test_files_that_are_the_same_keep_their_time(tree: Tree, paths: Paths) -> None:
    with checked_out(tree, tree.at(0), paths=paths) as folder:
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.[ch]")}
    time.sleep(0.02)
    with checked_out(tree, tree.at(1), paths=paths) as folder:
        changed = [path.name for path, mtime in before.items() if path.stat().st_mtime_ns != mtime]
    assert changed == ["slub.c"]


def spoil_everything(folder: Path) -> None:
    """What builds, editors and people do to a source folder."""
    (folder / "mm" / "slub.c").write_text("spoiled\n")
    (folder / "mm" / "mempolicy.c").unlink()
    (folder / "scripts" / "run.sh").chmod(0o644)
    (folder / "scripts" / "link").unlink()
    (folder / "scripts" / "link").symlink_to("/etc")
    (folder / ".config").write_text("built here\n")
    (folder / "junk" / ".git").mkdir(parents=True)
    (folder / "junk" / ".git" / "HEAD").write_text("x\n")
    (folder / "ignored.lex.c").write_text("ignored\n")
    (folder / "Makefile").unlink()
    (folder / "Makefile").mkdir()
    (folder / "Makefile" / "inside").touch()


@pytest.mark.parametrize("index", [0, 2])
def test_whatever_was_done_to_it_is_undone(tree: Tree, paths: Paths, index: int) -> None:
    with checked_out(tree, tree.at(0), paths=paths) as folder:
        spoil_everything(folder)
    with checked_out(tree, tree.at(index), paths=paths) as folder:
        assert_holds(folder, tree, tree.at(index))


def test_a_link_put_in_place_of_a_folder_is_not_followed(tree: Tree, paths: Paths, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "slub.c").write_text("mine\n")
    with checked_out(tree, tree.at(0), paths=paths) as folder:
        for path in (folder / "mm").iterdir():
            path.unlink()
        (folder / "mm").rmdir()
        (folder / "mm").symlink_to(outside)
    with checked_out(tree, tree.at(2), paths=paths) as folder:
        assert_holds(folder, tree, tree.at(2))
    assert [path.name for path in outside.iterdir()] == ["slub.c"]
    assert (outside / "slub.c").read_text() == "mine\n"


@pytest.mark.parametrize("index_file", [None, b"", b"DIRC garbage" * 100])
def test_a_checkout_that_was_killed_is_finished(tree: Tree, paths: Paths, index_file: bytes | None) -> None:
    with checked_out(tree, tree.at(0), paths=paths) as folder:
        pass
    index = paths.worktrees / f"{tree.key}.index"
    index.with_name(f"{index.name}.lock").write_bytes(b"half")
    (folder / "mm" / "new").mkdir()
    (folder / "mm" / "new" / "file.c").write_bytes(b"ha")
    (folder / "mm" / "slub.c").write_bytes(b"")
    if index_file is None:
        index.unlink()
    else:
        index.write_bytes(index_file)
    with checked_out(tree, tree.at(2), paths=paths) as folder:
        assert_holds(folder, tree, tree.at(2))


def test_no_git_folder_is_seen_by_kbuild(tree: Tree, paths: Paths) -> None:
    with checked_out(tree, tree.at(0), paths=paths) as folder:
        assert not (folder / ".git").exists()


HOLD = """
import sys, time
from pathlib import Path
from lab.files import locked
with locked(Path(sys.argv[1]), 5):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_has_it(tree: Tree, paths: Paths) -> None:
    argv = [sys.executable, "-c", HOLD, str(paths.worktrees / f"{tree.key}.lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(InfrastructureError, match=f"process {holder.pid} has held"),
            checked_out(tree, tree.at(0), paths=paths, wait=0.1),
        ):
            pytest.fail("two have it")
        holder.kill()
    with checked_out(tree, tree.at(0), paths=paths, wait=5):
        pass


def test_a_full_disk_is_told_and_healed(tree: Tree, paths: Paths) -> None:
    """A file size limit stands for the full disk: git fails half-way through its writes."""
    (paths.worktrees / tree.key).mkdir(parents=True)
    argv = ["sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$0" "$@"', sys.executable, "-c", CHECKOUT, str(paths.cache)]
    done = run([*argv, str(tree.repo), tree.at(0).tree, tree.key], deadline=60)
    assert done.returncode == 1
    assert b"InfrastructureError" in done.stderr
    with checked_out(tree, tree.at(0), paths=paths) as folder:
        assert_holds(folder, tree, tree.at(0))


CHECKOUT = """
import sys
from pathlib import Path
from lab.tree.checkout import move
cache, repo, tree, key = sys.argv[1:]
worktrees = Path(cache) / "worktrees"
move(Path(repo), tree, worktrees / key, worktrees / f"{key}.index")
"""


def test_two_imports_of_a_changing_folder_share_a_worktree(tarball, paths: Paths) -> None:
    tarball("6.1.7")
    source = next(paths.cache.parent.glob("pack-6.1.7-*/linux-6.1.7"))
    first = apply_series(resolve_base("debian-6.1", paths=paths, tree=source), [], paths=paths)
    (source / "mm" / "slub.c").write_text("changed\n")
    second = apply_series(resolve_base("debian-6.1", paths=paths, tree=source), [], paths=paths)
    assert first.key == second.key
    assert first.repo != second.repo
    for tree in (first, second, first):
        with checked_out(tree, tree.at(0), paths=paths) as folder:
            assert_holds(folder, tree, tree.at(0))
