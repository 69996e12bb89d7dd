"""Which bases are here, which could be fetched, and what is missing: looked up without any network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.errors import LabError
from lab.tree.bases import SOURCES, Entry, installed_version, is_url, load_table
from lab.tree.dsc import PREFIX, SETTING, is_dsc
from lab.tree.git import printable
from lab.tree.imports import kept
from lab.tree.releases import ANY, CANDIDATES, RELEASES, SUMS
from lab.tree.repos import find_git_dir, known_import, slug

if TYPE_CHECKING:
    from lab.paths import Paths

State = Literal["imported", "package", "tree", "to fetch", "missing"]


@dataclass(frozen=True)
class Stock:
    """One base. ``offline``: it can be used without a network. ``check`` says what proves that it is the real one."""

    name: str
    version: str
    state: State
    offline: bool
    where: str
    check: str
    how: str = ""


def stock(paths: Paths, configured: Mapping[str, str], sources: Path = SOURCES) -> list[Stock]:
    """The bases of the table, of the configuration, and of Debian's source packages that are installed."""
    table = dict(load_table())
    for archive in sorted(sources.glob("linux-source-*.tar.xz")):
        version = archive.name.removeprefix("linux-source-").removesuffix(".tar.xz")
        table.setdefault(f"debian-{version}", Entry(version=version, package=f"linux-source-{version}"))
    rows = [of_table(name, entry, paths, configured.get(name, ""), sources) for name, entry in sorted(table.items())]
    rows += [of_place(name, "", place, "what is at that place", paths) for name, place in sorted(configured.items())
             if name not in table]  # fmt: skip
    return rows + others(paths, {*table, *configured})


def others(paths: Paths, listed: set[str]) -> list[Stock]:
    """What was imported and has a name of its own that is not ``listed`` yet, and lines for all that could be."""
    rows = []
    for one in kept(paths):
        if one.name not in listed:
            where = f"{printable(one.record.origin)} in {paths.bases / one.stem}.git"
            check = printable(one.record.checked) or "the hash it is named by"
            rows.append(Stock(one.name, one.record.version, "imported", True, where, check))
    check = f"the SHA-256 in {SUMS}, its signature with kernel_org_keyring; -rc: TLS alone"
    rows.append(Stock(ANY, "", "to fetch", False, f"{RELEASES}, {CANDIDATES}", check))
    check = f"its signature with {SETTING} or an installed keyring, or its SHA-256"
    return [*rows, Stock("SOURCE_VERSION.dsc", "", "to fetch", False, "Debian's and Ubuntu's archives", check,
                         "lab bases add URL-OR-FILE")]  # fmt: skip


def proof(entry: Entry) -> str:
    """What tells the real one."""
    if entry.sha256:
        return f"sha256 {entry.sha256[:16]}…"
    if entry.commit:
        return f"commit {entry.commit[:12]}"
    return "dpkg's own" if entry.package else "none"


def of_table(name: str, entry: Entry, paths: Paths, place: str, sources: Path) -> Stock:
    """A base of the table, in the order in which it would be looked for."""
    check = proof(entry)
    if place:
        return of_place(name, entry.version, place, check, paths)
    known = [(repo, known_import(paths, repo.stem)) for repo in sorted(paths.bases.glob(f"{slug(name)}_*.git"))]
    here = [(repo, record) for repo, record in known if record is not None]
    version = installed_version(entry.package) if entry.package else ""
    if version and (sources / f"{entry.package}.tar.xz").is_file():
        return Stock(name, version, "imported" if here else "package", True, f"{entry.package} {version}", check)
    if here:
        repo, record = here[-1]
        return Stock(name, record.version, "imported", True, f"{printable(record.origin)} in {repo}", check)
    package = f"apt-get install {entry.package}" if entry.package else ""
    tree = "name a git tree that has it with --tree PATH"
    if entry.url:
        return Stock(name, entry.version, "to fetch", False, entry.url, check, package or tree)
    return Stock(name, entry.version, "missing", False, "", check, package or tree)


def of_place(name: str, version: str, place: str, check: str, paths: Paths) -> Stock:
    """A base that the user's configuration names a place for."""
    if is_dsc(place) and "://" in place:
        here = [one for one in kept(paths, f"{PREFIX}*") if one.record.url == place.partition("#")[0]]
        state: State = "imported" if here else "to fetch"
        return Stock(name, here[0].record.version if here else version, state, bool(here), printable(place), check)
    if is_url(place):
        return Stock(name, version, "to fetch", False, printable(place), check)
    path = Path(place).expanduser()
    try:
        there = path.is_file() or find_git_dir(path) is not None or (path / "Makefile").is_file()
    except (LabError, OSError):
        there = False
    if there:
        return Stock(name, version, "tree", True, str(path), check)
    return Stock(
        name, version, "missing", False, str(path), check, "the configuration names this place; nothing is there"
    )
