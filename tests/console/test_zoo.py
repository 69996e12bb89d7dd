"""Consoles of the crash zoo, recorded by ``ci/zoo --record``: each gives the title that stands beside its trigger."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lab.console.scanner import scan_file

ROOT = Path(__file__).parents[2]
CONSOLES = ROOT / "tests" / "data" / "consoles"
RECORDED = sorted(path.relative_to(CONSOLES) for path in CONSOLES.glob("zoo-*/*.txt"))


def load_zoo() -> ModuleType:
    """``ci/zoo`` as a module."""
    loader = importlib.machinery.SourceFileLoader("ci_zoo", str(ROOT / "ci" / "zoo"))
    spec = importlib.util.spec_from_loader("ci_zoo", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["ci_zoo"] = module  # where a dataclass looks for its names
    loader.exec_module(module)
    return module


ZOO = load_zoo()
TITLES = {
    variant: {trigger.name: trigger.title for trigger in ZOO.triggers(variant)}
    for variant in (*ZOO.VARIANTS, *ZOO.ARCHES)
}


@pytest.mark.parametrize("path", RECORDED, ids=str)
def test_a_recorded_crash_has_the_title_beside_its_trigger(path: Path) -> None:
    variant, _, trigger = path.stem.partition("-")
    first = scan_file(CONSOLES / path).first
    assert (first.title if first else "") == TITLES[variant][trigger]


def test_there_are_recorded_crashes() -> None:
    assert len(RECORDED) > 20


@pytest.mark.parametrize("variant", ZOO.VARIANTS)
def test_every_variant_has_its_triggers_once(variant: str) -> None:
    names = [trigger.name for trigger in ZOO.triggers(variant)]
    assert names
    assert len(names) == len(set(names))


def test_a_trigger_without_a_title_for_a_kernel_is_not_asked_there() -> None:
    assert "uninit" in TITLES["kmsan"]
    assert "uninit" not in TITLES["plain"]
    assert "kfence-uaf" in TITLES["plain"]
    assert "kfence-uaf" not in {trigger.name for trigger in ZOO.triggers("plain", old=True)}
