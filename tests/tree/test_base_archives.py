"""A source folder or a tarball of the user's as a base, also of a stranger's making."""

import re
import tarfile
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.paths import Paths
from lab.tree.bases import resolve_base
from lab.tree.git import git as lab_git
from lab.tree.git import text
from tests.tree.conftest import RC4, listing, snapshot


class TestUnpacked:
    """A source folder or tarball of the user's, without git."""

    def test_what_gitignore_names_is_kept_and_the_folder_is_only_read(self, tarball, paths: Paths) -> None:
        tarball("6.1.7")
        folder = next(paths.cache.parent.glob("pack-6.1.7-*/linux-6.1.7"))
        before = snapshot(folder)
        base = resolve_base("debian-6.1", paths=paths, tree=folder)
        assert snapshot(folder) == before
        files = listing(base.repo, base.commit)
        assert "100644" in files
        assert re.search(r"^100644 .*include/shipped\.lex\.c$", files, re.M)
        assert re.search(r"^100755 .*scripts/run\.sh$", files, re.M)
        assert re.search(r"^120000 .*scripts/link$", files, re.M)
        assert base.stand_in == "stand-in base 6.1.7 for debian-6.1"

    def test_a_changed_folder_is_another_base(self, tarball, paths: Paths) -> None:
        tarball("6.1.7")
        folder = next(paths.cache.parent.glob("pack-6.1.7-*/linux-6.1.7"))
        first = resolve_base("debian-6.1", paths=paths, tree=folder)
        (folder / "mm" / "slub.c").write_text("changed\n")
        assert resolve_base("debian-6.1", paths=paths, tree=folder).commit != first.commit

    def test_a_folder_that_was_built_in_is_refused(self, tarball, paths: Paths) -> None:
        tarball("6.1.7")
        folder = next(paths.cache.parent.glob("pack-6.1.7-*/linux-6.1.7"))
        (folder / ".config").touch()
        with pytest.raises(UserError, match=r"a kernel was built in this folder \(it has \.config\).*mrproper"):
            resolve_base("debian-6.1", paths=paths, tree=folder)
        assert not list(paths.bases.glob("*.git"))

    @pytest.mark.parametrize("name", ["linux.tar.xz", "linux.tar.gz", "linux.tar.bz2"])
    def test_a_tarball_and_its_folder_have_the_same_content(self, tarball, paths: Paths, name: str) -> None:
        archive = tarball("6.1.7", name)
        folder = next(paths.cache.parent.glob("pack-6.1.7-*/linux-6.1.7"))
        one = resolve_base("debian-6.1", paths=paths, tree=archive)
        other = resolve_base("debian-6.1", paths=paths, tree=folder)
        assert listing(one.repo, one.commit) == listing(other.repo, other.commit)

    def test_the_commit_id_that_git_archive_left_tells_the_real_one(self, tarball, paths: Paths) -> None:
        archive = tarball("3.7.0-rc4", "linux-3.7-rc4.tar.gz", comment=RC4)
        assert resolve_base("v3.7-rc4", paths=paths, tree=archive).stand_in == ""
        other = tarball("3.7.0-rc4", "other.tar.gz", comment="0" * 40)
        assert resolve_base("v3.7-rc4", paths=paths, tree=other).stand_in == "stand-in base 3.7.0-rc4 for v3.7-rc4"

    @pytest.mark.parametrize(
        ("name", "target", "why"),
        [
            ("linux/../../evil", "", "unsafe path '../../evil'"),
            ("linux/.git/hooks/post-checkout", "", "unsafe path"),
            ("linux/mm/.GIT/config", "", "unsafe path"),
            ("/etc/passwd", "", "not a kernel source archive"),
            ("elsewhere/file", "", "'elsewhere' is beside its top folder 'linux'"),
            ("linux/a\x1b[31m", "", "unsafe path"),
            ("linux/fifo", "fifo", "neither a file, a folder nor a link"),
        ],
    )
    def test_an_archive_stays_in_its_tree(self, paths: Paths, tmp_path: Path, name: str, target: str, why: str) -> None:
        path = tmp_path / "evil.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("linux/Makefile"))
            member = tarfile.TarInfo(name)
            member.type = tarfile.FIFOTYPE if target else tarfile.REGTYPE
            tar.addfile(member)
        with pytest.raises(UserError, match=re.escape(why)):
            resolve_base("debian-6.1", paths=paths, tree=path)
        assert not list(paths.bases.glob("*.git"))
        assert not list(paths.bases.glob("*.tmp"))

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
    def test_a_truncated_archive_is_damaged(self, tarball, paths: Paths, keep: float) -> None:
        archive = tarball("6.1.7")
        archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
        with pytest.raises(UserError, match="a damaged archive"):
            resolve_base("debian-6.1", paths=paths, tree=archive)

    def test_hard_links_become_files(self, paths: Paths, tmp_path: Path, tarball) -> None:
        tarball("6.1.7")
        folder = next(tmp_path.glob("pack-6.1.7-*/linux-6.1.7"))
        (folder / "mm" / "zlink.c").hardlink_to(folder / "mm" / "slub.c")
        with tarfile.open(tmp_path / "links.tar", "w") as tar:
            tar.add(folder, "linux")
        base = resolve_base("debian-6.1", paths=paths, tree=tmp_path / "links.tar")
        assert text(lab_git(base.repo, "show", f"{base.commit}:mm/zlink.c")) == "int slub;"
