"""``lab series import`` without a terminal: a source's mails, the series in them, and its base."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UserError
from lab.tree.git import git, printable, text
from lab.tree.importing.choose import PATCHES_LIMIT, Chosen, Told, choose
from lab.tree.importing.letter import Letter, Raw, read_letters
from lab.tree.importing.mime import Unreadable
from lab.tree.importing.sources import GIT_BUNDLE, RANGE, Mails, from_bundle, from_range, read_path
from lab.tree.importing.write import slug
from lab.tree.patch import parse, refusal
from lab.tree.repos import find_git_dir

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress

MESSAGE_ID = re.compile(r"<?(?:id:|mid:)?([^\s<>/@]+@[^\s<>/@]+)>?")

NUMBERED = re.compile(rb"^Subject: \[[^\]\n]{0,100}\b\d{1,6}/(\d{1,6})\]", re.MULTILINE)


@dataclass(frozen=True)
class Ingested:
    """A series out of a source. ``patch_ids`` are git's stable ones (git-patch-id(1)), one a patch."""

    source: str
    name: str
    chosen: Chosen
    patch_ids: tuple[str, ...]


def is_source(source: str) -> bool:
    """Whether ``source`` may be something to import, rather than a case's name: a file or folder that is there, a
    Message-Id, a URL, or a range of commits."""
    return is_remote(source) or Path(source).exists() or bool(RANGE.fullmatch(source))


def is_remote(source: str) -> bool:
    """Whether ``source`` is a Message-Id or the URL of a mail."""
    return "://" in source or (bool(MESSAGE_ID.fullmatch(source)) and not Path(source).exists())


def ingest(
    source: str,
    *,
    paths: Paths,
    tree: Path | None = None,
    wanted: str = "",
    revision: int = 0,
    progress: Progress | None = None,
) -> Ingested:
    """Read ``source`` and choose the series in it: that of Message-Id ``wanted``, in ``revision``, where these are
    given.

    Raises :class:`UserError` in one line for what can't be taken as a whole; a single mail that can't be taken is told
    in ``chosen.mails``.
    """
    if is_remote(source):
        from lab.tree.importing.lore import from_lore

        mails, asked = from_lore(source, paths=paths, progress=progress)
        wanted = wanted or asked
    else:
        mails = read_source(source, tree)
    refuse_endless(mails)
    letters, refused = read_all(mails.raws)
    if refused and not letters:
        raise UserError(f"{mails.name}: {refused[0].where}: {refused[0].became.removeprefix('not taken: ')}")
    chosen = choose(letters, wanted=wanted.strip("<>"), revision=revision)
    fixes, refused_fixes = read_all(mails.fixes)
    chosen = replace(
        chosen,
        fixes=(*chosen.fixes, *(letter for letter in fixes if letter.has_diff)),
        mails=(*chosen.mails, *refused, *refused_fixes),
        base_commit=chosen.base_commit or mails.base_commit,
    )
    for letter in (*chosen.patches, *chosen.fixes):
        why = refusal(parse(letter.text.encode("utf-8", "surrogateescape")))
        if why:
            raise UserError(f"{letter.where}: refused: {printable(why)}")
    title = chosen.title or mails.name
    return Ingested(f"{mails.kind} {printable(mails.name)}", slug(title).casefold()[:40].strip("-._"), chosen,
                    tuple(patch_ids([letter.text for letter in chosen.patches])))  # fmt: skip


def read_source(source: str, tree: Path | None) -> Mails:
    """The mails of what is on this machine."""
    path = Path(source)
    if not path.exists():
        if RANGE.fullmatch(source):
            return from_range(repository(tree, source), source)
        raise UserError(f"{printable(source)[:200]}: no such file, Message-Id, URL or range of commits")
    if path.is_file() and tree is not None:
        with path.open("rb") as file:
            if GIT_BUNDLE.match(file.read(64)):
                return from_bundle(path, repository(tree, source))
    return read_path(path)


def refuse_endless(mails: Mails) -> None:
    """:class:`UserError` for a series that is far too long, before its mails are read."""
    longest = [0]
    for raw in mails.raws:
        found = NUMBERED.search(raw.data, 0, 1 << 16)
        if found and int(found[1]) > PATCHES_LIMIT:
            longest.append(int(found[1]))
    if len(longest) > PATCHES_LIMIT:
        raise UserError(f"the series has {max(longest)} patches; the lab takes at most {PATCHES_LIMIT}")


def repository(tree: Path | None, source: str) -> Path:
    """The git directory that a range is of."""
    git_dir = find_git_dir((tree or Path()).absolute())
    if git_dir is None:
        raise UserError(f"{printable(source)[:100]}: {tree or 'this folder'} is no git repository",
                        hint="name it with --tree PATH")  # fmt: skip
    return git_dir


def read_all(raws: Sequence[Raw]) -> tuple[list[Letter], list[Told]]:
    """Every mail that can be read, and why the others can't."""
    letters: list[Letter] = []
    refused = []
    for raw in raws:
        try:
            letters += read_letters(raw)
        except Unreadable as error:
            refused.append(Told(printable(raw.where), "", f"not taken: {error}"))
    return letters, refused


def patch_ids(texts: Sequence[str]) -> list[str]:
    """git's stable patch-id of each text, empty for one without a diff. No repository is needed (git-patch-id(1))."""
    found = []
    for one in texts:
        done = git(Path("/"), "patch-id", "--stable", input=one.encode("utf-8", "surrogateescape"), check=False)
        found.append(text(done).partition(" ")[0])
    return found
