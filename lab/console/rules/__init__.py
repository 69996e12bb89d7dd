"""The rules: what each kind of report looks like, as data. One file a family, one entry a kind, each with an example.

A new kind is one :class:`Rule` in the family's table; its example is its test.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from lab.console.types import Kind

Blame = Literal["trace", "header", "frames", "stall", "hung", "undying", "none"]
Role = Literal["start", "part", "prelude", "after", "last"]


class Refine(NamedTuple):
    """Another title (and signature word and kind) for a report that has a line with ``pattern``, whose named groups may
    be used in the title. ``over``: functions (a regular expression) to pass over too when blaming."""

    pattern: str
    title: str
    word: str = ""
    kind: Kind | None = None
    over: str = ""


class Rule(NamedTuple):
    """One kind of report.

    ``word`` is the first part of the signature. ``needles``: a line of it holds one of these strings (what the
    fast search looks for). ``pattern``: a regular expression for the cleaned line; its named groups may be used in
    ``title``, besides ``{func}``, the function to blame, and ``{caller}``, the next one. ``example`` is a console
    line.

    ``blame``: ``trace`` (the instruction pointer, then the first trace), ``header`` (group ``func``, then as
    trace), ``frames`` (the first trace alone), ``stall`` (what ran under the interrupt that complains), ``hung``
    (what waits), ``undying`` (the same, but what waits for a subsystem may be to blame) or ``none``. ``find`` are patterns with a group ``func``, asked of the report's lines before the
    trace, and only of those behind the first that ``since`` is found in, where that is given. ``role``: ``start`` begins a report, ``part`` belongs to the report before it and begins one only where
    there is none, ``prelude`` is printed before the header proper, ``after`` is what follows from a report before
    it, ``last`` begins one only where nothing was found and none is open, and counts only until something else is;
    without a title it keeps what comes from being taken for a report. ``trace``: without a backtrace it is no finding. ``alone``: one line, no more belongs to it. ``over``:
    functions (a regular expression) to pass over besides the helpers when blaming. ``fatal``: no
    kernel lives on.
    """

    word: str
    kind: Kind
    needles: tuple[str, ...]
    pattern: str
    title: str
    example: str
    fatal: bool = False
    blame: Blame = "trace"
    role: Role = "start"
    refine: tuple[Refine, ...] = ()
    alternatives: tuple[str, ...] = ()
    find: tuple[str, ...] = ()
    since: str = ""
    trace: bool = False
    alone: bool = False
    over: str = ""


def all_rules() -> tuple[Rule, ...]:
    """Every rule, the more special ones first: the first whose pattern is found in a line counts."""
    from lab.console.rules import (
        corruption,
        firmware,
        lockdep,
        machine,
        oops,
        other,
        others,
        panic,
        sanitizer,
        stall,
        warning,
    )

    return (
        sanitizer.RULES
        + lockdep.RULES
        + stall.RULES
        + corruption.RULES
        + warning.RULES
        + others.RULES
        + oops.RULES
        + panic.RULES
        + machine.RULES
        + firmware.RULES
        + other.RULES
    )
