"""Getting a large file over an unreliable network: resumed, retried, bounded and checked."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lab.errors import InfrastructureError
from lab.files import write_atomic

if TYPE_CHECKING:
    import requests

    from lab.progress import Progress

SIZE_LIMIT = 1 << 30
"""No kernel archive comes near this."""

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
CHUNK = 1 << 18

TRIES = 4
"""Tries in a row that brought not one byte before the lab gives up."""

PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may be gone a moment later."""


class Validator(msgspec.Struct, frozen=True):
    """What tells that the rest of a file belongs to the part that is here (RFC 9110, If-Range)."""

    url: str
    value: str


@dataclass(frozen=True)
class Partial:
    """A download that has begun: its bytes and what they are part of."""

    part: Path
    note: Path

    def have(self) -> int:
        """Bytes that are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def drop(self) -> None:
        """Begin again."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def validator(self, url: str) -> str:
        """The ``If-Range`` value for what is here, empty if there is none."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            known = msgspec.json.decode(self.note.read_bytes(), type=Validator)
            return known.value if known.url == url else ""
        return ""


@dataclass(frozen=True)
class Bounds:
    """Until when (of the monotonic clock) a download may go on, and how many bytes it may have."""

    until: float
    size: int


class Broken(Exception):
    """One try that failed and may be repeated."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    deadline: float = 3600.0,
    pause: float = 1.0,
    size_limit: int = SIZE_LIMIT,
    progress: Progress | None = None,
) -> str:
    """Get ``url`` as file ``target``, which appears when it is whole, and return its SHA-256 as hex digits.

    What a try left (``target`` with ``.part``) is used by the next, also by another process later, if ``sha256`` is
    known or the server vouches that the file is still the same. ``deadline`` and ``pause``, the wait after the first
    failure that doubles with each, are in seconds, ``size_limit`` in bytes. Raises :class:`InfrastructureError` that
    names the URL.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Partial(target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json"))
    limit = Bounds(time.monotonic() + deadline, size_limit)
    failures, wrong = 0, False
    while True:
        before = partial.have()
        try:
            fetch(url, partial, bool(sha256), limit, progress)
        except Broken as error:
            failures = 1 if partial.have() > before else failures + 1
            wait = pause * 2 ** (failures - 1)
            if failures >= TRIES or time.monotonic() + wait > limit.until:
                raise InfrastructureError(f"{url}: {error}", hint="check the network and try again") from None
            time.sleep(wait)
            continue
        except OSError as error:
            raise InfrastructureError(f"{partial.part}: {error.strerror or error}") from None
        found = file_hash(partial.part)
        if not sha256 or found == sha256:
            partial.part.replace(target)
            partial.note.unlink(missing_ok=True)
            return found
        partial.drop()
        if wrong:
            raise InfrastructureError(f"{url}: SHA-256 is {found}, not {sha256}: not the file that was asked for")
        wrong = True  # a part from before may have been damaged: once more, from the beginning


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, partial: Partial, known: bool, limit: Bounds, progress: Progress | None) -> None:
    """One try: ask for what is missing of ``url`` and append it. Raises :class:`Broken` where it stopped early."""
    import requests
    import urllib3

    from lab.tree.network import Session

    have = partial.have()
    validator = partial.validator(url)
    if have and not (validator or known):
        partial.drop()
        have = 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "kernel-boot-lab"}
    if have:
        headers["Range"] = f"bytes={have}-"
        headers |= {"If-Range": validator} if validator else {}
    try:
        with (
            Session(url) as session,
            session.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS)) as response,
        ):
            size = begin(response, url, partial, have)
            if size >= 0 and partial.have() == size:
                return
            append(response, partial, size, limit, progress)
    except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError):
        raise Broken(f"the connection ended after {partial.have()} bytes") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Broken(brief(error)) from None
    if partial.have() < size:
        raise Broken(f"the connection ended after {partial.have()} of {size} bytes")


def begin(response: requests.Response, url: str, partial: Partial, have: int) -> int:
    """Make ready for the body of ``response``; the size of the whole file, -1 if the server does not say."""
    status = response.status_code
    span = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    if status == 416:  # nothing left to send: it is whole, or it is not what it was
        if span and int(span[2]) == have:
            return have
        partial.drop()
        raise Broken("the server has another file than before")
    if status in PASSING:
        raise Broken(f"HTTP status {status}")
    if status == 206:
        if span is None or span[1] != str(have):
            partial.drop()
            raise Broken("the server sent another part than was asked for")
        return int(span[2])
    if status != 200:
        raise InfrastructureError(f"{url}: HTTP status {status}")
    partial.drop()
    etag = response.headers.get("ETag", "")
    value = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if value:
        write_atomic(partial.note, msgspec.json.encode(Validator(url, value)))
    partial.part.touch()
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else -1


def append(response: requests.Response, partial: Partial, size: int, limit: Bounds, progress: Progress | None) -> None:
    """Write the body behind what is there already. The bytes are taken as they are: a server that labels a ``.tar.gz``
    as gzip-encoded text must not have it unpacked."""
    name = partial.part.name.removesuffix(".part")
    done = partial.have()
    with partial.part.open("ab") as file:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            done += len(chunk)
            if done > limit.size:
                partial.drop()
                raise InfrastructureError(f"{response.url}: larger than {limit.size >> 20} MiB, so not what was meant")
            file.write(chunk)
            if time.monotonic() > limit.until:
                raise Broken("took too long")
            if progress is not None:
                progress("download", name, done, max(size, 0))


def brief(error: BaseException) -> str:
    """The last cause in a chain of network errors, which is the one that says something."""
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([^'\")>]+)", text)
    return found[1] if found else text.splitlines()[0][:200] if text else type(error).__name__
