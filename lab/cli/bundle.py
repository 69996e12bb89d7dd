"""``lab bundle``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, emit, output_options, wishes, working


@click.command()
@click.argument("case")
@click.option("--at", type=click.IntRange(0), metavar="N", help="The point to pack; default: the series' end.")
@click.option("--with-fix", is_flag=True, help="The series plus its fix.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; default: CASE.tar.gz here.")
@wishes(TREE, *BUILD, *BOOT)
@output_options
def bundle(*, case: str, at: int | None, with_fix: bool, output: Path | None, wishes: Wishes, as_json: bool) -> int:
    """Pack a point of CASE so that someone else repeats it with one command and without the lab.

    The point is built and booted first (from what is there, where it was built before). In the tarball are a shell
    script, the patches, the .config, QEMU's command line, the initramfs and the console that was recorded.
    'lab repro FILE.tar.gz' takes it back.

    Exits 0 when it was written.

    \b
    lab bundle early-policy --output crash.tar.gz
    tar xf crash.tar.gz && crash/reproduce.sh /usr/src/linux-source-6.1.tar.xz
    """
    from lab.bundle.pack import pack
    from lab.cli.repro import take_any
    from lab.line import prepare, probe

    with working(wishes, quiet=as_json) as given:
        taken = take_any(case, given, genuine=False)
        own = taken.case
        wanted = replace(own, kconfig=wishes.kconfig or own.kconfig, machine=wishes.machine or own.machine)
        setup = replace(given, tree=taken.tree)
        line = prepare(wanted, setup)
        index = at if at is not None else line.fix_end if with_fix else line.series_end
        target = output or Path(f"{wanted.name}.tar.gz")
        done = pack(line, probe(line, index, setup), setup, target.absolute())
    if as_json:
        emit(done)
    else:
        from lab.report.plain import one_line

        click.echo(one_line(f"{done.verdict}: {done.reason}"))
        click.echo(f"Written: {done.path} ({done.size // 1024} KiB, sha256 {done.sha256})")
    return 0
