"""An import for a person and for a program: what became of each mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.draft.write import Draft
    from lab.report.documents import Document
    from lab.tree.importing.case import ImportedCase
    from lab.tree.importing.compare import Row, Sketch

SHOWN = 60


def imported_document(done: ImportedCase) -> Document:
    """``lab series import --json``."""
    chosen, choice = done.ingested.chosen, done.choice
    return {
        "folder": done.folder,
        "source": done.ingested.source,
        "title": chosen.title,
        "revision": chosen.revision,
        "patches": [
            {"number": number, "subject": letter.subject.title, "author": letter.name, "email": letter.email,
             "message_id": letter.msgid, "patch_id": patch_id}
            for number, (letter, patch_id) in enumerate(zip(chosen.patches, done.ingested.patch_ids, strict=True), 1)
        ],
        "fixes": [{"subject": letter.subject.title, "message_id": letter.msgid} for letter in chosen.fixes],
        "base": {"name": choice.name, "why": choice.why, "tree": choice.tree, "fits": choice.fits,
                 "asked": choice.asked} if choice else None,
        "missing": done.missing,
        "base_commit": chosen.base_commit,
        "prerequisite_patch_ids": chosen.prerequisites,
        "prerequisite_change_ids": chosen.prerequisite_changes,
        "change_id": chosen.change_id,
        "genuine": done.genuine,
        "switches": done.switches,
        "notes": chosen.notes,
        "mails": chosen.mails,
    }  # fmt: skip


def show_imported(done: ImportedCase, *, brief: bool = False) -> None:
    """Tell a person what was taken, what was not, and what to do next; ``brief``: only what is not as it should be."""
    import click

    from lab.report.plain import one_line

    chosen = done.ingested.chosen
    say = click.echo
    say(one_line(f"{chosen.title} (v{chosen.revision}, {len(chosen.patches)} patch(es)) from {done.ingested.source}"))
    mails = [one for one in chosen.mails if one.became.startswith("not taken")] if brief else chosen.mails
    for number, mail in enumerate(mails):
        if number == SHOWN and len(mails) > SHOWN + 10:
            rest = Counter(one.became.partition(";")[0].rstrip("0123456789") for one in mails[number:])
            say(f"  and {len(mails) - number} more: " + ", ".join(f"{n} x {what}" for what, n in rest.items()))
            break
        say(one_line(f"  {mail.where}: {mail.became}" + (f"  ({mail.subject})" if mail.subject else "")))
    for note in chosen.notes:
        say(one_line(f"Note: {note}"))
    if chosen.prerequisites or chosen.prerequisite_changes:
        count = len(chosen.prerequisites) + len(chosen.prerequisite_changes)
        say(f"Note: it says that {count} other patch(es) have to be there first; they are not part of it")
    if done.genuine:
        say(one_line(f"Note: {done.genuine}"))
    if done.choice:
        say(one_line(f"Base: {done.choice.name}, by {done.choice.why}"))
    else:
        say(one_line(f"Base: none chosen: {done.missing}"))
    if done.switches:
        say(one_line(f"Kconfig: what it brings is switched on: {', '.join(done.switches)}"))
    for fix in chosen.fixes:
        say(one_line(f"Fix: {fix.subject.title} (by {fix.name or fix.email})"))
    if brief:
        say("")
        return
    tree = f" --tree {done.choice.tree}" if done.choice and done.choice.tree else ""
    say(f"Written: {done.folder}\nNext:    lab repro {done.folder}{tree}")


def draft_document(draft: Draft) -> Document:
    """``lab case from-report --json``."""
    evidence, machine = draft.evidence, draft.machine
    finding = evidence.finding
    return {
        "folder": draft.folder,
        "version": evidence.version,
        "base": draft.base,
        "command_line": evidence.command_line,
        "machine": {
            "nodes": [
                {"memory": memory, "cpus": cpus} for memory, cpus in zip(machine.memory, machine.cpus, strict=True)
            ],
            "hole_below_4g": machine.hole,
            "cpu": machine.model,
            "sockets": machine.sockets,
        },
        "facts": evidence.facts,
        "hints": evidence.hints,
        "signature": finding.signature if finding else "",
        "title": finding.title if finding else "",
        "notes": draft.notes,
    }


def show_draft(draft: Draft) -> None:
    """Tell a person what the report proves, and what to do next."""
    import click

    from lab.report.plain import one_line

    evidence = draft.evidence
    for fact in evidence.facts:
        click.echo(one_line(f"{fact.what}  <- {fact.evidence[:120]}"))
    if evidence.command_line:
        click.echo(one_line(f"Command line: {evidence.command_line}"))
    hints = ", ".join(f"{hint.symbol}={hint.value}" for hint in evidence.hints)
    if hints:
        click.echo(one_line(f"Config: {hints}"))
    if evidence.finding:
        click.echo(one_line(f"Crash: {evidence.finding.title} ({evidence.finding.signature})"))
    for note in draft.notes:
        click.echo(one_line(f"Note: {note}"))
    click.echo(f"Written: {draft.folder}\nNext:    lab repro {draft.folder}")


def show_beside(here: str, there: str, rows: Sequence[Row]) -> None:
    """Two series, a line for each patch."""
    from rich.table import Table

    from lab.report.plain import harmless
    from lab.report.terminal import out

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", harmless(here), "", harmless(there), ""):
        table.add_column(heading, overflow="fold")

    def cells(one: Sketch | None) -> tuple[str, str]:
        return (f"{one.number}", f"{harmless(one.title)} (+{one.added} -{one.removed})") if one else ("", "")

    for row in rows:
        table.add_row(*cells(row.here), *cells(row.there), row.how)
    out().print(table, markup=False)
