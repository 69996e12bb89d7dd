"""Small kernels: real git repositories and tarballs with a Makefile like the kernel's and a few files."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.paths import Paths
from lab.tree import bases, dsc
from lab.tree.git import git as lab_git
from lab.tree.git import text
from tests.tree.kernels import makefile
from tests.tree.packing import described, good
from tests.tree.site import Sign, Site, serving, signing

RC4 = "77b67063bb6bce6d475e910d3b886a606d0d91f7"
NOWHERE = "http://127.0.0.1:9/linux.tar.xz"
MEMPOLICY = "".join(f"line {n}\n" for n in range(1, 41))


def write_kernel(folder: Path, version: str) -> Path:
    """A source folder with what real ones have: a file that .gitignore names, a script, a symbolic link."""
    (folder / "mm").mkdir(parents=True)
    (folder / "scripts").mkdir()
    (folder / "include").mkdir()
    (folder / "Makefile").write_text(makefile(version))
    (folder / ".gitignore").write_text("*.lex.c\n.*\n")
    (folder / ".gitattributes").write_text("*.c diff=cpp text eol=crlf\n")
    (folder / "mm" / "mempolicy.c").write_text(MEMPOLICY)
    (folder / "mm" / "slub.c").write_text("int slub;\n")
    (folder / "include" / "shipped.lex.c").write_text("shipped\n")
    (folder / "scripts" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "scripts" / "run.sh").chmod(0o755)
    (folder / "scripts" / "link").symlink_to("../include")
    return folder


Git = Callable[..., str]
Kernel = Callable[..., Path]

IDENTITY = {"NAME": "Ärger Dev", "EMAIL": "dev@example.org", "DATE": "2012-11-06T09:14:36+0100"}


def run_git(*args: str, cwd: Path) -> str:
    """git as a developer would run it, with a name set."""
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in IDENTITY.items()}
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", **identity}
    argv = ["git", "-c", "maintenance.auto=false", *args]
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def git() -> Git:
    """``git("commit", …, cwd=…)``, see :func:`run_git`."""
    return run_git


@pytest.fixture(scope="session")
def made_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this run keeps its kernels, so that each is made once."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A lab with nothing in its cache."""
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


@pytest.fixture
def kernel(tmp_path: Path, made_kernels: Path) -> Kernel:
    """``kernel("3.7.2")`` is a git repository of a user's with one commit."""

    def make(version: str, name: str = "linux") -> Path:
        made = made_kernels / version
        if not made.exists():
            write_kernel(made, version)
            run_git("init", "-q", "-b", "main", "--template=", cwd=made)
            run_git("add", "-f", ".", cwd=made)
            run_git("commit", "-q", "-m", f"Linux {version}", cwd=made)
        folder = tmp_path / name
        shutil.copytree(made, folder, symlinks=True)
        run_git("status", cwd=folder)  # the copies have other inodes, which the index learns now
        return folder

    return make


@pytest.fixture
def tarball(tmp_path: Path) -> Kernel:
    """``tarball("6.1.7")`` is a source tarball as kernel.org and Debian make them, with files in a fixed order."""

    def make(version: str, name: str = "", comment: str = "") -> Path:
        folder = write_kernel(tmp_path / f"pack-{version}-{name}" / f"linux-{version}", version)
        path = tmp_path / (name or f"linux-{version}.tar.xz")
        headers = {"comment": comment} if comment else {}
        with tarfile.open(path, f"w:{path.suffix[1:]}", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
            tar.add(folder, folder.name)
        return path

    return make


@pytest.fixture
def server() -> Iterator[Site]:
    """A server of files on the loopback."""
    with serving() as site:
        yield site


@pytest.fixture(scope="session")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sign, Path]]:
    """A function that clear-signs with a key of its own, and the keyring that has this key; made once."""
    with signing(tmp_path_factory.mktemp("key")) as made:
        yield made


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


@pytest.fixture
def source_package(tmp_path: Path) -> Callable[..., Path]:
    """``source_package(files)`` writes a source package; without ``files`` a good one with a quilt series."""

    def make(files: dict[str, bytes] | None = None, dsc: bytes | None = None, **options: str) -> Path:
        files = good() if files is None else files
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        path = folder / "linux_6.1.7-1~bpo12+1.dsc"
        path.write_bytes(described(files, **options).encode() if dsc is None else dsc)
        return path

    return make


@pytest.fixture(autouse=True)
def no_keyring_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on what is installed here."""
    monkeypatch.setattr(dsc, "default_keyrings", list)
