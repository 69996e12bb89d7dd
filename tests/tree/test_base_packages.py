"""Debian's source package as a base: imported once, by one process, the same under any user."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.paths import Paths
from lab.tree import bases
from lab.tree.bases import Entry, resolve_base
from lab.tree.git import git as lab_git
from tests.tree.conftest import NOWHERE, snapshot

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
