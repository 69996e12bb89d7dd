"""How often a kernel is booted before anything is said of it, and what a machine hunt does with that."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from lab.bisect import machine_hunt
from lab.bisect.machine_hunt import Rig, judged, shrink
from lab.bisect.smaller import as_file, cpus_of, toml
from lab.bisect.sure import PATIENCE, STRIKES, ask, ask_bad_end, needed_boots
from lab.cli.bisect import run as bisect
from lab.cli.hunts import with_bad_machine
from lab.guest.machine import Machine, MachineFile, load_machine
from lab.paths import data_folder
from lab.verdict import Verdict, Word


def boots(words: Iterable[str]) -> Any:
    """A kernel whose boots come to ``words``, one after the other."""
    left = iter(words)

    def once() -> tuple[Any, Verdict]:
        word = cast(Word, next(left))
        return SimpleNamespace(), Verdict(word, f"it was {word}")

    return once


def test_one_boot_with_the_bug_is_proof_and_good_takes_as_many_as_are_needed():
    assert ask(boots(["good", "bad", "good"]), 4).word == "bad"
    ruling = ask(boots(itertools.repeat("good")), 4)
    assert (ruling.word, ruling.boots) == ("good", 4)


def test_a_kernel_that_says_nothing_twice_is_skipped():
    ruling = ask(boots(["good", "skip", "skip", "good"]), 4)
    assert (ruling.word, ruling.boots) == ("skip", 3)


def test_the_bad_end_is_seen_often_enough_to_know_its_rate():
    ruling = ask_bad_end(boots(itertools.repeat("bad")))
    assert (ruling.word, ruling.boots, ruling.missed) == ("bad", STRIKES, 0)
    assert needed_boots(ruling) == 4
    ruling = ask_bad_end(boots(itertools.cycle(["good", "good", "bad"])))
    assert (ruling.word, ruling.struck, ruling.missed) == ("bad", STRIKES, 8)
    assert needed_boots(ruling) > 12, "a bug that strikes in a third of the boots is missed often"


def test_a_bad_end_that_never_shows_it_is_good_after_a_while():
    assert ask_bad_end(boots(itertools.repeat("good"))).boots == PATIENCE


class Needing:
    """A rig without a kernel: the bug shows where ``needs`` says so."""

    def __init__(self, needs: Any) -> None:
        self.needs = needs
        self.tried: list[Machine] = []

    def boot_on(self, machine: Machine) -> Any:
        self.tried.append(machine)
        return boots(itertools.repeat("bad" if self.needs(as_file(machine)) else "good"))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(needs: Any) -> Rig:
        setup = SimpleNamespace(progress=lambda *_args: None)
        line = SimpleNamespace(case=SimpleNamespace(expect=None))
        made = Rig(cast(Any, line), cast(Any, None), cast(Any, setup), lambda _seen: None)
        monkeypatch.setattr(made, "boot_on", Needing(needs).boot_on)
        return made

    return make


def file_of(name: str) -> MachineFile:
    return as_file(load_machine(name, data_folder("qemu")))


def test_what_a_bug_needs_is_told_with_what_was_tried_beside_it(rig: Any):
    made = rig(lambda file: len(file.node) >= 2 and sum(map(cpus_of, file.node)) >= 2)
    smallest = shrink(file_of("x3400-m3"), made)
    needs = {need.property: need for need in judged(smallest, file_of("one-node"), made)}
    assert (needs["nodes"].answer, needs["nodes"].value) == ("needed", "2")
    assert (needs["CPUs"].answer, needs["CPUs"].value) == ("needed", "1+1")
    for name in ("memory", "layout", "CPU model", "machine type", "command line"):
        assert needs[name].answer == "not needed", name
    assert all(seen.word == "good" for seen in needs["CPUs"].evidence if "one CPU" in seen.trial.what)
    assert len(made.known) < 40


def test_a_machine_that_cannot_be_says_nothing(rig: Any, monkeypatch: pytest.MonkeyPatch):
    made = rig(lambda _file: True)

    def refuse(*_args: object) -> Machine:
        raise machine_hunt.InfrastructureError("not so much memory is free")

    monkeypatch.setattr(machine_hunt, "check", refuse)
    file = file_of("two-nodes")
    assert toml(shrink(file, made)) == toml(file)
    assert {seen.word for seen in made.known.values()} == {"skip"}


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["case", "--machine", "a", "b"], ["case", "--machine", "a", "--bad-machine=b"]),
        (["--machine", "a", "b", "case"], ["--machine", "a", "--bad-machine=b", "case"]),
        (["--machine", "a", "case"], ["--machine", "a", "case"]),
        (["case", "--machine", "a", "--json"], ["case", "--machine", "a", "--json"]),
        (["case", "other", "--machine", "a"], ["case", "other", "--machine", "a"]),
        (["case", "--machine"], ["case", "--machine"]),
    ],
)
def test_machine_takes_one_or_two(args: list[str], wanted: list[str]):
    context = click.Context(bisect, resilient_parsing=True)
    assert with_bad_machine(bisect, context, args) == wanted
