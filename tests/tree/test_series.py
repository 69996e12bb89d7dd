"""A series becomes one commit a patch, the same everywhere, and no patch reaches anything else."""

import os
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.paths import Paths
from lab.tree import series
from lab.tree.bases import resolve_base
from lab.tree.git import git as lab_git
from lab.tree.git import text
from lab.tree.series import apply_series
from lab.tree.types import Base


@pytest.fixture
def linux(kernel) -> Path:
    """A user's tree."""
    return kernel("6.1.7")


@pytest.fixture
def base(linux: Path, paths: Paths) -> Base:
    return resolve_base("HEAD", paths=paths, tree=linux)


@pytest.fixture
def patch(linux: Path, git, tmp_path: Path):
    """``patch("mm: subject", {"mm/slub.c": "text"})`` is a format-patch mail for a change on top of those before."""
    count = 0

    def make(subject: str, files: dict[str, str | None], *options: str) -> Path:
        nonlocal count
        count += 1
        for name, content in files.items():
            path = linux / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        git("add", "-A", "-f", cwd=linux)
        git("commit", "-qm", subject, cwd=linux)
        mail = git("format-patch", "-1", "--stdout", "--binary", *options, cwd=linux)
        file = tmp_path / "patches" / f"{count:04}.patch"
        file.parent.mkdir(exist_ok=True)
        file.write_text(mail + "\n")
        return file

    return make


def mail(tmp_path: Path, diff: str, subject: str = "a change", name: str = "0001.patch") -> Path:
    """A patch mail as anyone could write it."""
    path = tmp_path / name
    path.write_text(
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nDate: Tue, 6 Nov 2012 09:14:36 +0000\n"
        f"Subject: [PATCH 1/1] {subject}\n\nText.\n---\n{diff}\n-- \n2.39.5\n"
    )
    return path


def show(base: Base, what: str, *options: str) -> str:
    return text(lab_git(base.repo, "show", "-s", *options, what))


