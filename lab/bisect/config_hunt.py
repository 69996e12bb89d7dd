"""The config hunt on real kernels: mixes of two kconfigs, resolved by the tree itself, built and booted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.bisect.difference import OFF, Config, Left, Mix, State, difference, next_mix, with_verdict
from lab.bisect.sure import Ruling, ask, ask_bad_end, looked_for, needed_boots
from lab.case import Case, Expect
from lab.guest.types import Boot
from lab.kernel.fragment import required_values
from lab.kernel.kconfig import Fragment, read_config, render, settle, symbol_of
from lab.kernel.types import BuildFailure, Kconfig, Kernel
from lab.line import Line, Setup, boot_target, kconfig_of, kernel_with, point_at, prepare, target_of
from lab.paths import data_folder
from lab.tree.checkout import checked_out
from lab.tree.types import Point
from lab.verdict import Verdict, Word, judge_boot, judge_build


@dataclass(frozen=True)
class Trial:
    """One kernel that was built and booted: how many of the symbols in question were as in the bad one, and what it
    came to. ``seconds`` are of the build and of all boots."""

    name: str
    symbols: int
    of: int
    word: Word
    reason: str
    build_seconds: float
    boot_seconds: float
    boots: int
    kconfig: Kconfig
    ruling: Ruling
    kernel: Kernel | None = None


@dataclass(frozen=True)
class ConfigHunt:
    """What a config hunt came to.

    ``symbol`` is the one to blame, empty where several only go together or nothing can be told; ``left`` are all the
    symbols with (good, bad) values in which the last good and the last bad kconfig differ. ``symbols`` is how many
    differed at first, ``resolved`` how many mixes the tree was asked about. ``reason`` says why no symbol is named.
    """

    line: Line
    point: Point
    names: tuple[str, str]
    symbols: int
    symbol: str
    left: tuple[tuple[str, str, str], ...]
    good: Kconfig
    bad: Kconfig
    trials: tuple[Trial, ...]
    resolved: int
    needed: int
    seconds: float
    reason: str = ""


class Rig:
    """The point of a line that mixes are built of, and what is known of them."""

    def __init__(self, line: Line, point: Point, setup: Setup, seen: Callable[[Trial], None]) -> None:
        self.line = line
        self.point = point
        self.setup = setup
        self.seen = seen
        self.expect: Expect = line.case.expect
        self.needed = 1
        self.texts: dict[Config, Kconfig] = {}
        self.trials: list[Trial] = []
        self.looks: set[tuple[str, ...]] = set()

    def learn(self, kconfig: Kconfig) -> Config:
        """``kconfig`` as the search takes it."""
        config = Config(read_config(kconfig.text))
        self.texts.setdefault(config, kconfig)
        return config

    def next(self, state: State) -> Mix | Left:
        """The next mix to build, as the point's own tree resolves it."""
        self.setup.progress("kconfig", f"{len(difference(state.good, state.bad))} symbols in question")
        with checked_out(self.line.tree, self.point, paths=self.setup.paths) as source:

            def resolve(config: Config, asked: frozenset[str]) -> Config:
                lines = mixed(self.texts[config].text, state, asked, self.texts[state.bad].text)
                self.looks.add(lines)
                kconfig = settle(
                    self.line.fragment.name,
                    lines,
                    source,
                    tree_id=self.point.tree,
                    toolchain=self.line.toolchain,
                    compat=self.line.compat,
                    paths=self.setup.paths,
                )
                return self.learn(kconfig)

            return next_mix(state, resolve)

    def tried(self, name: str, config: Config, numbers: tuple[int, int], *, end: bool = False) -> Trial:
        """Build and boot ``config``."""
        kconfig = self.texts[config]
        began = time.monotonic()
        kernel = kernel_with(self.line, self.point, kconfig, self.setup)
        built = time.monotonic()
        self.setup.progress("boot", name)
        if isinstance(kernel, BuildFailure):
            ruling = Ruling("skip", judge_build(kernel).reason, 0)
        elif end:
            ruling = ask_bad_end(self.boot(kernel))
        else:
            ruling = ask(self.boot(kernel), self.needed)
        trial = Trial(
            name=name,
            symbols=numbers[0],
            of=numbers[1],
            word=ruling.word,
            reason=ruling.reason,
            build_seconds=built - began,
            boot_seconds=time.monotonic() - built,
            boots=ruling.boots,
            kconfig=kconfig,
            ruling=ruling,
            kernel=None if isinstance(kernel, BuildFailure) else kernel,
        )
        self.trials.append(trial)
        self.seen(trial)
        return trial

    def boot(self, kernel: Kernel) -> Callable[[], tuple[Boot, Verdict]]:
        """Booting ``kernel``, once a call."""

        def once() -> tuple[Boot, Verdict]:
            run = boot_target(target_of(self.line, kernel), self.setup)
            return run, judge_boot(run, self.expect)

        return once


