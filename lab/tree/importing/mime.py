"""The texts of a mail out of its MIME parts, with a bound on size, parts and depth (RFC 2045 to 2047, 3676).

The standard library's parser builds a tree of all there is, however much that may be; this one walks the parts and
stops where no patch mail has ever been.
"""

from __future__ import annotations

import binascii
import email.errors
import email.header
import email.message
import email.parser
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADER_BYTES = 256 << 10
VALUE_CHARS = 16 << 10
PARAMETER_CHARS = 4096
PARTS_LIMIT = 200
DEPTH_LIMIT = 8

CHARSETS = re.compile(
    r"utf-?(?:7|8|16|32)(?:[-_]?[bl]e)?|(?:us-)?ascii|iso-?8859-\d{1,2}(?:-[ie])?|latin-?\d|windows-12\d\d|cp\d{3,4}"
    r"|koi8-[rut]|gb2312|gbk|gb18030|big5(?:-?hkscs)?|shift[-_]jis|euc-(?:jp|kr|cn)|iso-2022-(?:jp|kr)[-\w]{0,6}"
    r"|ks_c_5601-1987|tis-620|macintosh",
    re.IGNORECASE,
)
"""Python has codecs that are no charsets (``idna``, ``unicode_escape``), some of them slow by design."""

SAME = re.compile(r"utf-?8|(?:us-)?ascii", re.IGNORECASE)
DIFF_TYPES = frozenset({"text/x-patch", "text/x-diff", "application/x-patch"})
DIFF_NAME = re.compile(r".*\.(?:patch|diff|txt)", re.IGNORECASE | re.DOTALL)


class Unreadable(Exception):
    """A mail that can't be taken; the message says why, in words that stand after its name."""


@dataclass(frozen=True)
class Part:
    """A text of a mail: UTF-8 where that could be made of it, other bytes as surrogates. ``attached``: a patch that
    came as a file."""

    text: str
    attached: bool


def split_head(data: bytes) -> tuple[email.message.Message, bytes]:
    """The headers of a mail or a part, and its body. Raises :class:`Unreadable` where the headers have no end."""
    if data.startswith(b"\n"):
        return email.message.Message(), data[1:]
    end = data.find(b"\n\n", 0, HEADER_BYTES)
    if end < 0 and len(data) > HEADER_BYTES:
        raise Unreadable(f"its headers are longer than {HEADER_BYTES >> 10} KiB")
    head, body = (data, b"") if end < 0 else (data[: end + 1], data[end + 2 :])
    message = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(head)
    for name in ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding"):
        if len(str(message.get(name, ""))) > PARAMETER_CHARS:  # the standard library reads these in quadratic time
            raise Unreadable(f"its {name} is longer than {PARAMETER_CHARS} characters")
    return message, body


def header(message: email.message.Message, name: str) -> str:
    """A header's value, decoded (RFC 2047) and unfolded; empty where there is none."""
    raw = message.get(name)
    value = re.sub(r"[\r\n]+\s*", " ", "" if raw is None else str(raw))[:VALUE_CHARS]
    if raw is not None and not isinstance(raw, str):  # bytes beyond ASCII that no encoded word announced
        return bytes_of(raw).decode("utf-8", "replace")[:VALUE_CHARS]
    if "=?" not in value:
        return value
    try:
        words = email.header.decode_header(value)
    except (email.errors.HeaderParseError, ValueError, binascii.Error):
        return value
    return (
        "".join(word if isinstance(word, str) else recoded(word, charset or "us-ascii")[0] for word, charset in words)
        .encode("utf-8", "surrogateescape")
        .decode("utf-8", "replace")
    )


def bytes_of(raw: object) -> bytes:
    """The bytes behind a header that the standard library could not read as ASCII."""
    chunks = getattr(raw, "_chunks", None)
    text = "".join(chunk for chunk, _ in chunks) if chunks else str(raw)
    return re.sub(r"[\r\n]+\s*", " ", text).encode("utf-8", "surrogateescape")


def texts(message: email.message.Message, body: bytes) -> tuple[list[Part], list[str]]:
    """The texts of a mail in their order, and what is worth telling about the parts that were left out.

    Raises :class:`Unreadable` for too many parts, parts within parts within parts, and encodings nobody knows.
    """
    notes: list[str] = []
    parts = [part for part in walk(message, body, notes, Count(), 0) if part is not None]
    return parts, list(dict.fromkeys(notes))


@dataclass
class Count:
    """How many parts a mail has had so far."""

    parts: int = 0


