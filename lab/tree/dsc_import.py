"""Getting, checking and unpacking a source package of Debian or Ubuntu, as ``dpkg-source -x`` would.

dpkg-source is not used: it writes what strangers packed to disk with tar and patch, and most of its security holes came
of that (CVE-2010-0396, CVE-2014-0471, CVE-2017-8283, CVE-2022-1664: names and links that lead out). Here tarballs go
straight into git's objects and patches into an index, as those of a series do (:mod:`lab.tree.archive`,
:mod:`lab.tree.series`), nothing is written but the lab's own repository, and a machine without dpkg will do.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from lab.errors import InfrastructureError, UserError
from lab.files import locked
from lab.tree.archive import AUTHOR, DATE, Entry, tar_entries
from lab.tree.download import download, file_hash
from lab.tree.dsc import DSC_LIMIT, PREFIX, Part, SourcePackage, parse, vouched
from lab.tree.git import git, printable, reason, text, tree_id
from lab.tree.imports import Kept, kept
from lab.tree.patch import failure, refusal
from lab.tree.patch import parse as parse_patch
from lab.tree.repos import LOCK_SECONDS, import_once, known_import, slug, tell
from lab.tree.series import check_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.paths import Paths
    from lab.progress import Progress

PATCHES = "debian/patches"
PATCHES_LIMIT = 5000
SERIES_LIMIT = 1 << 20
PATCH_LIMIT = 64 << 20
DIFF_LIMIT = 1 << 30
"""What a ``.diff.gz`` may unpack to, in bytes. Ubuntu's for a kernel have some hundred megabytes."""


@dataclass(frozen=True)
class Place:
    """Where a source package is: ``at`` is a path or a URL, ``sha256`` what the user said that its ``.dsc`` has."""

    at: str
    sha256: str = ""
    keyrings: Sequence[str] = field(default=())

    @property
    def remote(self) -> bool:
        """Whether it has to be fetched."""
        return "://" in self.at

    def beside(self, name: str) -> str:
        """The place of another file of the package."""
        return f"{self.at.rpartition('/')[0]}/{name}" if self.remote else str(Path(self.at).parent / name)


@dataclass(frozen=True)
class Unpacking:
    """A source package whose files are all here and are what they should be; ``origin`` becomes part of the commit."""

    package: SourcePackage
    files: dict[Part, Path]
    origin: str
    progress: Progress | None


def place_of(place: str, keyrings: Sequence[str] = (), sha256: str = "") -> Place:
    """A path or URL, perhaps with ``#sha256=…`` behind it. Raises :class:`UserError` for what is no SHA-256."""
    at, mark, rest = place.partition("#")
    given = rest.removeprefix("sha256=") if mark else sha256
    if (mark and not rest.startswith("sha256=")) or (given and not re.fullmatch(r"[0-9a-fA-F]{64}", given)):
        raise UserError(f"{printable(place)[:200]}: what is behind '#' must be sha256= and 64 hexadecimal digits")
    return Place(at if "://" in at else str(Path(at).expanduser().absolute()), given.lower(), tuple(keyrings))


def import_dsc(place: Place, paths: Paths, progress: Progress | None = None) -> Kept:
    """Import the source package at ``place``: its ``.dsc`` is vouched for, and each file's SHA-256 is looked at, before
    anything is unpacked. What was imported is used again, from a URL without asking anyone.

    Raises :class:`UserError` for a file of the user's that can't be taken, :class:`InfrastructureError` for what can't
    be had or is not what it should be.
    """
    if place.remote:
        for one in kept(paths, f"{PREFIX}*"):
            if one.record.url == place.at and (not place.sha256 or one.record.origin.endswith(place.sha256)):
                return one
    where = printable(place.at)
    data = read_dsc(place, paths)
    safe = urlsplit(place.at).scheme == "https" if place.remote else True
    said, checked = vouched(data, where, place.keyrings, place.sha256, safe=safe)
    package, digest = parse(said, where), hashlib.sha256(data).hexdigest()
    stem = slug(f"{PREFIX}{package.source}_{package.version}-{digest[:16]}")
    known = known_import(paths, stem)
    if known is not None:
        return Kept(package.file, stem, msgspec.structs.replace(known, checked=checked))
    folder = paths.cache / "downloads" / stem
    with locked(folder.with_name(f"{stem}.lock"), LOCK_SECONDS):
        files = {part: brought(part, place, folder, progress) for part in package.parts}
        work = Unpacking(package, files, f"{package.file}, sha256 {digest}", progress)
        try:
            record = import_once(
                paths,
                stem,
                work.origin,
                lambda: entries(work),
                checked=checked,
                url=place.at if place.remote else "",
                then=lambda repo, commit: finished(work, repo, commit),
            )
        except UserError as error:
            kind = InfrastructureError if place.remote else UserError
            raise kind(f"{where}: {error.message}", hint=error.hint) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # of what a broken download left, nothing got here
    return Kept(package.file, stem, record)


