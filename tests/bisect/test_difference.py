"""The config hunt on made-up trees: symbols that depend on, select and exclude each other."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.bisect.difference import Config, Left, Mix, State, difference, next_mix, with_verdict


@dataclass
class Kconfig:
    """A made-up tree: what a symbol depends on, what it selects, and a choice whose first member is the default."""

    depends: dict[str, str]
    selects: dict[str, str]
    choice: tuple[str, ...] = ()

    def settle(self, wanted: dict[str, str]) -> Config:
        values = {symbol: value for symbol, value in wanted.items() if value != "n"}
        if self.choice:
            chosen = next((symbol for symbol in reversed(self.choice) if symbol in values), self.choice[0])
            for symbol in self.choice:
                values.pop(symbol, None)
            values[chosen] = "y"
        for _ in range(len(values) + 1):
            for symbol in list(values):
                if symbol in self.depends and self.depends[symbol] not in values:
                    del values[symbol]
                elif symbol in self.selects:
                    values.setdefault(self.selects[symbol], "y")
        return Config(dict(sorted(values.items())))


def hunt(tree: Kconfig, good: Config, bad: Config, word: Callable[[Config], str]) -> tuple[Left, State, int, int]:
    """The whole search; what is left, where it stands, how many were built, and how many only resolved."""
    looks = 0

    def resolve(config: Config, asked: frozenset[str]) -> Config:
        nonlocal looks
        looks += 1
        return tree.settle({**config.values, **{symbol: bad_now.get(symbol) for symbol in asked}})

    state, built = State(good, bad), 0
    while True:
        bad_now = state.bad
        step = next_mix(state, resolve)
        if isinstance(step, Left):
            return step, state, built, looks
        assert isinstance(step, Mix)
        assert step.config not in (state.good, state.bad)
        built += 1
        state = with_verdict(state, step.config, word(step.config))


NAMES = [f"S{number:02}" for number in range(40)]


def test_one_of_forty_symbols_is_found_in_six_builds():
    for culprit in NAMES:
        left, state, built, _ = hunt(
            Kconfig({}, {}),
            Config({}),
            Config(dict.fromkeys(NAMES, "y")),
            lambda config, culprit=culprit: "bad" if culprit in config.values else "good",
        )
        assert left == Left((culprit,), culprit)
        assert built <= 6
        assert difference(state.good, state.bad) == (culprit,)


def test_a_choice_is_named_by_the_member_that_is_switched_on():
    tree = Kconfig({"SLUB_DEBUG": "SLUB"}, {}, choice=("SLAB", "SLUB"))
    good = Config({"SLAB": "y", **dict.fromkeys(NAMES[:20], "y")})
    bad = Config({"SLUB": "y", "SLUB_DEBUG": "y", **dict.fromkeys(NAMES[20:], "y")})
    left, _, built, _ = hunt(tree, good, bad, lambda config: "bad" if config.get("SLUB") == "y" else "good")
    assert left.name == "SLUB"
    assert set(left.symbols) == {"SLAB", "SLUB"}
    assert built <= 8


def test_a_symbol_that_depends_on_another_is_told_from_it():
    tree = Kconfig({"SLUB_DEBUG": "SLUB"}, {}, choice=("SLAB", "SLUB"))
    bad = Config({"SLUB": "y", "SLUB_DEBUG": "y"})
    left, state, _, _ = hunt(
        tree, Config({"SLAB": "y"}), bad, lambda config: "bad" if "SLUB_DEBUG" in config.values else "good"
    )
    assert left == Left(("SLUB_DEBUG",), "SLUB_DEBUG")
    assert state.good.get("SLUB") == "y", "the good one that is left has what the symbol depends on"


def test_a_bug_that_needs_two_symbols_ends_at_one_with_the_other_on_both_sides():
    left, state, _, _ = hunt(
        Kconfig({}, {}),
        Config({}),
        Config(dict.fromkeys(NAMES, "y")),
        lambda config: "bad" if {"S05", "S31"} <= config.values.keys() else "good",
    )
    assert left.name in ("S05", "S31")
    other = {"S05": "S31", "S31": "S05"}[left.name]
    assert other in state.good.values
    assert other in state.bad.values


def test_a_symbol_that_switches_the_bug_off_is_found_too():
    left, _, _, _ = hunt(
        Kconfig({}, {}),
        Config(dict.fromkeys(NAMES, "y")),
        Config({}),
        lambda config: "good" if "S17" in config.values else "bad",
    )
    assert left == Left(("S17",), "S17")


def test_numbers_count_as_symbols():
    good, bad = Config({"NODES_SHIFT": "6", "HZ": "100"}), Config({"NODES_SHIFT": "10", "HZ": "1000"})
    left, _, _, _ = hunt(Kconfig({}, {}), good, bad, lambda c: "bad" if c.get("NODES_SHIFT") == "10" else "good")
    assert left == Left(("NODES_SHIFT",), "NODES_SHIFT")


def test_mixes_that_say_nothing_are_stepped_around():
    """S03 without S04 does not build."""

    def word(config: Config) -> str:
        if "S03" in config.values and "S04" not in config.values:
            return "skip"
        return "bad" if "S07" in config.values else "good"

    left, _, _, _ = hunt(Kconfig({}, {}), Config({}), Config(dict.fromkeys(NAMES[:16], "y")), word)
    assert left.name == "S07"
    assert left.symbols == ("S07",)


def test_where_every_mix_says_nothing_the_whole_difference_is_left():
    left, _, built, _ = hunt(Kconfig({}, {}), Config({}), Config(dict.fromkeys(NAMES[:4], "y")), lambda _config: "skip")
    assert left.symbols == tuple(NAMES[:4])
    assert left.skipped
    assert left.name == ""
    assert built == 14, "all there are"


@pytest.mark.parametrize("seed", range(40))
def test_on_random_trees_what_is_left_is_good_and_bad_and_next_to_each_other(seed: int):
    dice = random.Random(seed)
    names = NAMES[: dice.randrange(2, 40)]
    depends = {name: dice.choice(names[:place]) for place, name in enumerate(names) if place and dice.random() < 0.4}
    selects = {name: dice.choice(names) for name in names if dice.random() < 0.2}
    tree = Kconfig(depends, selects, choice=("A", "B", "C") if dice.random() < 0.5 else ())
    good = tree.settle({name: "y" for name in names if dice.random() < 0.3} | {dice.choice("ABC"): "y"})
    bad = tree.settle(dict.fromkeys(names, "y") | {dice.choice("ABC"): "y"})
    whole = difference(good, bad)
    if not whole:
        return
    culprit = dice.choice(whole)

    def word(config: Config) -> str:
        return "bad" if config.get(culprit) == bad.get(culprit) else "good"

    left, state, built, looks = hunt(tree, good, bad, word)
    assert (word(state.good), word(state.bad)) == ("good", "bad")
    assert culprit in left.symbols
    assert built <= 12
    assert looks <= 60 * (built + 1)
