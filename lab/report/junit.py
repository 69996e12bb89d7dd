"""A night as JUnit XML, for what shows test results of any kind.

A cell is a test of what its case says: an expected bug is a pass, and its absence a failure. A flaky cell passes, with
its bad attempts as ``flakyFailure`` (Maven Surefire's extension, which Jenkins reads), so that a flake turns no build
red; the lab's own failures are errors.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lab.errors import InfrastructureError
from lab.report.excerpt import excerpt, telling
from lab.report.html.words import BAD, FLAKY, KNOWN, LAB, ODD, SKIP, WAITING, look
from lab.report.plain import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from junitparser.xunit2 import JUnitXml, TestCase

    from lab.history.records import Attempt, Night, Result

EXCERPT = 40


def junit(night: Night, console: Callable[[str], bytes | None]) -> JUnitXml:
    """The document: a suite a case, a test a cell. ``console`` gives the bytes of a hash, ``None`` where they are gone.

    Raises :class:`InfrastructureError` where junitparser is missing.
    """
    try:
        from junitparser.xunit2 import JUnitXml, TestSuite
    except ImportError:
        raise InfrastructureError(
            "junitparser is not installed", hint="pip install 'kernel-boot-lab[report]'"
        ) from None
    suites: dict[str, TestSuite] = {}
    for result in night.results:
        suite = suites.get(result.cell.case)
        if suite is None:
            suite = suites[result.cell.case] = TestSuite(clean(result.cell.case))
            suite.timestamp = datetime.fromtimestamp(night.run.started, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            if night.run.host:
                suite.hostname = clean(night.run.host)
            suite.add_property("run", clean(night.run.id))
            suite.add_property("lab", clean(night.run.lab_version))
        suite.add_testcase(test(result, console))
    whole = JUnitXml(clean(night.run.name))
    for suite in suites.values():
        whole.add_testsuite(suite)
    whole.update_statistics()
    return whole


def written(whole: JUnitXml) -> bytes:
    """The document's text."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(whole.tostring()) + b"\n"


def test(result: Result, console: Callable[[str], bytes | None]) -> TestCase:
    """A cell as a test."""
    from junitparser import Error, Failure, Skipped
    from junitparser.xunit2 import FlakyFailure, RerunFailure, TestCase

    cell, shown = result.cell, look(result)
    name = clean(f"{cell.label} {cell.kconfig} {cell.machine} {cell.toolchain}")
    made = TestCase(name, clean(f"{cell.case}.{cell.kconfig}"), round(sum(one.seconds for one in result.attempts), 3))
    bad = [one for one in result.attempts if one.verdict == "bad"]
    said = clean(result.reason)
    if shown is BAD:
        seen = result.finding
        failure = Failure(clean(seen.title) if seen else said, clean(seen.signature) if seen else "bad")
        failure.text = told(result, telling(result), console)
        made.result = [failure]
        for one in bad[:-1]:
            made.add_interim_result(RerunFailure(clean(one.reason), kind(one)))
    elif shown is ODD:
        made.result = [Failure(f"good, where the case expects its bug: {said}", "expected-bug-missing")]
    elif shown is LAB:
        made.result = [Error(said, "infrastructure")]
    elif shown in (SKIP, WAITING):
        made.result = [Skipped(said, "skip" if shown is SKIP else "not-tried")]
    elif shown is FLAKY:
        for one in result.missed:
            flake = FlakyFailure(clean(one.reason), kind(one))
            flake.system_out = told(result, one, console)
            made.add_interim_result(flake)
    elif shown is KNOWN:
        made.system_out = f"bad, as the case expects: {said}"
    return made


def told(result: Result, attempt: Attempt | None, console: Callable[[str], bytes | None]) -> str:
    """The reason, and the console's lines where it is still there."""
    lines = [harmless(result.reason)]
    if attempt is not None:
        lines += [f"topology: {harmless(one)}" for one in attempt.topology]
        lines += [harmless(line) for line in attempt.build[:4000].splitlines()]
        if attempt.console and (data := console(attempt.console)) is not None:
            lines += excerpt(data, attempt, EXCERPT)
    return clean("\n".join(lines), many=True)


def kind(attempt: Attempt) -> str:
    """The signature of an attempt's bug."""
    seen = next((one for one in attempt.findings if one.primary), None)
    return clean(seen.signature) if seen else attempt.verdict


def clean(text: str, *, many: bool = False) -> str:
    """``text`` with nothing that XML 1.0 cannot hold; on one line unless there are ``many``."""
    fit = harmless(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
    fit = "".join(char if not "\ud800" <= char <= "\udfff" else "\ufffd" for char in fit)
    return fit if many else " ".join(fit.split())
