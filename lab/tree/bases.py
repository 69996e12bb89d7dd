"""Bases by name: which source is meant, and where this machine can get it.

In this order: the tree that the user names now, the place that the configuration names, the Debian package, what was
imported from it before, kernel.org. What is found is told in :attr:`Base.source`; what is near but not the real
thing carries :attr:`Base.stand_in`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lab.errors import InfrastructureError, LabError, UserError
from lab.files import locked
from lab.manifest import load
from lab.process import ToolMissing, run
from lab.tree.dsc import is_dsc
from lab.tree.git import environment, git, has_commit, kernel_version, printable, text, tree_id, version_series
from lab.tree.imports import kept_as
from lab.tree.releases import ANY, Release, import_name, import_release, release
from lab.tree.repos import (
    LOCK_SECONDS,
    Imported,
    fetch_commit,
    find_git_dir,
    import_archive,
    import_once,
    known_import,
    linked_repo,
    short_hash,
    slug,
)
from lab.tree.types import Base

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress

TABLE = Path(__file__).with_name("bases.toml")
SOURCES = Path("/usr/src")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line of ``bases.toml``, whose head tells what the fields mean."""

    version: str
    package: str = ""
    url: str = ""
    sha256: str = ""
    commit: str = ""
    git: str = ""


def load_table(path: Path = TABLE) -> dict[str, Entry]:
    """The bases that are known by name."""
    return load(path, dict[str, Entry])


