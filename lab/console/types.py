"""Values of the console analysis: findings, stages, and the report of a whole console."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "bug", "oops", "panic", "warning", "lockdep", "sanitizer", "corruption", "stall", "hang", "memory", "hardware",
    "silent", "firmware", "test",
]  # fmt: skip

StageName = Literal[
    "firmware", "decompress", "early", "memory", "smp", "initcalls", "init", "userspace", "shutdown"
]  # fmt: skip
STAGES: tuple[StageName, ...] = (
    "firmware", "decompress", "early", "memory", "smp", "initcalls", "init", "userspace", "shutdown",
)  # fmt: skip


NEAR_SECONDS = 1.0
NEAR_LINES = 60
LAST_LINES = 5
_REMARKS: tuple[Kind, ...] = ("memory", "test", "hardware", "firmware")


@dataclass(frozen=True)
class Frame:
    """One line of a backtrace. ``sure`` is false for what the kernel marked with ``?``; ``inlined`` is true for what
    only the debug information tells; ``address`` is 0 where the console has none. A kernel without kallsyms prints
    addresses alone: then ``function`` is empty until a vmlinux tells it."""

    function: str
    offset: int = 0
    size: int = 0
    sure: bool = True
    module: str = ""
    file: str = ""
    line: int = 0
    address: int = 0
    inlined: bool = False

    @property
    def bare(self) -> bool:
        """Whether it is an address without a name."""
        return bool(self.address) and not self.function


@dataclass(frozen=True)
class Finding:
    """One thing the analysis recognised.

    ``title`` is in the form that the community uses (``kernel BUG in policy_zonelist``), ``alternatives`` are other
    titles of the same bug, ``signature`` is what makes two findings the same bug (kind and functions, never
    addresses, lines or CPUs: ``bug:policy_zonelist``). ``fatal``: a kernel does not live on after this.
    ``line`` and ``last_line`` count from 1 in the console. ``primary`` is false for what follows from an earlier
    finding (a panic after its oops). ``functions`` are in the trace's order, those the kernel was unsure of with ``? ``
    before them. ``damaged`` says in words what is wrong with the report itself (``cut off``, ``mixed``, ``nested``,
    ``printed twice``, ``no backtrace``). ``machine`` is the architecture its registers are of (``x86_64``, ``arm64``),
    ``time`` the kernel's at its header, in seconds. ``taint`` are the kernel's letters (``GW``), empty where it said
    that it is not tainted, and nothing where it said neither.
    """

    kind: Kind
    title: str
    signature: str
    function: str
    line: int
    last_line: int
    fatal: bool
    functions: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    alternatives: tuple[str, ...] = ()
    registers: tuple[tuple[str, str], ...] = ()
    code: str = ""
    disassembly: tuple[str, ...] = ()
    file: str = ""
    file_line: int = 0
    taint: str | None = None
    damaged: tuple[str, ...] = ()
    primary: bool = True
    text: tuple[str, ...] = ()
    machine: str = ""
    time: float | None = None


@dataclass(frozen=True)
class Stage:
    """A stage that the boot reached: at which line, and at which kernel time in seconds where there is one."""

    name: StageName
    line: int
    time: float | None = None


@dataclass(frozen=True)
class Marker:
    """What the lab's init printed from user space: the positive proof of a boot."""

    line: int
    fields: tuple[tuple[str, str], ...] = ()

    def get(self, key: str, default: str = "") -> str:
        """Field ``key`` of the marker line (``nodes``, ``cpus``), or ``default``."""
        return dict(self.fields).get(key, default)


@dataclass(frozen=True)
class Report:
    """All that was read from one console. ``last_sign_of_life`` is its last line that is not empty, ``last_lines`` the
    last few (``LAST_LINES``), cleaned; ``last_initcall`` the one that was called last and did not return, where
    ``initcall_debug`` was on. ``banner`` is the kernel's first line, ``Linux version 6.1.0 (…) … #1 SMP …``.
    ``incomplete`` says why not all of the console could be read, where that is known."""

    findings: tuple[Finding, ...] = ()
    stages: tuple[Stage, ...] = ()
    marker: Marker | None = None
    lines: int = 0
    last_sign_of_life: str = ""
    last_lines: tuple[str, ...] = ()
    kernel_release: str = ""
    banner: str = ""
    notes: tuple[str, ...] = field(default=())
    last_initcall: str = ""
    kernel_offset: int | None = None
    incomplete: str = ""

    @property
    def stage(self) -> str:
        """The last stage that was reached, or the empty string."""
        return self.stages[-1].name if self.stages else ""

    @property
    def nameless(self) -> bool:
        """Whether a finding has addresses for names, so that only a vmlinux tells where it was."""
        return any(frame.bare for one in self.findings if not one.function for frame in one.frames)

    @property
    def first(self) -> Finding | None:
        """The finding to blame: the first primary one that is more than a remark (memory ran out, a test failed), but
        not a warning long before something fatal, or before what that follows from; else the first."""
        primary = [finding for finding in self.findings if finding.primary]
        remarkable = [one for one in primary if one.kind not in _REMARKS]
        end = next((one.line for one in self.findings if one.fatal), 0)
        fatal = next((one for one in reversed(remarkable) if one.line <= end), None)
        told = (one for one in remarkable if not (fatal and one.kind == "warning" and _long_before(one, fatal)))
        return next(told, None) or next(iter(primary or self.findings), None)


def _long_before(warning: Finding, fatal: Finding) -> bool:
    """Whether the fatal finding came so long after the warning that it need not follow from it."""
    if warning.time is not None and fatal.time is not None:
        return fatal.time - warning.time > NEAR_SECONDS
    return fatal.line - warning.last_line > NEAR_LINES
