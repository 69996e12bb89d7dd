"""Lines that a mail program, a forum or a person's terminal broke in two, one again."""

from __future__ import annotations

from collections.abc import Sequence

from lab.console.parse import Numbered
from lab.console.patterns import compiled
from lab.console.registers import is_register


def single_spaced(lines: Sequence[Numbered]) -> Sequence[Numbered]:
    """The lines without the empty ones, where a mail program put one after each."""
    empty = sum(not line.text.strip() for line in lines)
    spaced = len(lines) > 8 and empty * 4 > len(lines)
    return [line for line in lines if line.text.strip()] if spaced else lines


_OWN_LINE = r"[A-Z]\w*: "
"""What no line goes on with. Where a machine has no name, 3.7 ends ``Pid: 1, comm: swapper/0 Not tainted 3.7.2 #1``
with the two spaces before it, and ``RIP: `` follows."""


_PANIC = "Kernel panic - not syncing: "
"""What it says is the title, and it does not end with a space of its own."""


def unwrapped(lines: Sequence[Numbered]) -> list[Numbered]:
    """Lines that a mail program broke in two are one again: RFC 3676's flowed text leaves a space at the break."""
    made: list[Numbered] = []
    open_ = False
    flowed = 2 * sum(line.text.endswith("  ") for line in lines) < len(lines)  # else it is how a forum ends each line
    for line in lines:
        goes_on = open_ and line.text[:1].strip() and not compiled(_OWN_LINE).match(line.text)
        if goes_on or (made and _broken(made[-1].text, line.text)):
            made[-1] = made[-1]._replace(text=f"{made[-1].text.rstrip()} {line.text.lstrip()}")
        elif made and "0x" in line.text[:_BEGIN] and _cut(made[-1].text, line.text):
            made[-1] = made[-1]._replace(text=made[-1].text + line.text)
        else:
            made.append(line)
        text = made[-1].text
        open_ = flowed and line.text.endswith("  ") and line.text[-3:-2] != " " and 30 <= len(line.text) <= 80
        open_ = open_ or (text.endswith(" ") and _PANIC in text and len(text) > 40)
    return made


BROKEN = r"(?P<func>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+"
"""A function at the begin of the line after a header: where a mail program broke the header in two."""

_ADDRESSES = r"^\[[0-9a-f]{16}\] \[[0-9a-f]{16}\]$"
"""What stands before a function in powerpc's traces, as long as a mail's line may be."""

_POINTED = r"^(?:RIP|EIP|IP)\b.*\[<[0-9a-f]{8,16}>\]$"
_NAMED = r"(?:\[<[0-9a-f]{8,16}>\] +)?[A-Za-z_][\w.$]*\+0x[0-9a-f]+/0x[0-9a-f]+"
"""x86's instruction pointer, broken between its addresses or behind them."""

_VALUE = r"[0-9a-f]{8,16}(?:\s|$)"
"""A register's value, where its name is the line's before."""

_LONGEST = 6
"""Letters of a register's name."""

_PLACE_LAST = r"WARNING: (?:.* )?at \S+\.[chS]:\d+\s*$"


_BEGIN = 80
_CUT_NAME = r"(?:\[<[0-9a-f]{8,16}>\]|<[0-9a-f]{8,16}>) (?:\? )?[A-Za-z_][\w.]*$"
_CUT_OFFSET = r"[A-Za-z_][\w.]*\+0x[0-9a-f]*$"
"""A frame at the end of a line that was cut where it was full, in the name or behind it, or in the offset."""


def _cut(text: str, after: str) -> bool:
    """Whether a frame goes on in the next line without a space between."""
    if compiled(r"[\w.]*\+0x[0-9a-f]+/0x").match(after):
        return compiled(_CUT_NAME).search(text[-_BEGIN:]) is not None
    if compiled(r"[0-9a-f]*/0x[0-9a-f]").match(after):
        return compiled(_CUT_OFFSET).search(text[-_BEGIN:]) is not None
    return False


def _broken(text: str, after: str) -> bool:
    """Whether a line goes on in the next, which begins with the function that it says it is at."""
    end = text.rstrip()
    if end.endswith(":") and len(name := end[end.rfind(" ") + 1 : -1]) <= _LONGEST and is_register(name):
        return compiled(_VALUE).match(after.lstrip()) is not None
    if "+0x" not in after:
        return False
    if end.endswith("]"):
        if end.endswith(">]") and compiled(_POINTED).match(end):
            return compiled(_NAMED).match(after.lstrip()) is not None
        whole = not compiled(_ADDRESSES).match(end)
    else:
        whole = not end.endswith((" at", " at:", " in"))
        whole = whole and not ("WARNING: " in text and compiled(_PLACE_LAST).search(text))
    return not whole and compiled(BROKEN).match(after.lstrip()) is not None