class TestCommits:
    """What git am would have made."""

    def test_author_date_and_subject_come_from_the_mail(self, base: Base, patch, paths: Paths) -> None:
        one = patch("mm: größer\n\nA text that says why.\n\nSigned-off-by: X <x@example.org>", {"mm/slub.c": "1\n"})
        tree = apply_series(base, [one], paths=paths)
        point = tree.at(1)
        assert (point.subject, point.role, point.patch) == ("mm: größer", "patch", one)
        assert show(base, point.commit, "--format=%an|%ae|%aI|%cI") == (
            "Ärger Dev|dev@example.org|2012-11-06T09:14:36+01:00|2012-11-06T09:14:36+01:00"
        )
        assert "A text that says why.\n\nSigned-off-by" in show(base, point.commit, "--format=%B")

    def test_the_content_is_what_git_am_makes(self, base: Base, linux: Path, patch, git, paths: Paths) -> None:
        files = [
            patch("change", {"mm/slub.c": "int slub = 1;\n"}),
            patch("add", {"mm/new/file.c": "new\n", "mm/empty": ""}),
            patch("move", {"mm/new/file.c": None, "mm/moved.c": "new\n"}, "-M"),
            patch("binary", {"mm/data.bin": "\0\1\2" * 100}),
            patch("remove", {"mm/empty": None}),
        ]
        (linux / "scripts" / "run.sh").chmod(0o644)
        files.append(patch("mode", {}))
        tree = apply_series(base, files, paths=paths)
        assert [point.tree for point in tree.points[1:]] == git(
            "log", "--reverse", "--format=%T", f"{base.commit}..", cwd=linux
        ).split()
        assert [point.index for point in tree.points] == list(range(7))

    def test_ids_are_the_same_in_another_lab_with_another_clock(
        self, linux: Path, patch, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = resolve_base("HEAD", paths=paths, tree=linux)
        files = [patch("one", {"mm/slub.c": "1\n"}), mail(tmp_path, new_file("x"))]
        first = apply_series(base, files, paths=paths)
        there = Paths(cache=paths.cache / "other", data=paths.data, config=paths.config)
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        try:
            again = resolve_base(base.commit, paths=there, tree=linux)
            second = apply_series(again, files, paths=there)
        finally:
            monkeypatch.undo()
            time.tzset()
        assert second.repo != first.repo
        assert [point.commit for point in second.points] == [point.commit for point in first.points]

    def test_compat_is_one_commit_below_and_part_of_point_0(self, base: Base, patch, paths: Paths) -> None:
        under = [patch("c1", {"mm/compat.c": "1\n"}), patch("c2", {"mm/compat.c": "2\n"})]
        one = patch("one", {"mm/slub.c": "1\n"})
        tree = apply_series(base, [one], paths=paths, under=under)
        assert [point.role for point in tree.points] == ["base", "patch"]
        assert text(lab_git(base.repo, "show", f"{tree.at(0).commit}:mm/compat.c")) == "2"
        assert text(lab_git(base.repo, "rev-list", "--count", f"{base.commit}..{tree.at(1).commit}")) == "2"
        assert "0001.patch" in show(base, tree.at(0).commit, "--format=%b")

    def test_the_fix_comes_last_with_its_own_role(self, base: Base, patch, paths: Paths) -> None:
        one, two = patch("one", {"mm/slub.c": "1\n"}), patch("fix", {"mm/slub.c": "2\n"})
        tree = apply_series(base, [one], paths=paths, fix=[two])
        assert [(point.index, point.role) for point in tree.points] == [(0, "base"), (1, "patch"), (2, "fix")]

    def test_three_way_where_the_blobs_are_there(
        self, base: Base, linux: Path, git, paths: Paths, tmp_path: Path
    ) -> None:
        """The patch was made against an older file, whose lines around the change read otherwise now."""
        old = (linux / "mm" / "mempolicy.c").read_text()
        (linux / "mm" / "mempolicy.c").write_text(old.replace("line 20\n", "line twenty\n"))
        git("commit", "-qam", "on the old", cwd=linux)
        made = git("format-patch", "-1", "--stdout", "--full-index", cwd=linux)
        git("reset", "-q", "--hard", base.commit, cwd=linux)
        (linux / "mm" / "mempolicy.c").write_text("first\n" + old.replace("line 18\n", "line eighteen\n"))
        git("commit", "-qam", "newer base", cwd=linux)
        newer = resolve_base("HEAD", paths=paths, tree=linux)
        (tmp_path / "one.patch").write_text(made)
        tree = apply_series(newer, [tmp_path / "one.patch"], paths=paths)
        content = text(lab_git(base.repo, "show", f"{tree.at(1).commit}:mm/mempolicy.c"))
        assert "line twenty" in content
        assert "line eighteen" in content

    def test_crlf_mails_apply_and_crlf_files_stay(self, base: Base, patch, paths: Paths) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        one.write_bytes(one.read_bytes().replace(b"\n", b"\r\n"))
        tree = apply_series(base, [one], paths=paths)
        assert lab_git(base.repo, "show", f"{tree.at(1).commit}:mm/slub.c").stdout == b"1\n"
        dos = mail(
            one.parent, "diff --git a/dos b/dos\nnew file mode 100644\n--- /dev/null\n+++ b/dos\n@@ -0,0 +1 @@\n+x\r"
        )
        tree = apply_series(base, [dos], paths=paths)
        assert lab_git(base.repo, "show", f"{tree.at(1).commit}:dos").stdout == b"x\r\n"

    def test_an_encoded_mail_is_decoded(self, base: Base, paths: Paths, tmp_path: Path) -> None:
        message = EmailMessage()
        message["From"], message["Date"] = "Jürgen Ü <j@example.org>", "Tue, 06 Nov 2012 09:14:36 -0000"
        message["Subject"] = "[RFC PATCH 07/19] mm: Größe ändern " + "sehr lang " * 12
        diff = "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+ü = 1\n"
        message.set_content(f"Wörter.\n---\n{diff}", charset="utf-8", cte="quoted-printable")
        (tmp_path / "qp.patch").write_bytes(bytes(message))
        tree = apply_series(base, [tmp_path / "qp.patch"], paths=paths)
        assert tree.at(1).subject == ("mm: Größe ändern " + "sehr lang " * 12).strip()
        assert show(base, tree.at(1).commit, "--format=%an %at") == "Jürgen Ü 1352193276"
        assert text(lab_git(base.repo, "show", f"{tree.at(1).commit}:x")) == "ü = 1"

    def test_a_plain_diff_gets_its_files_name_and_a_fixed_date(self, base: Base, paths: Paths, tmp_path: Path) -> None:
        path = tmp_path / "gcc12-header.patch"
        path.write_text("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n")
        tree = apply_series(base, [path], paths=paths)
        assert tree.at(1).subject == "gcc12-header"
        assert show(base, tree.at(1).commit, "--format=%an %at") == "Kernel boot lab 1136073600"

    @pytest.mark.parametrize("date", ["", "Date: yesterday\n", "Date: Tue, 6 Nov 1812 09:14:36 +0000\n"])
    def test_a_mail_without_a_good_date_gets_a_fixed_one(self, base: Base, patch, paths: Paths, date: str) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        lines = [date if line.startswith("Date:") else line for line in one.read_text().splitlines(keepends=True)]
        one.write_text("".join(lines))
        assert show(base, apply_series(base, [one], paths=paths).at(1).commit, "--format=%at") == "1136073600"


class TestCache:
    """The same series a second time."""

    def test_it_is_looked_up_without_applying(
        self, base: Base, patch, paths: Paths, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        first = apply_series(base, [one], paths=paths)
        monkeypatch.setattr(series, "apply_all", None)
        assert apply_series(base, [one], paths=paths) == first
        copy = one.with_name("elsewhere") / one.name
        copy.parent.mkdir()
        copy.write_bytes(one.read_bytes())
        assert apply_series(base, [copy], paths=paths).at(1).patch == copy

    def test_another_content_is_another_series(self, base: Base, patch, paths: Paths) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        first = apply_series(base, [one], paths=paths)
        one.write_text(one.read_text().replace("+1\n", "+2\n"))
        assert apply_series(base, [one], paths=paths).at(1).tree != first.at(1).tree

    @pytest.mark.parametrize("content", [b"", b"[]", b'[{"role":"x"}]', b"\xff"])
    def test_a_damaged_record_is_made_again(self, base: Base, patch, paths: Paths, content: bytes) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        first = apply_series(base, [one], paths=paths)
        (record,) = (base.repo / "lab-series").glob("*.json")
        record.write_bytes(content)
        assert apply_series(base, [one], paths=paths) == first

    def test_a_commit_that_is_gone_is_made_again(self, base: Base, patch, paths: Paths) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        first = apply_series(base, [one], paths=paths)
        commit = first.at(1).commit
        (base.repo / "objects" / commit[:2] / commit[2:]).unlink()
        assert apply_series(base, [one], paths=paths) == first
        assert text(lab_git(base.repo, "cat-file", "-t", commit)) == "commit"

    def test_the_users_tree_gets_no_object(self, base: Base, linux: Path, patch, paths: Paths) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        before = sorted(linux.joinpath(".git").rglob("*"))
        tree = apply_series(base, [one], paths=paths, fix=[])
        assert sorted(linux.joinpath(".git").rglob("*")) == before
        with pytest.raises(Exception, match="Not a valid object"):
            lab_git(linux / ".git", "cat-file", "-p", tree.at(1).commit)

    def test_nothing_is_left_in_the_scratch_folder(self, base: Base, patch, paths: Paths) -> None:
        (base.repo / "lab-series" / "work-killed").mkdir(parents=True)
        apply_series(base, [patch("one", {"mm/slub.c": "1\n"})], paths=paths)
        assert sorted(path.suffix for path in (base.repo / "lab-series").iterdir()) == ["", ".json"]


class TestWhatDoesNotApply:
    """One line that names patch, file and hunk."""

    def test_the_hunk_is_counted(self, base: Base, patch, paths: Paths) -> None:
        lines = [f"line {n}\n" for n in range(1, 41)]
        lines[4], lines[19], lines[34] = "five\n", "twenty\n", "thirty-five\n"
        one = patch("three hunks", {"mm/mempolicy.c": "".join(lines)}, "--full-index")
        one.write_text(one.read_text().replace(" line 19\n", " line nineteen\n").replace("index ", "index 1"))
        with pytest.raises(UserError) as caught:
            apply_series(base, [one], paths=paths)
        assert str(caught.value).startswith(f"{one}: does not apply: mm/mempolicy.c, hunk 2 of 3 (@@ -17,7 +17,7 @@")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("diff", "says"),
        [
            ("diff --git a/gone.c b/gone.c\n--- a/gone.c\n+++ b/gone.c\n@@ -1 +1 @@\n-a\n+b", "gone.c: does not exist"),
            ("diff --git a/Makefile b/Makefile\nnew file mode 100644\n--- /dev/null\n+++ b/Makefile\n@@ -0,0 +1 @@\n+x",
             "Makefile: already exists"),
            ("--- a/mm/slub.c\n+++ b/mm/slub.c\n@@ -1,5 +1,5 @@\n-int slub;\n+x",
             "mm/slub.c, hunk 1 of 1: corrupt patch"),
            ("no diff at all", "has no diff in it"),
        ],
    )  # fmt: skip
    def test_other_reasons(self, base: Base, paths: Paths, tmp_path: Path, diff: str, says: str) -> None:
        with pytest.raises(UserError) as caught:
            apply_series(base, [mail(tmp_path, diff)], paths=paths)
        assert says in str(caught.value)
        assert str(tmp_path / "0001.patch") in str(caught.value)

    def test_a_change_that_is_there_already(self, base: Base, linux: Path, patch, paths: Paths) -> None:
        one = patch("one", {"mm/slub.c": "1\n"}, "--full-index")
        newer = resolve_base("HEAD", paths=paths, tree=linux)
        with pytest.raises(UserError, match=r"changes nothing|does not apply"):
            apply_series(newer, [one], paths=paths)

    def test_files_that_are_no_patch(self, base: Base, paths: Paths, tmp_path: Path) -> None:
        def fails(content: bytes, says: str) -> None:
            (tmp_path / "bad.patch").write_bytes(content)
            with pytest.raises(UserError, match=says):
                apply_series(base, [tmp_path / "bad.patch"], paths=paths)

        fails(b"", "the patch is empty")
        fails(b"\n \n", "the patch is empty")
        fails(bytes(range(256)) * 64, "has no diff in it|not a patch mail")
        fails(b"+" * ((32 << 20) + 1), "larger than 32 MiB")
        one = mail(tmp_path, "x").read_bytes()
        fails(one + one, "more than one mail.*mailsplit")
        with pytest.raises(UserError, match=r"gone\.patch: No such file"):
            apply_series(base, [tmp_path / "gone.patch"], paths=paths)

    def test_a_failed_series_leaves_no_record(self, base: Base, patch, paths: Paths, tmp_path: Path) -> None:
        one = patch("one", {"mm/slub.c": "1\n"})
        with pytest.raises(UserError):
            apply_series(base, [one, mail(tmp_path, "nothing")], paths=paths)
        assert not list((base.repo / "lab-series").glob("*.json"))


def new_file(name: str, mode: str = "100644", content: str = "x") -> str:
    end = "\n\\ No newline at end of file" if mode == "120000" else ""
    head = f"diff --git a/{name} b/{name}\nnew file mode {mode}\n--- /dev/null\n+++ b/{name}\n"
    return f"{head}@@ -0,0 +1 @@\n+{content}{end}"


class TestHostile:
    """Patches come from strangers."""

    @pytest.mark.parametrize(
        "diff",
        [
            new_file("../../etc/passwd"),
            new_file("mm/../../x"),
            new_file(".git/hooks/post-checkout", "100755"),
            new_file(".GIT/config"),
            new_file("mm/.git/config"),
            new_file("GIT~1/config"),
            new_file(".g\u200cit/config"),
            "--- /dev/null\n+++ /etc/cron.d/x\n@@ -0,0 +1 @@\n+x",
            "--- /dev/null\n+++ b/../../x\n@@ -0,0 +1 @@\n+x",
            'diff --git "a/\\056\\056/x" "b/\\056\\056/x"\nnew file mode 100644\n--- /dev/null\n+++ "b/\\056\\056/x"\n'
            "@@ -0,0 +1 @@\n+x",
            'diff --git "a/\\033[2J" "b/\\033[2J"\nnew file mode 100644\n--- /dev/null\n+++ "b/\\033[2J"\n'
            "@@ -0,0 +1 @@\n+x",
            "diff --git a/mm/slub.c b/mm/slub.c\nsimilarity index 100%\nrename from mm/slub.c\nrename to ../../slub.c",
            "diff --git a/mm/slub.c b/mm/slub.c\nsimilarity index 100%\ncopy from mm/slub.c\ncopy to .git/config",
            "diff --git a/mm/slub.c b/mm/slub.c\nsimilarity index 100%\ncopy from ../../etc/passwd\ncopy to mm/x",
            new_file("link", "120000", "/etc/passwd"),
            new_file("link", "120000", "../outside"),
            new_file("mm/link", "120000", "../../outside"),
            new_file("mm/link", "120000", "../scripts/link/../../../x"),
            new_file("link", "120000", ".git/config"),
            new_file("module", "160000", "Subproject commit " + "1" * 40),
            "diff --git a/scripts/link b/scripts/link\nindex 1..2 120000\n--- a/scripts/link\n+++ b/scripts/link\n"
            "@@ -1 +1 @@\n-../include\n\\ No newline at end of file\n+/etc\n\\ No newline at end of file",
            new_file("scripts/link/through.c"),
        ],
    )  # fmt: skip
    def test_nothing_outside_the_tree_is_written(self, base: Base, paths: Paths, tmp_path: Path, diff: str) -> None:
        before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(paths.cache)}
        with pytest.raises(UserError) as caught:
            apply_series(base, [mail(tmp_path, diff, name="evil.patch")], paths=paths)
        assert str(tmp_path / "evil.patch") in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(paths.cache)} - before == {
            tmp_path / "evil.patch"
        }
        assert not list(base.repo.glob("hooks/*"))

    def test_a_second_patch_does_not_write_through_the_firsts_link(
        self, base: Base, paths: Paths, tmp_path: Path
    ) -> None:
        link = mail(tmp_path, new_file("mm/inc", "120000", "../include"), name="1.patch")
        through = mail(tmp_path, new_file("mm/inc/x.h"), name="2.patch")
        assert len(apply_series(base, [link], paths=paths).points) == 2
        with pytest.raises(UserError, match=r"2\.patch"):
            apply_series(base, [link, through], paths=paths)

    def test_one_patch_does_not_write_through_its_own_link(self, base: Base, paths: Paths, tmp_path: Path) -> None:
        both = new_file("mm/inc", "120000", "../include") + "\n" + new_file("mm/inc/x.h")
        with pytest.raises(UserError, match=r"0001\.patch"):
            apply_series(base, [mail(tmp_path, both)], paths=paths)

    @pytest.mark.parametrize("subject", ["red \x1b[31malert\x07", "=?utf-8?q?=1B=5B2J=1B=5BH?=gone", "\u202egnp"])
    def test_a_subject_moves_no_cursor(self, base: Base, paths: Paths, tmp_path: Path, subject: str) -> None:
        tree = apply_series(base, [mail(tmp_path, new_file("x"), subject)], paths=paths)
        assert tree.at(1).subject.isprintable()
        assert "\x1b" not in show(base, tree.at(1).commit, "--format=%B%an%ae")

    def test_names_from_the_headers_stay_data(self, base: Base, paths: Paths, tmp_path: Path) -> None:
        path = mail(tmp_path, new_file("x"))
        path.write_text(
            path.read_text().replace("From: A <a@example.org>", "From: $(touch pwned) `id` <--x@example.org>")
        )
        tree = apply_series(base, [path], paths=paths)
        assert "$(touch pwned)" in show(base, tree.at(1).commit, "--format=%an")
        assert not list(tmp_path.rglob("pwned"))


def test_two_processes_apply_at_the_same_time(base: Base, linux: Path, patch, paths: Paths) -> None:
    files = [patch(f"number {n}", {"mm/slub.c": f"{n}\n"}) for n in range(5)]
    env = {"PATH": os.environ["PATH"], "HOME": str(paths.cache), "LAB_CACHE": str(paths.cache)}
    argv = [sys.executable, "-c", APPLY, str(linux), base.commit, *map(str, files)]
    both = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    commits = {process.communicate(timeout=60)[0] for process in both}
    assert len(commits) == 1
    assert len(commits.pop().split()) == 6


APPLY = """
import sys
from pathlib import Path
from lab.paths import user_paths
from lab.tree.bases import resolve_base
from lab.tree.series import apply_series
paths = user_paths()
base = resolve_base(sys.argv[2], paths=paths, tree=Path(sys.argv[1]))
print(*(point.commit for point in apply_series(base, [Path(name) for name in sys.argv[3:]], paths=paths).points))
"""
