"""Patches as mails: author, date, subject and text from the headers, as ``git am`` takes them.

A plain diff without headers is taken too: its file's name is the subject, and the lab its author.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

from lab.errors import UserError
from lab.tree.archive import DATE
from lab.tree.git import git, printable, reason

LIMIT_BYTES = 32 << 20
LAB_NAME = "Kernel boot lab"
LAB_EMAIL = "lab@localhost"
LAB_DATE = "@" + DATE

MAGIC = re.compile(rb"^From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001\r?$", re.M)
"""The separator that git-format-patch(1) puts before each mail."""

PLAIN = re.compile(rb"\s*(diff --git |--- |Index: )")


@dataclass(frozen=True)
class Mail:
    """A patch with what is known about it. ``date`` is ``@seconds zone`` of the epoch; ``message`` begins with the
    subject."""

    subject: str
    author: str
    email: str
    date: str
    message: str
    diff: bytes

    @property
    def author_environment(self) -> dict[str, str]:
        """The author as git-commit-tree(1) takes it."""
        return {"GIT_AUTHOR_NAME": self.author, "GIT_AUTHOR_EMAIL": self.email, "GIT_AUTHOR_DATE": self.date}


def read_patch(path: Path) -> bytes:
    """The bytes of a patch file; :class:`UserError` where it can't be read, is empty, or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if len(data) > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a patch")
    if not data.strip():
        raise UserError(f"{path}: the patch is empty")
    if len(MAGIC.findall(data)) > 1:
        raise UserError(f"{path}: has more than one mail in it", hint="git mailsplit makes a file of each")
    return data


def read_mail(path: Path, data: bytes, repo: Path) -> Mail:
    """The mail in ``data``, which is patch file ``path``; ``repo`` is any git directory."""
    data = without_carriage_returns(data)
    if PLAIN.match(data):
        subject = clean_line(path.stem)
        return Mail(subject, LAB_NAME, LAB_EMAIL, LAB_DATE, f"{subject}\n", data)
    with tempfile.TemporaryDirectory(prefix="lab-mail-") as folder:
        body, diff = Path(folder, "message"), Path(folder, "diff")
        args = ("mailinfo", "--encoding=UTF-8", "--quoted-cr=nowarn", str(body), str(diff))
        done = git(repo, *args, input=data, check=False)
        if not done.ok:
            raise UserError(f"{path}: not a patch mail: {reason(done)}")
        info, text, patch = done.stdout.decode("utf-8", "replace"), body.read_bytes(), diff.read_bytes()
    found = dict(re.findall(r"^(Author|Email|Subject|Date): (.*)$", info, re.M))
    subject = clean_line(found.get("Subject", "")) or clean_line(path.stem)
    rest = clean_text(text.decode("utf-8", "replace"))
    return Mail(
        subject=subject,
        author=clean_name(found.get("Author", "")) or LAB_NAME,
        email=clean_name(found.get("Email", "")) or LAB_EMAIL,
        date=clean_date(found.get("Date", "")),
        message=f"{subject}\n\n{rest}\n" if rest else f"{subject}\n",
        diff=patch,
    )


def without_carriage_returns(data: bytes) -> bytes:
    """A mail that came with CRLF line ends throughout, with LF. One whose headers end in LF keeps its diff as it is:
    there the file itself has CRLF."""
    first = data[: data.find(b"\n") + 1]
    return data.replace(b"\r\n", b"\n") if first.endswith(b"\r\n") else data


def clean_line(text: str) -> str:
    """One line that a terminal can be shown."""
    return printable(" ".join(text.split()))[:500]


def clean_text(text: str) -> str:
    """A changelog with its lines, and nothing else that moves a cursor."""
    return "\n".join(printable(line.expandtabs()) for line in text.replace("\r\n", "\n").split("\n")).strip()


def clean_name(text: str) -> str:
    """A name or address without what git would drop from it anyway."""
    return re.sub(r"[<>\n]", "", printable(text)).strip(" .,:;\"'\\")[:200]


def clean_date(text: str) -> str:
    """A mail's date for git: ``@seconds zone``; a fixed one where it is missing or no date."""
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)  # "-0000": UTC, but nobody knows where
        seconds = int(when.timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return LAB_DATE
    zone = when.strftime("%z")[:5] or "+0000"
    return f"@{seconds} {zone}" if 100_000_000 <= seconds < 1 << 32 else LAB_DATE
