"""``lab check``."""

from __future__ import annotations

from dataclasses import replace

import click

from lab.cli.common import BOOT, BUILD, TREE_HERE, Wishes, chosen_case, emit, output_options, wishes, working


@click.command()
@click.argument("case")
@wishes(TREE_HERE, *BUILD, *BOOT)
@output_options
def check(*, case: str, wishes: Wishes, as_json: bool) -> int:
    """Judge the HEAD of a kernel tree by CASE: its kconfig, its machine, the bug it looks for. No patch is applied.

    Exits as 'git bisect run' wants it: 0 good, 1 bad, 125 skip; 128 and above stop the bisect.

    \b
    cd ~/src/linux && git bisect start BAD GOOD
    git bisect run lab check early-policy
    """
    from lab.line import prepare, probe

    wanted = replace(chosen_case(case, wishes), base="HEAD", patches=(), fix=())
    with working(wishes, quiet=as_json) as setup:
        result = probe(prepare(wanted, setup), 0, setup)
    if as_json:
        from lab.report.documents import probe_document

        emit({"case": wanted.name, **probe_document(result)})
    else:
        from lab.report.terminal import show_probe

        show_probe(result)
    return result.verdict.exit_code
