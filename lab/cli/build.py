"""``lab build``."""

from __future__ import annotations

import click

from lab.cli.common import (
    BUILD,
    ON,
    TREE,
    Wishes,
    chosen_case,
    emit,
    output_options,
    point_index,
    tell_stand_in,
    tell_unmet,
    unmet_of,
    wishes,
    working,
)


@click.command()
@click.argument("case")
@click.option("--at", type=click.IntRange(0), metavar="N", help="The point to build; default: the series' end.")
@click.option("--with-fix", is_flag=True, help="The series plus its fix.")
@wishes(TREE, ON, *BUILD)
@output_options
def build(*, case: str, at: int | None, with_fix: bool, wishes: Wishes, as_json: bool) -> int:
    """Build the kernel of one point of CASE and say where it is.

    Exits 0 when there is a kernel, 125 when the point does not compile. What the kconfig asked for and did not get is
    told, with what took it away.

    \b
    lab build early-policy
    lab build early-policy --at 0 --json | jq -r .kernel.image
    lab build early-policy --on cellar
    """
    from lab.kernel.types import Kernel
    from lab.line import kernel_of, point_at, prepare
    from lab.verdict import EXIT_CODES

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        index = point_index(wanted, at, with_fix=with_fix)
        if wishes.on:
            from lab.cli.on import on_host

            done = on_host(wanted, "build", (index,), setup=setup, wishes=wishes)
            line, point = done.line, done.probes[0].point
            kernel = done.probes[0].kernel or done.probes[0].failure
        else:
            line = prepare(wanted, setup)
            point = point_at(line, index)
            kernel = kernel_of(line, point, setup)
        unmet = unmet_of(line, point, setup)
    assert kernel is not None  # noqa: S101 - one of both is there
    if as_json:
        from lab.report.documents import kernel_document, line_document

        document = {"case": wanted.name, "point": point.index, "kernel": kernel_document(kernel), "unmet": unmet}
        emit({**document, **line_document(line)})
    else:
        from lab.report.terminal import show_kernel

        show_kernel(kernel)
        tell_unmet(unmet)
        tell_stand_in(line)
    return 0 if isinstance(kernel, Kernel) else EXIT_CODES["skip"]
