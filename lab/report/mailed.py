"""An import for a person and for a program: what became of each mail."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.report.documents import Document
    from lab.tree.importing.case import ImportedCase

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
        "notes": chosen.notes,
        "mails": chosen.mails,
    }  # fmt: skip


def show_imported(done: ImportedCase) -> None:
    """Tell a person what was taken, what was not, and what to do next."""
    import click

    from lab.report.plain import one_line

    chosen = done.ingested.chosen
    say = click.echo
    say(one_line(f"{chosen.title} (v{chosen.revision}, {len(chosen.patches)} patch(es)) from {done.ingested.source}"))
    for number, mail in enumerate(chosen.mails):
        if number == SHOWN and len(chosen.mails) > SHOWN + 10:
            rest = Counter(one.became.partition(";")[0].rstrip("0123456789") for one in chosen.mails[number:])
            say(f"  and {len(chosen.mails) - number} more: " + ", ".join(f"{n} x {what}" for what, n in rest.items()))
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
    for fix in chosen.fixes:
        say(one_line(f"Fix: {fix.subject.title} (by {fix.name or fix.email})"))
    tree = f" --tree {done.choice.tree}" if done.choice and done.choice.tree else ""
    say(f"Written: {done.folder}\nNext:    lab repro {done.folder}{tree}")
