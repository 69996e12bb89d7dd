"""What a test gets of a boot: values that answer questions, and that print the finding where an assertion fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from lab.console.types import STAGES, Finding, Report
from lab.errors import UserError
from lab.report.plain import harmless
from lab.verdict import HARMLESS, Verdict, judge_boot

if TYPE_CHECKING:
    from lab.console.ktap import Tap
    from lab.guest.types import Boot, Outcome
    from lab.kernel.types import Kernel

TEXT_BYTES = 64 << 20


class Findings(Sequence[Finding]):
    """The findings of one boot, in the console's order; false where there are none."""

    def __init__(self, label: str, items: tuple[Finding, ...]) -> None:
        self.label = label
        self.items = items

    @overload
    def __getitem__(self, at: int) -> Finding: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, at: int | slice) -> Finding | tuple[Finding, ...]:
        return self.items[at]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.items == tuple(other)

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        titles = "; ".join(harmless(title) for title in self.titles) or "none"
        return f"<findings of {self.label}: {titles}>"

    @property
    def titles(self) -> list[str]:
        """Each finding's title: ``kernel BUG in policy_zonelist``."""
        return [finding.title for finding in self.items]

    @property
    def signatures(self) -> list[str]:
        """Each finding's signature: ``bug:policy_zonelist``."""
        return [finding.signature for finding in self.items]

    @property
    def serious(self) -> Findings:
        """Those that are more than a warning: what makes a boot bad on its own."""
        kept = tuple(finding for finding in self.items if finding.fatal or finding.kind not in HARMLESS)
        return Findings(self.label, kept)


@dataclass(frozen=True, repr=False)
class Reached:
    """Whether a boot came to a stage, and if not, why; true or false in an assertion."""

    label: str
    stage: str
    why_not: str

    def __bool__(self) -> bool:
        return not self.why_not

    def __repr__(self) -> str:
        if self.why_not:
            return f"<{self.label} did not reach {self.stage}: {harmless(self.why_not)}>"
        return f"<{self.label} reached {self.stage}>"


@dataclass(frozen=True, repr=False)
class Booted:
    """One boot. ``label`` names kernel and machine for people (the test's id); ``boot`` is all that is known of it."""

    label: str
    boot: Boot
    kernel: Kernel

    def __repr__(self) -> str:
        return f"<boot {self.label}: {harmless(self.boot.detail)}>"

    @property
    def report(self) -> Report:
        """What was read from the console."""
        return self.boot.report

    @property
    def outcome(self) -> Outcome:
        """How the run ended, in a word (see :class:`lab.guest.types.Boot`)."""
        return self.boot.outcome

    @property
    def detail(self) -> str:
        """How the run ended, in a sentence."""
        return self.boot.detail

    @property
    def findings(self) -> Findings:
        """All that was recognised on the console, warnings too."""
        return Findings(self.label, self.boot.report.findings)

    @property
    def verdict(self) -> Verdict:
        """Good, bad or skip, as ``lab boot`` judges it: any finding that is more than a warning is bad."""
        return judge_boot(self.boot)

    @property
    def marker(self) -> dict[str, str]:
        """What user space said of itself (``nodes``, ``cpus``, ``release``, …); empty where it never ran."""
        return dict(self.boot.report.marker.fields) if self.boot.report.marker else {}

    @property
    def programs(self) -> dict[str, Tap]:
        """The results of the marker's test programs, by name."""
        return {tap.name: tap for tap in self.boot.programs}

    @property
    def console(self) -> Path:
        """The log as it came from the serial line."""
        return self.boot.console

    @property
    def text(self) -> str:
        """The console as text; what is no UTF-8 is shown as ``\\xff``. At most its first 64 MiB."""
        with self.console.open("rb") as file:
            return file.read(TEXT_BYTES).decode(errors="backslashreplace")

    def reached(self, stage: str) -> Reached:
        """Whether the boot came to ``stage`` (or past it). User space is reached where it said so, and saw every NUMA
        node that the machine has.

        Raises :class:`UserError` for a stage that there is none of.
        """
        return reached(self.boot, stage, self.label)


def reached(boot: Boot, stage: str, label: str) -> Reached:
    """:meth:`Booted.reached`."""
    order: dict[str, int] = {name: at for at, name in enumerate(STAGES)}
    if stage not in order:
        raise UserError(f"no stage {stage!r}; there are {', '.join(STAGES)}")
    if order[stage] < order["userspace"]:
        seen = max((order[one.name] for one in boot.report.stages), default=-1)
        return Reached(label, stage, "" if seen >= order[stage] else how(boot))
    if boot.report.marker is None:
        return Reached(label, stage, how(boot))
    nodes = boot.report.marker.get("nodes")
    if nodes != str(boot.nodes):
        return Reached(label, stage, f"the guest sees {nodes or 'no'} NUMA node(s), the machine has {boot.nodes}")
    later = stage == "userspace" or any(one.name == stage for one in boot.report.stages)
    return Reached(label, stage, "" if later else how(boot))


def how(boot: Boot) -> str:
    """Why it came no further: what the kernel said, with its last stage, or how the run ended."""
    return boot.detail
