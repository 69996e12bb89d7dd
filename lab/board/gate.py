"""What of a board's console belongs to this run: pure, between the bytes and the scanner.

A serial line is no pipe. It loses bytes, a console server repeats what an earlier boot said, and a board may boot what
it was not asked to. So a run puts a word of its own (``lab.boot=1f3a…``) on the kernel's command line, where the board
takes one: the kernel prints its command line, and the lab's init repeats the word in its marker, with a check sum.
Until that word was seen nothing counts, and then what that kernel has printed; a marker that came damaged is none.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.console.scanner import Scanner

WORD = "lab.boot="
TOKEN = re.compile(rb"lab\.boot=([0-9a-f]+)")
COMMAND_LINE = re.compile(rb"ommand line: ")
"""init/main.c, and arch/x86/kernel/setup.c once more."""
BANNER = b"Linux version "
MARKER = b"lab: userspace"
RAN = re.compile(rb"lab: run status=\d+ end")
SUM = re.compile(rb" sum=([0-9a-f]{8}) end")
BOOT = re.compile(rb" boot=(\S+)")
LINE_BYTES = 1 << 16
ASIDE_BYTES = 4 << 20
"""What is kept of a boot before it is known whose it is."""


class Gate:
    """Hands lines to a scanner, or keeps them back: guards which boot they are of.

    ``confirmed``: this run's word was seen, or there is none. ``strange``: after that another kernel was started.
    ``earlier`` counts the boots before it, ``damaged`` the markers that did not come whole or without the word.
    ``ran``: the test programs have ended.
    """

    def __init__(self, token: str, scanner: Scanner, *, strict: bool = False) -> None:
        """``token`` is this run's word, empty where the board takes no command line; ``strict``: its user space is the
        lab's, so that a marker has to have that word and a check sum."""
        self.token = token.encode()
        self.strict = strict and bool(token)
        self.scanner = scanner
        self.rest = bytearray()
        self.batch = bytearray()
        self.aside = bytearray()
        self.confirmed = not token
        self.strange = False
        self.anew = False
        self.foreign = False
        self.boots = 0
        self.damaged = 0
        self.earlier = 0
        self.ran = False

    @property
    def fatal(self) -> bool:
        """Whether this run's kernel died."""
        return self.confirmed and self.scanner.fatal is not None

    def feed(self, chunk: bytes) -> None:
        """The console's next bytes. What is no whole line yet waits for its end."""
        self.rest += chunk
        end = self.rest.rfind(b"\n") + 1
        if not end and len(self.rest) >= LINE_BYTES:
            end = len(self.rest)
        if end:
            block = bytes(self.rest[:end])
            del self.rest[:end]
            for line in block.splitlines(keepends=True):
                self.line(line)
            self.flush()

    def close(self) -> None:
        """The console has ended. Where the word was never seen, the scanner gets the last boot, to tell of it."""
        if self.rest:
            line, self.rest = bytes(self.rest), bytearray()
            self.line(line)
        self.flush()
        if not self.confirmed:
            self.scanner.feed(bytes(self.aside))

    def flush(self) -> None:
        """Hand on the lines that wait for that: one by one would take twice as long."""
        batch, self.batch = self.batch, bytearray()
        if batch:
            self.scanner.feed(bytes(batch))

    def line(self, line: bytes) -> None:
        """One line: this run's, or another's."""
        if BANNER in line:
            self.boots += 1
            self.anew = True
            if self.boots > 1 and not self.confirmed:
                self.aside.clear()
            self.foreign = False
        if self.token and COMMAND_LINE.search(line):
            self.told(line)
        if MARKER in line:
            self.flush()
            self.marker(line)
        elif not self.confirmed:
            self.aside += line[: max(0, ASIDE_BYTES - len(self.aside))]
        elif not self.strange:
            self.ran = self.ran or bool(RAN.search(line))
            self.batch += line

    def told(self, line: bytes) -> None:
        """The kernel tells what it was started with. What has no such word where this boot's was seen before has lost
        it on the line."""
        found = TOKEN.search(line)
        if found and found[1] == self.token:
            self.ours()
        elif not self.confirmed:
            self.foreign = True
        elif self.anew:
            self.strange = True

    def ours(self) -> None:
        """What comes, and what came since this kernel began, is of this run."""
        if not self.confirmed:
            self.confirmed = True
            self.earlier = max(0, self.boots - 1)
            self.batch += b"" if self.foreign else self.aside  # where it is, this kernel's first line was lost
            self.aside.clear()
            self.flush()
        self.strange = self.anew = False

    def marker(self, line: bytes) -> None:
        """User space speaks: whole, and of this run?"""
        text = line[line.index(MARKER) :]
        total, word = SUM.search(text), BOOT.search(text)
        whole = total is not None and check_sum(text[: total.start()]) == total[1]
        if whole and word and word[1] == self.token:
            self.ours()
            self.scanner.feed(line)
        elif self.strict or (total and not whole) or b" end" not in text or not self.confirmed:
            self.damaged += not (whole and word)  # else it is an earlier boot's
        elif not self.strange:
            self.scanner.feed(line)


def check_sum(data: bytes) -> bytes:
    """The first eight digits of what ``md5sum`` says, which every busybox has; bytes are lost, nobody forges them."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()[:8].encode()
