"""From the raw bytes of one console line to its text: prefixes, escapes and quoting taken off, the kernel's time kept.

Formats: the kernel's ``print_prefix()`` (kernel/printk/printk.c: ``<level>``, ``[seconds.micros]``, ``[ T12]`` and
``[ C0]`` of PRINTK_CALLER), ``/dev/kmsg`` (Documentation/ABI/testing/dev-kmsg), ``dmesg`` (-T, -d, -x, --time-format
iso), BSD and RFC 5424 syslog, journalctl, vendors' variants of the kernel's prefix, and quoting as mail clients do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, cast

LIMIT = 4096
"""Bytes of a line that are looked at. printk's own limit is 1024; what is longer is not a kernel's line."""


class Text(NamedTuple):
    """A cleaned line: its text, the kernel's time in seconds where it had one, the printk caller (``T12``, ``C0``)."""

    text: str
    time: float | None = None
    caller: str = ""


@cache
def _escapes() -> re.Pattern[str]:
    """ANSI sequences (CSI, OSC, two-byte escapes), printk's levels (KERN_SOH, which kdb leaves in) and every control
    character but tab."""
    return re.compile(
        r"\x1b\[[0-9;?<=>]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_0-9=>]?"
        r"|\x01[0-7cd]|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
    )


_ROCKCHIP = r" / \d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}\]\[\d\]\[\d{1,7}\]\[[^\]]{1,32}"
_STAMP = rf"\[\s*(?P<time>\d{{1,9}}\.\d{{3,9}})(?:@\d+|\s*<\s*\d+\.\d+>|{_ROCKCHIP})?\]"


_DATE = (
    r"(?:[A-Z][a-z]{2} )?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d| [A-Z]{3,4}(?=[ \]]))?"
)
_DAY = r"[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
_ANY_DAY = _DAY.replace("[A-Z][a-z]{2}", r"[\dA-Za-z\u0080-\uffff][A-Za-z\d\u0080-\uffff]{1,4}\.?")
"""The same with a month's name of any language: ``lis 02``, ``févr. 12``, ``12月 03``. As every prefix it begins with a
set of letters, by which Python passes it over at once where it is none."""
_LEVEL = r"(?:emerg|alert|crit|err|warn|warning|notice|info|debug)"
_SPEAKER = r"(?:kernel|klogd)(?:\[\d+\])?:"
_PREFIXES = (
    rf"{_STAMP}(?: [\w.-]{{1,63}} {_SPEAKER}| 0\d\d:(?= ))?",  # [    0.000000], [12.34@1], [0.1 <   0.0>], 5.x-rt
    r"\[[+ ]*[-+]\d{1,9}[.,]\d{3,9}\]|\[[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d\]",  # dmesg -e: [  +0.010478], [Nov25 10:00]
    r"\d\d{0,8}\.\d{6}\](?= )",  # of which a copy lost the first bracket
    r"\[\s*(?P<caller>[TC]\d+)\]",  # PRINTK_CALLER
    r"\(\d\)\[\d+:[^\]]{1,32}\]",  # MediaTek: (3)[1234:comm]
    r"\[pid:\d+,cpu\d+,[^\]]{1,32}\]",  # HiSilicon
    r"\[c\d\](?= )|\[\d: [^\]]{10,20}: *\d{1,7}\]",  # Exynos: the processor; with the task
    r"<\d{1,3}>(?:\d (?=\d{4}-))?",  # <6>, RFC 5424's <6>1
    r"(?:\d\.\d+\.\S{1,64}?,)?\d{1,3},\d+,(?P<micros>\d+),[-cf+](?:,[^;]{0,80})?;",  # /dev/kmsg, netconsole
    r"\[?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d(?: [A-Z]{2,5})? \d{4}\]?",  # dmesg -T
    rf"{_ANY_DAY}(?: \S{{1,255}})?? {_SPEAKER}",  # BSD syslog, journalctl
    rf"{_DAY} \S{{1,255}} (?=\[\s*\d+\.\d|\d{{1,3}},\d+,\d+,[-cf+])",
    rf"\[?{_DATE}\]?:?(?: \S{{1,255}} (?:{_SPEAKER}|kernel - - -))?",
    rf"(?:\d{{10}}\.\d{{6}}|\[\s*\d{{1,9}}\.\d{{6}} <[^<>]{{1,20}}>\]) \S{{1,255}} {_SPEAKER}",  # short-unix
    rf"\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?(?=[ \]])(?: \S{{1,64}} {_SPEAKER}| #(?= ))?",
    rf"(?:kern|user|daemon) *:{_LEVEL} *:",  # dmesg -x
    rf"kern\.{_LEVEL} kernel:",
    r"[`'][`']{0,2}(?=\[|<\d|[A-Z][a-z]{2} )",  # where a code block begins in the same line
    r"kernel:",  # what syslogd tells all terminals, or all that is left of a prefix
    r"[>|](?= |>|\[|$)|>(?=[A-Z<])|[A-Z][A-Za-z]{0,15}> ",  # quoted mail, with who is quoted
    r"\d\d: (?=\[ *\d+\.\d{6}\])",  # z/VM: the processor
)


