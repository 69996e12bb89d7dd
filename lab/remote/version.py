"""This lab's own source as one archive, named by its content: what a host runs is exactly what runs here."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InfrastructureError

FOLDERS = ("lab", "patches", "kconfigs", "qemu", "boards")
FILES = ("pyproject.toml", "README.md", "ci/setup", "ci/debian-packages")
EXTRAS = ("cluster",)
"""What a host gets beside what every lab needs."""


@dataclass(frozen=True)
class Version:
    """``name`` is the hash of the archive's content, ``environment`` that of the libraries that it needs."""

    name: str
    archive: bytes
    libraries: tuple[str, ...]
    environment: str


@functools.cache
def this_version() -> Version:
    """The lab that runs now."""
    files = dict(sorted(source_files().items()))
    archive = tarball(files)
    libraries = wanted_libraries(files["pyproject.toml"])
    digest = hashlib.sha256("\n".join(libraries).encode()).hexdigest()
    return Version(hashlib.sha256(archive).hexdigest()[:32], archive, libraries, digest[:16])


def source_files() -> dict[str, bytes]:
    """The files by their place in a checkout, also where the lab was installed from a wheel."""
    package = Path(__file__).resolve().parents[1]
    top, data = package.parent, package / "data"
    checkout = (top / "pyproject.toml").is_file() and (top / "patches").is_dir()
    found = {}
    for folder in FOLDERS:
        where = package if folder == "lab" else (top if checkout else data) / folder
        for path in where.rglob("*"):
            inside = path.relative_to(where)
            left_out = "__pycache__" in inside.parts or (folder == "lab" and inside.parts[0] == "data")
            if path.is_file() and not left_out:
                found[f"{folder}/{inside}"] = path.read_bytes()
    for name in FILES:
        path = (top if checkout else data / "source") / name
        if not path.is_file():
            raise InfrastructureError(f"{path} is not there: this lab cannot be sent to another host")
        found[name] = path.read_bytes()
    return found


def tarball(files: dict[str, bytes]) -> bytes:
    """A gzipped tarball in which nothing is of today or of this user."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 0
            info.mode = 0o755 if data[:2] == b"#!" else 0o644
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 6, mtime=0)


def wanted_libraries(pyproject: bytes) -> tuple[str, ...]:
    """The requirements of the project and of the extras that hosts get."""
    project = tomllib.loads(pyproject.decode())["project"]
    extras = [one for extra in EXTRAS for one in project["optional-dependencies"].get(extra, ())]
    return tuple(sorted({*project["dependencies"], *extras}))
