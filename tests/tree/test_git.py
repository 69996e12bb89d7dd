"""git answers by the repository alone, and the Makefile tells a kernel's version."""

from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.tree.git import git as lab_git
from lab.tree.git import kernel_version, make_repo, makefile_version, printable, text, version_series


@pytest.mark.parametrize(
    ("makefile", "version"),
    [
        (b"VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n", "6.1.192"),
        (b"VERSION = 3\nPATCHLEVEL = 7\nSUBLEVEL = 0\nEXTRAVERSION = -rc4\nNAME = Terrified Chipmunk\n", "3.7.0-rc4"),
        (b"# SPDX-License-Identifier: GPL-2.0\nVERSION = 2\nPATCHLEVEL = 6\nSUBLEVEL = 32\n", "2.6.32"),
        (b"VERSION = 4\nPATCHLEVEL = 19\n", "4.19"),
        (b"VERSION = 3\nPATCHLEVEL = 7\nSUBLEVEL = 2\n\tVERSION = 9\nifdef X\nVERSION = 8\n", "3.7.2"),
        (b"all:\n\techo VERSION = 6\n", ""),
        (b"VERSION = 6\n", ""),
        (b"", ""),
        (b"VERSION = \x1b[31m\nPATCHLEVEL = 1\n", ""),
    ],
)
def test_the_version_is_what_make_kernelversion_prints(makefile: bytes, version: str) -> None:
    assert makefile_version(makefile) == version


def test_a_series_has_two_numbers_and_had_three() -> None:
    assert [version_series(v) for v in ("6.1.192", "3.7.0-rc4", "2.6.32.71", "4.19")] == [
        "6.1",
        "3.7",
        "2.6.32",
        "4.19",
    ]


def test_the_version_of_a_commit_comes_from_its_makefile(kernel, git) -> None:
    tree = kernel("3.7.2")
    assert kernel_version(tree / ".git", "HEAD") == "3.7.2"
    git("rm", "-q", "Makefile", cwd=tree)
    git("commit", "-q", "-m", "no kernel any more", cwd=tree)
    with pytest.raises(UserError, match="is not a kernel source: no Makefile with a VERSION"):
        kernel_version(tree / ".git", "HEAD")


def test_the_users_configuration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".gitconfig").write_text("[core]\n\tautocrlf = true\n[user]\n\tname = X\n[alias]\n\tstatus = !false\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    repo = tmp_path / "repo.git"
    make_repo(repo)
    assert text(lab_git(repo, "config", "--get", "core.autocrlf")) == "false"
    assert not lab_git(repo, "config", "--get", "user.name", check=False).ok


def test_a_failure_names_the_command_and_gits_own_reason(tmp_path: Path) -> None:
    make_repo(tmp_path / "repo.git")
    with pytest.raises(InfrastructureError, match=r"git cat-file in .*repo\.git: Not a valid object name HEAD"):
        lab_git(tmp_path / "repo.git", "cat-file", "-p", "HEAD")


def test_without_git_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match=r"git: no such program.*apt-get install git"):
        lab_git(tmp_path, "version")


def test_an_output_that_cannot_be_whole_is_no_answer(tmp_path: Path) -> None:
    make_repo(tmp_path / "repo.git")
    with pytest.raises(InfrastructureError, match="its output is larger than it can be"):
        lab_git(tmp_path / "repo.git", "config", "--list", limit=5)


def test_what_moves_a_cursor_is_replaced() -> None:
    assert printable("ok ü\x1b[31m\x07\u202e") == "ok ü\ufffd[31m\ufffd\ufffd"
