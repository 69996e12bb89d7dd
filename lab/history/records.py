"""The values of the history: a run of a matrix, its cells, what each came to, and what changed between two runs.

The matrix makes them, the history keeps them, the reports show them. Times are seconds since the epoch, durations
seconds; consoles and other large things are named by the SHA-256 of their bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lab.verdict import HARMLESS, Word

RunState = Literal["running", "done", "deadline"]
"""``deadline``: the time ran out before every cell was tried. A run that was killed stays ``running``."""

CellWord = Literal["good", "bad", "skip", "flaky", "infrastructure", "waiting"]
"""What a cell came to after its retries. ``flaky``: attempts of the same kernel on the same machine disagreed;
``infrastructure``: the lab, QEMU or the host failed and nothing is known of the kernel; ``waiting``: not tried."""

ChangeKind = Literal["new", "fixed", "still", "flaky", "slower", "faster", "appeared", "gone", "infrastructure"]
"""``appeared`` and ``gone``: cells that only one of two runs has."""


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One square of the matrix: a point of a case with a kconfig, on a machine, from a toolchain.

    ``point`` is its index on the case's line and ``label`` how the matrix named it (``base``, ``end``, ``fix``, ``7``).
    ``expected`` is what the case says of it, ``arch`` the machine's architecture (empty in a history of before it was
    kept).
    """

    case: str
    point: int
    label: str
    subject: str
    commit: str
    kconfig: str
    machine: str
    toolchain: str
    base: str = ""
    expected: Word = "good"
    required: bool = False
    arch: str = ""

    @property
    def key(self) -> str:
        """What makes it the same cell in another run: everything that was asked for, not what it resolved to."""
        return "/".join((self.case, self.label, self.kconfig, self.machine, self.toolchain))

    @property
    def name(self) -> str:
        """The cell in a few words."""
        return f"{self.case} {self.label} {self.kconfig} on {self.machine}"


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding as the history keeps it; ``line`` counts from 1 in the console of its attempt."""

    signature: str
    title: str
    kind: str
    line: int
    last_line: int = 0
    fatal: bool = False
    primary: bool = True

    @property
    def serious(self) -> bool:
        """Whether it is more than a warning, which good boots have too."""
        return self.fatal or self.kind not in HARMLESS


class StageTime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a stage began, in seconds after QEMU's start, and its first line on the console (from 1)."""

    stage: str
    seconds: float
    line: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One boot of a cell's kernel on its machine, or one build where it came no further.

    ``topology`` are the sentences in which what the guest saw differs from the machine; empty where they agree.
    ``console`` is the hash of the log, empty where there was no boot. ``build`` holds a failed build's error. ``where``
    names the worker of a cluster that made it; empty where that was the run's own host.
    """

    number: int
    verdict: Word
    reason: str
    outcome: str
    started: float
    seconds: float
    accel: str = ""
    stages: tuple[StageTime, ...] = ()
    findings: tuple[Seen, ...] = ()
    topology: tuple[str, ...] = ()
    marker_seconds: float | None = None
    console: str = ""
    build: str = ""
    infrastructure: bool = False
    where: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cell of a run came to, with every attempt it took. ``kernel`` is the key in the store of kernels."""

    run: str
    cell: Cell
    word: CellWord
    reason: str
    attempts: tuple[Attempt, ...] = ()
    kernel: str = ""
    release: str = ""
    from_store: bool = False
    build_seconds: float = 0.0
    started: float = 0.0
    ended: float = 0.0

    @property
    def missed(self) -> list[Attempt]:
        """The attempts that were not as expected; those of the world's faults say nothing."""
        return [one for one in self.attempts if not one.infrastructure and one.verdict != self.cell.expected]

    @property
    def finding(self) -> Seen | None:
        """The finding that the cell is named after: of the last bad attempt with any, else of the last that shows
        another bug than the one that its case expects. A warning is none."""
        for word in ("bad", "skip"):
            for attempt in reversed(self.attempts):
                told = [seen for seen in attempt.findings if attempt.verdict == "bad" or seen.serious]
                if told and attempt.verdict == word:
                    return next((seen for seen in told if seen.primary), told[0])
        return None


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One night: a matrix that was run. ``id`` sorts by time; ``manifest`` is the hash of the matrix file's text."""

    id: str
    name: str
    started: float
    ended: float | None = None
    state: RunState = "running"
    host: str = ""
    lab_version: str = ""
    manifest: str = ""
    cells: int = 0


class Bisected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bisect that a regression started: the culprit, or why there is none. ``points`` are (index, verdict). ``late``:
    the night's time was over before it came to its end, or before it began."""

    case: str
    cell: str
    first_bad: int | None
    subject: str
    commit: str
    sure: float | None
    points: tuple[tuple[int, str], ...] = ()
    summary: str = ""
    late: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for a cell in a run from the run before, as values and in a ``sentence`` that does not name the
    cell: that stands beside it.

    ``rate`` is the share of attempts that failed where ``kind`` is ``flaky``, since run ``since``. ``stage``,
    ``before_seconds`` and ``after_seconds`` belong to ``slower`` and ``faster``: medians, and ``p`` how likely such a
    difference is by chance.
    """

    kind: ChangeKind
    cell: Cell
    sentence: str
    signature: str = ""
    title: str = ""
    first_seen: str = ""
    since: str = ""
    rate: float | None = None
    stage: str = ""
    before_seconds: float | None = None
    after_seconds: float | None = None
    p: float | None = None
    bisected: Bisected | None = None

    @property
    def line(self) -> str:
        """The sentence, with the cell's name before it."""
        return f"{self.cell.name}: {self.sentence}"


class Night(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a report shows of one run: its results and what changed since the run ``before``."""

    run: Run
    results: tuple[Result, ...]
    changes: tuple[Change, ...] = ()
    before: Run | None = None
    bisects: tuple[Bisected, ...] = ()
