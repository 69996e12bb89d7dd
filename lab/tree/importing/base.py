"""Which base a series was made for: its base-commit, else the blobs that its index lines name, else its date.

Only trees that are at hand are asked; nothing is fetched. What was found is told in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError, UserError
from lab.tree.bases import installed_version, is_url, load_table, resolve_base
from lab.tree.dsc import is_dsc
from lab.tree.git import git, has_commit, text, version_series
from lab.tree.importing.choose import Chosen
from lab.tree.imports import kept
from lab.tree.patch import side_name
from lab.tree.repos import find_git_dir, known_import, slug

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress

TAGS_LIMIT = 400
PATHS_LIMIT = 300
INDEX = re.compile(r"index ([0-9a-f]{7,64})\.\.[0-9a-f]{7,64}")
WINDOW_DAYS = 14
"""After a release the merge window is open; what is sent then was mostly made on the release."""

RELEASES = Path(__file__).with_name("releases.txt")


@dataclass(frozen=True)
class Candidate:
    """A base at hand: ``name`` is what ``series.toml`` may call it, with ``tree`` where one has to be named."""

    name: str
    repo: Path
    commit: str
    version: str
    tree: Path | None = None


@dataclass(frozen=True)
class Choice:
    """The base that was chosen, and why. ``fits`` of ``asked`` blobs are the very ones that the patches name."""

    name: str
    tree: Path | None
    why: str
    fits: int = 0
    asked: int = 0


def choose_base(
    chosen: Chosen, *, paths: Paths, tree: Path | None, configured: Mapping[str, str], progress: Progress | None = None
) -> Choice:
    """The base for ``chosen`` among the trees at hand: ``tree`` of the user's, those of his configuration, what was
    imported before and Debian's packages.

    Raises :class:`UserError` that says what is needed where none will do.
    """
    sent = max((letter.time for letter in chosen.patches), default=0.0)
    places = at_hand(paths, tree, configured, sent, progress)
    commit = chosen.base_commit
    if commit:
        for place in places:
            if has_commit(place.repo, commit):
                return Choice(commit, place.tree, f"its base-commit {commit[:12]}, which {place.name} has")
    note = f"its base-commit {commit[:12]} is in no tree at hand; " if commit else ""
    wanted = blobs(chosen)
    best: tuple[int, Candidate] | None = None
    for place in places:
        for one in [place, *tagged(place, chosen)]:
            score = fits(one, wanted)
            if score and (best is None or score > best[0]):
                best = (score, one)
    if best and best[0] * 2 > len(wanted):
        score, one = best
        why = (
            f"{note}{score} of the {len(wanted)} files that the patches name are the same in {one.name} ({one.version})"
        )
        return Choice(one.name, one.tree, why, score, len(wanted))
    version = by_date(sent)
    near = [place for place in places if version and version_series(place.version) == version]
    if near:
        why = f"{note}its date: Linux {version} was being made then, and {near[0].name} is {near[0].version}"
        return Choice(near[0].name, near[0].tree, why, best[0] if best else 0, len(wanted))
    if tree is not None and places:
        one = best[1] if best else places[0]
        score = best[0] if best else 0
        why = f"{note}the tree that was named ({one.version}); {score} of {len(wanted)} files are the same"
        return Choice(one.name, one.tree, why, score, len(wanted))
    need = f"commit {commit[:12]}" if commit else f"Linux {version}, by its date" if version else "a kernel"
    have = ", ".join(f"{place.name} ({place.version})" for place in places) or "no base"
    raise UserError(
        f"the series needs {need}, and here is {have}", hint="name a git tree or an unpacked source with --tree PATH"
    )


def at_hand(
    paths: Paths, tree: Path | None, configured: Mapping[str, str], sent: float, progress: Progress | None
) -> list[Candidate]:
    """The bases that need no network. With a tree that the user names, that one alone.

    A package that was not imported yet is left alone, as that takes a minute, where the series was ``sent`` before
    anyone could have had that kernel.
    """
    if tree is not None:
        base = resolve_base("HEAD", paths=paths, tree=tree, progress=progress)
        return [Candidate("HEAD", base.repo, base.commit, base.version, tree)]
    found = []
    for name, place in configured.items():
        if not is_url(place) and not is_dsc(place):
            try:
                base = resolve_base(name, paths=paths, configured=configured, progress=progress)
            except LabError:
                continue
            found.append(Candidate(name, base.repo, base.commit, base.version))
    for name, entry in sorted(load_table().items()):
        if name in configured:
            continue
        here = imported(name, paths)
        if here or (entry.package and could_have(entry.version, sent) and installed_version(entry.package)):
            base = resolve_base(name, paths=paths, progress=progress)
            found.append(Candidate(name, base.repo, base.commit, base.version))
    names = {one.name for one in found}
    found += [Candidate(one.name, paths.bases / f"{one.stem}.git", one.record.commit, one.record.version)
              for one in kept(paths) if one.name not in names]  # fmt: skip
    return found


def could_have(version: str, sent: float) -> bool:
    """Whether a mail ``sent`` at that time can be about ``version``: not long before its release."""
    days = {series: day.timestamp() for day, series in releases()}
    day = days.get(version_series(version), 0.0)
    return sent <= 0 or sent > day - 90 * 86400


def imported(name: str, paths: Paths) -> bool:
    """Whether base ``name`` was imported before."""
    return any(known_import(paths, repo.stem) for repo in paths.bases.glob(f"{slug(name)}_*.git"))


def tagged(place: Candidate, chosen: Chosen) -> Iterable[Candidate]:
    """The releases that a git tree of the user's has, the newest that are older than the series first."""
    if place.tree is None or place.name != "HEAD" or find_git_dir(place.tree) is None:
        return
    git_dir = find_git_dir(place.tree) or place.tree
    args = ("for-each-ref", "--sort=-creatordate", "--format=%(refname:short) %(creatordate:unix)", "refs/tags/v[0-9]*")
    done = git(git_dir, *args, check=False)
    sent = max((letter.time for letter in chosen.patches), default=0.0)
    count = 0
    for line in text(done).splitlines():
        name, _, when = line.rpartition(" ")
        if when.isdecimal() and (not sent or int(when) <= sent + 86400):
            commit = text(git(git_dir, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False))
            if commit and has_commit(place.repo, commit):
                count += 1
                yield Candidate(name, place.repo, commit, name.removeprefix("v"), place.tree)
            if count >= TAGS_LIMIT:
                return


