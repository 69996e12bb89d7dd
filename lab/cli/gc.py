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
@output_options
def gc(*, budget: int, dry_run: bool, as_json: bool) -> int:
    """Remove kernels, boots, consoles and objects that were used longest ago, until the rest takes no more than SIZE.

    What the history's open findings need stays: the kernels and consoles that show them first and last, and the last
    good kernel before; so does what was used within the hour.

    \b
    lab gc --budget 20G --dry-run
    lab gc --budget 20G
    """
    from lab.gc import choose, make_room, survey
    from lab.history.needed import needed
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.history import gc_document, show_gc
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as history:
        found = needed(history.matrices())
    plan = choose(survey(paths), budget, found, time.time())
    gone = plan.remove if dry_run else make_room(plan)
    if as_json:
        emit(gc_document(plan, gone, found, budget, dry_run=dry_run))
    else:
        show_gc(plan, gone, found, budget, dry_run=dry_run)
    return 0
