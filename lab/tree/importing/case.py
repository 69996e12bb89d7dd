"""A source made into a case: its series, the base for it, and where it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UserError
from lab.paths import Paths
from lab.tree.importing.base import Choice, choose_base
from lab.tree.importing.ingest import Ingested, ingest
from lab.tree.importing.switches import switches
from lab.tree.importing.write import NAME, Plan, write_case

if TYPE_CHECKING:
    from lab.progress import Progress


@dataclass(frozen=True)
class ImportedCase:
    """A case that was written. ``choice`` is None where no base is at hand, and ``missing`` then says what is needed;
    ``genuine`` says what it has to do with a case that names it, ``switches`` are the kconfig symbols it brings."""

    folder: Path
    ingested: Ingested
    choice: Choice | None
    missing: str = ""
    genuine: str = ""
    switches: tuple[str, ...] = ()


def import_case(
    source: str,
    paths: Paths,
    configured: Mapping[str, str],
    *,
    tree: Path | None = None,
    name: str | None = None,
    output: Path | None = None,
    wanted: str = "",
    revision: int = 0,
    base: str | None = None,
    progress: Progress | None = None,
    fresh: bool = True,
) -> ImportedCase:
    """Import ``source`` into a new folder ``output / name``. Not ``fresh``: the same import is used again where it is
    there. Raises :class:`UserError`, and writes nothing then."""
    if name is not None and not NAME.fullmatch(name):
        raise UserError(f"name {name!r}: letters, digits, '.', '_', '+' and '-' only, and a letter or digit first")
    ingested = ingest(source, paths=paths, tree=tree, wanted=wanted, revision=revision, progress=progress)
    choice, missing = (Choice(base, tree, "it was named"), "") if base else (None, "")
    if choice is None:
        try:
            choice = choose_base(ingested.chosen, paths=paths, tree=tree, configured=configured, progress=progress)
        except UserError as error:
            missing = str(error)
    plan = Plan(
        base=choice.name if choice else ingested.chosen.base_commit,
        source=ingested.source,
        patch_ids=ingested.patch_ids,
        switches=switches(letter.text for letter in ingested.chosen.patches),
    )
    folder = (output or default_folder(paths)) / (name or ingested.name or "series")
    from lab.tree.importing.genuine import note_genuine

    if fresh or not folder.exists():
        write_case(folder, ingested.chosen, plan)
    return ImportedCase(folder, ingested, choice, missing, note_genuine(ingested, paths), plan.switches)


def default_folder(paths: Paths) -> Path:
    """``patches/`` of the folder one is in, where it has one; else the user's own cases."""
    here = Path("patches")
    return here.absolute() if here.is_dir() else paths.cases
