"""Cases: base + series + kconfig + machine + what is expected, read from ``series.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.errors import UserError
from lab.manifest import load

MANIFEST = "series.toml"


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the series' end should show. ``first_bad`` counts patches from 1."""

    signature: str = ""
    title: str = ""
    first_bad: int = 0


class ProgramsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[programs]`` as it is written: what ``--with-fix`` has the guest run."""

    sources: list[str]
    kconfig: str = ""
    machines: list[str] = []
    seconds: float = 900.0


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an imported series came from. ``patch_ids`` are git's stable ones, one a patch."""

    source: str = ""
    message_id: str = ""
    revision: int = 1
    base_commit: str = ""
    prerequisite_patch_ids: list[str] = []
    prerequisite_change_ids: list[str] = []
    change_id: str = ""
    patch_ids: list[str] = []
    other_fixes: list[str] = []


class Genuine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The series on a mailing list that a case is written after. ``patch_ids`` are filled in when it is imported."""

    message_id: str
    patches: int
    patch_ids: list[str] = []


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``series.toml`` as it is written: file names are relative to its folder. No ``patches`` at all: the base is the
    case, as in a draft from a bug report."""

    title: str
    base: str
    patches: list[str] | None = None
    kconfig: str
    machine: str
    fix: list[str] = []
    append: str = ""
    require: list[str] = []
    programs: ProgramsFile | None = None
    expect: Expect = Expect()
    origin: Origin | None = None
    genuine: Genuine | None = None


@dataclass(frozen=True)
class Programs:
    """Test programs for the guest: C files (or static executables) of the case's folder, each run alone on each of
    ``machines``, on a kernel with ``kconfig``. ``seconds`` is what one of them may take."""

    sources: tuple[Path, ...]
    kconfig: str
    machines: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Case:
    """A case that was read and checked: every patch is a regular file inside the case's folder.

    ``kconfig`` and ``machine`` are names in the project's folders, or paths to files of the case's own. ``append`` is
    added to the kernel's command line; ``require`` are kconfig symbols without which the case means nothing.
    ``programs`` are what the guest is to pass with the fix.
    ``origin`` is there where the series is a stranger's: its builds are shut in.
    """

    name: str
    folder: Path
    title: str
    base: str
    patches: tuple[Path, ...]
    fix: tuple[Path, ...]
    kconfig: str
    machine: str
    append: str
    require: tuple[str, ...]
    expect: Expect
    programs: Programs | None = None
    origin: Origin | None = None
    genuine: Genuine | None = None


def load_case(name: str, patches: Path) -> Case:
    """The case ``name``: a folder's name below ``patches``, or a path to a folder anywhere.

    Raises :class:`UserError` that names the file and the key.
    """
    folder = find_folder(name, patches)
    path = folder / MANIFEST
    return case_of(load(path, Manifest), folder, path)


def case_of(manifest: Manifest, folder: Path, path: Path) -> Case:
    """The case that ``manifest`` describes, its files in ``folder``; ``path`` stands for it in messages."""
    if manifest.patches == []:
        raise UserError(f"{path}: patches: the list is empty; name at least one patch file")
    files = tuple(member(folder, entry, path, f"patches[{i}]") for i, entry in enumerate(manifest.patches or ()))
    fix = tuple(member(folder, entry, path, f"fix[{i}]") for i, entry in enumerate(manifest.fix))
    if not 0 <= manifest.expect.first_bad <= len(files):
        raise UserError(f"{path}: expect.first_bad: {manifest.expect.first_bad} is not a patch of 1 to {len(files)}")
    return Case(
        name=folder.name,
        folder=folder,
        title=manifest.title,
        base=manifest.base,
        patches=files,
        fix=fix,
        kconfig=own_or_shared(folder, manifest.kconfig),
        machine=own_or_shared(folder, manifest.machine),
        append=manifest.append,
        require=tuple(manifest.require),
        expect=manifest.expect,
        programs=read_programs(folder, manifest, path),
        origin=manifest.origin,
        genuine=manifest.genuine,
    )


def read_programs(folder: Path, manifest: Manifest, path: Path) -> Programs | None:
    """``[programs]``, with the case's own kconfig and machine where it names no other."""
    file = manifest.programs
    if file is None:
        return None
    if not 0 < file.seconds <= 86400:
        raise UserError(f"{path}: programs.seconds: {file.seconds:g} is not between 0 and 86400")
    if not file.sources:
        raise UserError(f"{path}: programs.sources: the list is empty; name at least one C file")
    sources = tuple(member(folder, entry, path, f"programs.sources[{i}]") for i, entry in enumerate(file.sources))
    return Programs(
        sources=sources,
        kconfig=own_or_shared(folder, file.kconfig or manifest.kconfig),
        machines=tuple(own_or_shared(folder, name) for name in file.machines or [manifest.machine]),
        seconds=file.seconds,
    )


def find_folder(name: str, patches: Path) -> Path:
    """The folder of case ``name``; :class:`UserError` with the names there are, where it is none."""
    shared = patches / name
    here = Path(name)
    if "/" not in name and name not in ("", ".", "..") and (shared / MANIFEST).is_file():
        return shared
    if (here / MANIFEST).is_file():
        return here.resolve()
    known = ", ".join(sorted(path.parent.name for path in patches.glob(f"*/{MANIFEST}"))) or "none"
    what = f"{here}: the folder has no {MANIFEST}" if here.is_dir() else f"no case {name!r}"
    raise UserError(f"{what}; known cases: {known}; or give a path to a folder with a {MANIFEST}")


def member(folder: Path, entry: str, manifest: Path, key: str) -> Path:
    """File ``entry`` of ``folder``, which it must not leave, also not by a symbolic link."""
    path = folder / entry
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{manifest}: {key}: {entry!r} is outside the case's folder")
    if not path.is_file():
        raise UserError(f"{manifest}: {key}: no file {entry!r} in {folder}")
    return path


def own_or_shared(folder: Path, value: str) -> str:
    """``value`` as a path where it names a file in the case's folder, else as the shared name it is."""
    own = folder / value
    return str(own) if own.is_file() and own.resolve().is_relative_to(folder.resolve()) else value
