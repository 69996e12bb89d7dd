"""What is asked of another host, and what it answers, as documents: typed, bounded, and without a path of either."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from lab.bisect.plan import Rules
from lab.bisect.result import Result as BisectResult
from lab.case import Case, Manifest, ProgramsFile, case_of
from lab.console.ktap import Tap
from lab.console.types import Report
from lab.errors import UserError
from lab.guest.types import Boot, Outcome
from lab.kernel.types import Toolchain
from lab.remote.frames import BOOT_ID, FRAME_BYTES, KEY
from lab.tree.types import Base

FORMAT = 1
FILES_BYTES = FRAME_BYTES // 2
FILES_LIMIT = 4000
Kind = Literal["build", "boot", "repro", "bisect"]
Hash = Annotated[str, msgspec.Meta(pattern=KEY)]
BootId = Annotated[str, msgspec.Meta(pattern=BOOT_ID)]


class BaseWire(msgspec.Struct, frozen=True):
    """A base without its repository, which is another one there."""

    name: str
    version: str
    source: str
    commit: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40,64}\Z")]
    stand_in: str = ""


class Bisecting(msgspec.Struct, frozen=True):
    """How a bisect is to be done, as its options have it."""

    rules: Rules = msgspec.field(default_factory=Rules)
    workers: int = 1
    other: Literal["skip", "chase"] = "skip"
    revert: bool = True
    fresh: bool = False


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be done. Its hash names the job: the same request finds the job that it began.

    ``files`` are those of the case by their place in its folder; ``points`` those to build and boot; ``append`` more
    words for the kernel's command line; ``live`` asks for the console as it comes; ``share`` is where the
    store's shared side is. What is not wished for here is decided there.
    """

    kind: Kind
    name: str
    manifest: Manifest
    files: dict[str, bytes]
    base: BaseWire
    points: tuple[int, ...] = ()
    with_programs: bool = False
    live: bool = False
    cc: str = ""
    jobs: int = 0
    accel: str = ""
    timeout: float = 60.0
    bisecting: Bisecting = Bisecting()
    share: str = ""
    format: int = FORMAT


def encode(request: Request) -> tuple[bytes, str]:
    """The request's bytes and its key. :class:`UserError` where the case is larger than any case."""
    data = msgspec.json.encode(request, order="deterministic")
    if len(data) > FRAME_BYTES:
        raise UserError(f"{request.name}: the case is larger than {FILES_BYTES >> 20} MiB")
    return data, hashlib.sha256(data).hexdigest()


def wired(base: Base) -> BaseWire:
    """``base`` without its place here."""
    return BaseWire(base.name, base.version, base.source, base.commit, base.stand_in)


def unwired(base: BaseWire, repo: Path) -> Base:
    """The base with its place there."""
    return Base(base.name, base.version, base.source, repo, base.commit, base.stand_in)


@dataclass(frozen=True)
class Packed:
    """A case as it goes along: the manifest and the files that it names, by their place in the case's folder."""

    manifest: Manifest
    files: dict[str, bytes]


class Packer:
    """Collects the files of a case under names of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.files: dict[str, bytes] = {}
        self.room = FILES_BYTES

    def add(self, path: Path, under: str) -> str:
        """Take ``path`` along; its name in the case's folder there."""
        whole = path.resolve()
        inside = whole.is_relative_to(self.folder)
        name = str(whole.relative_to(self.folder)) if inside else f"{under}/{path.name}"
        if name not in self.files:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise UserError(f"{path}: {error.strerror or error}") from None
            self.room -= len(data)
            if self.room < 0 or len(self.files) >= FILES_LIMIT:
                raise UserError(f"{self.folder}: the case is larger than {FILES_BYTES >> 20} MiB")
            self.files[name] = data
        return name

    def beside(self, path: Path, under: str, *patterns: str) -> None:
        """Take along what ``path`` may include from its own folder."""
        for pattern in patterns:
            for file in sorted(path.parent.glob(pattern)):
                if file.is_file():
                    self.add(file, under)


def pack(case: Case) -> Packed:
    """``case`` with all the files that it names. Shared kconfigs and machines stay names: the same lab is there."""
    packer = Packer(case.folder)
    programs = None
    if case.programs is not None:
        sources = [packer.add(path, "programs") for path in case.programs.sources]
        for path in case.programs.sources:
            packer.beside(path, "programs", "*.h", "*.c")
        programs = ProgramsFile(
            sources=sources,
            kconfig=named(case.programs.kconfig, packer, "kconfig"),
            machines=[named(name, packer, "machine") for name in case.programs.machines],
            seconds=case.programs.seconds,
        )
    manifest = Manifest(
        title=case.title,
        base=case.base,
        patches=[packer.add(path, "patches") for path in case.patches] or None,
        fix=[packer.add(path, "fix") for path in case.fix],
        kconfig=named(case.kconfig, packer, "kconfig"),
        machine=named(case.machine, packer, "machine"),
        append=case.append,
        require=list(case.require),
        programs=programs,
        expect=case.expect,
        origin=case.origin,
        genuine=case.genuine,
    )
    return Packed(manifest, packer.files)


def named(value: str, packer: Packer, under: str) -> str:
    """A kconfig or machine as the manifest there names it: a file goes along, a shared name stays."""
    path = Path(value)
    if not path.is_file():
        return value
    if path.name.endswith(".j2"):
        packer.beside(path, under, "*.j2")
    return packer.add(path, under)


