"""Crashes on purpose on real guests: Debian's 6.1 with the zoo in it, and of the triggers one or two of each family.

The kernel has the kconfig of the example case's: where that was built, a file or two are compiled, and it stays in the
user's cache. ``ci/zoo`` boots every trigger, and those of larger kernels, of kernels with sanitizers and of 3.7.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "ci"))

from crashes.guests import run
from crashes.kernels import stored
from crashes.triggers import triggers

pytestmark = [pytest.mark.build, pytest.mark.boot]

TRIGGERS = {trigger.name: trigger for trigger in triggers("tiny")}


@pytest.fixture(scope="module")
def image() -> Path:
    """The zoo's kernel, built where the store has it not."""
    return stored("tiny")


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_crash_on_purpose_gets_the_title_beside_its_trigger(name: str, image: Path, tmp_path: Path) -> None:
    title, console = run(image, TRIGGERS[name], tmp_path)
    assert title == TRIGGERS[name].title, console.read_text(errors="replace")[-4000:]
