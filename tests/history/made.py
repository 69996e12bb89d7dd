"""Runs, cells and results that are made up."""

from __future__ import annotations

from lab.history.records import Attempt, Cell, CellWord, Result, Run, Seen, StageTime

BUG = Seen(signature="bug:policy_zonelist", title="kernel BUG in policy_zonelist", kind="bug", line=40, fatal=True)
WORDS = {"flaky": "bad", "infrastructure": "skip", "waiting": "skip"}


def cell(label: str = "end", *, machine: str = "two-nodes", kconfig: str = "tiny-numa", **more) -> Cell:
    point = {"base": 0, "end": 10, "fix": 11}.get(label, 5)
    values = {"case": "early-policy", "subject": "mm: A patch", "commit": "c" * 40, "toolchain": "gcc"} | more
    return Cell(point=point, label=label, kconfig=kconfig, machine=machine, **values)


def attempt(number: int = 1, verdict: str = "good", *, findings=(), stages=None, **more) -> Attempt:
    times = stages or {"early": 0.4, "memory": 0.5, "userspace": 1.2}
    values = {"reason": "because", "outcome": "userspace" if verdict == "good" else "died", "seconds": 1.5}
    values |= {"started": 1000.0 + number} | more
    return Attempt(
        number=number,
        verdict=verdict,
        findings=tuple(findings),
        stages=tuple(StageTime(stage=name, seconds=at, line=i + 1) for i, (name, at) in enumerate(times.items())),
        **values,
    )


def result(run: str, of: Cell, word: CellWord = "good", *, attempts=None, **more) -> Result:
    if attempts is None:
        findings = (BUG,) if word == "bad" else ()
        attempts = () if word == "waiting" else (attempt(1, WORDS.get(word, word), findings=findings),)
    values = {"reason": "because", "started": 1.0, "ended": 2.0} | more
    return Result(run=run, cell=of, word=word, attempts=tuple(attempts), **values)


def run(number: int, *, name: str = "nightly", state: str = "running", **more) -> Run:
    values = {"started": 1000.0 * number, "host": "here", "lab_version": "1", "manifest": "m", "cells": 1} | more
    return Run(id=f"2026112{number}T010000Z-0000", name=name, state=state, **values)