def resolve_base(
    name: str,
    *,
    paths: Paths,
    tree: Path | None = None,
    configured: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    table: Mapping[str, Entry] | None = None,
    sources: Path = SOURCES,
    keyring: str = "",
    dsc_keyrings: Sequence[str] = (),
) -> Base:
    """The base ``name``: one of ``bases.toml``, ``debian-X.Y`` where ``linux-source-X.Y`` is installed, a release of
    kernel.org by its tag (``v6.12.3``), a source package or tarball that was imported before
    (``linux_6.1.176-1.dsc``), or any git revision of ``tree``.

    ``tree`` is a git repository (also bare, or a worktree), an unpacked source folder, a tarball or a ``.dsc`` of the
    user's; it is only read. ``configured`` maps names of bases to such a place, to a git URL or that of a ``.dsc``.
    ``table`` and ``sources``, the folder of Debian's source tarballs, are parameters for tests. ``keyring`` is
    :attr:`lab.settings.Settings.kernel_org_keyring`, ``dsc_keyrings`` what the settings call so.
    Raises :class:`UserError` for a name that means nothing here and a tree that can't serve as that base,
    :class:`InfrastructureError` for what could not be fetched.
    """
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f:?*\[\\-][^\s\x00-\x1f\x7f:?*\[\\]{0,199}", name):
        raise UserError(f"base {printable(name[:80])!r}: not the name of a base or of a git revision")
    entry = find_entry(name, load_table() if table is None else table)
    place = str(tree) if tree is not None else (configured or {}).get(name, "")
    if place and is_dsc(place):
        from lab.tree.dsc_import import import_dsc, place_of

        found = import_dsc(place_of(place, dsc_keyrings), paths, progress)
        return judged(name, entry, found.source, paths.bases / f"{found.stem}.git", found.record.commit, paths=paths)
    if place and tree is None and is_url(place):
        return from_url(name, entry, place, paths)
    if place:
        return from_place(name, entry, Path(place).expanduser(), paths, progress)
    if entry is None:
        return from_name(name, paths, keyring, progress, load_table() if table is None else table)
    if entry.package:
        return from_package(name, entry, paths, progress, sources)
    return from_kernel_org(name, entry, paths, progress)


def from_name(name: str, paths: Paths, keyring: str, progress: Progress | None, table: Mapping[str, Entry]) -> Base:
    """The base that is in no table and at no place of the user's: a release, or what was imported before."""
    one = release(name)
    if one is not None:
        return from_release(one, paths, keyring, progress)
    here = kept_as(name, paths)
    if here is not None:
        return Base(name, here.record.version, here.source, paths.bases / f"{here.stem}.git", here.record.commit)
    if is_dsc(name):
        raise UserError(f"base {name}: no such source package was imported", hint="lab bases add URL-OR-FILE")
    known = ", ".join([*sorted(table), ANY])
    raise UserError(f"no base {name!r}; known are {known}", hint="name a git tree that has it with --tree PATH")


def find_entry(name: str, table: Mapping[str, Entry]) -> Entry | None:
    """What is known of base ``name``; None for what can only be a git revision."""
    debian = re.fullmatch(r"debian-(\d+\.\d+)", name)
    if name not in table and debian:
        return Entry(version=debian[1], package=f"linux-source-{debian[1]}")
    return table.get(name)


def is_url(place: str) -> bool:
    """Whether git would reach ``place`` over a network (git-clone(1), GIT URLS)."""
    return "://" in place or bool(re.match(r"[\w.@-]+:(?!/?/)", place))


def from_place(name: str, entry: Entry | None, place: Path, paths: Paths, progress: Progress | None) -> Base:
    """The base from a tree of the user's on this machine."""
    place = place.absolute()
    if place.is_dir():
        git_dir = find_git_dir(place)
        if git_dir is not None:
            return from_git(name, entry, place, git_dir, paths)
        if not (place / "Makefile").is_file():
            raise UserError(f"{place}: neither a git repository nor a kernel source")
        return from_folder(name, entry, place, paths, progress)
    if not place.is_file():
        raise UserError(f"{place}: no such folder", hint=f"it was named as the tree for base {name}")
    return from_file(name, entry, place, paths, progress)


def from_git(name: str, entry: Entry | None, place: Path, git_dir: Path, paths: Paths) -> Base:
    """The base from a git repository: the real commit where it is known and there, else the revision of that name,
    else, for a base of the table, what is checked out."""
    repo = linked_repo(paths, git_dir)
    if entry is not None and entry.commit and has_commit(git_dir, entry.commit):
        return Base(name, kernel_version(repo, entry.commit), f"{entry.commit[:12]} of {place}", repo, entry.commit)
    revision = "HEAD" if entry is not None else name
    done = git(git_dir, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False)
    commit = text(done)
    if not done.ok or not has_commit(repo, commit):
        raise UserError(f"{place}: git revision {revision!r} is not there")
    source = f"{commit[:12]} of {place}"
    if revision == "HEAD" and place != git_dir and is_changed(git_dir, place):
        source += " (changes that are not committed are left out)"
    return judged(name, entry, source, repo, commit, paths=paths)


def is_changed(git_dir: Path, work_tree: Path) -> bool:
    """Whether tracked files differ from HEAD. The user's index is not refreshed: GIT_OPTIONAL_LOCKS is 0."""
    args = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    done = git(git_dir, *args, work_tree=work_tree, check=False, deadline=300)
    return bool(done.stdout)


def from_folder(name: str, entry: Entry | None, place: Path, paths: Paths, progress: Progress | None) -> Base:
    """The base from an unpacked source, imported again whenever a file in it has changed."""
    from lab.tree.archive import fingerprint, folder_entries

    if progress is not None:
        progress("import", str(place))
    name_of = slug(f"folder-{short_hash(str(place.resolve()))}", fingerprint(place)[:16])
    found = import_once(paths, name_of, "an unpacked kernel source", lambda: folder_entries(place))
    return judged(name, entry, f"the folder {place}", paths.bases / f"{name_of}.git", found.commit, paths=paths)


def from_file(name: str, entry: Entry | None, place: Path, paths: Paths, progress: Progress | None) -> Base:
    """The base from a tarball: the real one where its hash, or the commit id that git-archive left in it, says so."""
    from lab.tree.download import file_hash

    digest = file_hash(place)
    name_of = f"archive-{digest[:32]}"
    found = import_archive(paths, name_of, place, origin=f"a tarball, sha256 {digest}", progress=progress)
    repo = paths.bases / f"{name_of}.git"
    if entry is not None and ((entry.sha256 and digest == entry.sha256) or is_real(entry, found)):
        return Base(name, found.version, f"the tarball {place}", repo, found.commit)
    return judged(name, entry, f"the tarball {place}", repo, found.commit, paths=paths)


def is_real(entry: Entry, found: Imported) -> bool:
    """Whether an archive says of itself that it is the commit that the table names."""
    return bool(entry.commit) and found.comment == entry.commit


def from_url(name: str, entry: Entry | None, url: str, paths: Paths) -> Base:
    """The base from a git mirror."""
    expected = entry.commit if entry is not None else ""
    revision = "HEAD" if entry is not None and not expected else name
    repo, commit = fetch_commit(paths, url, revision, expected)
    source = f"{commit[:12]} of {printable(url)}"
    if expected and commit == expected:
        return Base(name, kernel_version(repo, commit), source, repo, commit)
    return judged(name, entry, source, repo, commit, paths=paths)


def from_package(name: str, entry: Entry, paths: Paths, progress: Progress | None, sources: Path) -> Base:
    """The base from Debian's source package, else from an import of it that is here, else from kernel.org."""
    version = installed_version(entry.package)
    archive = sources / f"{entry.package}.tar.xz"
    if version and archive.is_file():
        name_of = slug(name, version)
        found = known_import(paths, name_of)
        if found is None:
            origin = f"{entry.package} {version}"
            try:
                found = import_archive(paths, name_of, archive, origin=origin, progress=progress)
            except UserError as error:
                again = f"apt-get install --reinstall {entry.package}"
                raise InfrastructureError(error.message, hint=again) from None
        return imported(name, found, paths, name_of, "Debian's package ")
    for repo in sorted(paths.bases.glob(f"{slug(name)}_*.git"), key=lambda path: path.stat().st_mtime, reverse=True):
        found = known_import(paths, repo.stem)
        if found is not None and found.origin.startswith(entry.package):
            return imported(name, found, paths, repo.stem, "an earlier import of Debian's package ")
    hint = f"apt-get install {entry.package}"
    if not entry.url:
        raise InfrastructureError(f"base {name}: the package {entry.package} is not installed", hint=hint)
    try:
        return from_kernel_org(name, entry, paths, progress)
    except InfrastructureError as error:
        message = f"base {name}: the package {entry.package} is not installed, and {error.message}"
        raise InfrastructureError(message, hint=hint) from None


def imported(name: str, found: Imported, paths: Paths, name_of: str, source: str) -> Base:
    """The base that an import is."""
    return Base(name, found.version, source + found.origin, paths.bases / f"{name_of}.git", found.commit)


def installed_version(package: str) -> str:
    """The version of an installed Debian package, empty where it is not installed or this is no Debian."""
    argv = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package]
    try:
        done = run(argv, deadline=30, env=environment(), guard=False)
    except ToolMissing:
        return ""
    status, _, version = done.stdout.decode("utf-8", "replace").partition(" ")
    return version.strip() if done.ok and status == "installed" else ""


