"""The rules: what each kind of report looks like, as data. One file a family, one entry a kind, each with an example."""

from __future__ import annotations

from typing import NamedTuple

from lab.console.types import Kind


class Refine(NamedTuple):
    """Another title (and signature word) for a report whose lines hold ``pattern``."""

    pattern: str
    title: str
    word: str = ""
    kind: Kind | None = None


class Rule(NamedTuple):
    """One kind of report.

    ``needles``: a line of it holds one of these byte strings (what the fast search looks for). ``pattern``: a regular
    expression for the cleaned line; its named groups may be used in ``title``, besides ``{func}``, the function to
    blame. ``word`` is the first part of the signature. ``blame`` says where the function comes from: ``trace`` (the
    instruction pointer, then the first trace), ``header`` (group ``func`` first, then as trace), ``stall`` (what was
    running under the interrupt that complains), ``frames`` (the trace alone) or ``none``.
    ``role``: ``start`` begins a report, ``part`` belongs to the report before it and begins one only where there is
    none, ``prelude`` is a line printed before the header proper, ``after`` is what follows from a report before it.
    """

    word: str
    kind: Kind
    needles: tuple[str, ...]
    pattern: str
    title: str
    example: str
    fatal: bool = False
    blame: str = "trace"
    role: str = "start"
    refine: tuple[Refine, ...] = ()
    alternatives: tuple[str, ...] = ()
    functions: int = 1
    needs_trace: bool = False


def all_rules() -> tuple[Rule, ...]:
    """Every rule, the more special ones first: the first whose pattern is found in a line counts."""
    from lab.console.rules import oops, panic, warning

    return oops.RULES + panic.RULES + warning.RULES
