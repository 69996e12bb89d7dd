"""``lab gc``."""

from __future__ import annotations

import time

import click

from lab.cli.common import emit, output_options


def size(_context: click.Context, _option: click.Parameter, value: str) -> int:
    """``20G`` in bytes."""
    from lab.errors import UserError
    from lab.guest.machine import read_size

    return read_size(value, "--budget", lambda key, text: UserError(f"{key}: {text}"))


@click.command()
@click.option("--budget", required=True, callback=size, metavar="SIZE", help="What may stay, such as 20G or 500M.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--share", metavar="URL", help="Make room on this share of the store instead.")
@output_options
def gc(*, budget: int, dry_run: bool, share: str | None, as_json: bool) -> int:
    """Remove kernels, boots, consoles and objects that were used longest ago, until the rest takes no more than SIZE.

    What the history's open findings need stays: the kernels and consoles that show them first and last, and the last
    good kernel before; so does what was used within the hour.

    With --share what was put there longest ago goes, whoever needs it: it can be built again.

    \b
    lab gc --budget 20G --dry-run
    lab gc --budget 20G
    lab gc --budget 200G --share s3://lab
    """
    if share is not None:
        return of_share(share, budget, dry_run=dry_run, as_json=as_json)
    from lab.gc import choose, make_room, survey
    from lab.history.needed import needed, with_first
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.history import gc_document, show_gc
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as history:
        found = needed(history.matrices())
        found = with_first(found, history.first_sights(found.signatures))
    plan = choose(survey(paths), budget, found, time.time())
    gone = plan.remove if dry_run else make_room(plan)
    if as_json:
        emit(gc_document(plan, gone, found, budget, dry_run=dry_run))
    else:
        show_gc(plan, gone, found, budget, dry_run=dry_run)
    return 0


def of_share(url: str, budget: int, *, dry_run: bool, as_json: bool) -> int:
    """``lab gc --share``."""
    from lab.errors import InfrastructureError
    from lab.report.history import share_gc_document, show_share_gc
    from lab.share.gc import choose, remove, survey
    from lab.share.place import Place, Unreachable
    from lab.share.where import parse

    where = parse(url)
    try:
        place = Place(where)
        try:
            kept = survey(place)
            gone = choose(kept, budget)
            if not dry_run:
                remove(place, gone)
        finally:
            place.close()
    except Unreachable as error:
        raise InfrastructureError(f"share {where.name}: {error}") from None
    if as_json:
        emit(share_gc_document(where.name, kept, gone, budget, dry_run=dry_run))
    else:
        show_share_gc(kept, gone, budget, dry_run=dry_run)
    return 0