def read_dsc(place: Place, paths: Paths) -> bytes:
    """The ``.dsc`` itself."""
    if place.remote:
        target = paths.cache / "downloads" / f"{slug('dsc', place.at)}.dsc"
        with locked(target.with_name(f"{target.name}.lock"), LOCK_SECONDS):
            try:
                download(place.at, target, size_limit=DSC_LIMIT)
                return target.read_bytes()
            finally:
                target.unlink(missing_ok=True)
    try:
        with Path(place.at).open("rb") as file:
            data = file.read(DSC_LIMIT + 1)
    except OSError as error:
        raise UserError(f"{printable(place.at)}: {error.strerror}") from None
    if len(data) > DSC_LIMIT:
        raise UserError(f"{printable(place.at)}: larger than {DSC_LIMIT >> 20} MiB, so not a .dsc")
    return data


def brought(part: Part, place: Place, folder: Path, progress: Progress | None) -> Path:
    """A file of the package, with the SHA-256 that the ``.dsc`` says. What was fetched before is not fetched again."""
    if place.remote:
        target = folder / part.name
        if not target.is_file() or file_hash(target) != part.sha256:
            download(place.beside(part.name), target, sha256=part.sha256, size_limit=part.size, progress=progress)
        return target
    path = Path(place.beside(part.name))
    if not path.is_file():
        raise UserError(f"{printable(place.at)}: names {part.name}, which is not beside it")
    digest = file_hash(path)
    if digest != part.sha256:
        raise UserError(f"{path}: SHA-256 is {digest}, and {printable(Path(place.at).name)} says {part.sha256}")
    return path


def entries(work: Unpacking) -> Iterator[Entry]:
    """All files of the package, in the order in which later ones replace earlier ones."""
    package = work.package
    replaced = tuple(f"{name}/".encode() for name, _ in package.components)
    if package.debian is not None:
        replaced += (b"debian/",)  # of upstream's own, dpkg-source keeps nothing
    yield from unpacked(work.files[package.upstream], work.progress, without=replaced)
    for name, part in package.components:
        yield from unpacked(work.files[part], work.progress, under=f"{name}/".encode())
    if package.debian is not None:
        yield from unpacked(work.files[package.debian], work.progress, under=b"debian/", top="debian")


def unpacked(
    path: Path, progress: Progress | None, *, under: bytes = b"", top: str = "", without: tuple[bytes, ...] = ()
) -> Iterator[Entry]:
    """The entries of one tarball, put ``under`` a folder."""
    with path.open("rb") as file:
        for entry in tar_entries(file, path.name, top=top):
            if not (without and entry.path.startswith(without)):
                yield Entry(under + entry.path, entry.mode, entry.data, entry.copy_of and under + entry.copy_of)
            tell(file, path, progress)


