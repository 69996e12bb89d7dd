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


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``series.toml`` as it is written: file names are relative to its folder."""

    title: str
    base: str
    patches: list[str]
    kconfig: str
    machine: str
    fix: list[str] = []
    append: str = ""
    require: list[str] = []
    expect: Expect = Expect()


@dataclass(frozen=True)
class Case:
    """A case that was read and checked: every patch is a regular file inside the case's folder.

    ``kconfig`` and ``machine`` are names in the project's folders, or paths to files of the case's own. ``append`` is
    added to the kernel's command line; ``require`` are kconfig symbols without which the case means nothing.
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


def load_case(name: str, patches: Path) -> Case:
    """The case ``name``: a folder's name below ``patches``, or a path to a folder anywhere.

    Raises :class:`UserError` that names the file and the key.
    """
    folder = find_folder(name, patches)
    path = folder / MANIFEST
    manifest = load(path, Manifest)
    if not manifest.patches:
        raise UserError(f"{path}: patches: the list is empty; name at least one patch file")
    files = tuple(member(folder, entry, path, f"patches[{i}]") for i, entry in enumerate(manifest.patches))
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
