"""Mails as values: who, when, in answer to what, and the text, with every transfer encoding and charset undone."""

from __future__ import annotations

import email.message
import email.utils
import hashlib
import re
from dataclasses import dataclass, replace
from functools import cached_property

from lab.tree.git import printable
from lab.tree.importing.mime import Part, Unreadable, header, split_head, texts
from lab.tree.importing.subject import Subject, read_subject
from lab.tree.mail import PLAIN, clean_line, clean_name

MAIL_BYTES = 32 << 20
REFERENCES_LIMIT = 200

MAGIC = re.compile(rb"(?:From [^\n]*\n)")
HEAD = re.compile(rb"[!-9;-~]{1,76}:")
MSGID = re.compile(r"<([^<>\s\x00-\x1f\x7f]{1,500})>")
DIFF = re.compile(r"^(?:diff --git |--- [^\s].*\n\+\+\+ |Index: )", re.MULTILINE)
SCISSORS = re.compile(r"^[\s>-]*(?:[-–]{2,}[\s-]*)?(?:8<|>8|%<|>%|✂)[^\n]*$", re.MULTILINE)
IN_BODY = re.compile(r"(From|Subject|Date): (.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Raw:
    """A mail or a patch file before it was read; ``where`` is what people are told it is (``mail 3 of x.mbox``)."""

    where: str
    data: bytes
    name: str = ""


@dataclass(frozen=True)
class Letter:
    """A mail that was read. ``text`` has bytes that are no UTF-8 as surrogates; ``time`` is seconds of the epoch, 0
    where there is no date. Everything but ``text`` may be shown on a terminal."""

    where: str
    msgid: str
    parent: str
    references: tuple[str, ...]
    subject: Subject
    name: str
    email: str
    date: str
    time: float
    text: str
    notes: tuple[str, ...] = ()
    to: str = ""
    cc: str = ""
    plain: bool = False

    @cached_property
    def has_diff(self) -> bool:
        """Whether there is a patch in it that is not quoted."""
        return DIFF.search(self.text) is not None

    @cached_property
    def has_scissors(self) -> bool:
        """Whether a line says that what follows it is to be cut out (git-mailinfo(1), ``--scissors``)."""
        found = SCISSORS.search(self.text)
        return found is not None and DIFF.search(self.text, found.end()) is not None

    @property
    def parents(self) -> tuple[str, ...]:
        """The mails that this one answers, the nearest first."""
        return tuple(dict.fromkeys((*((self.parent,) if self.parent else ()), *reversed(self.references))))


def read_letters(raw: Raw) -> list[Letter]:
    """The mail in ``raw``: one letter, or one for each patch where several are attached.

    Raises :class:`Unreadable` with the reason for a mail that can't be taken.
    """
    data = raw.data
    if len(data) > MAIL_BYTES:
        raise Unreadable(f"it is larger than {MAIL_BYTES >> 20} MiB")
    if data[: data.find(b"\n") + 1].endswith(b"\r\n"):
        data = data.replace(b"\r\n", b"\n")
    begun = MAGIC.match(data)
    data = data[begun.end() :] if begun else data.lstrip(b"\n")
    if not data.strip():
        raise Unreadable("it is empty")
    if PLAIN.match(data):
        return [plain(raw, data)]
    if not HEAD.match(data):
        if DIFF.search(data.decode("utf-8", "surrogateescape")):
            return [plain(raw, data)]
        raise Unreadable("it has neither headers nor a diff")
    message, body = split_head(data)
    parts, notes = texts(message, body)
    return assembled(envelope(raw, message, data), parts, tuple(notes))


def plain(raw: Raw, data: bytes) -> Letter:
    """A diff without headers: its file's name is all that is known of it."""
    subject = Subject(text=clean_line(raw.name), title=clean_line(raw.name), patch=True)
    return Letter(raw.where, invented(data), "", (), subject, "", "", "", 0.0, data.decode("utf-8", "surrogateescape"),
                  plain=True)  # fmt: skip


def invented(data: bytes) -> str:
    """A Message-Id for what has none: it has to be told apart all the same."""
    return f"{hashlib.sha256(data).hexdigest()[:24]}@no-message-id"


def envelope(raw: Raw, message: email.message.Message, data: bytes) -> Letter:
    """The headers of a mail."""
    name, address = email.utils.parseaddr(header(message, "From")[:1000])
    date = header(message, "Date")[:100]
    ids = MSGID.findall(header(message, "References"))
    before = MSGID.findall(header(message, "In-Reply-To"))
    own = MSGID.findall(header(message, "Message-Id")) or [invented(data)]
    subject = read_subject(header(message, "Subject"))
    if not subject.title and raw.name:
        subject = replace(subject, title=clean_line(raw.name))
    return Letter(
        where=raw.where,
        msgid=printable(own[0]),
        parent=printable(before[0] if before else ids[-1] if ids else ""),
        references=tuple(map(printable, ids[-REFERENCES_LIMIT:])),
        subject=subject,
        name=clean_name(clean_line(name)),
        email=clean_name(clean_line(address)),
        date=printable(date),
        time=seconds(date),
        text="",
        to=printable(header(message, "To"))[:4000],
        cc=printable(header(message, "Cc"))[:4000],
    )


def seconds(date: str) -> float:
    """A mail's date as seconds of the epoch, 0 where it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def assembled(head: Letter, parts: list[Part], notes: tuple[str, ...]) -> list[Letter]:
    """The letter, or the letters, that the texts of a mail make."""
    inline = "\n".join(part.text for part in parts if not part.attached)
    attached = [part.text for part in parts if part.attached and DIFF.search(part.text)]
    if not parts:
        raise Unreadable("there is no plain text in it" + (f" ({notes[0]})" if notes else ""))
    if not attached or DIFF.search(inline):
        extra = (f"{len(attached)} attached patch(es) were left out",) if attached else ()
        return [replace(head, text=inline, notes=(*notes, *extra))]
    letters = []
    for number, text in enumerate(attached, 1):
        data = text.encode("utf-8", "surrogateescape")
        msgid = head.msgid if len(attached) == 1 else f"{head.msgid}#{number}"
        begun = MAGIC.match(data)
        whole = data[begun.end() :] if begun else data
        if HEAD.match(whole) and b"\nSubject:" in b"\n" + whole[:4096]:  # a mail of git-format-patch(1) in a mail
            message, body = split_head(whole)
            inner = envelope(Raw(head.where, data), message, data)
            body_text = texts(message, body)[0]
            letters.append(
                replace(
                    inner,
                    msgid=msgid,
                    parent=head.parent,
                    references=head.references,
                    to=head.to,
                    cc=head.cc,
                    date=inner.date or head.date,
                    time=inner.time or head.time,
                    text="".join(part.text for part in body_text),
                    notes=notes,
                )
            )
        else:
            letters.append(replace(head, msgid=msgid, text=f"{inline}\n---\n{text}", notes=notes))
    return letters


def cut_out(letter: Letter) -> Letter:
    """``letter`` without what stands above its scissors; headers that follow them replace the mail's own, as with
    ``git am --scissors``."""
    found = SCISSORS.search(letter.text)
    if found is None:
        return letter
    text = letter.text[found.end() :].lstrip("\n")
    subject, name, address, date = letter.subject, letter.name, letter.email, letter.date
    while match := IN_BODY.match(text):
        line_end = text.find("\n")
        value = clean_line(match[2])
        if match[1].casefold() == "subject":
            subject = read_subject(value)
        elif match[1].casefold() == "from":
            name, address = (clean_name(part) for part in email.utils.parseaddr(value[:1000]))
        else:
            date = value[:100]
        text = text[line_end + 1 :] if line_end >= 0 else ""
    return replace(letter, text=text.lstrip("\n"), subject=subject, name=name, email=address, date=date)


def unquoted(letter: Letter) -> Letter:
    """``letter`` without the lines that it quotes from the mail it answers."""
    text = letter.text
    start = DIFF.search(text)
    at = start.start() if start else len(text)
    above = "\n".join(
        line
        for line in text[:at].split("\n")
        if not line.startswith(">") and not re.match(r"On .{5,200} wrote:$", line)
    )
    return replace(letter, text=re.sub(r"\n{3,}", "\n\n", above).lstrip("\n") + text[at:])
