"""Getting a base before it is needed: a source package, a tarball, or one that has a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UserError
from lab.tree.bases import is_url, resolve_base
from lab.tree.download import file_hash
from lab.tree.dsc import is_dsc
from lab.tree.dsc_import import import_dsc, place_of
from lab.tree.git import printable
from lab.tree.imports import Kept, kept_as
from lab.tree.repos import import_archive
from lab.tree.types import Base

if TYPE_CHECKING:
    from lab.paths import Paths
    from lab.progress import Progress
    from lab.settings import Settings


def get_base(
    source: str, paths: Paths, settings: Settings, *, sha256: str = "", progress: Progress | None = None
) -> Base:
    """The base that ``source`` is: the path or URL of a ``.dsc``, a tarball's path, or a base's name.

    ``sha256``, if not empty, is what the ``.dsc`` or tarball must have. Raises :class:`UserError` for what can't be a
    base, and as :func:`resolve_base`.
    """
    if is_dsc(source) and ("://" in source or Path(source).expanduser().is_file()):
        return base_of(import_dsc(place_of(source, settings.dsc_keyrings, sha256), paths, progress), paths)
    path = Path(source).expanduser()
    if path.is_file():
        digest = file_hash(path)
        if sha256 and digest != sha256:
            raise UserError(f"{source}: SHA-256 is {digest}, not {sha256}")
        stem = f"archive-{digest[:32]}"
        record = import_archive(paths, stem, path, origin=f"a tarball, sha256 {digest}", progress=progress)
        return base_of(Kept(stem, stem, record), paths)
    if sha256:
        raise UserError(f"{printable(source)[:200]}: --sha256 is for a .dsc or a tarball")
    if is_url(source) and kept_as(source, paths) is None:
        hint = 'a git mirror goes into the configuration, under [bases]: "NAME" = "URL"'
        raise UserError(f"{printable(source)[:200]}: neither a .dsc nor the name of a base", hint=hint)
    return resolve_base(
        source,
        paths=paths,
        configured=settings.bases,
        progress=progress,
        keyring=settings.kernel_org_keyring,
        dsc_keyrings=settings.dsc_keyrings,
    )


def base_of(found: Kept, paths: Paths) -> Base:
    """The base that an import is."""
    return Base(found.name, found.record.version, found.source, paths.bases / f"{found.stem}.git", found.record.commit)