def from_kernel_org(name: str, entry: Entry, paths: Paths, progress: Progress | None) -> Base:
    """The base from the table's URL. Raises :class:`UserError` that tells how else to get it where a git tree is the
    usual place for it."""
    name_of = slug(name, entry.sha256[:16] or "snapshot")
    found = known_import(paths, name_of)
    if found is None:
        try:
            found = import_download(name_of, entry, paths, progress)
        except LabError as error:
            if not entry.commit:
                raise
            raise UserError(how_to_get(name, entry, error.message, paths)) from None
    base = imported(name, found, paths, name_of, "")
    if entry.commit and not is_real(entry, found):
        return judged(name, entry, base.source, base.repo, base.commit, paths=paths)
    return base


def from_release(one: Release, paths: Paths, keyring: str, progress: Progress | None) -> Base:
    """The base that is a release of kernel.org; its source tells what it was checked by."""
    try:
        found = import_release(one, paths, keyring, progress)
    except InfrastructureError as error:
        hint = "; or name a git tree that has it with --tree PATH"
        raise InfrastructureError(
            f"base {one.name}: {error.message}", hint=f"{error.hint}{hint}".lstrip("; ")
        ) from None
    source = f"{found.origin} ({found.checked})"
    return Base(one.name, found.version, source, paths.bases / f"{import_name(one)}.git", found.commit)


def import_download(name_of: str, entry: Entry, paths: Paths, progress: Progress | None) -> Imported:
    """Get the table's URL and import it; the tarball itself is not kept."""
    from lab.tree.download import download

    file = entry.url.rpartition("/")[2]
    target = paths.cache / "downloads" / file
    with locked(target.with_name(f"{file}.lock"), LOCK_SECONDS):
        found = known_import(paths, name_of)
        if found is not None:
            return found
        try:
            digest = download(entry.url, target, sha256=entry.sha256, progress=progress)
            # A snapshot is packed anew for every request, so its hash must not become part of the commit.
            origin = f"{file} of kernel.org" + (f", sha256 {digest}" if entry.sha256 else "")
            return import_archive(paths, name_of, target, origin=origin, progress=progress)
        finally:
            target.unlink(missing_ok=True)


def how_to_get(name: str, entry: Entry, why: str, paths: Paths) -> str:
    """The two lines for a base that only the user can provide: why, and how."""
    series = version_series(entry.version)
    clone = f": git clone --depth 1 --branch {name} {entry.git} linux-{series}" if entry.git else ""
    return (
        f"base {name}: {why}; get a git tree that has it, or any Linux {series}{clone}\n"
        f'and name it with --tree PATH, or in {paths.config_file} under [bases]: "{name}" = "PATH or git URL"'
    )


def judged(name: str, entry: Entry | None, source: str, repo: Path, commit: str, *, paths: Paths) -> Base:
    """The base that ``commit`` can stand in for; :class:`UserError` where it is of another kernel series."""
    version = kernel_version(repo, commit)
    if entry is None:
        return Base(name, version, source, repo, commit)
    if version_series(version) != version_series(entry.version):
        raise UserError(
            f"{source}: this is Linux {version}, and base {name} is a {version_series(entry.version)}",
            hint=f"name a {version_series(entry.version)} tree with --tree PATH",
        )
    if not entry.commit and tree_id(repo, commit) in imported_trees(name, paths):
        return Base(name, version, source, repo, commit)
    return Base(name, version, source, repo, commit, stand_in=f"stand-in base {version} for {name}")


def imported_trees(name: str, paths: Paths) -> set[str]:
    """The content of the imports of base ``name`` that are here."""
    stems = [repo.stem for repo in paths.bases.glob(f"{slug(name)}_*.git")]
    found = [(stem, known_import(paths, stem)) for stem in stems]
    return {tree_id(paths.bases / f"{stem}.git", record.commit) for stem, record in found if record is not None}
