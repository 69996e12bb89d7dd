"""What a bisect writes down: the question, and each build and boot. One JSON document a line, see journal.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import msgspec

from lab.bisect.graph import Graph
from lab.bisect.plan import NOTHING, Tally

Word = Literal["good", "bad", "other", "fault"]


class Named(msgspec.Struct, frozen=True):
    """A point as people and git know it."""

    index: int
    subject: str
    commit: str = ""
    tree: str = ""
    patch: str = ""


class Question(msgspec.Struct, frozen=True, tag_field="event", tag="question"):
    """What is asked. ``key`` stands for all that the answers depend on; ``command`` asks it again."""

    key: str
    case: str
    points: tuple[Named, ...]
    command: tuple[str, ...] = ()
    looked_for: str = ""
    facts: dict[str, Any] = {}
    started: str = ""


class Build(msgspec.Struct, frozen=True, tag_field="event", tag="build"):
    """A point was built: ``image`` is the hash of its image, empty where it does not build, and ``reason`` says why.
    ``seconds`` is the time it took now, ``fresh`` whether anything was compiled, ``compiled`` how many files. ``where``
    is the worker of a cluster that did it."""

    point: int
    image: str = ""
    seconds: float = 0.0
    fresh: bool = False
    compiled: int = 0
    reason: str = ""
    document: dict[str, Any] = {}
    where: str = ""


class Sight(msgspec.Struct, frozen=True):
    """A finding as it is needed to judge the boot again, by another bug."""

    signature: str
    titles: tuple[str, ...]
    fatal: bool
    functions: tuple[str, ...] = ()
    file: str = ""


class Boot(msgspec.Struct, frozen=True, tag_field="event", tag="boot"):
    """One boot of a point. ``seen`` are its findings, ``document`` all of it as ``--json`` shows it, ``text`` the
    crash's lines of the console, ``where`` the worker of a cluster that did it."""

    point: int
    word: Word
    reason: str
    image: str = ""
    seconds: float = 0.0
    title: str = ""
    signature: str = ""
    seen: tuple[Sight, ...] = ()
    text: tuple[str, ...] = ()
    document: dict[str, Any] = {}
    where: str = ""


class Told(msgspec.Struct, frozen=True, tag_field="event", tag="told"):
    """Somebody says what a point is; ``by`` names who or what file."""

    point: int
    word: Literal["good", "bad", "skip"]
    by: str = ""


class Answer(msgspec.Struct, frozen=True, tag_field="event", tag="answer"):
    """What the bisect came to, for who reads the journal."""

    text: str
    candidates: tuple[int, ...] = ()
    confidence: float = 0.0


Event = Question | Build | Boot | Told | Answer


def tallies(events: Iterable[Event]) -> dict[int, Tally]:
    """What was seen at each point. Points with the same image share what was seen of it."""
    images: dict[int, str] = {}
    own: dict[int, Tally] = {}
    for event in events:
        if isinstance(event, Build):
            if event.image:
                images[event.point] = event.image
            else:
                own[event.point] = replace(own.get(event.point, NOTHING), unbuilt=True, reason=event.reason)
        elif isinstance(event, Boot):
            own[event.point] = counted(own.get(event.point, NOTHING), event)
        elif isinstance(event, Told):
            own[event.point] = replace(own.get(event.point, NOTHING), told=event.word)
    return shared(own, images)


def counted(tally: Tally, boot: Boot) -> Tally:
    """``tally`` with one boot more. Called for every boot of the journal at every step, hence without ``replace()``."""
    return Tally(
        good=tally.good + (boot.word == "good"),
        bad=tally.bad + (boot.word == "bad"),
        other=tally.other + (boot.word == "other"),
        fault=tally.fault + (boot.word == "fault"),
        unbuilt=tally.unbuilt,
        told=tally.told,
        reason=boot.reason,
    )


def shared(own: Mapping[int, Tally], images: Mapping[int, str]) -> dict[int, Tally]:
    """Each point with the boots of all points that have its image."""
    groups: dict[str, list[int]] = {}
    for point, image in images.items():
        groups.setdefault(image, []).append(point)
    whole = dict(own)
    for points in groups.values():
        if len(points) < 2:
            continue
        members = [own[point] for point in points if point in own]
        for point in points:
            mine = own.get(point, NOTHING)
            whole[point] = replace(
                mine,
                good=sum(tally.good for tally in members),
                bad=sum(tally.bad for tally in members),
                other=sum(tally.other for tally in members),
                fault=sum(tally.fault for tally in members),
                reason=mine.reason or next((tally.reason for tally in members if tally.reason), ""),
            )
    return whole


def same_as_before(graph: Graph, events: Iterable[Event]) -> frozenset[int]:
    """The points whose image is bit for bit that of every point that they were made from."""
    images = {event.point: event.image for event in events if isinstance(event, Build) and event.image}
    return frozenset(
        point
        for point, parents in enumerate(graph.parents)
        if point in images and parents and all(images.get(parent) == images[point] for parent in parents)
    )


def rejudged(events: Iterable[Event], is_it: Callable[[Sight], bool]) -> list[Event]:
    """The events with each boot judged by another bug: bad where ``is_it`` is true of one of its findings. What was bad
    before and is not now died of something else."""
    judged: list[Event] = []
    for event in events:
        if isinstance(event, Boot) and event.word != "fault" and any(is_it(sight) for sight in event.seen):
            judged.append(msgspec.structs.replace(event, word="bad"))
        elif isinstance(event, Boot) and event.word == "bad":
            judged.append(msgspec.structs.replace(event, word="other"))
        else:
            judged.append(event)
    return judged
