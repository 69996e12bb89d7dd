"""Subjects of patch mails: ``[RFC PATCH v2 03/19] mm: numa: …``, and what they say of revision and order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.tree.mail import clean_line

REPLY = re.compile(r"\s*(?:(?:re|aw|antw|sv|vs|fw|fwd|wg)(?:\[\d{1,3}\])?\s*:\s*)+", re.IGNORECASE)
BRACKET = re.compile(r"\s*\[([^\[\]]{0,200})\]")
COUNTER = re.compile(r"(?<![\w./])(\d{1,6})\s*(?:/|of)\s*(\d{1,6})(?![\w./])", re.IGNORECASE)
VERSION = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=PATCH)|(?<=RFC))v(?:er)?(\d{1,3})(?![\w.])", re.IGNORECASE)
PATCH = re.compile(r"patch|rfc|rft|resend", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """A subject that was taken apart. ``version`` is 1 and ``counter`` is None where it does not say; ``title`` has
    neither prefixes nor ``Re:``."""

    text: str
    title: str
    reply: bool = False
    patch: bool = False
    version: int = 1
    versioned: bool = False
    counter: int | None = None
    total: int = 0
    resend: bool = False


def read_subject(text: str) -> Subject:
    """The parts of ``text``, a decoded subject; it is made harmless for a terminal first."""
    text = clean_line(text)
    reply = REPLY.match(text)
    rest = text[reply.end() :] if reply else text
    prefixes: list[str] = []
    while len(prefixes) < 6:
        found = BRACKET.match(rest)
        # "[media] foo" is part of the title for people, and git am drops it all the same.
        if not found or not (PATCH.search(found[1]) or COUNTER.search(found[1]) or VERSION.search(found[1])):
            break
        prefixes.append(found[1])
        rest = rest[found.end() :]
    words = " ".join(prefixes)
    counter, version = COUNTER.search(words), VERSION.search(words)
    return Subject(
        text=text,
        title=rest.strip(),
        reply=reply is not None,
        patch=bool(PATCH.search(words)),
        version=int(version[1]) if version else 1,
        versioned=version is not None,
        counter=int(counter[1]) if counter else None,
        total=int(counter[2]) if counter else 0,
        resend="resend" in words.casefold(),
    )