def finished(work: Unpacking, repo: Path, commit: str) -> str:
    """The commit of the package with its patches, made of the ``commit`` of its tarballs. Its id depends on nothing
    else."""
    package = work.package
    patches: Iterable[tuple[str, bytes]] = ()
    count = 0
    if package.diff is not None:
        patches, count = [(package.diff.name, inflated(work.files[package.diff]))], 1
    elif package.quilt:
        listed = quilt(repo, commit)
        patches, count = ((name, blob(repo, name, id)) for name, id in listed), len(listed)
    if not count:
        return commit
    old, index = tree_id(repo, commit), repo / "lab-index"
    git(repo, "read-tree", old, index=index, deadline=300)
    for number, (name, data) in enumerate(patches, 1):
        if work.progress is not None:
            work.progress("apply", PATCHES, number, count)
        apply(name, data, repo, index)
    new = text(git(repo, "write-tree", index=index, deadline=300))
    index.unlink()
    check_result(package.file, old, new, repo)
    name, _, email = AUTHOR.rstrip(">").partition(" <")
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", name), ("EMAIL", email), ("DATE", DATE))}  # fmt: skip
    return text(git(repo, "commit-tree", new, env=env, input=f"Import {work.origin}\n".encode()))


def apply(name: str, data: bytes, repo: Path, index: Path) -> None:
    """Apply one patch to ``index``, with all of its context, as dpkg-source does. One without a diff is passed over."""
    diffs = parse_patch(data)
    if not diffs:
        return
    refused = refusal(diffs)
    if refused:
        raise UserError(f"{name}: refused: {printable(refused)}")
    done = git(
        repo, "apply", "--cached", "--whitespace=nowarn", "-", index=index, input=data, check=False, deadline=600
    )
    if not done.ok:
        what = failure(done.stderr.decode("utf-8", "replace"), diffs) if done.returncode > 0 else reason(done)
        raise UserError(f"{name}: does not apply: {printable(what)}")


def inflated(path: Path) -> bytes:
    """A ``.diff.gz``, up to :data:`DIFF_LIMIT` bytes."""
    engine = zlib.decompressobj(wbits=31)
    try:
        data = engine.decompress(path.read_bytes(), DIFF_LIMIT + 1)
    except zlib.error as error:
        raise UserError(f"{path.name}: a damaged archive: {error}") from None
    if len(data) > DIFF_LIMIT or not engine.eof:
        why = f"larger than {DIFF_LIMIT >> 20} MiB" if len(data) > DIFF_LIMIT else "a damaged archive: it ends early"
        raise UserError(f"{path.name}: {why}")
    return data


def quilt(repo: Path, commit: str) -> list[tuple[str, str]]:
    """The names of the patches of ``debian/patches/series`` and their blobs, in order."""
    listing = git(repo, "ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{PATCHES}/").stdout.decode()
    files: dict[str, str] = {}
    for line in listing.split("\0"):
        meta, _, name = line.partition("\t")
        if name.endswith("series") and (meta.startswith("120") or name != f"{PATCHES}/series"):
            raise UserError(f"{printable(name)}: a link or a vendor's own series, which the lab does not take")
        if meta.startswith("100"):
            files[name.removeprefix(f"{PATCHES}/")] = meta.split(" ")[2]
    if "series" not in files:
        return []
    lines = blob(repo, "series", files["series"], SERIES_LIMIT).decode("utf-8", "replace").split("\n")
    found = []
    for line in lines:
        words = re.sub(r"(?:^|\s)#.*", "", line).split()
        if not words:
            continue
        if len(words) > 2 or words[1:] not in ([], ["-p1"]) or words[0] not in files:
            raise UserError(
                f"{PATCHES}/series: {printable(line.strip()[:100])!r} names no patch in that folder with -p1"
            )
        found.append((words[0], files[words[0]]))
    if len(found) > PATCHES_LIMIT:
        raise UserError(f"{PATCHES}/series: {len(found)} patches; the lab takes at most {PATCHES_LIMIT}")
    return found


def blob(repo: Path, name: str, id: str, limit: int = PATCH_LIMIT) -> bytes:
    """A file of the package out of git's objects."""
    done = git(repo, "cat-file", "blob", id, limit=limit, check=False)
    if done.cut or not done.ok:
        raise UserError(f"{PATCHES}/{printable(name)}: larger than {limit >> 20} MiB" if done.cut else reason(done))
    return done.stdout
