"""A case out of whatever ``lab repro`` was given: a case's name or folder, mails of any source, or a bundle."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.case import MANIFEST, Case, load_case
from lab.errors import UserError
from lab.paths import Paths, data_folder
from lab.tree.archive import safe
from lab.tree.importing.case import ImportedCase, import_case
from lab.tree.importing.ingest import is_remote, is_source
from lab.tree.importing.sources import contents

if TYPE_CHECKING:
    from lab.progress import Progress

MEMBER_BYTES = 64 << 20
MEMBERS_LIMIT = 3000


@dataclass(frozen=True)
class Taken:
    """The case, the tree that its base is in (the user's own, or the one that was chosen), and how it was imported."""

    case: Case
    tree: Path | None
    imported: ImportedCase | None = None


def take(
    name: str,
    paths: Paths,
    configured: Mapping[str, str],
    *,
    tree: Path | None,
    progress: Progress | None = None,
    base: str | None = None,
) -> Taken:
    """The case that ``name`` is, or that is made of it; ``base`` is that of mails, chosen where it is None.

    Raises :class:`UserError` where it is neither a case nor anything that one can be made of, and before any work
    where no base is at hand.
    """
    patches = data_folder("patches")
    path = Path(name)
    if (patches / name / MANIFEST).is_file() or (path / MANIFEST).is_file():
        return Taken(load_case(name, patches), tree)
    if not is_remote(name) and (paths.cases / name / MANIFEST).is_file():
        return Taken(load_case(name, paths.cases), tree)
    if not is_source(name):
        return Taken(load_case(name, patches), tree)
    if path.is_file() and is_bundle(path):
        return Taken(load_case(str(unpacked(path, paths)), patches), tree)
    return taken(name, paths, configured, tree=tree, base=base, progress=progress)


def taken(
    source: str,
    paths: Paths,
    configured: Mapping[str, str],
    *,
    tree: Path | None,
    base: str | None,
    progress: Progress | None = None,
) -> Taken:
    """The case that the mails of ``source`` make, kept in the cache by what is in it."""
    with tempfile.TemporaryDirectory(prefix="lab-import-") as scratch:
        done = import_case(source, paths, configured, tree=tree, output=Path(scratch), base=base, progress=progress)
        if done.choice is None:
            raise UserError(done.missing)
        digest = hashlib.sha256()
        for file in sorted(done.folder.rglob("*")):
            digest.update(f"{file.relative_to(done.folder)}\0".encode())
            digest.update(file.read_bytes() if file.is_file() else b"")
        folder = paths.imported / f"{done.folder.name}-{digest.hexdigest()[:10]}"
        if not folder.is_dir():
            paths.imported.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=paths.imported, prefix="."))
            shutil.copytree(done.folder, work / "case")
            (work / "case").rename(folder)
            work.rmdir()
        return Taken(load_case(str(folder), folder.parent), done.choice.tree, replace(done, folder=folder))


def genuine(case: Case, paths: Paths, configured: Mapping[str, str], *, tree: Path | None,
            progress: Progress | None = None) -> Taken:  # fmt: skip
    """The series that ``case`` is written after, from its archive, with the case's base, kconfig, machine and what it
    expects. :class:`UserError` where the case names none."""
    if case.genuine is None:
        raise UserError(f"{case.name} names no genuine series: it has no [genuine] in its series.toml")
    found = taken(case.genuine.message_id, paths, configured, tree=tree, base=case.base, progress=progress)
    own = replace(
        found.case, kconfig=case.kconfig, machine=case.machine, append=case.append, require=case.require,
        expect=case.expect, fix=found.case.fix or case.fix,
    )  # fmt: skip
    return Taken(own, tree, found.imported)


def is_bundle(path: Path) -> bool:
    """Whether ``path`` is a bundle of :mod:`lab.bundle`: a tarball with a manifest in its one top folder."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return False
    try:
        with tarfile.open(path, "r:gz") as tar:
            first = tar.next()
            return first is not None and first.pax_headers.get("comment", "") == "kernel-boot-lab bundle"
    except (tarfile.TarError, OSError, EOFError):
        return False


def unpacked(path: Path, paths: Paths) -> Path:
    """The case of a bundle, unpacked into the cache. Only plain files with names of their own are taken."""
    data = contents(path)
    folder = paths.imported / f"bundle-{hashlib.sha256(data).hexdigest()[:16]}"
    if (folder / MANIFEST).is_file():
        return folder
    paths.imported.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=paths.imported, prefix="."))
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for count, member in enumerate(tar):
                name = safe(member.name.rstrip("/"), str(path)).decode()
                if count > MEMBERS_LIMIT or member.size > MEMBER_BYTES:
                    raise UserError(f"{path}: larger than any bundle")
                if member.isdir():
                    continue
                content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if content is None:
                    raise UserError(f"{path}: {name!r} is neither a file nor a folder")
                target = work / "case" / name.partition("/")[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read(MEMBER_BYTES))
        manifest = work / "case" / MANIFEST
        if not manifest.is_file():
            raise UserError(f"{path}: there is no {MANIFEST} in it")
        if not any(line.strip() == "[origin]" for line in manifest.read_text(errors="replace").splitlines()):
            with manifest.open("a", encoding="utf-8") as file:  # what came by mail is foreign, whatever it says
                file.write('\n[origin]\nsource = "a bundle"\n')
        if load_case(str(work / "case"), work).origin is None:
            raise UserError(f"{path}: its {MANIFEST} hides that it is a stranger's")
        (work / "case").rename(folder)
    except (tarfile.TarError, EOFError, OSError, UnicodeError) as error:
        raise UserError(f"{path}: a damaged bundle: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder
