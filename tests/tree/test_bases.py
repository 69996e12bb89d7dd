"""A base's name leads to the same commit everywhere, and what is not the real thing says so."""

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from lab.errors import InfrastructureError, UserError
from lab.paths import Paths
from lab.tree import bases
from lab.tree.bases import Entry, load_table, resolve_base
from lab.tree.git import git as lab_git
from lab.tree.git import text

RC4 = "77b67063bb6bce6d475e910d3b886a606d0d91f7"
NOWHERE = "http://127.0.0.1:9/linux.tar.xz"


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is in a folder, with time stamps."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_dir() or path.is_file()
    }


def listing(repo: Path, commit: str) -> str:
    return text(lab_git(repo, "ls-tree", "-r", commit))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``package("6.1.7-1")``: what dpkg says of the source package's version; nothing is installed for ``""``."""

    def set_version(version: str) -> None:
        monkeypatch.setattr(bases, "installed_version", lambda package: version)

    return set_version


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


class TestConfigured:
    """A line in the user's configuration file."""

    def test_a_path_is_a_tree(self, kernel, paths: Paths) -> None:
        base = resolve_base("v3.7-rc4", paths=paths, configured={"v3.7-rc4": str(kernel("3.7.2"))})
        assert base.stand_in == "stand-in base 3.7.2 for v3.7-rc4"

    def test_the_tree_that_is_named_now_counts_more(self, kernel, paths: Paths) -> None:
        base = resolve_base(
            "v3.7-rc4", paths=paths, tree=kernel("3.7.2"), configured={"v3.7-rc4": str(kernel("3.7.9", "other"))}
        )
        assert base.version == "3.7.2"

    def test_a_mirror_is_fetched_once(self, kernel, git, paths: Paths) -> None:
        tree = kernel("3.7.0-rc4")
        git("tag", "-am", "Linux 3.7-rc4", "v3.7-rc4", cwd=tree)
        real = git("rev-parse", "HEAD", cwd=tree)
        table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit=real)}
        places = {"v3.7-rc4": f"file://{tree}"}
        base = resolve_base("v3.7-rc4", paths=paths, configured=places, table=table)
        assert (base.commit, base.stand_in) == (real, "")
        tree.rename(tree.with_name("gone"))
        assert resolve_base("v3.7-rc4", paths=paths, configured=places, table=table) == base

    def test_a_mirror_with_another_commit_under_that_tag_stands_in(self, kernel, git, paths: Paths) -> None:
        tree = kernel("3.7.0-rc4")
        git("tag", "v3.7-rc4", cwd=tree)
        base = resolve_base("v3.7-rc4", paths=paths, configured={"v3.7-rc4": f"file://{tree}"})
        assert base.stand_in == "stand-in base 3.7.0-rc4 for v3.7-rc4"

    @pytest.mark.parametrize("url", ["ext::sh -c touch% pwned", "https://127.0.0.1:9/linux.git", "-x://y"])
    def test_a_mirror_that_cannot_be_reached_is_the_worlds_fault(
        self, paths: Paths, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises((InfrastructureError, UserError)):
            resolve_base("v3.7-rc4", paths=paths, configured={"v3.7-rc4": url})
        assert not list(tmp_path.rglob("pwned"))


class TestPackage:
    """Debian's source package."""

    def test_it_is_imported_once_a_version(self, tarball, paths: Paths, tmp_path: Path, package) -> None:
        tarball("6.1.7", "linux-source-6.1.tar.xz")
        package("6.1.7-1")
        base = resolve_base("debian-6.1", paths=paths, sources=tmp_path)
        assert base.source == "Debian's package linux-source-6.1 6.1.7-1"
        assert (base.version, base.stand_in) == ("6.1.7", "")
        before = snapshot(paths.bases)
        assert resolve_base("debian-6.1", paths=paths, sources=tmp_path) == base
        assert snapshot(paths.bases) == before
        package("6.1.7-2")
        assert resolve_base("debian-6.1", paths=paths, sources=tmp_path).commit != base.commit
        package("")
        (tmp_path / "linux-source-6.1.tar.xz").unlink()
        assert "an earlier import" in resolve_base("debian-6.1", paths=paths, sources=tmp_path).source

    def test_any_version_that_is_installed_is_a_base(self, tarball, paths: Paths, tmp_path: Path, package) -> None:
        tarball("6.12.3", "linux-source-6.12.tar.xz")
        package("6.12.3-1~bpo12+1")
        assert resolve_base("debian-6.12", paths=paths, sources=tmp_path).version == "6.12.3"
        package("")
        with pytest.raises(InfrastructureError, match=r"linux-source-5\.10 is not installed \(apt-get install"):
            resolve_base("debian-5.10", paths=paths, sources=tmp_path)

    def test_a_tree_with_the_same_content_is_the_real_thing(
        self, tarball, git, paths: Paths, tmp_path: Path, package
    ) -> None:
        tarball("6.1.7", "linux-source-6.1.tar.xz")
        package("6.1.7-1")
        resolve_base("debian-6.1", paths=paths, sources=tmp_path)
        folder = next(tmp_path.glob("pack-6.1.7-*/linux-6.1.7"))
        git("init", "-q", cwd=folder)
        git("add", "-f", ".", cwd=folder)
        git("commit", "-qm", "x", cwd=folder)
        assert resolve_base("debian-6.1", paths=paths, tree=folder).stand_in == ""

    def test_a_damaged_package_names_what_mends_it(self, paths: Paths, tmp_path: Path, package) -> None:
        (tmp_path / "linux-source-6.1.tar.xz").write_bytes(b"not an archive")
        package("6.1.7-1")
        with pytest.raises(InfrastructureError, match=r"apt-get install --reinstall linux-source-6\.1"):
            resolve_base("debian-6.1", paths=paths, sources=tmp_path)

    def test_without_package_and_network_the_error_says_what_to_install(
        self, paths: Paths, tmp_path: Path, package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package("")
        monkeypatch.setattr("lab.tree.download.TRIES", 1)
        table = {"debian-6.1": Entry(version="6.1", package="linux-source-6.1", url=NOWHERE, sha256="0" * 64)}
        with pytest.raises(InfrastructureError, match=r"not installed, and .*apt-get install linux-source-6\.1"):
            resolve_base("debian-6.1", paths=paths, sources=tmp_path, table=table)

    def test_the_commit_is_the_same_under_any_user(self, tarball, tmp_path: Path) -> None:
        archive = tarball("6.1.7", "linux-source-6.1.tar.xz")
        assert archive.is_file()
        users = [
            import_as_user(tmp_path / "a", tmp_path, umask=0o022, TZ="Asia/Tokyo", LC_ALL="C"),
            import_as_user(tmp_path / "b", tmp_path, umask=0o077, TZ="America/New_York", config=HOSTILE_CONFIG),
        ]
        commits = [user.communicate(timeout=60)[0] for user in users]
        assert [user.returncode for user in users] == [0, 0]
        assert len(commits[0].strip()) == 40
        assert commits[0] == commits[1]

    @pytest.mark.build  # no compiler, but as long as one: 1.3 GB through xz and git, twice
    def test_the_real_package_gives_the_same_commit_to_everyone(self, tmp_path: Path) -> None:
        if not bases.installed_version("linux-source-6.1") or not Path("/usr/src/linux-source-6.1.tar.xz").is_file():
            pytest.skip("the package linux-source-6.1 is not installed")
        users = [
            import_as_user(tmp_path / "a", Path("/usr/src"), umask=0o022, version=""),
            import_as_user(
                tmp_path / "b", Path("/usr/src"), umask=0o027, version="", config=HOSTILE_CONFIG, TZ="Asia/Tokyo"
            ),
        ]
        commits = [user.communicate(timeout=1800)[0] for user in users]
        assert [user.returncode for user in users] == [0, 0]
        assert commits[0] == commits[1]
        repo = next((tmp_path / "a" / "cache" / "bases").glob("debian-6.1_*.git"))
        with tarfile.open("/usr/src/linux-source-6.1.tar.xz") as tar:
            packed = sum(1 for member in tar if not member.isdir())
        files = lab_git(repo, "ls-tree", "-r", "--name-only", commits[0].strip()).stdout.count(b"\n")
        assert files == packed


HOSTILE_CONFIG = """
[user]
    name = Somebody
[core]
    autocrlf = true
    fileMode = false
    symlinks = false
    excludesFile = ~/ignore
    attributesFile = ~/attributes
[i18n]
    commitEncoding = ISO-8859-1
[commit]
    gpgSign = true
[init]
    templateDir = ~/template
    defaultObjectFormat = sha256
"""

IMPORT = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[1]))
from lab.paths import user_paths
from lab.tree import bases
if sys.argv[3]:
    bases.installed_version = lambda package: sys.argv[3]
