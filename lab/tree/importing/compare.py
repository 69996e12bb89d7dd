"""Two series beside each other: which patch of one is which of the other, and how they differ. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.tree.importing.ingest import patch_ids
from lab.tree.importing.letter import Raw, read_letters
from lab.tree.patch import parse

How = Literal["same", "same files", "other files", "only here", "only there"]
ALIKE = 0.6
"""Titles that are less alike (difflib's ratio) are not the same patch."""


@dataclass(frozen=True)
class Sketch:
    """A patch in short. ``number`` counts from 1."""

    number: int
    title: str
    patch_id: str
    files: frozenset[str]
    added: int
    removed: int


@dataclass(frozen=True)
class Row:
    """A patch of each side, or of one alone."""

    here: Sketch | None
    there: Sketch | None
    how: How


def sketches(files: Sequence[Path]) -> list[Sketch]:
    """The patches of a case in short."""
    texts, titles = [], []
    for file in files:
        letter = read_letters(Raw(file.name, file.read_bytes(), file.stem))[0]
        texts.append(letter.text)
        titles.append(letter.subject.title)
    found = []
    for number, (title, text, patch_id) in enumerate(zip(titles, texts, patch_ids(texts), strict=True), 1):
        diffs = parse(text.encode("utf-8", "surrogateescape"))
        names = frozenset(diff.name for diff in diffs)
        lines = text.split("\n")[diffs[0].line - 1 :] if diffs else []
        added = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
        removed = sum(line.startswith("-") and not line.startswith(("--- ", "-- ")) for line in lines)
        found.append(Sketch(number, title, patch_id, names, added, removed))
    return found


def beside(here: Sequence[Sketch], there: Sequence[Sketch]) -> list[Row]:
    """Rows in the order of ``here``; what only ``there`` has follows."""
    left = list(there)
    rows = []
    for one in here:
        other = best(one, left)
        if other is not None:
            left.remove(other)
        rows.append(Row(one, other, how(one, other)))
    return [*rows, *(Row(None, one, "only there") for one in left)]


def best(one: Sketch, among: Sequence[Sketch]) -> Sketch | None:
    """The patch that is the same by its patch-id, else the one whose title is most like it."""
    for other in among:
        if one.patch_id and one.patch_id == other.patch_id:
            return other

    def ratio(other: Sketch) -> float:
        return difflib.SequenceMatcher(None, one.title.casefold(), other.title.casefold()).ratio()

    near = max(among, key=lambda other: (ratio(other), -abs(other.number - one.number)), default=None)
    return near if near is not None and ratio(near) >= ALIKE else None


def how(one: Sketch, other: Sketch | None) -> How:
    """How two patches stand to each other."""
    if other is None:
        return "only here"
    if one.patch_id and one.patch_id == other.patch_id:
        return "same"
    return "same files" if one.files == other.files else "other files"
