"""``lab bisect``."""

from __future__ import annotations

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, chosen_case, emit, output_options, wishes, working
from lab.cli.hunts import BAD_MACHINE, Hunting, hunt_config, hunt_machine


@click.command(cls=Hunting)
@click.argument("case")
@wishes(TREE, *BUILD, *BOOT)
@click.option("--config", nargs=2, metavar="GOOD BAD", help="Which symbol of the second kconfig brings the bug?")
@click.option(BAD_MACHINE, hidden=True)
@click.option("--at", type=int, metavar="N", help="With --config or --machine GOOD BAD: the point; default: the end.")
@output_options
def bisect(
    *,
    case: str,
    wishes: Wishes,
    config: tuple[str, str] | None,
    bad_machine: str | None,
    at: int | None,
    as_json: bool,
) -> int:
    """Find the patch of CASE's series that brought the bug the case expects.

    Both ends are proven first; a point that does not build or dies of something else is stepped around, as
    'git bisect skip' does. What was built stays in the store, so a search that was stopped goes on from there.

    Exits 0 when one patch is named, 1 when only a range or none can be.

    \b
    lab bisect early-policy
    lab bisect early-policy --json | jq .first_bad
    lab bisect early-policy --config tiny-numa-slab tiny-numa    which kconfig symbol brings it
    lab bisect early-policy --machine one-node two-nodes         what of the machine it needs
    """
    if config and bad_machine:
        raise click.UsageError("--config and --machine GOOD BAD ask two questions: ask one after the other")
    if config:
        return hunt_config(case, config, wishes, at=at, as_json=as_json)
    if bad_machine:
        return hunt_machine(case, (wishes.machine or "", bad_machine), wishes, at=at, as_json=as_json)
    if at is not None:
        raise click.UsageError("--at goes with --config or with --machine GOOD BAD")
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
