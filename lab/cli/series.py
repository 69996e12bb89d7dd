"""``lab series``."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, chosen_case, emit, output_options, wishes, working


@click.group()
def series() -> None:
    """Import a series from where it was sent, and look after its patches."""


@series.command(name="import")
@click.argument("source")
@click.option("--name", metavar="NAME", help="The case's name; default: from the series' title.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to make the case in; default: patches/ here, else the user's own cases.",
)
@click.option("--message-id", "wanted", default="", metavar="ID", help="Which series, where the source has several.")
@click.option("--revision", type=click.IntRange(1, 999), metavar="N", help="This revision; default: the newest whole.")
@click.option("--base", metavar="NAME", help="The base; default: chosen by base-commit, blobs or date.")
@wishes(TREE)
@output_options
def import_(
    *,
    source: str,
    name: str | None,
    output: Path | None,
    wanted: str,
    revision: int | None,
    base: str | None,
    wishes: Wishes,
    as_json: bool,
) -> int:
    """Make a case of the series in SOURCE.

    SOURCE is an mbox, a maildir, a folder or tarball of patches, a range of git commits (of --tree, or of this folder),
    a git bundle, a Message-Id or the URL of a mail in a public-inbox such as lore. The newest revision that is whole is
    taken; replies are left out, fixes that were posted into the thread are put into fix/. What became of each mail is
    told. Exits 0 when the case was written.

    \b
    lab series import thread.mbox
    lab series import ~/Mail/numa --name numa-v2 --tree ~/src/linux
    lab series import v6.1..topic --tree ~/src/linux
    lab series import 1352193295-26815-1-git-send-email-mgorman@suse.de
    """
    from lab.tree.importing.case import import_case

    with working(wishes, quiet=as_json) as setup:
        done = import_case(
            source, setup.paths, setup.settings.bases, tree=setup.tree, name=name, output=output, wanted=wanted,
            revision=revision or 0, base=base, progress=setup.progress,
        )  # fmt: skip
    if as_json:
        from lab.report.mailed import imported_document

        emit(imported_document(done))
    else:
        from lab.report.mailed import show_imported

        show_imported(done)
    return 0


@series.command()
@click.argument("case")
@wishes(TREE, *BUILD, *BOOT)
@output_options
def check(*, case: str, wishes: Wishes, as_json: bool) -> int:
    """Check every point of CASE: it applies, builds, boots as the case says, warns of nothing new, changes the kernel.

    Exits 0 when every point is what the case says of it, else 1. New warnings in the files that the patch touches are
    told and don't count.

    \b
    lab series check early-policy
    lab series check early-policy --json | jq '.points[] | select(.image_changed == false)'
    """
    from lab.line import prepare
    from lab.series_check import check_series

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        line = prepare(wanted, setup)
        if as_json:
            from lab.report.documents import line_document, series_document

            checked = check_series(line, setup)
            emit({**series_document(wanted.name, checked), **line_document(line)})
        else:
            from lab.report.terminal import show_checked, show_line

            show_line(line)
            checked = check_series(line, setup, seen=show_checked)
    return 0 if all(row.as_expected for row in checked) else 1


@series.command()
@click.argument("case")
@click.argument("other", required=False)
@wishes(TREE)
@output_options
def diff(*, case: str, other: str | None, wishes: Wishes, as_json: bool) -> int:
    """Show the patches of CASE beside those of OTHER: another case, or anything that 'lab series import' takes.

    Without OTHER, CASE is shown beside the genuine series that it names by Message-Id. Patches belong together by
    their patch-ids, else by their titles.

    Exits 0 when both have the same patches, else 1.

    \b
    lab series diff numa-foundation
    lab series diff numa-v1 v2.mbox --json | jq '.rows[] | select(.how != "same")'
    """
    from lab.tree.importing.compare import beside, sketches
    from lab.tree.importing.take import genuine, take

    with working(wishes, quiet=as_json) as setup:
        bases = setup.settings.bases
        mine = take(case, setup.paths, bases, tree=setup.tree, progress=setup.progress).case
        if other is None:
            theirs = genuine(mine, setup.paths, bases, tree=setup.tree, progress=setup.progress).case
        else:
            theirs = take(other, setup.paths, bases, tree=setup.tree, progress=setup.progress, base="HEAD").case
    rows = beside(sketches(mine.patches), sketches(theirs.patches))
    if as_json:
        emit({"case": mine.name, "other": theirs.name, "rows": rows})
    else:
        from lab.report.mailed import show_beside

        show_beside(mine.name, theirs.name, rows)
    return 0 if all(row.how == "same" for row in rows) else 1