@cache
def _prefix() -> re.Pattern[str]:
    """One prefix; matched again and again until none is left."""
    return re.compile(r"\s*(?:" + "|".join(_PREFIXES) + ")")


@cache
def _plain() -> re.Pattern[str]:
    """The kernel's own prefix before a text that no other prefix can begin: most of a report's lines, for which
    trying all of them takes three times as long."""
    return re.compile(
        r"\[ *(\d{1,6}\.\d{6})\](?:\[ *([TC]\d{1,9})\])? "
        r"(?= {0,4}(?:[?a-ce-jl-tv-z_]|[A-Z][A-Z\d]{1,3}[:_ ]|\[<[\da-f]*>\] ))(?!\S* k)"
    )


_LARGE = 1 << 15
_SAMPLE = 512
_SHORT = 12
"""Bytes: where lines are shorter on the average, looking at each byte is quicker than going from end to end."""


@cache
def _counter() -> Callable[[bytes | bytearray, bytes, int, int], int] | None:
    """Stringzilla's count(), which goes from one to the next with the processor's vectors (a quarter of what
    ``bytes.count`` takes before CPython 3.13), or nothing where the library can't be used."""
    try:
        import stringzilla
    except ImportError:
        return None
    return cast("Callable[[bytes | bytearray, bytes, int, int], int]", stringzilla.count)


def count(block: bytes | bytearray, start: int, end: int) -> int:
    """How many line ends stand in ``block[start:end]``."""
    small = end - start < _LARGE
    if small or block.count(b"\n", start, start + _SAMPLE) * _SHORT > _SAMPLE or not (counter := _counter()):
        return block.count(b"\n", start, end)
    return counter(block, b"\n", start, end)


def decode(raw: bytes) -> str:
    """The line as text: escapes and control characters gone, spaces of any kind as spaces, what is no text and what no
    font has or turns the direction (other ``Cf``, ``Co`` and ``Cn`` of Unicode) as the replacement character."""
    text = raw[:LIMIT].decode("utf-8", "replace").rstrip("\r\n")
    if text.isprintable():
        return text
    text = _escapes().sub("", text.replace("\t", "        "))
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else "\ufffd"


def clean(raw: bytes) -> Text:
    """Take escapes, quoting and every known prefix off a line."""
    text = decode(raw)
    if plain := _plain().match(text):
        return Text(text[plain.end() :], float(plain[1]), plain[2] or "")
    time: float | None = None
    caller = ""
    position = start = 0
    kind: str | None = "micros"
    match = _prefix().match
    while found := match(text, position):
        if found.end() == position:
            break
        start = position
        position = found.end()
        kind = found.lastgroup
        if kind == "time":
            time = float(found["time"])
        elif kind == "micros":
            time = int(found["micros"][:18]) / 1e6
        elif kind == "caller":
            caller = found["caller"]
    spaced = kind != "micros" and not text.startswith("<", start)
    if spaced and text[position : position + 1] == " ":
        position += 1
    return Text(text[position:], time, caller)


@cache
def _raw_escapes() -> re.Pattern[bytes]:
    return re.compile(rb"\x1b\[[0-9;?<=>]*[ -/]*[@-~]")


@cache
def _stamps() -> re.Pattern[bytes]:
    return re.compile(rb"\[ *\d{1,6}\.\d{6}\]")


@cache
def _late_stamp() -> re.Pattern[bytes]:
    return re.compile(rb"(?<=[^\s>\]])\s*(?=(?:<\d>)?\[ *\d{1,6}\.\d{6}\](?:\[ *[TC]\d+\])? )")


def split(raw: bytes) -> list[bytes]:
    """Pieces of a raw line that were lines of their own: parted by a carriage return, or by a kernel's time stamp that
    another program's unfinished line (a prompt) stands before."""
    raw = raw[:LIMIT].rstrip(b"\r\n")
    if b"\x1b" in raw:
        raw = _raw_escapes().sub(b"", raw)
    pieces = raw.split(b"\r") if b"\r" in raw else [raw]
    if raw.find(b"[", 24) > 0 and _stamps().search(raw, 1):
        pieces = [part for piece in pieces for part in _parts(piece)]
    return [piece for piece in pieces if piece.strip()] or [b""]


def _parts(piece: bytes) -> list[bytes]:
    """A line parted before each later time stamp; what only other prefixes stand before begins no new line."""
    parts: list[bytes] = []
    for part in _late_stamp().split(piece):
        if parts and not clean(parts[-1] + b" [").text.strip(" ["):
            parts[-1] += b" " + part
        else:
            parts.append(part)
    return parts
