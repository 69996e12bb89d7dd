"""Results of test programs in a guest as subtests: of pytest 9, or of the package pytest-subtests. Without either they
are one failure that lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from lab.console.ktap import Tap, TapLine, inner
from lab.report.plain import harmless, one_line
from lab.testing.attach import TELLING

Word = Literal["pass", "fail", "skip", "xfail"]
NOTES = 40
WORDS: dict[str, Word] = {"ok": "pass", "not ok": "fail", "skip": "skip", "todo": "xfail"}


@dataclass(frozen=True)
class Part:
    """One subtest: its name (``counters: it rises > on node 1``), what came of it, and what there is to say."""

    name: str
    word: Word
    text: str


def parts(tap: Tap) -> Iterator[Part]:
    """Every result of a program, nested ones before the one that sums them up; and what is wrong with the program as a
    whole, where no result says it."""
    found = list(inside(tap.name, tap.tests))
    yield from found
    if tap.skipped and not found:
        yield Part(tap.name, "skip", tap.skipped)
    elif tap.complaint and not any(part.word == "fail" for part in found):
        yield Part(tap.name, "fail", tap.complaint)
    elif not found:
        yield Part(tap.name, "fail", tap.complaint or "it tested nothing")


def inside(path: str, tests: tuple[TapLine, ...], separator: str = ": ") -> Iterator[Part]:
    """The results of one level, and of those below it."""
    for test in tests:
        name = f"{path}{separator}{test.name or test.number}"
        nested = inner(test)
        if nested:
            below = list(inside(name, nested.tests, " > "))
            yield from below
            if nested.complaint and not nested.skipped and not any(part.word == "fail" for part in below):
                yield Part(name, "fail", f"its subtests: {nested.complaint}")
        word = WORDS[test.result]
        own = [note for note in test.notes if not note.startswith(("  ", "\t", "Subtest: "))]
        notes = "\n".join(own[-NOTES:]) if word == "fail" else ""
        head = f"not ok {test.number} - {test.name}" if word == "fail" else test.why
        yield Part(name, word, f"{head}\n{notes}".strip())


def teller(request: pytest.FixtureRequest) -> Callable[[Tap], None]:
    """What tells a program's results to pytest as subtests of the test that ``request`` is of."""
    try:
        subtests: Any = request.getfixturevalue("subtests")
    except pytest.FixtureLookupError:
        return tell_together

    def tell(tap: Tap) -> None:
        request.node.stash[TELLING] = True
        try:
            for part in parts(tap):
                with subtests.test(msg=harmless(part.name)):
                    settle(part)
        finally:
            request.node.stash[TELLING] = False

    return tell


def settle(part: Part) -> None:
    """One part's outcome, as pytest has it."""
    if part.word == "fail":
        pytest.fail(harmless(part.text), pytrace=False)
    if part.word == "skip":
        pytest.skip(one_line(part.text))
    if part.word == "xfail":
        pytest.xfail(one_line(part.text))


def tell_together(tap: Tap) -> None:
    """A program's results where there are no subtests: its failures as one; all skipped, a skip."""
    told = list(parts(tap))
    failed = [f"{part.name}: {part.text}" for part in told if part.word == "fail"]
    if failed:
        pytest.fail(harmless("\n".join(failed)), pytrace=False)
    if all(part.word == "skip" for part in told):
        pytest.skip(one_line("; ".join(part.text for part in told)))
