"""The cheap search: where in a block of console bytes does anything stand that a rule, a stage or the marker begins with.

Short input is searched with ``bytes.find``, which costs no start-up; from ``HYPERSCAN_FROM`` bytes on with hyperscan's literal
matcher, all needles at once (https://intel.github.io/hyperscan/dev-reference/).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from lab.console.rules import Rule, all_rules
from lab.console.stages import BOOT_SIGNS, MARKER, STAGES

HYPERSCAN_FROM = 192 << 10


class Hit(NamedTuple):
    """Needle number ``needle`` stands at ``at``."""

    at: int
    needle: int


class Table(NamedTuple):
    """All needles, and which rules each may belong to, with their places in the rules' order."""

    needles: tuple[bytes, ...]
    rules: tuple[tuple[tuple[int, Rule], ...], ...]


@cache
def table() -> Table:
    """The needles of all rules, stages and the marker, each once."""
    found: dict[bytes, list[tuple[int, Rule]]] = {}
    for place, rule in enumerate(all_rules()):
        for needle in rule.needles:
            found.setdefault(needle.encode(), []).append((place, rule))
    for extra in (*STAGES, *BOOT_SIGNS, MARKER):
        found.setdefault(extra, [])
    return Table(tuple(found), tuple(tuple(rules) for rules in found.values()))


@cache
def _database() -> Any:
    """hyperscan's database of the needles, or nothing where the library can't be used."""
    try:
        import hyperscan
    except ImportError:
        return None
    needles = table().needles
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=list(needles), ids=list(range(len(needles))), elements=len(needles), flags=0, literal=True
    )
    return database


class Search:
    """Finds needles in blocks; needles that need not be reported again can be muted."""

    def __init__(self) -> None:
        self.muted: set[int] = set()
        self._seen = 0
        self._lengths = [len(needle) for needle in table().needles]
        self._scratch: Any = None

    def hits(self, block: bytes) -> list[Hit]:
        """Every needle that is not muted, in the order of its place."""
        self._seen += len(block)
        if self._seen >= HYPERSCAN_FROM and _database() is not None:
            found = self._quick(block)
        else:
            found = self._simple(block)
        found.sort()
        return found

    def _simple(self, block: bytes) -> list[Hit]:
        found = []
        for number, needle in enumerate(table().needles):
            at = block.find(needle)
            if at < 0 or number in self.muted:
                continue
            while at >= 0:
                found.append(Hit(at, number))
                at = block.find(needle, at + 1)
        return found

    def _quick(self, block: bytes) -> list[Hit]:
        import hyperscan

        if self._scratch is None:
            self._scratch = hyperscan.Scratch(_database())
        found: list[Hit] = []
        muted, lengths = self.muted, self._lengths

        def matched(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            if number not in muted:
                found.append(Hit(end - lengths[number], number))

        _database().scan(block, match_event_handler=matched, scratch=self._scratch)
        return found