def hunt_config(
    case: Case,
    good: str,
    bad: str,
    setup: Setup,
    *,
    at: int | None = None,
    seen: Callable[[Trial], None] = lambda _trial: None,
) -> ConfigHunt:
    """Find which symbol of kconfig ``bad`` brings the bug at point ``at`` (the series' end), which ``good`` is without.

    Both are templates of the lab's or files, and both ends are proven. What the case requires is left to the two where
    one of them speaks of it. Raises :class:`UserError` where a kconfig can't be read or asks for what there is not.
    """
    began = time.monotonic()
    line = prepare(replace(case, kconfig=bad), setup)
    point = point_at(line, line.series_end if at is None else at)
    fragments = (render(good, line.tree.base.version, {}, folder=data_folder("kconfigs")), line.fragment)
    ends = [end_of(line, fragment, fragments, point, setup) for fragment in fragments]
    rig = Rig(line, point, setup, seen)
    state = State(rig.learn(ends[0]), rig.learn(ends[1]))
    whole = len(difference(state.good, state.bad))
    left, reason = Left((), ""), ""
    if not whole:
        reason = "the two kconfigs come to the same"
    else:
        state, left, reason = search(state, rig, whole, (good, bad))
    return ConfigHunt(
        line=line,
        point=point,
        names=(good, bad),
        symbols=whole,
        symbol=left.name,
        left=tuple((symbol, state.good.get(symbol), state.bad.get(symbol)) for symbol in left.symbols),
        good=rig.texts[state.good],
        bad=rig.texts[state.bad],
        trials=tuple(rig.trials),
        resolved=len(rig.looks),
        needed=rig.needed,
        seconds=time.monotonic() - began,
        reason=reason,
    )


def search(state: State, rig: Rig, whole: int, names: tuple[str, str]) -> tuple[State, Left, str]:
    """Both ends, then mixes until none is left; where that stands, what is left, and why nothing may be named."""
    end = rig.tried(names[1], state.bad, (whole, whole), end=True)
    if end.word != "bad":
        return state, Left((), ""), f"the bad kconfig, {names[1]}, is {end.word}: {end.reason}"
    rig.expect = looked_for(rig.expect, end.ruling)
    rig.needed = needed_boots(end.ruling)
    end = rig.tried(names[0], state.good, (0, whole))
    if end.word != "good":
        return state, Left((), ""), f"the good kconfig, {names[0]}, is {end.word}: {end.reason}"
    first = state
    while isinstance(step := rig.next(state), Mix):
        there = sum(step.config.get(symbol) == first.bad.get(symbol) for symbol in difference(first.good, first.bad))
        trial = rig.tried(f"mix {len(rig.trials) - 1}", step.config, (there, whole))
        state = with_verdict(state, step.config, trial.word)
    reason = ""
    if not step.name:
        reason = "the symbols that are left only change together"
        if step.skipped:
            reason = "what is between could not be told: it did not build, or died of something else"
    return state, step, reason


def end_of(line: Line, fragment: Fragment, both: tuple[Fragment, ...], point: Point, setup: Setup) -> Kconfig:
    """The kconfig of one end. A required symbol that either of the two speaks of is theirs to decide."""
    spoken = {ask.symbol for one in both for ask in one.asked}
    required = [entry for entry in line.case.require if not spoken & required_values([entry]).keys()]
    case = replace(line.case, require=tuple(required))
    kconfig = kconfig_of(replace(line, case=case, fragment=fragment), point, setup)
    return replace(kconfig, name=line.fragment.name)  # one object directory for all, which stays hot


def mixed(text: str, state: State, asked: frozenset[str], bad: str) -> tuple[str, ...]:
    """The lines that ask for the configuration in ``text`` with the ``asked`` symbols as they are in the bad one, whose
    file is ``bad``.

    Of a choice's members the last that is asked for counts, so what is asked for stands last. What is in question and
    not asked for is said to be off, or a default would switch it on. So is what ``bad`` says is off and the good one
    can't even see (SLUB_DEBUG where there is no SLUB): both are without it.
    """
    lines = [line for line in text.splitlines() if symbol_of(line) and symbol_of(line) not in asked]
    said = {symbol_of(line) for line in lines} | asked
    lines += [off(symbol) for symbol in difference(state.good, state.bad) if symbol not in said]
    said |= {symbol_of(line) for line in lines}
    hidden = (symbol_of(line) for line in bad.splitlines() if line.startswith("# "))
    lines += [off(symbol) for symbol in hidden if symbol and symbol not in said]
    ordered = [symbol for symbol in difference(state.good, state.bad) if symbol in asked]
    values = {symbol: state.bad.get(symbol) for symbol in ordered}
    lines += [off(symbol) for symbol in ordered if values[symbol] == OFF]
    lines += [f"CONFIG_{symbol}={values[symbol]}" for symbol in ordered if values[symbol] != OFF]
    return tuple(lines)


def off(symbol: str) -> str:
    """The line that switches a symbol off."""
    return f"# CONFIG_{symbol} is not set"
