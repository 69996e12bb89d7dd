"""Three places for a share: a folder, a folder behind a real sshd, a bucket of a real S3-compatible server (moto's)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.kernel.build import kernel_key
from lab.kernel.store import Built, Failed, keep
from lab.kernel.types import Compat, Kconfig, Toolchain
from lab.paths import Paths
from lab.share.place import Place
from lab.share.share import Share
from lab.share.where import parse

pytest.importorskip("fsspec", reason="the extra 'shared' is not installed")

from ..remote.conftest import Sshd, sshd, user

__all__ = ["sshd"]
TOOLS = Toolchain("gcc", (12, 2, 0), (2, 40), (5, 36, 0), (4, 3), "tools")
COMPAT = Compat(flags=(("KCFLAGS", "-O2"),))


def inputs(tree: str, config: str) -> dict[str, object]:
    """What the record of a kernel says went into it."""
    return {
        "tree": tree,
        "kconfig": {"name": "own", "key": hashlib.sha256(config.encode()).hexdigest()},
        "toolchain": {"identity": TOOLS.identity, "arch": TOOLS.arch},
        "flags": COMPAT.flags,
    }


@dataclass
class Machine:
    """A machine with a store of its own and a share; ``told`` is what it said of it."""

    paths: Paths
    url: str
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.share = Share(parse(self.url), self.told.append)

    def build(self, tree: str = "tree", content: bytes = b"kernel" * 50_000, config: str = "CONFIG_SMP=y\n") -> str:
        """Put a kernel into the store, as a build does; its key."""
        key = key_of(tree, config)
        work = self.paths.cache / "work"
        work.mkdir(parents=True, exist_ok=True)
        files = {"bzImage": content, "vmlinux": content * 2, "config": config.encode(), "build.log": b"  CC  x.o\n"}
        for name, data in files.items():
            (work / name).write_bytes(data)
        keep(key, {name: work / name for name in files}, Built("6.1.0", 1.0, (), inputs(tree, config)), self.paths)
        return key

    def fail(self, tree: str) -> str:
        """Put a failure to build into the store; its key."""
        log = self.paths.cache / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("error: no")
        key = key_of(tree, "CONFIG_SMP=y\n")
        record = Failed("error: no", "mm/a.c", 7, 1.0, inputs(tree, "CONFIG_SMP=y\n"))
        keep(key, {"build.log": log}, record, self.paths)
        return key

    def push(self, key: str) -> None:
        self.share.push(key, self.paths)

    def pull(self, key: str) -> object:
        return self.share.pull(key, self.paths)

    @property
    def stored(self) -> list[str]:
        """The kernels in the store here."""
        return sorted(path.name for path in self.paths.kernels.glob("??/*"))

    @property
    def clean(self) -> bool:
        """Whether nothing half-done is left here."""
        return not list((self.paths.cache / "incoming").glob(".new-*"))


def key_of(tree: str, config: str = "CONFIG_SMP=y\n") -> str:
    kconfig = Kconfig("own", config, hashlib.sha256(config.encode()).hexdigest())
    return kernel_key(tree, kconfig, TOOLS, COMPAT)


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Machine]:
    """Another machine with the share at a URL."""
    count = iter(range(100))

    def make(url: str) -> Machine:
        folder = tmp_path / f"machine{next(count)}"
        return Machine(Paths(folder / "cache", folder / "data", folder / "config"), url)

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    threaded = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    threaded.start()
    try:
        host, port = threaded.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        threaded.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)


def new_bucket(server: str) -> str:
    """The URL of a share in a bucket of its own."""
    import s3fs

    name = f"lab-{os.urandom(6).hex()}"
    s3fs.S3FileSystem(endpoint_url=server, skip_instance_cache=True).mkdir(name)
    return f"s3://{name}/store?endpoint={server}"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    place = tmp_path / "share"
    place.mkdir()
    return str(place)


@pytest.fixture(params=["folder", "sftp", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A share of each kind."""
    if request.param == "folder":
        return str(request.getfixturevalue("folder"))
    if request.param == "sftp":
        return sftp_url(request.getfixturevalue("sshd"), tmp_path, monkeypatch)
    request.getfixturevalue("aws")
    return new_bucket(request.getfixturevalue("s3_server"))


def sftp_url(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int = 0) -> str:
    """The URL of a folder behind the sshd."""
    monkeypatch.setenv("HOME", str(sshd.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    place = tmp_path / "far"
    place.mkdir(exist_ok=True)
    return f"sftp://{user()}@127.0.0.1:{port or sshd.port}{place}"


def names(url: str) -> list[str]:
    """All files of a share."""
    place = Place(parse(url))
    try:
        return sorted(one.name for folder in ("kernels", "archives") for one in place.files(folder))
    finally:
        place.close()
