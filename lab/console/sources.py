"""From a file as it was kept to the bytes of a console: compression, UTF-16, HTML, journals and mail taken off.

Only what the first bytes show is undone, all of it streaming; a plain console goes by untouched. Formats: RFC 1952,
the xz and bzip2 file formats, ``journalctl -o json``, ``export`` and ``verbose`` (systemd.io/JOURNAL_EXPORT_FORMATS),
LAVA's ``output.yaml``; mail is :mod:`lab.console.mail`.
"""

from __future__ import annotations

import codecs
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from lab.errors import UserError

FIRST = 1 << 16
BLOCK = 1 << 18
XZ_MEMORY = 256 << 20
ZSTD_WINDOW = 128 << 20
"""Bytes that zstd may keep; what ``zstd -d`` allows by itself."""
BOMB_BYTES = 1 << 30
BOMB_RATIO = 1000
"""What unpacks to more than this many bytes, and times its size, is no console: gzip alone can't do more than 1,032."""
LINE = 1 << 16
"""Bytes of a line that are kept together."""
Chunks = Iterator[bytes]


_GREEDY = "the packed file takes more memory to unpack than any console should"


class Damaged(UserError):
    """A packed file that is cut off or damaged, or unpacks to what nobody packs; raised where that is, after all that
    could be read before it."""

    def __init__(self, message: str = "the packed file is cut off or damaged") -> None:
        super().__init__(message)


def chunks(descriptor: int) -> Chunks:
    """What a file descriptor gives; the first piece is large enough to tell what it is, where there is so much."""
    first = b""
    while len(first) < 512 and (got := os.read(descriptor, FIRST)):
        first += got
    yield first
    while got := os.read(descriptor, BLOCK):
        yield got


def undone(stream: Chunks) -> Chunks:
    """The console's text in a stream of any of the forms above but mail."""
    for _ in range(4):
        first, stream = _peek(stream)
        change = _form(first)
        if change is None:
            break
        stream = change(stream)
    return stream


def is_plain(first: bytes) -> bool:
    """Whether what begins like that can be read as it is."""
    return _form(first) is None


def _peek(stream: Chunks) -> tuple[bytes, Chunks]:
    first = next(stream, b"")
    while len(first) < 512 and (more := next(stream, b"")):
        first += more
    return first[:FIRST], itertools.chain([first], stream)


def _form(first: bytes) -> Callable[[Chunks], Chunks] | None:
    """What undoes the form that a stream which begins so is in; nothing where it is plain."""
    for magic, change in _MAGIC:
        if first.startswith(magic):
            return change
    for encoding, letters in (("utf-16-le", first[1::2]), ("utf-16-be", first[::2])):
        if letters.count(0) * 3 > len(letters) * 2 > 8:
            return partial(_recoded, encoding=encoding)
    if first.count(b"\r") > 1 and b"\n" not in first:
        return _with_line_feeds
    seen = (change for pattern, change in _SHAPES if pattern.search(first))
    return next((partial(_each, change=change) for change in seen), None)


def _with_line_feeds(stream: Chunks) -> Chunks:
    return (chunk.replace(b"\r", b"\n") for chunk in stream)


def _each(stream: Chunks, change: Callable[[bytes], bytes]) -> Chunks:
    return (change(line) for line in whole_lines(stream))


