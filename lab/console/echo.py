"""Lines that a machine prints twice: on two consoles that end in the same log, of which one may lag behind, or again
when a console is registered and the whole log is replayed on it (kernel/printk/printk.c, CON_PRINTBUFFER).
"""

from __future__ import annotations

MOST = 700
"""Lines that are kept to compare with: a report's, and some."""
SURE = 4
"""So many lines in a row must have come again before one may be missing: two processors whose clock stands still may
print the same line."""


class Echo:
    """What was printed since a report began, and how far it has come again. What comes again has the same time and
    comes in the same order; without times only the line right before is the same."""

    def __init__(self) -> None:
        self._printed: list[tuple[float | None, int]] = []  # time, hash of the text
        self._heard = 0

    def begin(self) -> None:
        """A report begins: what was before it need not come again, unless it has begun to."""
        if not self._heard or len(self._printed) > MOST:
            self._printed.clear()
            self._heard = 0

    def hears(self, time: float | None, text: str, *, replayed: bool) -> bool:
        """Whether the line was printed before. ``replayed``: not all lines between are told."""
        if time is None or not text:
            return False
        line = (time, hash(text))
        end = len(self._printed) if replayed else self._heard + (SURE if self._heard >= SURE else 1)
        for at in range(self._heard, min(end, len(self._printed))):
            if self._printed[at] == line:
                self._heard = at + 1
                return True
        return False

    def note(self, time: float | None, text: str) -> None:
        """A line that is new."""
        if text and len(self._printed) <= MOST:
            self._printed.append((time, hash(text)))