def unpack(request: Request, folder: Path) -> Case:
    """The case of ``request``, its files written below ``folder``. :class:`UserError` for a name that leaves it."""
    for path, data in files_in(request, folder).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / request.name).mkdir(parents=True, exist_ok=True)
    return case_in(request, folder)


def is_unpacked(request: Request, folder: Path) -> bool:
    """Whether :func:`unpack` has written just these files below ``folder``."""
    try:
        return (folder / request.name).is_dir() and all(
            path.read_bytes() == data for path, data in files_in(request, folder).items()
        )
    except OSError:
        return False


def case_in(request: Request, folder: Path) -> Case:
    """The case of ``request``, which :func:`unpack` has put below ``folder``."""
    home = folder / request.name
    return case_of(request.manifest, home, home / "series.toml")


def files_in(request: Request, folder: Path) -> dict[Path, bytes]:
    """The files of ``request``, by their places below ``folder``."""
    if request.name in ("", ".", "..") or "/" in request.name or "\0" in request.name:
        raise UserError(f"case {request.name!r}: not a folder's name")
    found = {}
    for name, data in request.files.items():
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or not parts or "\0" in name:
            raise UserError(f"{name!r} is outside the case's folder")
        found[folder / request.name / name] = data
    return found


class Blob(msgspec.Struct, frozen=True):
    """A file's content by its hash."""

    sha256: Hash
    size: Annotated[int, msgspec.Meta(ge=0, le=8 << 30)]


class KernelWire(msgspec.Struct, frozen=True):
    """A kernel of the store there: its key, the kconfig that is part of it, and its files."""

    key: Hash
    kconfig: str
    files: dict[str, Blob]
    seconds: float
    from_store: bool


class FailureWire(msgspec.Struct, frozen=True):
    """A point that does not compile. ``key`` is empty where not even its kconfig could be resolved."""

    key: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    message: str
    file: str
    line: int
    seconds: float
    log: str = ""


class BootWire(msgspec.Struct, frozen=True):
    """A boot without the paths of its host; ``id`` is its folder's name there."""

    id: BootId
    console: Blob
    outcome: Outcome
    detail: str
    report: Report
    machine: str
    nodes: int
    accel: str
    argv: tuple[str, ...]
    seconds: float
    first_byte_seconds: float | None = None
    marker_seconds: float | None = None
    notes: tuple[str, ...] = ()
    programs: tuple[Tap, ...] = ()
    fatal_seconds: float | None = None
    last_byte_seconds: float | None = None
    ended_seconds: float | None = None


class ProbeWire(msgspec.Struct, frozen=True):
    """One point."""

    point: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    build_seconds: float = 0.0
    boot_seconds: float = 0.0
    kernel: KernelWire | None = None
    failure: FailureWire | None = None
    boot: BootWire | None = None


class TestWire(msgspec.Struct, frozen=True):
    """A test program on a machine."""

    program: str
    machine: str
    word: Literal["good", "bad", "skip"]
    reason: str
    boot: BootWire | None = None


class Problem(msgspec.Struct, frozen=True):
    """Why there is no result: an error over there, as it would be told here."""

    kind: Literal["user", "infrastructure", "interrupted"]
    message: str
    hint: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a job came to: what was built and booted with which tools, or a bisect's result, or a problem.

    ``consoles`` are those that a bisect's result names, by the names of their boots.
    """

    toolchain: Toolchain | None = None
    trees: tuple[str, ...] = ()
    probes: tuple[ProbeWire, ...] = ()
    tests: tuple[TestWire, ...] = ()
    bisect: BisectResult | None = None
    consoles: dict[BootId, Blob] = {}
    problem: Problem | None = None


def boot_wire(boot: Boot) -> BootWire:
    """``boot`` as it goes over the wire."""
    return BootWire(
        id=boot.folder.name,
        console=blob(boot.console),
        outcome=boot.outcome,
        detail=boot.detail,
        report=boot.report,
        machine=boot.machine,
        nodes=boot.nodes,
        accel=boot.accel,
        argv=boot.argv,
        seconds=boot.seconds,
        first_byte_seconds=boot.first_byte_seconds,
        marker_seconds=boot.marker_seconds,
        notes=boot.notes,
        programs=boot.programs,
        fatal_seconds=boot.fatal_seconds,
        last_byte_seconds=boot.last_byte_seconds,
        ended_seconds=boot.ended_seconds,
    )


def boot_here(wire: BootWire, folder: Path) -> Boot:
    """The boot with its folder here."""
    return Boot(
        outcome=wire.outcome,
        detail=wire.detail,
        report=wire.report,
        machine=wire.machine,
        nodes=wire.nodes,
        accel=wire.accel,
        argv=wire.argv,
        folder=folder,
        console=folder / "console.log",
        seconds=wire.seconds,
        first_byte_seconds=wire.first_byte_seconds,
        marker_seconds=wire.marker_seconds,
        notes=wire.notes,
        programs=wire.programs,
        fatal_seconds=wire.fatal_seconds,
        last_byte_seconds=wire.last_byte_seconds,
        ended_seconds=wire.ended_seconds,
    )


def blob(path: Path) -> Blob:
    """The content of ``path``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Blob(digest, file.tell())


def consoles_of(value: Any) -> Iterator[str]:
    """The console paths in a document: every text under a key ``console``."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "console" and isinstance(one, str):
                yield one
            else:
                yield from consoles_of(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from consoles_of(one)


answer = msgspec.json.Decoder(Answer)
request = msgspec.json.Decoder(Request)
