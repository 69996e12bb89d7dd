"""Being sure of one kernel on one machine: booted until the bug was seen, or until it would have been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.bisect.rate import boots_needed
from lab.case import Expect
from lab.guest.types import Boot
from lab.verdict import Verdict, Word

STRIKES = 4
"""How often the bug is to be seen at the bad end, so that its rate is known."""

TRIES = 2
"""After so many boots that say nothing, a kernel says nothing."""

PATIENCE = 44
"""A bug that strikes in a tenth of the boots is missed by this many with a probability of 1 %."""

RISK = 0.01
"""How likely a wrong "good" may be."""

BootOnce = Callable[[], tuple[Boot, Verdict]]


@dataclass(frozen=True)
class Ruling:
    """What boots of one kernel came to. ``boot`` is the one that the word rests on, the last where all are alike."""

    word: Word
    reason: str
    boots: int
    boot: Boot | None = None
    struck: int = 0
    missed: int = 0


def ask(boot_once: BootOnce, needed: int) -> Ruling:
    """Bad as soon as the bug is seen; good after ``needed`` boots without it."""
    return ask_until(boot_once, 1, needed)


def ask_bad_end(boot_once: BootOnce) -> Ruling:
    """The bad end: the bug is waited for, and seen several times, for its rate decides how often to look elsewhere. One
    that never stays away is seen :data:`STRIKES` times."""
    return ask_until(boot_once, STRIKES, PATIENCE)


def ask_until(boot_once: BootOnce, strikes: int, patience: int) -> Ruling:
    """Boot until the bug was seen ``strikes`` times, or ``patience`` boots were good."""
    good = bad = nothing = 0
    told = Ruling("skip", "it was never booted", 0)
    while bad < strikes and good < patience and nothing < TRIES:
        boot, verdict = boot_once()
        word = verdict.word
        good, bad, nothing = good + (word == "good"), bad + (word == "bad"), nothing + (word == "skip")
        if told.word != "bad" or word == "bad":
            told = Ruling(word, verdict.reason, 0, boot)
        if bad and good + nothing >= patience:
            break
    if bad:
        return Ruling("bad", told.reason, good + bad + nothing, told.boot, bad, good)
    final: Word = "good" if good >= patience else "skip"
    return Ruling(final, told.reason, good + nothing, told.boot, 0, good)


def needed_boots(bad_end: Ruling) -> int:
    """How many boots without the bug make a kernel good."""
    return boots_needed(RISK, bad_end.struck, bad_end.missed)


def looked_for(expect: Expect, bad_end: Ruling) -> Expect:
    """What to look for from now on: what the case says, else the very bug that the bad end showed."""
    if expect.signature or expect.title or bad_end.boot is None or bad_end.boot.report.first is None:
        return expect
    return Expect(signature=bad_end.boot.report.first.signature)
