"""Threads from a public-inbox such as lore.kernel.org, through the library that b4 itself fetches with.

liblore's node knows the archive's addresses, mirrors and formats. It gets a session of the lab's own, which bounds
every answer and follows no redirect into a private network; it is told to read no git configuration and to trust no
other archive. b4's own commands are not run: ``b4 am`` reads a ``.b4-config`` of the tree it stands in, may run checks
named there, asks DNS and keyservers for attestation, and searches the archive again for every patch. Which mails are
the series is decided by :mod:`lab.tree.importing.choose`, the same for each source; the tests compare it with b4's.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from lab.errors import InfrastructureError, LabError, UserError
from lab.files import write_atomic
from lab.tree.git import printable
from lab.tree.importing.ingest import MESSAGE_ID
from lab.tree.importing.letter import Raw, read_letters
from lab.tree.importing.mime import Unreadable
from lab.tree.importing.sources import Mails, contents, split
from lab.tree.importing.subject import read_subject
from lab.tree.network import BoundedSession, check_url
from lab.tree.repos import short_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.paths import Paths
    from lab.progress import Progress

ARCHIVE = "https://lore.kernel.org/all"
LIMIT_BYTES = 128 << 20
NEWER_LIMIT = 5
TRIES = 3

ENTRY = re.compile(r"<entry>(.*?)</entry>", re.DOTALL)
TITLE = re.compile(r"<title[^>]*>([^<]{0,500})</title>")
LINK = re.compile(r'<link\s[^>]*href="([^"]{1,1000})"')


def from_lore(source: str, *, paths: Paths, progress: Progress | None = None) -> tuple[Mails, str]:
    """The thread of ``source``, a Message-Id or the URL of a mail, and of newer revisions that the archive names; and
    the Message-Id. What was fetched before is used where the archive can't be reached.

    Raises :class:`UserError` for an address that is none, :class:`InfrastructureError` for what can't be had.
    """
    archive, msgid = address(source)
    if progress is not None:
        progress("fetch", f"{archive}/{msgid}")
    data, note = thread(archive, msgid, paths)
    raws = split(data, f"the thread of <{printable(msgid)}>")
    if not note:
        for newer in newer_revisions(archive, msgid, raws):
            more, _ = thread(archive, newer, paths)
            raws += split(more, f"the thread of <{printable(newer)}>")
    if not raws:
        raise UserError(f"{printable(source)}: the archive has no such mail")
    return Mails("thread", f"<{msgid}> of {archive}{note}", tuple(raws)), msgid


def address(source: str) -> tuple[str, str]:
    """The archive and the Message-Id of ``source``."""
    plain = MESSAGE_ID.fullmatch(source)
    if plain:
        return archive_url(), plain[1]
    check_url(source)
    parts = urlsplit(source)
    words = parts.path.strip("/").split("/")
    for number, word in enumerate(words):
        if "@" in unquote(word):
            inbox = "/".join(words[:number])
            inbox = "all" if inbox in ("r", "") and parts.hostname == "lore.kernel.org" else inbox
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{inbox}".rstrip("/"), unquote(word)
    raise UserError(f"{printable(source)[:200]}: no Message-Id in this URL", hint="https://HOST/INBOX/MESSAGE-ID/")


def archive_url() -> str:
    """The archive that a bare Message-Id is looked up in: lore, or what ``LAB_LORE`` names."""
    import os

    url = os.environ.get("LAB_LORE", ARCHIVE).rstrip("/")
    check_url(url)
    return url


def kept(archive: str, msgid: str, paths: Paths) -> Path:
    """Where a thread is kept."""
    return paths.cache / "threads" / f"{short_hash(f'{archive} {msgid}')}.mbox.gz"


def thread(archive: str, msgid: str, paths: Paths) -> tuple[bytes, str]:
    """A thread as a mailbox, and a note where it is not today's."""
    place = kept(archive, msgid, paths)
    try:
        data = fetch(archive, msgid)
    except InfrastructureError:
        if not place.is_file():
            raise
        return contents(place), ", as it was fetched before: the archive can't be reached now"
    write_atomic(place, gzip.compress(data, 6, mtime=0))
    return data, ""


def fetch(archive: str, msgid: str) -> bytes:
    """The thread, from the archive."""
    try:
        import liblore
    except ImportError:
        raise InfrastructureError(
            "b4 is not installed, which fetches threads from a mail archive",
            hint="pip install 'kernel-boot-lab[mail]', or import an mbox",
        ) from None
    import logging

    logging.getLogger("liblore").setLevel(logging.CRITICAL)
    node = liblore.LoreNode(archive, follow_upstream=False, fallback_urls=[], auto_probe=False, cache_dir=None)
    node.set_requests_session(BoundedSession(archive, limit=LIMIT_BYTES))
    why = ""
    for _ in range(TRIES):
        try:
            return node.get_mbox_by_msgid(msgid, nocache=True)
        except LabError:
            raise
        except liblore.RemoteError as error:
            status = getattr(error, "status_code", None)
            if status == 404:
                raise UserError(f"<{printable(msgid)}>: {archive} has no such mail") from None
            why = f"HTTP status {status}" if status else brief(error)
        except (OSError, EOFError, ValueError) as error:  # requests' errors are OSErrors; gzip's and zlib's are these
            why = brief(error)
        except Exception as error:
            if type(error).__module__ != "zlib":
                raise
            why = f"a damaged answer ({error})"
    raise InfrastructureError(f"{archive}: <{printable(msgid)}> could not be fetched: {why}", hint="import an mbox")


def brief(error: BaseException) -> str:
    """The cause in a chain of network errors."""
    from lab.tree.download import brief as shorter

    return printable(shorter(error))


def newer_revisions(archive: str, msgid: str, raws: Sequence[Raw]) -> list[str]:
    """Message-Ids of newer revisions that were sent as threads of their own, by the archive's search (Atom). The
    search is a help and no more: where it fails there are none."""
    known, found = set(), []
    asked = None
    for raw in raws:
        try:
            for letter in read_letters(raw):
                known.add(letter.msgid)
                asked = letter if letter.msgid == msgid else asked
        except Unreadable:
            continue
    if asked is None or not asked.subject.title or not asked.email:
        return []
    query = f's:"{asked.subject.title}" AND f:{asked.email}'
    try:
        answer = BoundedSession(archive, limit=4 << 20).get(f"{archive}/?q={quote(query)}&x=A")
    except (LabError, OSError, ValueError):
        return []
    if answer.status_code != 200:
        return []
    for entry in ENTRY.findall(answer.content.decode("utf-8", "replace")):
        title, link = TITLE.search(entry), LINK.search(entry)
        if not title or not link:
            continue
        subject = read_subject(unescape(title[1]))
        ids = [unquote(word) for word in urlsplit(unescape(link[1])).path.split("/") if "@" in unquote(word)]
        same = subject.title == asked.subject.title and not subject.reply
        if same and ids and ids[0] not in known and subject.version > asked.subject.version:
            found.append((subject.version, ids[0]))
    return [one for _, one in sorted(found, reverse=True)[:NEWER_LIMIT]]


def unescape(text: str) -> str:
    """XML's entities as characters."""
    import html

    return html.unescape(text)
