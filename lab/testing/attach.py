"""What a test leaves behind: its boots, their consoles, and the results of the programs that ran in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lab.testing.explain import Shown, tail

if TYPE_CHECKING:
    from lab.testing.booted import Booted

SHOWN = pytest.StashKey[dict[str, Callable[[], Shown]]]()
"""Of each boot of a test, by a name of its own, what there is to tell of it now."""
LATER = pytest.StashKey[list[Callable[[], None]]]()
"""What is to be done once the test function has ended."""
TELLING = pytest.StashKey[bool]()
"""Whether results of guest programs are being told: their reports need no console each."""


def add(item: pytest.Item, booted: Booted) -> None:
    """Keep a boot that has ended, for the reports of ``item``."""
    boot = booted.boot

    def shown() -> Shown:
        return Shown(booted.label, boot.detail, boot.report, tail(boot.console), boot.console, booted.kernel.vmlinux)

    item.stash.setdefault(SHOWN, {})[str(boot.folder)] = shown
    item.user_properties += [
        ("lab_boot", booted.label),
        ("lab_outcome", f"{boot.outcome}: {boot.detail}"),
        ("lab_console", str(boot.console)),
        ("lab_kernel", booted.kernel.key),
        *(("lab_finding", f"{finding.title} [{finding.signature}]") for finding in boot.report.findings),
    ]


def tell_programs(request: pytest.FixtureRequest, booted: Booted) -> None:
    """Have each result of the boot's test programs told as a subtest of the test, once its function has ended."""
    if not booted.boot.programs:
        return
    from lab.testing.tap import teller

    tell = teller(request)

    def later() -> None:
        for tap in booted.boot.programs:
            tell(tap)

    request.node.stash.setdefault(LATER, []).append(later)
