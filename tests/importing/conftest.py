"""Mails in the forms that real ones have, written here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.paths import Paths

DEV = "Ärger Dev <dev@example.org>"


def diff(name: str = "mm/slub.c", line: str = "one", index: str = "1111111..2222222") -> str:
    return (
        f"diff --git a/{name} b/{name}\nindex {index} 100644\n--- a/{name}\n+++ b/{name}\n"
        f"@@ -1 +1,2 @@\n int slub;\n+int {line};\n"
    )


def mail(
    subject: str,
    body: str,
    *,
    msgid: str,
    parent: str = "",
    sender: str = "Dev <dev@example.org>",
    minute: int = 0,
    headers: str = "",
) -> bytes:
    """One mail as git send-email writes it."""
    lines = [f"From: {sender}", "To: linux-mm@example.org", f"Date: Tue, 06 Nov 2012 09:{minute:02}:36 +0000"]
    lines += [f"Message-Id: <{msgid}>", f"Subject: {subject}"]
    lines += [f"In-Reply-To: <{parent}>", f"References: <{parent}>"] if parent else []
    head = "\n".join(lines) + "\n" + headers
    return head.encode() + b"\n" + body.encode()


def mbox(*mails: bytes) -> bytes:
    """A mailbox in public-inbox's form."""
    return b"".join(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n" + one.rstrip(b"\n") + b"\n\n" for one in mails)


def patch_body(n: int, text: str = "Why.") -> str:
    return f"{text}\n\nSigned-off-by: Dev <dev@example.org>\n---\n mm/slub.c | 1 +\n\n{diff(line=f'n{n}')}-- \n2.39.5\n"


def series(total: int, version: str = "", prefix: str = "PATCH", key: str = "v1", parent: str = "") -> list[bytes]:
    """A cover and ``total`` patches, in one thread."""
    mails = [mail(f"[{prefix}{version} 0/{total}] mm: a series", "Cover.\n", msgid=f"{key}-0@x", parent=parent)]
    mails += [
        mail(f"[{prefix}{version} {n}/{total}] mm: part {n}", patch_body(n), msgid=f"{key}-{n}@x", parent=f"{key}-0@x",
             minute=n % 60)
        for n in range(1, total + 1)
    ]  # fmt: skip
    return mails


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("x.mbox", data)`` makes a file and gives its path."""

    def make(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return make


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A user's folders with nothing in them."""
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


@pytest.fixture
def kernel_tree(tmp_path: Path) -> Path:
    """A small kernel as an unpacked source."""
    folder = tmp_path / "linux"
    (folder / "mm").mkdir(parents=True)
    (folder / "Makefile").write_text("VERSION = 3\nPATCHLEVEL = 7\nSUBLEVEL = 2\nEXTRAVERSION =\n")
    (folder / "mm" / "slub.c").write_text("int slub;\n")
    return folder
