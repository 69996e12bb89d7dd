"""How findings hang together: what only follows from one before it, and what was printed twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.console.patterns import compiled
from lab.console.rules import Rule
from lab.console.types import Finding

NEAR_LINES = 400
_SAID = "kernel-bug-text:"
_RIGHT_BEHIND = 4
"""Lines: what is said in a line alone has its trace in the warning behind it (kernel/locking/lockdep.c, a key that has
not been registered)."""
_SLUB = ("object_err", "slab_err", "__slab_err")
"""They report and then warn (mm/slub.c, from 6.15)."""


def follows(found: Finding, rule: Rule, before: Sequence[Finding]) -> Finding | int:
    """``found`` with ``primary`` set by what came before it; where it is the same report printed again, which one."""
    for at in range(len(before) - 1, max(-1, len(before) - 9), -1):
        if _printed_again(found, before[at]):
            return at
    return found if not found.primary or _independent(found, rule, before) else replace(found, primary=False)


def _printed_again(found: Finding, earlier: Finding) -> bool:
    """Whether ``found`` is the report ``earlier``: of the same time, or, as an oops counts itself, word for word."""
    if earlier.title != found.title or earlier.text[:4] != found.text[:4] or earlier.time != found.time:
        return False
    if found.time is not None:
        return len(found.text) <= len(earlier.text)
    counted = found.fatal and any("[#" in line for line in found.text[:8])
    return counted and found.text == earlier.text


def _independent(found: Finding, rule: Rule, before: Sequence[Finding]) -> bool:
    before = [earlier for earlier in before if earlier.line < found.line]
    if any(earlier.fatal for earlier in before):
        return False
    last = before[-1] if before else None
    if last is None:
        return True
    behind = last.signature.startswith(_SAID) and found.line - last.last_line <= _RIGHT_BEHIND
    consequence = rule.role == "after" and found.text and is_consequence(found.text[0])
    if consequence or (behind and found.kind == "warning"):
        return False
    near = found.line - last.last_line <= NEAR_LINES
    if last.kind == "corruption" and near and found.kind == "warning" and {*found.functions[:1]} & {*_SLUB}:
        return False
    if last.kind in ("sanitizer", "corruption") and near and last.function:
        names = {frame.function for frame in last.frames[:12]}
        return not (found.fatal and found.function in names)
    return True


def told_better(found: Finding, earlier: Finding) -> bool:
    """Whether ``found`` says in full what ``earlier`` only announces: kmemleak's list after its sum, powerpc's stuck
    processor after the one that noticed it (arch/powerpc/kernel/watchdog.c, watchdog_smp_panic())."""
    return (found.primary and earlier.signature.startswith(_HEADLESS)) or any(
        earlier.signature == one and found.signature.startswith(f"{one}:") for one in _ANNOUNCED
    )


def began_after(found: Finding, fatal: Finding) -> bool:
    """Whether ``found``, which was complete first, began after what no kernel lives on after."""
    return fatal.fatal and found.line > fatal.line


_HEADLESS = "stack-dump"
"""A trace without a header that is known, which says little beside one that has one."""

_ANNOUNCED = ("memory-leak", "hard-lockup")


def is_consequence(text: str) -> bool:
    """Whether a panic's line only says what the report before it led to."""
    from lab.console.rules.panic import CONSEQUENCES

    return compiled(CONSEQUENCES).search(text) is not None


_LEADS_TO = {"serror": r"SError Interrupt$", "stack-overflow": r"kernel stack overflow$", "bad-mode": r": bad mode$"}
"""Panics that tell in other words what the report before them told, and have the trace that it is to have."""


def leads_to(rule: Rule, text: str) -> bool:
    """Whether a panic's line only says what the report of ``rule``, which it comes in, led to."""
    return is_consequence(text) or (rule.word in _LEADS_TO and compiled(_LEADS_TO[rule.word]).search(text) is not None)
