"""What two labs say to each other over one SSH channel: JSON documents with their length before them, and raw files.

Each side believes the other nothing: a document has a largest size, its type and fields are checked, and a file is read
to the size that was announced and no further.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from lab.bisect.records import Boot, Build
from lab.doctor import Check

MAGIC = b"\0kernel-boot-lab 1\n"
"""Said first by the lab over there: whatever a login shell prints before it is skipped."""

LEAD_BYTES = 64 << 10
FRAME_BYTES = 64 << 20
PIECE_BYTES = 256 << 10
KEY = r"^[0-9a-f]{64}\Z"
BOOT_ID = r"^[0-9]{8}-[0-9]{6}-[0-9a-f]{8}\Z"

Key = msgspec.Meta(pattern=KEY)
KERNEL_FILES = (
    "bzImage",
    "vmlinux",
    "decompressor",
    "System.map",
    "config",
    "build.log",
    "kernel.json",
    "failure.json",
)
KernelFile = Literal[
    "bzImage", "vmlinux", "decompressor", "System.map", "config", "build.log", "kernel.json", "failure.json"
]


class Message(msgspec.Struct, frozen=True, tag_field="say", forbid_unknown_fields=True):
    """Anything that is said."""


class Have(Message, frozen=True, tag="have"):
    """Is the source with this commit there? Answered by :class:`Source`; without it, a repository to push it to."""

    commit: str
    name: str


class Examine(Message, frozen=True, tag="examine"):
    """What does the doctor say? Answered by :class:`Examined`."""


class Ask(Message, frozen=True, tag="ask"):
    """Do this, or go on with it: the request's bytes follow. Answered by :class:`Begun`, then what goes on, then
    :class:`Ended`."""

    key: str
    size: int


class Beat(Message, frozen=True, tag="beat"):
    """I am still here."""


class Cancel(Message, frozen=True, tag="cancel"):
    """End the job that I follow, unless somebody else waits for it too. Answered by :class:`Cancelled`."""


class Get(Message, frozen=True, tag="get"):
    """Send this file of a kernel or a boot. Answered by :class:`File` and its bytes."""

    kind: Literal["kernel", "boot"]
    key: str
    name: str


class Taken(Message, frozen=True, tag="taken"):
    """The result is safe here: the next same request begins anew. Answered by :class:`Beat`."""


class Welcome(Message, frozen=True, tag="welcome"):
    """Who is there."""

    python: str
    version: str


class Source(Message, frozen=True, tag="source"):
    """``there``: the commit and all its files are. Else ``repo`` is the absolute path to push to, and ``known`` are
    commits whose files are within its reach."""

    there: bool
    repo: str
    known: tuple[str, ...] = ()


class Examined(Message, frozen=True, tag="examined"):
    """What the doctor says there."""

    checks: tuple[Check, ...]


class Begun(Message, frozen=True, tag="begun"):
    """The job's run there; ``found``: it was begun by an earlier call."""

    run: int
    found: bool


class Progress(Message, frozen=True, tag="progress"):
    """What it is doing."""

    step: str
    detail: str = ""
    done: int = 0
    total: int = 0


class Console(Message, frozen=True, tag="console"):
    """What the guest printed."""

    data: bytes


class Noted(Message, frozen=True, tag="noted"):
    """What a bisect wrote down."""

    event: Build | Boot


class Ended(Message, frozen=True, tag="ended"):
    """The job's result follows in ``size`` bytes; none: it died without one, and ``why`` says what is known."""

    size: int = 0
    why: str = ""


class Cancelled(Message, frozen=True, tag="cancelled"):
    """``ended``: the job and all its children are gone. Else others wait for it."""

    ended: bool


class File(Message, frozen=True, tag="file"):
    """So many bytes follow; -1: there is no such file."""

    size: int


class Refused(Message, frozen=True, tag="refused"):
    """It can't be done: an error over there."""

    kind: Literal["user", "infrastructure"]
    message: str
    hint: str = ""


FromHere = Have | Examine | Ask | Beat | Cancel | Get | Taken
FromThere = Welcome | Source | Examined | Begun | Progress | Console | Noted | Ended | Cancelled | File | Refused | Beat
Event = Progress | Console | Noted

from_here = msgspec.json.Decoder(FromHere)
from_there = msgspec.json.Decoder(FromThere)
event = msgspec.json.Decoder(Event)
HEAD = struct.Struct(">I")


class BadFrame(Exception):
    """What was read is no document of this protocol."""


def packed(message: Any) -> bytes:
    """``message`` with its length before it."""
    data = msgspec.json.encode(message)
    return HEAD.pack(len(data)) + data


def read_frame(read: Callable[[int], bytes], decoder: msgspec.json.Decoder[Any]) -> Any:
    """The next document by ``read``, which gives exactly as many bytes as it is asked for. :class:`BadFrame`."""
    (size,) = HEAD.unpack(read(HEAD.size))
    if size > FRAME_BYTES:
        raise BadFrame(f"a document of {size} bytes")
    try:
        return decoder.decode(read(size))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadFrame(str(error)[:200]) from None
