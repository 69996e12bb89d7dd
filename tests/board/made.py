"""Recorded consoles as a board would have printed them, and a serial line that loses bytes."""

from __future__ import annotations

import random
from pathlib import Path

from lab.board.gate import check_sum

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
CLEAN, CRASH = CONSOLES / "clean-6.1.txt", CONSOLES / "early-policy-6.1.txt"


def replayed(console: Path, word: str) -> bytes:
    """A recorded console as if it had been recorded in this run: its command line, and its marker, have ``word``."""
    lines = []
    for line in console.read_bytes().splitlines(keepends=True):
        text = line.replace(b"ommand line: ", b"ommand line: " + word.encode() + b" ")
        lines.append(marked(text, word) if b"lab: userspace" in text else text)
    return b"".join(lines)


def marked(line: bytes, word: str) -> bytes:
    """A line with the marker, as the lab's init says it on a board."""
    at = line.index(b"lab: userspace")
    text = line[at:].rstrip().removesuffix(b" end") + b" boot=" + word.removeprefix("lab.boot=").encode()
    return line[:at] + text + b" sum=" + check_sum(text) + b" end\r\n"


def lossy(data: bytes, rate: float, random_: random.Random) -> bytes:
    """``data`` with each byte lost at ``rate``."""
    return bytes(byte for byte in data if random_.random() >= rate)
