"""Consoles of the crash zoo, recorded by ``ci/zoo --record``: each gives the title that stands beside its trigger."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "ci"))

from crashes.triggers import ARCHES, ROOT, VARIANTS, triggers

from lab.console.scanner import scan_file

CONSOLES = ROOT / "tests" / "data" / "consoles"
RECORDED = sorted(path.relative_to(CONSOLES) for path in CONSOLES.glob("zoo-*/*.txt"))
TITLES = {
    (old, variant): {trigger.name: trigger.title for trigger in triggers(variant, old=old)}
    for old in (False, True)
    for variant in (*VARIANTS, *ARCHES)
}


@pytest.mark.parametrize("path", RECORDED, ids=str)
def test_a_recorded_crash_has_the_title_beside_its_trigger(path: Path) -> None:
    variant, _, trigger = path.stem.partition("-")
    first = scan_file(CONSOLES / path).first
    assert (first.title if first else "") == TITLES[path.parts[0].startswith("zoo-3."), variant][trigger]


def test_there_are_recorded_crashes() -> None:
    assert len(RECORDED) > 20


@pytest.mark.parametrize("old", (False, True), ids=("6.1", "3.7"))
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_its_triggers_once(variant: str, old: bool) -> None:
    names = [trigger.name for trigger in triggers(variant, old=old)]
    assert bool(names) != (old and variant in ("kcsan", "kmsan", "lockup"))  # what 3.7 does not have
    assert len(names) == len(set(names))


def test_a_trigger_without_a_title_for_a_kernel_is_not_asked_there() -> None:
    assert "uninit" in TITLES[False, "kmsan"]
    assert "uninit" not in TITLES[False, "plain"]
    assert "kfence-uaf" in TITLES[False, "plain"]
    assert "kfence-uaf" not in TITLES[True, "plain"]
    assert "oob" not in TITLES[True, "debug"]  # 3.7 has no KASAN
    assert TITLES[True, "debug"]["null"] == TITLES[True, "plain"]["null"]


def test_the_triggers_that_the_docs_name_are_there() -> None:
    section = (
        (ROOT / "docs" / "console.md").read_text().partition("## Which trigger shows what")[2].partition("\n## ")[0]
    )
    rows = [row.split("|")[2] for row in section.splitlines() if row.startswith("| ") and row.count("|") == 3]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert len(named) > 80
    assert named <= {name for titles in TITLES.values() for name in titles}
