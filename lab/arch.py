"""Architectures as data: ``arches.toml`` says what is different about each."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import msgspec

from lab.errors import UserError
from lab.manifest import load

TABLE = Path(__file__).with_name("arches.toml")
DEFAULT = "x86_64"
HOSTS = {"aarch64": "arm64", "amd64": "x86_64"}
"""What uname(2) calls an architecture otherwise."""


class Magic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bytes by which an image is known."""

    offset: int
    text: str


class Arch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One architecture; the head of ``arches.toml`` tells what the fields mean."""

    make: str
    source: str
    targets: tuple[str, ...]
    image: str
    image_path: str
    elf: str
    qemu: str
    qemu_package: str
    append: str
    console: tuple[str, int, int]
    cross: str = ""
    package: str = "gcc"
    extra: dict[str, str] = {}
    magic: Magic | None = None
    tcg_append: str = ""

    @property
    def prefix(self) -> str:
        """What stands before the tools' names on this host: nothing where it is of this architecture itself."""
        return "" if self.make == host() else self.cross

    @property
    def native(self) -> bool:
        """Whether this host is of this architecture, so that it can be virtualised and not only emulated."""
        return self.make == host()


def arch(name: str) -> Arch:
    """The architecture ``name``; :class:`UserError` with the ones there are, where it is none."""
    known = arches()
    if name not in known:
        raise UserError(f"no architecture {name[:80]!r}; known are {', '.join(sorted(known))}")
    return known[name]


@functools.cache
def arches() -> dict[str, Arch]:
    """All that are known."""
    return load(TABLE, dict[str, Arch])


def host() -> str:
    """This host's architecture, by the lab's name."""
    name = platform.machine()
    return HOSTS.get(name, name)
