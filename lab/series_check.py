"""Every point of a series, one after the other: builds, boots, what it warns of, and whether it changes the kernel."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.line import Line, Probe, Setup, probe
from lab.repro import expected
from lab.tree.patch import parse

POSITION = re.compile(r":\d+(?::\d+)?(?=:)")
"""Line and column in a compiler's message: an edit above moves them, and the warning stays the same."""


@dataclass(frozen=True)
class Checked:
    """One point. ``image_changed`` is ``None`` at the first point and where there is no image to compare.

    ``new_warnings`` are those in files that the patch touches, ``other_warnings`` those in others, which can also be
    there because nothing had to compile the file before. Neither are what a point before had as well.
    """

    probe: Probe
    as_expected: bool
    new_warnings: tuple[str, ...]
    other_warnings: tuple[str, ...]
    image_changed: bool | None


def check_series(
    line: Line, setup: Setup, *, seen: Callable[[Checked], None] = lambda _checked: None
) -> tuple[Checked, ...]:
    """Probe every point from the base through the fix, telling ``seen`` of each as it is known."""
    checked = []
    for row in rows(line, (probe(line, index, setup) for index in range(line.fix_end + 1))):
        checked.append(row)
        seen(row)
    return tuple(checked)


def rows(line: Line, probes: Iterator[Probe]) -> Iterator[Checked]:
    """Each probe beside what stood before it."""
    known: set[str] = set()
    before: str | None = None
    for result in probes:
        warnings = result.kernel.warnings if result.kernel else ()
        new = [text for text in warnings if POSITION.sub("", text) not in known] if result.point.index else []
        touched = touched_files(result.point.patch)
        image = digest(result.kernel.image) if result.kernel else None
        yield Checked(
            probe=result,
            as_expected=result.verdict.word == expected(line.case, result.point.index),
            new_warnings=tuple(text for text in new if text.partition(":")[0] in touched),
            other_warnings=tuple(text for text in new if text.partition(":")[0] not in touched),
            image_changed=None if image is None or before is None else image != before,
        )
        known.update(POSITION.sub("", text) for text in warnings)
        before = image or before


def touched_files(patch: Path | None) -> frozenset[str]:
    """The files that a patch names, from the tree's root on."""
    if patch is None:
        return frozenset()
    return frozenset(name for file in parse(patch.read_bytes()) for name in file.names)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
