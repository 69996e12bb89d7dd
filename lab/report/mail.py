"""The answer to a thread, with the facts of a reproduction, as a file for the user's own mailer. Nothing is sent.

Format: RFC 5322; In-Reply-To and References after its section 3.6.4. Text is wrapped at 72 columns, console lines
are not.
"""

from __future__ import annotations

import email.utils
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.report.plain import harmless
from lab.tree.importing.letter import Letter, Raw, read_letters
from lab.tree.importing.mime import Unreadable
from lab.tree.importing.write import address, encoded

if TYPE_CHECKING:
    from lab.case import Case
    from lab.repro import Repro

WIDTH = 72
CONSOLE_LINES = 45
REFERENCES_LIMIT = 30
COVER = "cover.txt"


@dataclass(frozen=True)
class Answer:
    """The mail, and what it answers: empty ids where the series did not come by mail."""

    text: str
    in_reply_to: str
    references: tuple[str, ...]
    to: str
    subject: str


def answered(case: Case) -> Letter | None:
    """The mail to answer: the patch that brings the bug where the case says which, else the cover letter, else the
    first patch; None where none of them is a mail."""
    files = [case.patches[case.expect.first_bad - 1]] if case.expect.first_bad else []
    files += [case.folder / COVER, *case.patches[:1]]
    for file in files:
        letter = read_file(file)
        if letter is not None and not letter.msgid.endswith("@no-message-id"):
            return letter
    return next((letter for letter in map(read_file, files) if letter is not None and not letter.plain), None)


def read_file(path: Path) -> Letter | None:
    """The mail in a file of the case."""
    try:
        return read_letters(Raw(path.name, path.read_bytes(), path.stem))[0]
    except (OSError, Unreadable):
        return None


def answer(repro: Repro, *, sender: str) -> Answer:
    """The answer to the series of ``repro``. ``sender`` is the user's own ``Name <address>``, or empty."""
    letter = answered(repro.line.case)
    known = letter is not None and not letter.msgid.endswith("@no-message-id")
    ids = tuple(dict.fromkeys((*letter.references, letter.parent, letter.msgid))) if letter and known else ()
    ids = tuple(one for one in ids if one)
    if len(ids) > REFERENCES_LIMIT:
        ids = (ids[0], *ids[1 - REFERENCES_LIMIT :])
    subject = letter.subject.text if letter else repro.line.case.title
    subject = subject if re.match(r"(?i)re:", subject) else f"Re: {subject}"
    to = address(letter.name, letter.email) if letter and letter.email else ""
    head = [f"From: {sender}"] if sender else []
    head += [f"To: {to}"] if to else []
    cc = copies(letter, sender) if letter else []
    head += ["Cc: " + ",\n\t".join(cc)] if cc else []
    head += [f"Subject: {encoded(subject)}"]
    if letter and known:
        head += [f"In-Reply-To: <{letter.msgid}>", "References: " + "\n\t".join(f"<{one}>" for one in ids)]
    head += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: 8bit"]
    text = "\n".join(head) + "\n\n" + body(repro, letter)
    return Answer(text, letter.msgid if letter and known else "", ids, to, subject)


def copies(letter: Letter, sender: str) -> list[str]:
    """Everyone the mail went to, but the user himself and its author."""
    own = {email.utils.parseaddr(sender)[1].casefold(), letter.email.casefold(), ""}
    found: dict[str, str] = {}
    for name, mail in email.utils.getaddresses([letter.to, letter.cc]):
        if mail.casefold() not in own and re.fullmatch(r"[^\s<>@,;]+@[^\s<>@,;]+", mail):
            found.setdefault(mail.casefold(), address(" ".join(name.split()), mail))
    return list(found.values())[:100]


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph, wrapped; words are not broken."""
    return textwrap.fill(" ".join(harmless(text).split()), WIDTH, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def body(repro: Repro, letter: Letter | None) -> str:
    """The text."""
    line = repro.line
    end = next((one for one in repro.probes if one.point.index == line.series_end), repro.probes[0])
    base = next((one for one in repro.probes if one.point.index == 0 and one is not end), None)
    parts = []
    if letter and letter.name:
        when = harmless(letter.date) or "that day"
        parts.append(f"On {when}, {harmless(letter.name)} wrote:\n> {harmless(letter.subject.text)}")
    nodes = len(line.machine.nodes)
    where = f"on Linux {line.tree.base.version}, under QEMU with {nodes} NUMA node{'s' if nodes != 1 else ''}"
    finding = end.verdict.finding
    applied = f"With patches 1 to {end.point.index} applied" if end.point.index else "Without any patch"
    match end.verdict.word:
        case "bad":
            what = f"the kernel does not come up: {finding.title if finding else end.verdict.reason}."
        case "good":
            what = "the kernel came up to user space without a bug."
        case _:
            what = f"there is no verdict: {end.verdict.reason}."
    without = {"good": " Without them it boots.", "bad": " Without them it fails as well."}.get(
        base.verdict.word if base else "", ""
    )
    parts.append(wrapped(f"{applied} {where}, {what}{without}"))
    first_bad = line.case.expect.first_bad
    if end.verdict.word == "bad" and 0 < first_bad <= len(line.tree.points) - 1:
        parts.append(wrapped(f"It begins with patch {first_bad}: {line.tree.points[first_bad].subject}"))
    facts = [
        ("Base", f"{line.tree.base.source}" + (f" ({line.tree.base.stand_in})" if line.tree.base.stand_in else "")),
        ("Compiler", f"{line.toolchain.cc} {'.'.join(map(str, line.toolchain.cc_version))}"),
        ("Config", f"{line.fragment.name}, with " + ", ".join(line.case.require or ("its own symbols",))),
        ("Machine", line.machine.title),
    ]
    facts += [(f"Point {one.point.index}", f"{one.verdict.word}: {one.verdict.reason}") for one in repro.probes]
    parts.append("\n".join(wrapped(f"{name}: {value}", "  ") for name, value in facts))
    if finding and finding.text:
        shown = [harmless(text.rstrip()) for text in finding.text[:CONSOLE_LINES]]
        more = len(finding.text) - len(shown)
        parts.append("\n".join(f"  {text}" for text in shown) + (f"\n  [{more} more lines]" if more > 0 else ""))
    return "\n\n".join(parts) + "\n"
