"""How a result and a change look: a symbol, a word and a class for the style sheet, so that no colour stands alone.

A cell that does what its case says is quiet, also where that is a bug: the series' end of a case is expected to be bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.history.records import CellWord, Change, ChangeKind, Result


@dataclass(frozen=True)
class Look:
    """``css`` is a class of style.css, ``quiet`` that nobody needs to look at it."""

    css: str
    symbol: str
    word: str
    meaning: str
    quiet: bool = False


GOOD = Look("g", "✓", "good", "user space ran and saw the machine", quiet=True)
KNOWN = Look("k", "✗", "known", "bad, and the case says so", quiet=True)
BAD = Look("b", "✗", "bad", "a bug that the case does not expect")
ODD = Look("u", "?", "odd", "good, where the case expects its bug")
FLAKY = Look("f", "≈", "flaky", "attempts with the same kernel and machine disagree")
SKIP = Look("s", "–", "skip", "neither good nor bad: nobody is blamed")
LAB = Look("i", "!", "lab", "the lab or its host failed; nothing is known of the kernel")
WAITING = Look("w", "·", "waiting", "not tried yet, or not often enough to say")

LOOKS = (BAD, FLAKY, ODD, LAB, SKIP, WAITING, KNOWN, GOOD)
"""In the order of how much they want to be looked at."""

OTHERS: dict[CellWord, Look] = {"skip": SKIP, "flaky": FLAKY, "infrastructure": LAB, "waiting": WAITING}


def look(result: Result) -> Look:
    """How a result looks, by what it came to and what its case expects."""
    if result.word == "good":
        return ODD if result.cell.expected == "bad" else GOOD
    if result.word == "bad":
        return KNOWN if result.cell.expected == "bad" else BAD
    return OTHERS[result.word]


@dataclass(frozen=True)
class Heading:
    """A kind of change: its heading in a list, and how its entries look."""

    kind: ChangeKind
    title: str
    css: str
    symbol: str
    open: bool = True


HEADINGS = (
    Heading("new", "New failures", "b", "✗"),
    Heading("flaky", "Flaky", "f", "≈"),
    Heading("slower", "Slower boots", "f", "↑"),
    Heading("infrastructure", "The lab's own failures", "i", "!"),
    Heading("fixed", "Fixed", "g", "✓"),
    Heading("faster", "Faster boots", "g", "↓"),
    Heading("still", "Still failing", "k", "✗", open=False),
    Heading("appeared", "New cells", "w", "+", open=False),
    Heading("gone", "Cells that are gone", "w", "−", open=False),
)
"""In the order in which one wants to read them."""


def in_groups(changes: tuple[Change, ...]) -> list[tuple[Heading, list[Change]]]:
    """The changes by kind, required cells first within each; kinds without any are left out."""
    groups = []
    for heading in HEADINGS:
        if some := [one for one in changes if one.kind == heading.kind]:
            groups.append((heading, sorted(some, key=lambda one: (not one.cell.required, one.cell.key))))
    return groups


def headline(changes: tuple[Change, ...], *, compared: bool) -> str:
    """What changed, in one sentence."""
    if not compared:
        return "There is no earlier night to compare with"
    words: list[tuple[ChangeKind, str]] = [
        ("new", "new failure(s)"),
        ("flaky", "flaky"),
        ("slower", "slower"),
        ("fixed", "fixed"),
        ("still", "still failing"),
    ]
    counts = [(sum(one.kind == kind for one in changes), word) for kind, word in words]
    told = [f"{count} {word.replace('(s)', 's' if count > 1 else '')}" for count, word in counts if count]
    return ", ".join(told) if told else "Nothing changed"