def whole_lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends; what is longer than ``LINE`` comes in pieces."""
    kept = b""
    for chunk in stream:
        *lines, kept = (kept + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(kept) > LINE:
            yield kept
            kept = b""
    if kept:
        yield kept


def _unpacked(stream: Chunks, begin: Callable[[], Any], errors: tuple[type[Exception], ...]) -> Chunks:
    """Decompressed; several members one after the other, as ``cat a.gz b.gz`` makes them. :class:`Damaged` where one is
    cut off, or no member, or one of so little gives so much."""
    engine, within = begin(), False
    taken = given = 0
    for chunk in stream:
        data = chunk
        taken += len(chunk)
        while data or not getattr(engine, "needs_input", True):
            within = True
            try:
                made = engine.decompress(data, BLOCK)
            except errors as error:
                raise (Damaged(_GREEDY) if "emory" in str(error) else Damaged()) from None
            if made:
                given += len(made)
                if given > BOMB_BYTES and given > BOMB_RATIO * taken:
                    raise Damaged(f"the packed file unpacks to more than {BOMB_RATIO} times its size")
                yield made
            if engine.eof:
                data = engine.unused_data.lstrip(b"\0")
                engine, within = begin(), False
            else:
                data = getattr(engine, "unconsumed_tail", b"")
    if within:
        raise Damaged


def _gunzipped(stream: Chunks) -> Chunks:
    import zlib

    return _unpacked(stream, lambda: zlib.decompressobj(31), (zlib.error,))


def _unxzed(stream: Chunks) -> Chunks:
    import lzma

    return _unpacked(stream, lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY), (lzma.LZMAError, EOFError))


def _unbzipped(stream: Chunks) -> Chunks:
    import bz2

    return _unpacked(stream, bz2.BZ2Decompressor, (OSError, EOFError))


_ZSTD_PIECE = 256
"""Bytes that the package zstandard is given at a time, for it bounds no output: a block takes 4 and gives 128 KiB at
most (RFC 8878, 3.1.1.2), so that they give 8 MiB."""


class _Zstandard:
    """A frame's decompressor of the package zstandard, called as the standard library's are."""

    def __init__(self, package: Any) -> None:
        self._engine = package.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._engine.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._engine.unused_data) + self.unconsumed_tail

    def decompress(self, data: bytes, _: int) -> bytes:
        self.unconsumed_tail = data[_ZSTD_PIECE:]
        return bytes(self._engine.decompress(data[:_ZSTD_PIECE]))


def _unzstd(stream: Chunks) -> Chunks:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # the standard library's, from 3.14

        limit = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW.bit_length() - 1}
        return _unpacked(stream, lambda: zstd.ZstdDecompressor(options=limit), (zstd.ZstdError, EOFError))
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        raise UserError(
            "it is compressed with zstd, and the Python package zstandard is missing",
            hint="pip install 'kernel-boot-lab[packed]', or zstd -dc FILE | lab scan -",
        ) from None
    return _unpacked(stream, lambda: _Zstandard(zstandard), (zstandard.ZstdError,))


def _recoded(stream: Chunks, encoding: str) -> Chunks:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in stream:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _without_bom(stream: Chunks) -> Chunks:
    return itertools.chain([next(stream)[3:]], stream)


_MAGIC: tuple[tuple[bytes, Callable[[Chunks], Chunks]], ...] = (
    (b"\x1f\x8b\x08", _gunzipped),
    (b"\xfd7zXZ\0", _unxzed),
    (b"BZh", _unbzipped),
    (b"\x28\xb5\x2f\xfd", _unzstd),
    (b"\xff\xfe", partial(_recoded, encoding="utf-16")),
    (b"\xfe\xff", partial(_recoded, encoding="utf-16")),
    (b"\xef\xbb\xbf", _without_bom),
)

_JSON = re.compile(rb'\A\s*(?:- )?\{[^\n]{0,8000}"(?:MESSAGE|msg)"\s*:')


def _json_message(line: bytes) -> bytes:
    """The message of a journal's entry with its time since the boot, or of a line of LAVA's."""
    import json

    try:
        entry = json.loads(line.strip().removeprefix(b"- ")) if line.strip() else {}
    except (ValueError, RecursionError):
        return line
    text = entry.get("MESSAGE", entry.get("msg", "")) if isinstance(entry, dict) else ""
    if isinstance(text, list) and all(isinstance(one, int) and 0 <= one < 256 for one in text):
        text = bytes(text).decode("utf-8", "replace")
    since = str(entry.get("__MONOTONIC_TIMESTAMP", "")) if isinstance(entry, dict) else ""
    stamp = f"[{int(since[:15]) / 1e6:12.6f}] " if since.isascii() and since.isdigit() else ""
    made = "".join(f"{stamp}{one}\n" for one in str(text).splitlines()) or "\n"
    return made.encode("utf-8", "replace")


_EXPORT = re.compile(rb"^(?:__CURSOR=|[A-Z][a-z]{2} \d{4}-\d\d-\d\d [\d:.]+ \S+ \[s=)", re.M)


def _message(line: bytes) -> bytes:
    """The message field of an entry in several lines; no other field."""
    field = line.strip(b" \t")
    return field.removeprefix(b"MESSAGE=") if field.startswith(b"MESSAGE=") else b""


_HTML = re.compile(rb"&nbsp;|\xc2\xa0|&lt;(?:TASK|IRQ|[0-9a-f]{8,16}&gt;)|<(?:!doctype html|html|pre|br ?/?)[ >]", re.I)
_TAGS = re.compile(
    rb"</?(?:html|head|title|body|pre|code|tt|p|div|span|font|br|b|i|a|table|tbody|tr|td|blockquote|hr)\b"
    rb"(?:\s[^<>]{0,500})?/?>",
    re.I,
)
_BREAK = re.compile(rb"<br ?/?>(?!\s*$)", re.I)
_ENTITIES = re.compile(rb"&(?:[a-z]{2,6}|#\d{1,5}|#x[0-9a-f]{1,5});", re.I)


def _without_html(line: bytes) -> bytes:
    """A line of an HTML page as it is shown: entities and hard spaces in words, known tags gone."""
    if b"<" in line:
        line = _TAGS.sub(b"", _BREAK.sub(b"\n", line))
    if b"&" in line:
        import html

        line = _ENTITIES.sub(lambda one: html.unescape(one[0].decode("ascii")).encode(), line)
    return line.replace(b"\xc2\xa0", b" ")


_SHAPES = ((_JSON, _json_message), (_EXPORT, _message), (_HTML, _without_html))
