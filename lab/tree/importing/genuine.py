"""Cases that are written after a series on a mailing list know it by its Message-Id and, once seen, its patch-ids."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from lab.case import MANIFEST, Genuine, Manifest
from lab.errors import LabError, UserError
from lab.files import write_atomic
from lab.manifest import load
from lab.paths import Paths, data_folder
from lab.tree.importing.ingest import Ingested


class Seen(msgspec.Struct, frozen=True):
    """Patch-ids of genuine series by their cover's Message-Id, as this user has seen them."""

    series: dict[str, list[str]] = {}


def note_genuine(ingested: Ingested, paths: Paths) -> str:
    """Where ``ingested`` is the genuine series of a case: fill its patch-ids in, or compare them with those that are
    known. A sentence for people, empty where it is none.

    Raises :class:`UserError` where other patches came under the same Message-Id.
    """
    chosen = ingested.chosen
    first = (chosen.cover or chosen.patches[0]).msgid
    for path in sorted(data_folder("patches").glob(f"*/{MANIFEST}")):
        genuine = genuine_of(path)
        if genuine is None or genuine.message_id != first:
            continue
        case = path.parent.name
        known = tuple(known_ids(genuine, paths))
        if len(chosen.patches) != genuine.patches:
            raise UserError(f"<{first}>: the genuine series of {case} has {genuine.patches} patches, "
                            f"and {len(chosen.patches)} came")  # fmt: skip
        if known:
            if known != ingested.patch_ids:
                other = [
                    n for n, pair in enumerate(zip(known, ingested.patch_ids, strict=True), 1) if len(set(pair)) > 1
                ]
                raise UserError(f"<{first}>: not the genuine series of {case}: patch {other[0]} has another patch-id")
            return f"the genuine series of {case}: all {len(known)} patch-ids are as they are known"
        where = fill_in(path, first, ingested.patch_ids, paths)
        return f"the genuine series of {case}: its {len(ingested.patch_ids)} patch-ids are noted in {where}"
    return ""


def genuine_of(path: Path) -> Genuine | None:
    """The genuine series that a manifest names."""
    try:
        return load(path, Manifest).genuine
    except LabError:
        return None


def known_ids(genuine: Genuine, paths: Paths) -> list[str]:
    """Its patch-ids: of the manifest, else as this user has seen them."""
    return genuine.patch_ids or seen(paths).series.get(genuine.message_id, [])


def seen(paths: Paths) -> Seen:
    """What this user has seen."""
    try:
        return msgspec.json.decode(record(paths).read_bytes(), type=Seen)
    except (OSError, msgspec.MsgspecError):
        return Seen()


def record(paths: Paths) -> Path:
    """The file of what was seen; it is data: the cache may be deleted."""
    return paths.data / "genuine.json"


def fill_in(path: Path, message_id: str, ids: tuple[str, ...], paths: Paths) -> Path:
    """Write ``ids`` into the manifest, keeping its text and comments, or where that is not the user's to change, into
    a file of his own. The place that they went to."""
    text = path.read_text(encoding="utf-8")
    lines = "".join(f'    "{one}",\n' for one in ids)
    filled, count = re.subn(r"^patch_ids = \[\]$", lambda _: f"patch_ids = [\n{lines}]", text, flags=re.MULTILINE)
    if count == 1:
        try:
            write_atomic(path, filled)
        except LabError:
            pass
        else:
            return path
    known = seen(paths)
    write_atomic(record(paths), msgspec.json.encode(Seen({**known.series, message_id: list(ids)})))
    return record(paths)