def blobs(chosen: Chosen) -> dict[str, str]:
    """File to the abbreviated blob that the first patch to touch it was made on; empty for a file that must be new."""
    found: dict[str, str] = {}
    made: set[str] = set()
    for letter in chosen.patches:
        name, touched = "", []
        for line in letter.text.split("\n"):
            if line.startswith("diff --git "):
                name = side_name(line.removeprefix("diff --git ").split(" ")[0])
            index = INDEX.match(line) if name else None
            if index:
                if name not in made and name.isprintable() and len(found) < PATHS_LIMIT:
                    found[name] = "" if set(index[1]) == {"0"} else index[1]
                touched.append(name)
                name = ""
        made.update(touched)
    return found


def fits(place: Candidate, wanted: Mapping[str, str]) -> int:
    """How many of the files are in ``place`` as the patches found them."""
    asked = "".join(f"{place.commit}:{name}\n" for name in wanted if "\n" not in name)
    done = git(place.repo, "cat-file", "--batch-check=%(objectname)", input=asked.encode(), check=False)
    lines = text(done).splitlines()
    if len(lines) != len(wanted):
        return 0
    return sum(
        line.startswith(blob) and not line.endswith(" missing") if blob else line.endswith(" missing")
        for line, blob in zip(lines, wanted.values(), strict=True)
    )


def releases() -> list[tuple[datetime, str]]:
    """Linux releases with their days, the oldest first."""
    rows = [line.split() for line in RELEASES.read_text(encoding="ascii").splitlines() if line and line[0] != "#"]
    return [(datetime.fromisoformat(day).replace(tzinfo=UTC), version) for version, day in rows]


def by_date(seconds: float) -> str:
    """The kernel series (``3.7``) that was being made at ``seconds`` of the epoch; empty where that is not known."""
    if seconds <= 0:
        return ""
    when = datetime.fromtimestamp(min(seconds, 1e11), UTC)
    table = releases()
    for number, (day, version) in enumerate(table):
        if when < day:
            before = table[number - 1] if number else None
            if before is None:
                return ""
            return before[1] if (when - before[0]).days < WINDOW_DAYS else version
    return table[-1][1] if (when - table[-1][0]).days < WINDOW_DAYS else ""
