"""``lab bisect``."""

from __future__ import annotations

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, chosen_case, emit, output_options, wishes, working


@click.command()
@click.argument("case")
@wishes(TREE, *BUILD, *BOOT)
@output_options
def bisect(*, case: str, wishes: Wishes, as_json: bool) -> int:
    """Find the patch of CASE's series that brought the bug the case expects.

    Both ends are proven first; a point that does not build or dies of something else is stepped around, as
    'git bisect skip' does. What was built stays in the store, so a search that was stopped goes on from there.

    Exits 0 when one patch is named, 1 when only a range or none can be.

    \b
    lab bisect early-policy
    lab bisect early-policy --json | jq .first_bad
    """
    from lab.bisect.run import bisect as search
    from lab.line import prepare

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        line = prepare(wanted, setup)
        if as_json:
            result = search(line, setup)
        else:
            from lab.report.terminal import show_probe

            result = search(line, setup, seen=show_probe)
    if as_json:
        from lab.report.documents import bisect_document

        emit(bisect_document(result))
    else:
        from lab.report.terminal import show_bisect

        show_bisect(result)
    return 0 if result.first_bad else 1
