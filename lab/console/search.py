"""The cheap search: where in a block of console bytes does anything stand that a rule, a stage or the marker
begins with.

Short input is searched with ``bytes.find``, which costs no start-up; from ``HYPERSCAN_FROM`` bytes on, and wherever
the library is loaded already, with hyperscan's literal matcher, all needles at once (https://intel.github.io/hyperscan/dev-reference/).
"""

from __future__ import annotations

import sys
from collections.abc import Set
from functools import cache
from typing import Any, NamedTuple

from lab.console.rules import Rule, all_rules
from lab.console.stages import BOOT_SIGNS, INITCALLS, MARKER, OFFSET, STAGES

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
    """``coarse``: what is searched for, as few needles as cover all; ``covered``: for each, the needles it stands
    for.
    """

    coarse: tuple[bytes, ...]
    covered: tuple[tuple[Needle, ...], ...]


@cache
def table() -> Table:
    """The needles of all rules, stages and the marker, each once."""
    found: dict[bytes, list[tuple[int, Rule]]] = {}
    for place, rule in enumerate(all_rules()):
        for needle in rule.needles:
            found.setdefault(needle.encode(), []).append((place, rule))
    extra = frozenset((*STAGES, *BOOT_SIGNS, *INITCALLS, MARKER, OFFSET))
    for one in (*STAGES, *BOOT_SIGNS, *INITCALLS, MARKER, OFFSET):
        found.setdefault(one, [])
    coarse = tuple(one for one in found if one in extra or not any(other != one and other in one for other in found))
    needles = [Needle(one, tuple(rules), one in extra) for one, rules in found.items()]
    return Table(coarse, tuple(tuple(needle for needle in needles if one in needle.text) for one in coarse))


class Engine(NamedTuple):
    """hyperscan's database of some of the coarse needles; ``numbers`` and ``lengths`` are theirs, ``muted`` how many
    needles were muted when it was made."""

    database: Any
    scratch: Any
    numbers: list[int]
    lengths: list[int]
    muted: int


def engine(muted: Set[int]) -> Engine | None:
    """hyperscan over all needles but the muted, or nothing where the library can't be used."""
    try:
        import hyperscan
    except ImportError:
        return None
    numbers = [number for number in range(len(table().coarse)) if number not in muted]
    needles = [table().coarse[number] for number in numbers]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=needles, ids=list(range(len(needles))), elements=len(needles), flags=0, literal=True)
    return Engine(database, hyperscan.Scratch(database), numbers, [len(needle) for needle in needles], len(muted))


@cache
def first_engine() -> Engine | None:
    """The engine over all needles, made once in a process (3 ms)."""
    return engine(frozenset())


class Search:
    """Finds needles in blocks; needles that need not be reported again can be muted."""

    def __init__(self) -> None:
        self.muted: set[int] = set()
        self._seen = 0
        self._engine: Engine | None = None
        self._renew_at = HYPERSCAN_FROM

    def hits(self, block: bytes | bytearray, size: int) -> list[Hit]:
        """Every needle in ``block[:size]`` that is not muted, in the order of its place."""
        self._seen += size
        if self._engine is None and "hyperscan" in sys.modules:
            self._engine = first_engine()
        if self._seen >= self._renew_at:
            if self._engine is None or self._engine.muted != len(self.muted):
                self._engine = engine(self.muted)
            self._renew_at = self._seen * 8
        found = self._quick(self._engine, block, size) if self._engine else self._simple(block, size)
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

    def _quick(self, engine: Engine, block: bytes | bytearray, size: int) -> list[Hit]:
        found: list[Hit] = []
        muted, numbers, lengths = self.muted, engine.numbers, engine.lengths

        def matched(place: int, _start: int, end: int, _flags: int, _context: object) -> None:
            if numbers[place] not in muted:
                found.append(Hit(end - lengths[place], numbers[place]))

        with memoryview(block)[:size] as view:
            engine.database.scan(view, match_event_handler=matched, scratch=engine.scratch)
        return found
