"""``git bisect log``'s format, written and read (git's builtin/bisect.c, bisect_write() and process_replay_line())."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.bisect.journal import question_of
from lab.bisect.journal import read as read_journal
from lab.bisect.records import Answer, Boot, Build, Event, Named, Question, Told
from lab.errors import UserError

Word = Literal["good", "bad", "skip"]
NEW: dict[str, Word] = {"good": "good", "old": "good", "bad": "bad", "new": "bad", "skip": "skip"}

COMMENT = re.compile(r"# (good|bad|skip|old|new): \[([0-9a-f]{4,64})\] ?(.*)")
COMMAND = re.compile(r"git[ -]bisect (good|bad|skip|old|new)((?: '?[0-9a-f]{4,64}'?)+)\s*$")
START = re.compile(r"git[ -]bisect start\b(.*)$")
ANSWER = re.compile(r"# (?:first|only skipped|possible first)")


@dataclass(frozen=True)
class Said:
    """One line of a log: a verdict on a commit, with its subject where a comment gives it."""

    word: Word
    commit: str
    subject: str = ""


def write(question: Question, words: Sequence[tuple[int, str]], candidates: Sequence[int]) -> str:
    """The log of a bisect: ``words`` are points and their verdicts in the order in which they became known."""
    lines = []
    for point, word in words:
        named = question.points[point]
        lines += [f"# {word}: [{named.commit}] {flat(named.subject)}", f"git bisect {word} {named.commit}"]
    if len(candidates) == 1:
        named = question.points[candidates[0]]
        lines.append(f"# first bad commit: [{named.commit}] {flat(named.subject)}")
    elif candidates:
        lines.append("# only skipped commits left to test")
        for point in sorted(candidates, reverse=True):
            named = question.points[point]
            lines.append(f"# possible first bad commit: [{named.commit}] {flat(named.subject)}")
    return "\n".join(["git bisect start", *lines]) + "\n"


def flat(subject: str) -> str:
    """A subject on one line."""
    return " ".join(subject.split())


def order(events: Iterable[Event]) -> list[tuple[int, str]]:
    """Each point with its verdict, in the order in which the last verdict on it came."""
    words: dict[int, str] = {}
    for event in events:
        word = ""
        if isinstance(event, Boot):
            word = event.word if event.word in ("good", "bad") else "skip"
        elif isinstance(event, Build):
            word = "" if event.image else "skip"
        elif isinstance(event, Told):
            word = event.word
        if not word or isinstance(event, Question | Answer) or words.get(event.point) == "bad":
            continue
        if word == "skip" and words.get(event.point) == "good":
            continue
        if words.get(event.point) != word:
            words.pop(event.point, None)
            words[event.point] = word
    return list(words.items())


def read(text: str, name: str) -> list[Said]:
    """The verdicts of a log that ``git bisect log`` wrote. Raises :class:`UserError` naming the line of ``name`` that
    is none of its lines."""
    said: list[Said] = []
    subjects: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if comment := COMMENT.match(stripped):
            subjects[comment[2]] = comment[3]
        elif command := COMMAND.match(stripped):
            for commit in command[2].replace("'", "").split():
                said.append(Said(NEW[command[1]], commit, subjects.get(commit, "")))
        elif start := START.match(stripped):
            ends = [word for word in start[1].replace("'", "").split() if re.fullmatch(r"[0-9a-f]{4,64}", word)]
            said += [Said("good" if count else "bad", commit) for count, commit in enumerate(ends)]
        elif stripped and not ANSWER.match(stripped) and not stripped.startswith("# status:"):
            raise UserError(f"{name}:{number}: not a line of git bisect log: {stripped[:60]!r}")
    if not said:
        raise UserError(f"{name}: no verdict in it")
    return [Said(one.word, one.commit, one.subject or subjects.get(one.commit, "")) for one in said]


def matched(said: Iterable[Said], points: Sequence[Named], by: str) -> tuple[list[Told], list[Said]]:
    """What a log says of ``points``, by commit or else by subject, and what it says of others."""
    told: list[Told] = []
    strange: list[Said] = []
    for one in said:
        found = [point.index for point in points if point.commit.startswith(one.commit)]
        found = found or [point.index for point in points if one.subject and flat(point.subject) == flat(one.subject)]
        if len(found) == 1:
            told.append(Told(found[0], one.word, by))
        else:
            strange.append(one)
    return told, strange


def answered(events: Iterable[Event]) -> tuple[int, ...]:
    """The candidates of the last answer that a journal holds."""
    answers = [event for event in events if isinstance(event, Answer)]
    return answers[-1].candidates if answers else ()


def read_any(path: Path) -> list[Said]:
    """The verdicts in a log of git's, or in a journal of the lab's."""
    events, _ = read_journal(path)
    question = question_of(events)
    if question is None:
        return read(path.read_text(errors="replace"), str(path))
    points = {point.index: point for point in question.points}
    words = [(points[index], word) for index, word in order(events) if index in points]
    return [Said(NEW[word], point.commit or "?", point.subject) for point, word in words]
