"""``lab report``, and its command that answers a thread; those for nights are in lab/cli/nights.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from lab.cli.common import BOOT, BUILD, TREE, Wishes, emit, output_options, wishes, working
from lab.cli.nights import html, junit, kcidb, night_mail, serve


@click.group()
def report() -> None:
    """Tell others what was found: one case by mail, or whole nights."""


for _command in (html, serve, junit, kcidb, night_mail):
    report.add_command(_command)


@report.command()
@click.argument("case")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; default: CASE-reply.eml.")
@wishes(TREE, *BUILD, *BOOT)
@output_options
def mail(*, case: str, output: Path | None, wishes: Wishes, as_json: bool) -> int:
    """Write the answer to the thread of CASE, with the facts, as a file for your mailer. Nothing is ever sent.

    The series' end and its base are built and booted first (from what is there, where they were before). The answer
    goes to the patch that brings the bug where the case says which, else to the cover letter, with In-Reply-To and
    References. Read it before you send it.

    Exits 0 when it was written.

    \b
    lab report mail ./numa-v2 --tree ~/src/linux
    lab report mail thread.mbox --output answer.eml && mutt -H answer.eml
    """
    from lab.cli.repro import take_any
    from lab.files import write_atomic
    from lab.line import prepare
    from lab.report.mail import answer
    from lab.repro import plan, reproduce

    with working(wishes, quiet=as_json) as given:
        taken = take_any(case, given, genuine=False)
        own = taken.case
        wanted = replace(own, kconfig=wishes.kconfig or own.kconfig, machine=wishes.machine or own.machine)
        setup = replace(given, tree=taken.tree)
        line = prepare(wanted, setup)
        result = reproduce(line, plan(wanted, line.fix_end, (), False), setup)
    done = answer(result, sender=own_address())
    target = (output or Path(f"{wanted.name}-reply.eml")).absolute()
    write_atomic(target, done.text)
    if as_json:
        emit({"file": target, "in_reply_to": done.in_reply_to, "references": done.references, "to": done.to,
              "subject": done.subject})  # fmt: skip
        return 0
    from lab.report.plain import one_line

    click.echo(one_line(f"To {done.to or 'nobody yet'}: {done.subject}"))
    if not done.in_reply_to:
        click.echo("Note: the series has no Message-Id, so this begins a thread of its own")
    click.echo(f"Written: {target}\nNothing was sent.")
    return 0


def own_address() -> str:
    """The user's name and address as git knows them; empty where it does not."""
    from lab.errors import LabError
    from lab.process import run
    from lab.tree.git import environment
    from lab.tree.importing.write import address

    values = []
    for key in ("user.name", "user.email"):
        try:
            done = run(["git", "config", "--get", key], deadline=10, env=environment(user_config=True), guard=False)
        except LabError:
            return ""
        values.append(done.stdout.decode("utf-8", "replace").strip())
    return address(*values) if values[1] else ""
