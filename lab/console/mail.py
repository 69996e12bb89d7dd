"""The parts of mails that may hold a console: one mail or a mailbox (RFC 4155), transfer encodings undone, streaming.

Of ``multipart/alternative`` only the first part that is text counts, which is the plain one (RFC 2046, 5.1.4).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lab.console.sources import Chunks, undone, whole_lines

HEADER = 1 << 16
DEPTH = 8
_FIELD = re.compile(
    rb"(?:Return-Path|Received|From|To|Cc|Subject|Date|Message-ID|Delivered-To|X-[\w-]+|MIME-Version|Content-Type|List-Id"
    rb"|DKIM-Signature|ARC-[\w-]+|In-Reply-To|References|Path|Newsgroups|Xref|Sender|Reply-To): ?\S",
    re.I,
)
_MBOX = re.compile(rb"From \S+ +.*\d\d:\d\d")


class Part(NamedTuple):
    """A piece of a mail's text: the mail's number (from 1) and subject, the part's number, its bytes."""

    mail: int
    subject: str
    part: int
    data: bytes


def is_mail(first: bytes) -> bool:
    """Whether what begins so is a mail, or a mailbox."""
    lines = first.lstrip().split(b"\n", 3)
    if _MBOX.match(lines[0]):
        return True
    return (
        len(lines) > 1
        and bool(_FIELD.match(lines[0]))
        and bool(_FIELD.match(lines[1]) or lines[1][:1] in (b" ", b"\t"))
    )


class _Reader:
    """Goes over a mailbox's lines; ``text`` says of what part the line is, or that it is none's."""

    def __init__(self) -> None:
        self.mail = 0
        self.part = 0
        self.subject = ""
        self._header: list[bytes] | None = None
        self._kept = 0
        self._top = True
        self._boundaries: list[tuple[bytes, bool]] = []
        self._encoding = ""
        self._skipped = False
        self._told = False  # of this multipart/alternative
        self._blank = True

    def line(self, line: bytes) -> bytes | None:
        """The line's own bytes, decoded; nothing where it is a header's."""
        if self._blank and _MBOX.match(line):
            self._begin()
            return None
        self._blank = not line.strip()
        if self._header is None and not self.mail:
            self._begin()
        if self._header is not None:
            self._in_header(line)
            return None
        if line.startswith(b"--") and self._boundaries and self._boundary(line.strip()):
            return None
        return None if self._skipped else self._decoded(line)

    def _begin(self) -> None:
        self.mail += 1
        self.part = 1
        self.subject = ""
        self._boundaries = []
        self._new_header(top=True)

    def _new_header(self, *, top: bool = False) -> None:
        self._header, self._kept, self._top = [], 0, top

    def _boundary(self, line: bytes) -> bool:
        for at, (boundary, _) in enumerate(self._boundaries):
            if line in (boundary, boundary + b"--"):
                del self._boundaries[at + (line == boundary) :]
                self.part += 1
                self._told = self._told and line == boundary
                if line == boundary:
                    self._new_header()
                else:
                    self._skipped = True
                return True
        return False

    def _in_header(self, line: bytes) -> None:
        header = self._header if self._header is not None else []
        if line.strip():
            self._kept += len(line)
            if self._kept <= HEADER:
                header.append(line)
            return
        fields: dict[str, str] = {}
        for one in re.sub(rb"\r?\n[ \t]+", b" ", b"".join(header)).splitlines():
            name, _, value = one.decode("utf-8", "replace").partition(":")
            fields.setdefault(name.lower(), value.strip())
        self._header = None
        if self._top:
            self.subject = fields.get("subject", "")[:200]
        self._encoding = fields.get("content-transfer-encoding", "").lower()
        kind = fields.get("content-type", "text/plain").lower()
        inside = bool(self._boundaries) and self._boundaries[-1][1]
        self._skipped = (inside and self._told) or kind.startswith(("image/", "audio/", "video/", "application/pgp"))
        if found := re.search(r'boundary="?([^";]+)', fields.get("content-type", ""), re.I):
            self._skipped = True
            if len(self._boundaries) < DEPTH:
                self._boundaries.append((b"--" + found[1].encode(), kind.startswith("multipart/alternative")))
        elif inside and kind.startswith("text/"):
            self._told = True

    def _decoded(self, line: bytes) -> bytes:
        if self._encoding == "quoted-printable":
            import quopri

            return quopri.decodestring(line)
        if self._encoding == "base64":
            import binascii

            try:
                return binascii.a2b_base64(line)
            except binascii.Error:
                return b""
        return line


def parts(stream: Iterable[bytes]) -> Iterator[Part]:
    """The mails' text, piece by piece."""
    reader = _Reader()
    for line in whole_lines(stream):
        data = reader.line(line)
        if data:
            yield Part(reader.mail, reader.subject, reader.part, data)


def by_part(stream: Iterable[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each part with its name (``mail 3, part 2: SUBJECT``) and what it holds, to be taken before the next one is."""
    for (mail, part), pieces in itertools.groupby(parts(stream), lambda one: (one.mail, one.part)):
        first = next(pieces)
        yield f"mail {mail}, part {part}: {first.subject}", (one.data for one in itertools.chain([first], pieces))


def consoles(stream: Chunks) -> Iterator[tuple[str, Chunks]]:
    """The text of each console in a file that comes in pieces, the first of them large enough to tell what it is: of
    mails each part's, with its name, to be taken before the next one is; else the file's, without a name."""
    stream = undone(stream)
    first = next(stream, b"")
    whole = itertools.chain([first], stream)
    if not is_mail(first):
        yield "", whole
        return
    for name, pieces in by_part(whole):
        yield name, undone(pieces)
