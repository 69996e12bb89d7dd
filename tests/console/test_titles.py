"""Titles, signatures and functions of reports in the formats of many kernels: each console is written as those kernels
print (the formats' sources are named in lab/console/rules), the names in them are of real functions. A new report is
one entry in tests/data/reports/titles, a file a family of rules: ``== what it is``, ``= its title``, the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.console.scanner import Scanner
from lab.console.types import Report

DATA = Path(__file__).parents[1] / "data" / "reports" / "titles"


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close()


def entries(path: Path) -> dict[str, tuple[str, str]]:
    """Title and console of each report of a file, by what it is."""
    found = {}
    for block in path.read_text().removeprefix("== ").split("\n== "):
        name, title, console = block.split("\n", 2)
        found[name] = title.removeprefix("= "), console + "\n"
    return found


CASES = {name: case for path in sorted(DATA.glob("*.txt")) for name, case in entries(path).items()}


@pytest.mark.parametrize("name", CASES)
def test_the_title_is_the_communitys(name: str) -> None:
    title, console = CASES[name]
    report = scan(console)
    assert report.first is not None
    assert report.first.title == title


@pytest.mark.parametrize("name", CASES)
def test_no_report_falls_apart_into_several(name: str) -> None:
    assert len([finding for finding in scan(CASES[name][1]).findings if finding.primary]) == 1


@pytest.mark.parametrize("name", CASES)
def test_titles_and_signatures_hold_nothing_that_changes_from_run_to_run(name: str) -> None:
    _, console = CASES[name]
    other = console.replace("ffff8", "ffff9").replace("+0x1", "+0x2").replace("PID: ", "PID: 7")
    first, again = scan(console).first, scan(other).first
    assert first and again
    assert (first.title, first.signature) == (again.title, again.signature)


def test_every_family_has_reports() -> None:
    assert {path.stem for path in DATA.glob("*.txt")} >= {"lockdep", "machines", "oops", "sanitizer", "stall"}
    assert len(CASES) > 40
