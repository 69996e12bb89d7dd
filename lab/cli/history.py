"""``lab history``: the runs, one of them, and findings by signature."""

from __future__ import annotations

import click

from lab.cli.common import emit, output_options

HELP = {"help_option_names": ["-h", "--help"]}


class Group(click.Group):
    """A group whose unnamed command is ``runs``: ``lab history`` lists them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Where the first word is none of the commands, it belongs to ``runs``."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["runs", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Group, context_settings=HELP)
def history() -> None:
    """What was run, what came of it, and since when.

    \b
    lab history                              the last runs, and the findings that are open
    lab history run                          the newest run, and what changed since the one before
    lab history show bug:policy_zonelist     where and when a finding was seen
    """


@history.command(context_settings=HELP)
@click.option("--limit", type=click.IntRange(1, 10_000), default=14, show_default=True, help="How many runs.")
@click.option("--matrix", "name", default="", metavar="NAME", help="Of this matrix only.")
@output_options
def runs(*, limit: int, name: str, as_json: bool) -> int:
    """The last runs, newest first, and every finding by its signature, with when it was seen first and last.

    \b
    lab history --limit 30
    lab history --matrix nightly --json
    """
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.history import runs_document, show_runs
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as kept:
        found = [(one, kept.results(one.id)) for one in kept.runs(name=name, limit=limit)]
        known = kept.signatures()
    if as_json:
        emit(runs_document(found, known))
    else:
        show_runs(found, known)
    return 0


@history.command(context_settings=HELP)
@click.argument("run_id", metavar="[RUN]", default="")
@output_options
def run(*, run_id: str, as_json: bool) -> int:
    """One run, the newest by default: its cells, and what changed since the run before.

    \b
    lab history run
    lab history run 20261126 --json
    """
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.matrix import night_document, show_night
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as kept:
        night = kept.night(run_id)
    if as_json:
        emit(night_document(night))
    else:
        show_night(night)
    return 0


@history.command(context_settings=HELP)
@click.argument("signature")
@output_options
def show(*, signature: str, as_json: bool) -> int:
    """Where and when the finding SIGNATURE was seen, first and last, and what the last console says of it.

    \b
    lab history show bug:policy_zonelist
    lab history show bug:policy_zonelist --json
    """
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.history import show_signature, signature_document
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as kept:
        about = kept.about(signature)
    if as_json:
        emit(signature_document(about))
    else:
        show_signature(about, paths)
    return 0
