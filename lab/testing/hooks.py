"""Hooks that only a run with tests of the lab's needs: what a report says of the boots of a failed test."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from lab.testing import SESSION
from lab.testing.attach import LATER, SHOWN, TELLING
from lab.testing.explain import excerpt, explained, joined


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Tell the results of the test's guest programs, whatever came of the test itself."""
    try:
        return (yield)
    finally:
        later = pyfuncitem.stash.get(LATER, [])
        while later:
            later.pop(0)()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the findings of the test's boots under what it failed with, and their consoles into the report."""
    shown = item.stash.get(SHOWN, {})
    if not shown or item.stash.get(TELLING, False):
        return (yield)
    told = [tell() for tell in shown.values()]
    failed = call.excinfo is not None and not call.excinfo.errisinstance((pytest.skip.Exception, KeyboardInterrupt))
    text = joined(explained(one) for one in told) if failed and call.when == "call" else ""
    plain = failed and call.excinfo is not None and call.excinfo.errisinstance(pytest.fail.Exception)
    if text and not plain and call.excinfo is not None:
        call.excinfo.value.add_note(text)
        text = ""
    report = yield
    if text:
        report.sections.append(("lab", text))
    lines = item.config.stash[SESSION].options.console
    if call.when == "call":
        for one in told:
            console = excerpt(one, lines)
            if console:
                report.sections.append((f"lab console of {one.label}", console))
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Findings that were compared, one a line."""
    from lab.testing.booted import Findings

    if op not in ("==", "!=") or (not isinstance(left, Findings) and not isinstance(right, Findings)):
        return None
    lines = [f"{left!r} {op} {right!r}"]
    for side in (left, right):
        if isinstance(side, Findings):
            lines += [f"{finding.title}  [{finding.signature}], line {finding.line}" for finding in side]
    return lines
