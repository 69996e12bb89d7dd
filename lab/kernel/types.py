"""Values of the second step: toolchain, compat, kconfig, and the kernel or the failure that a build gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.sandbox import Sandbox


@dataclass(frozen=True)
class Toolchain:
    """The compiler and the tools beside it, with their real versions.

    ``identity`` changes whenever any of them would give another kernel; it is part of the store's key. ``sandbox`` is
    there where what is compiled is a stranger's.
    """

    cc: str
    cc_version: tuple[int, ...]
    ld_version: tuple[int, ...]
    perl_version: tuple[int, ...]
    make_version: tuple[int, ...]
    identity: str
    arch: str = "x86_64"
    sandbox: Sandbox | None = None


@dataclass(frozen=True)
class Compat:
    """What lets a kernel of one age build with tools of another, and why.

    ``flags`` are make variables (``KCFLAGS`` → ``-fno-pie …``), ``patches`` are applied as one commit under the
    series, ``reasons`` has one sentence for each entry of the table that was chosen.
    """

    flags: tuple[tuple[str, str], ...] = ()
    patches: tuple[Path, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unmet:
    """A symbol that did not get the value that was asked for: which dependency took it away."""

    symbol: str
    asked: str
    got: str
    why: str
    where: str = ""


@dataclass(frozen=True)
class Kconfig:
    """A rendered, resolved and checked ``.config``. ``key`` is the hash of ``text``."""

    name: str
    text: str
    key: str
    asked: tuple[tuple[str, str], ...] = ()
    unmet: tuple[Unmet, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """A built point in the store: ``folder`` holds ``image``, ``vmlinux``, ``.config``, the log and the metadata."""

    key: str
    folder: Path
    image: Path
    vmlinux: Path
    config: Path
    release: str
    seconds: float
    from_store: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildFailure:
    """A point that does not compile: the first real error, where it is, and the log it stands in."""

    key: str
    message: str
    file: str
    line: int
    log: Path
    seconds: float
