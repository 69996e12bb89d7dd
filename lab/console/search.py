"""The cheap search: where in a block of console bytes does anything stand that a rule, a stage or the marker begins with.

Short input is searched with ``bytes.find``, which costs no start-up; from ``HYPERSCAN_FROM`` bytes on with hyperscan's literal
matcher, all needles at once (https://intel.github.io/hyperscan/dev-reference/).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from lab.console.rules import Rule, all_rules
from lab.console.stages import BOOT_SIGNS, MARKER, OFFSET, STAGES

HYPERSCAN_FROM = 192 << 10


class Hit(NamedTuple):
    """Coarse needle number ``needle`` stands at ``at``."""

    at: int
    needle: int


class Needle(NamedTuple):
    """A needle, and the rules that its line may belong to with their places in the rules' order; ``extra``: it is a
    stage's or the marker."""

    text: bytes
    rules: tuple[tuple[int, Rule], ...]
    extra: bool


class Table(NamedTuple):
    """``coarse``: what is searched for, as few needles as cover all; ``covered``: for each, the needles it stands for."""

    coarse: tuple[bytes, ...]
    covered: tuple[tuple[Needle, ...], ...]


@cache
def table() -> Table:
    """The needles of all rules, stages and the marker, each once."""
    found: dict[bytes, list[tuple[int, Rule]]] = {}
    for place, rule in enumerate(all_rules()):
        for needle in rule.needles:
            found.setdefault(needle.encode(), []).append((place, rule))
    extra = frozenset((*STAGES, *BOOT_SIGNS, MARKER, OFFSET))
    for one in (*STAGES, *BOOT_SIGNS, MARKER, OFFSET):
        found.setdefault(one, [])
    coarse = tuple(one for one in found if one in extra or not any(other != one and other in one for other in found))
    needles = [Needle(one, tuple(rules), one in extra) for one, rules in found.items()]
    return Table(coarse, tuple(tuple(needle for needle in needles if one in needle.text) for one in coarse))


@cache
def _database() -> Any:
    """hyperscan's database of the needles, or nothing where the library can't be used."""
    try:
        import hyperscan
    except ImportError:
        return None
    needles = table().coarse
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
        self._lengths = [len(needle) for needle in table().coarse]
        self._scratch: Any = None

    def hits(self, block: bytes | bytearray, size: int) -> list[Hit]:
        """Every needle in ``block[:size]`` that is not muted, in the order of its place."""
        self._seen += size
        if self._seen >= HYPERSCAN_FROM and _database() is not None:
            found = self._quick(block, size)
        else:
            found = self._simple(block, size)
        found.sort()
        return found

    def _simple(self, block: bytes | bytearray, size: int) -> list[Hit]:
        found = []
        for number, needle in enumerate(table().coarse):
            at = block.find(needle, 0, size)
            if at < 0 or number in self.muted:
                continue
            while at >= 0:
                found.append(Hit(at, number))
                at = block.find(needle, at + 1, size)
        return found

    def _quick(self, block: bytes | bytearray, size: int) -> list[Hit]:
        import hyperscan

        if self._scratch is None:
            self._scratch = hyperscan.Scratch(_database())
        found: list[Hit] = []
        muted, lengths = self.muted, self._lengths

        def matched(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            if number not in muted:
                found.append(Hit(end - lengths[number], number))

        with memoryview(block)[:size] as view:
            _database().scan(view, match_event_handler=matched, scratch=self._scratch)
        return found
