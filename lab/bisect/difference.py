"""Which part of the difference of two configurations brings a bug: delta debugging under dependencies. Pure.

One configuration is good, one is bad. A mix is the good one with some of the bad one's symbols, as the tree makes it
consistent: what it is asked for and what comes differ, for symbols depend on, select and exclude each other. So the
search never argues about what was asked for, only about what came: a mix that comes out strictly between the two takes
the place of one of them, whatever its verdict, until nothing strictly between can be made. The two that are left then
are a good and a bad configuration that were both tried and differ in as little as the tree allows. This holds for any
bug, also one that needs several symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lab.verdict import Word

OFF = "n"
"""The value of a symbol that is not set, or that is not visible."""

LOOKS = 40
"""How many mixes are resolved at most to find the one to build next: each costs a second or two, a build minutes."""

FAIR = 0.25
"""A mix that leaves less than three quarters of the symbols in question whatever comes is good enough."""


@dataclass(frozen=True)
class Config:
    """A resolved configuration: what each symbol that is set has for a value, in the order of the file."""

    values: Mapping[str, str]

    def __hash__(self) -> int:
        return hash(frozenset(self.values.items()))

    def get(self, symbol: str) -> str:
        """The value of ``symbol``; :data:`OFF` where it is not set."""
        return self.values.get(symbol, OFF)


Resolve = Callable[[Config, frozenset[str]], Config]
"""What the tree makes of the first configuration with these symbols as they are in the bad one."""


@dataclass(frozen=True)
class State:
    """The two configurations that the search stands between, and what is known of others."""

    good: Config
    bad: Config
    known: Mapping[Config, Word] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Mix:
    """Build and boot this next. ``asked`` are the bad one's symbols that were put into the good one."""

    config: Config
    asked: frozenset[str]


@dataclass(frozen=True)
class Left:
    """Nothing more can be told apart. ``symbols`` are those in which the two differ; ``name`` is the one that brings
    all of them with it, empty where none does; ``skipped``: mixes between were tried, and said nothing."""

    symbols: tuple[str, ...]
    name: str
    skipped: bool = False


def difference(one: Config, other: Config) -> tuple[str, ...]:
    """The symbols with another value, in the order of the second file and then of the first: those that have to do with
    each other stand together."""
    order = dict.fromkeys([*other.values, *one.values])
    return tuple(symbol for symbol in order if one.get(symbol) != other.get(symbol))


def with_verdict(state: State, config: Config, word: Word) -> State:
    """The state once it is known what ``config`` is; one that is good or bad takes the place of the end it is like."""
    known = MappingProxyType({**state.known, config: word})
    if word == "good" and closer(config, state.good, state.bad):
        return State(config, state.bad, known)
    if word == "bad" and closer(config, state.bad, state.good):
        return State(state.good, config, known)
    return State(state.good, state.bad, known)


def closer(config: Config, old: Config, other: Config) -> bool:
    """Whether ``config`` is nearer to ``other`` than ``old`` is."""
    return len(difference(config, other)) < len(difference(old, other))


def next_mix(state: State, resolve: Resolve) -> Mix | Left:
    """The mix to try next, or what is left. ``resolve`` is asked for a few dozen mixes at most."""
    whole = difference(state.good, state.bad)
    best: tuple[float, Mix] | None = None
    skipped = False
    seen: set[Config] = set()
    for looks, asked in enumerate(parts(whole)):
        if best is not None and (best[0] >= FAIR or looks >= LOOKS):
            break
        config = resolve(state.good, asked)
        if config in seen:
            continue
        seen.add(config)
        share = evenness(config, state, len(whole))
        if share <= 0:
            continue
        if state.known.get(config) == "skip":
            skipped = True
        elif best is None or share > best[0]:
            best = (share, Mix(config, asked))
    if best is not None:
        return best[1]
    return Left(whole, name_of(state, whole, resolve), skipped)


def evenness(config: Config, state: State, whole: int) -> float:
    """What part of the symbols in question goes whatever the verdict; 0 where one verdict would tell nothing."""
    from_good, from_bad = len(difference(state.good, config)), len(difference(state.bad, config))
    return min(whole - from_good, whole - from_bad) / whole if config not in (state.good, state.bad) else 0.0


def parts(symbols: tuple[str, ...]) -> Iterator[frozenset[str]]:
    """What to ask for: halves, quarters, … and all but them, down to single symbols; then every other one.

    Each is given once; a difference of a few symbols is asked for in every way.
    """
    given: set[frozenset[str]] = {frozenset(), frozenset(symbols)}

    def fresh(asked: Iterable[str]) -> Iterator[frozenset[str]]:
        part = frozenset(asked)
        for one in (part, frozenset(symbols) - part):
            if one not in given:
                given.add(one)
                yield one

    count = 2
    while count < 2 * len(symbols):
        for piece in pieces(symbols, min(count, len(symbols))):
            yield from fresh(piece)
        if count == 2:
            yield from fresh(symbols[::2])
        count *= 2
    if len(symbols) <= 6:
        for number in range(1, 1 << len(symbols)):
            yield from fresh(symbol for bit, symbol in enumerate(symbols) if number >> bit & 1)


def pieces(symbols: tuple[str, ...], count: int) -> Iterator[tuple[str, ...]]:
    """``symbols`` cut into ``count`` runs that are as long as each other."""
    for number in range(count):
        start, end = number * len(symbols) // count, (number + 1) * len(symbols) // count
        if start < end:
            yield symbols[start:end]


def name_of(state: State, symbols: tuple[str, ...], resolve: Resolve) -> str:
    """The symbol that makes the bad configuration of the good one when it is asked for alone: one that is switched on
    where there is one, for in a choice that is what brings it."""
    on = [symbol for symbol in symbols if state.bad.get(symbol) != OFF]
    for symbol in (*on, *(symbol for symbol in symbols if symbol not in on)):
        if len(symbols) == 1 or resolve(state.good, frozenset({symbol})) == state.bad:
            return symbol
    return ""