print(bases.resolve_base("debian-6.1", paths=user_paths(), sources=Path(sys.argv[2])).commit)
"""


def import_as_user(
    home: Path, sources: Path, *, umask: int, version: str = "6.1.7-1", config: str = "", **env: str
) -> subprocess.Popen[str]:
    """Another user's lab, importing Debian's package."""
    home.mkdir()
    (home / ".gitconfig").write_text(config)
    (home / "ignore").write_text("*.c\n")
    (home / "attributes").write_text("* text eol=crlf\n")
    (home / "template" / "hooks").mkdir(parents=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LAB_CACHE": str(home / "cache"), **env}
    argv = [sys.executable, "-c", IMPORT, str(umask), str(sources), version]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)


class TestKernelOrg:
    """The table's URL; the server is in test_download.py."""

    def test_what_cannot_be_had_is_told_in_two_lines(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lab.tree.download.TRIES", 1)
        table = {"v3.7-rc4": msgspec.structs.replace(load_table()["v3.7-rc4"], url=NOWHERE)}
        with pytest.raises(UserError) as caught:
            resolve_base("v3.7-rc4", paths=paths, table=table)
        lines = str(caught.value).splitlines()
        assert len(lines) == 2
        assert "git clone --depth 1 --branch v3.7-rc4 https://git.kernel.org/" in lines[0]
        assert "--tree PATH" in lines[1]
        assert str(paths.config_file) in lines[1]
        assert '"v3.7-rc4" = "PATH or git URL"' in lines[1]


def test_the_table_knows_both_bases() -> None:
    table = load_table()
    assert table["debian-6.1"].package == "linux-source-6.1"
    assert len(table["debian-6.1"].sha256) == 64
    assert table["v3.7-rc4"].commit == RC4


@pytest.mark.parametrize("name", ["", "-rf", "a b", "x\x1b[31m", "v6.5^{/a:b}", "a" * 300, "x\ny"])
def test_a_name_that_no_revision_has_is_refused(paths: Paths, kernel, name: str) -> None:
    with pytest.raises(UserError, match="not the name of a base") as caught:
        resolve_base(name, paths=paths, tree=kernel("6.1.7"))
    assert "\x1b" not in str(caught.value)


def test_an_unknown_name_without_a_tree_lists_what_is_known(paths: Paths) -> None:
    with pytest.raises(UserError, match=r"no base 'mine'; known are debian-6\.1, v3\.7-rc4, vX\.Y.*--tree PATH"):
        resolve_base("mine", paths=paths)


def test_two_processes_import_once(tarball, tmp_path: Path) -> None:
    tarball("6.1.7", "linux-source-6.1.tar.xz")
    argv = [sys.executable, "-c", IMPORT, "18", str(tmp_path), "6.1.7-1"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LAB_CACHE": str(tmp_path / "cache")}
    both = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    commits = {process.communicate(timeout=60)[0] for process in both}
    assert len(commits) == 1
    assert [path.name for path in (tmp_path / "cache" / "bases").glob("*.git")] == ["debian-6.1_6.1.7-1.git"]


KILLED = """
import os, signal, sys
from pathlib import Path
from lab.paths import user_paths
from lab.tree import archive, bases, repos
bases.installed_version = lambda package: "6.1.7-1"
def stop(entries, message):
    yield from [next(archive.commit_stream(entries, message))[:100]]
    print(os.getpid(), flush=True)
    signal.pause()
repos.commit_stream = stop
bases.resolve_base("debian-6.1", paths=user_paths(), sources=Path(sys.argv[1]))
"""


def test_an_import_that_is_killed_leaves_nothing_that_counts(tarball, tmp_path: Path, paths: Paths, package) -> None:
    tarball("6.1.7", "linux-source-6.1.tar.xz")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LAB_CACHE": str(paths.cache)}
    argv = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert not list(paths.bases.glob("*.git"))
    package("6.1.7-1")
    assert resolve_base("debian-6.1", paths=paths, sources=tmp_path).version == "6.1.7"
    assert not list(paths.bases.glob("*.tmp"))
    assert not list(paths.bases.glob(".*.tmp"))