def walk(
    message: email.message.Message, body: bytes, notes: list[str], count: Count, depth: int
) -> Iterator[Part | None]:
    """See :func:`texts`."""
    count.parts += 1
    if count.parts > PARTS_LIMIT:
        raise Unreadable(f"it has more than {PARTS_LIMIT} parts")
    if depth > DEPTH_LIMIT:
        raise Unreadable(f"its parts are nested more than {DEPTH_LIMIT} deep")
    kind = message.get_content_type()
    if kind.startswith("multipart/"):
        boundary = message.get_boundary("")
        if not boundary:
            raise Unreadable("it is of several parts and names no boundary between them")
        pieces = cut(body, boundary.encode("utf-8", "surrogateescape"))
        inner: list[Part] = []
        for piece in pieces:
            inner += [part for part in walk(*split_head(piece), notes, count, depth + 1) if part is not None]
            if kind == "multipart/alternative" and inner:
                break  # the first is the plain one (RFC 2046, 5.1.4)
        yield from inner
        return
    name = (message.get_filename("") or "")[:200]
    patch = kind in DIFF_TYPES or (kind.startswith(("text/", "application/octet")) and bool(DIFF_NAME.fullmatch(name)))
    if kind == "text/plain" or patch:
        text, note = decoded(message, body)
        notes += [note] if note else []
        disposition = str(message.get("Content-Disposition", "")).strip().casefold()
        yield Part(text, attached=patch and (disposition.startswith("attachment") or kind != "text/plain"))
    elif kind == "text/html":
        notes.append("its HTML was left out")
    elif kind == "application/pgp-encrypted" or kind.endswith("/encrypted"):
        raise Unreadable("it is encrypted")
    elif kind not in ("application/pgp-signature", "application/pkcs7-signature"):
        notes.append(f"a part of type {kind[:60]} was left out")


def cut(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """The parts between boundary lines, one at a time; a missing last boundary ends with the mail."""
    mark = re.compile(rb"(?:^|\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\n|$)")
    found = mark.search(body)
    if found is None:
        raise Unreadable("the boundary between its parts is nowhere in it")
    while found is not None and not found[1]:
        start = found.end()
        # The line end before a boundary belongs to the boundary: look from one byte earlier for empty parts.
        found = mark.search(body, start - 1)
        yield body[start : found.start() if found is not None else len(body)]


def decoded(message: email.message.Message, body: bytes) -> tuple[str, str]:
    """The text of one part, and a note where its bytes are not what was sent."""
    data = transferred(body, str(message.get("Content-Transfer-Encoding", "7bit")).strip().casefold())
    if data.count(b"\r\n") == data.count(b"\n"):
        data = data.replace(b"\r\n", b"\n")
    charset = str(message.get_content_charset("us-ascii"))
    text, note = recoded(data, charset)
    if str(message.get_param("format", "")).casefold() == "flowed":
        text = unflowed(text, str(message.get_param("delsp", "")).casefold() == "yes")
    return text, note


def transferred(body: bytes, encoding: str) -> bytes:
    """``body`` without its transfer encoding."""
    if encoding in ("", "7bit", "8bit", "binary"):
        return body
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding == "base64":
        clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body.partition(b"=")[0])
        clean = clean[: len(clean) - (len(clean) % 4 == 1)]
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    if encoding in ("x-uuencode", "uuencode", "x-uue"):
        return uudecoded(body)
    raise Unreadable(f"its transfer encoding is {encoding[:40]!r}, which is none")


def uudecoded(body: bytes) -> bytes:
    """The file between ``begin`` and ``end``."""
    out: list[bytes] = []
    inside = False
    for line in body.split(b"\n"):
        if line.startswith(b"begin "):
            inside = True
        elif inside and line.strip() == b"end":
            break
        elif inside and line:
            try:
                out.append(binascii.a2b_uu(line))
            except binascii.Error:
                raise Unreadable("its uuencoded text is damaged") from None
    return b"".join(out)


def recoded(data: bytes, charset: str) -> tuple[str, str]:
    """``data`` as text. UTF-8, ASCII and what can't be read as its charset stay the bytes that they are."""
    if not SAME.fullmatch(charset) and not data.isascii():
        if not CHARSETS.fullmatch(charset):
            return data.decode("utf-8", "surrogateescape"), f"its charset {charset[:40]!r} is unknown; bytes kept"
        try:
            return data.decode(charset), f"its text was recoded from {charset.lower()}"
        except (UnicodeDecodeError, LookupError):
            return data.decode("utf-8", "surrogateescape"), f"its text is not the {charset.lower()} it says; bytes kept"
    if re.fullmatch(r"utf-?(?:7|16|32).*|iso-2022-.*", charset, re.IGNORECASE):  # ASCII bytes that are not ASCII text
        try:
            return data.decode(charset), f"its text was recoded from {charset.lower()}"
        except (UnicodeDecodeError, LookupError):
            pass
    return data.decode("utf-8", "surrogateescape"), ""


def unflowed(text: str, delsp: bool) -> str:
    """Text with ``format=flowed`` as it was before (RFC 3676), as git-mailinfo(1) does it for patches too."""
    lines: list[str] = []
    joined = False
    for raw in text.split("\n"):
        line = raw.removeprefix(" ") if raw.startswith(" ") else raw
        soft = line.endswith(" ") and line != "-- "
        kept = line[:-1] if soft and delsp else line
        if joined:
            lines[-1] += kept
        else:
            lines.append(kept)
        joined = soft
    return "\n".join(lines)
