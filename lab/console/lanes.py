"""Lines of two reports that were printed at the same time and say nowhere by themselves whose they are, parted.

What tells is the line that a trace begins with (``CPU: 1 PID: 23 Comm: sh``, show_regs_print_info() and
dump_stack_print_info() in lib/dump_stack.c; ``Pid: 23, comm: sh`` before 3.9): its processor or task is the header's.
After it come the same lines in the same order for both (arch/x86/kernel/dumpstack.c, process_64.c), and frames up to
where a stack begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lab.console.parse import Numbered
from lab.console.patterns import compiled

_SPOKEN = (
    r"\bCPU ?[#:] ?(?P<cpu>\d+)\b|\bon cpu (?P<cpu2>\d+)\b|\[[^\[\]]{1,20}:(?P<pid>\d+)\]|\bPID: ?(?P<pid2>\d+)\b"
    r"|: [^ ]{1,20}/(?P<pid3>\d+)(?:/0x[0-9a-f]+|\b)|\bby task [^ ]{1,20}/(?P<pid4>\d+)\b"
    r"|\btask [^ ]{1,20}:(?P<pid5>\d+)\b"
)
_MARK = r"^(?:CPU: ?(?P<cpu>\d+) .*?PID: ?(?P<pid>\d+)|Pid: (?P<pid2>\d+), comm: |NMI backtrace for cpu (?P<cpu2>\d+))"
_FIELD = r"^(?:Modules linked in|Hardware name|Workqueue|Call Trace|RIP|Code|R[A-Z0-9]{2}|FS|CS|CR2|DR[0-7])\b"
_BOTTOM = (
    r"\b(?:ret_from_\w+|entry_\w+|start_kernel|x86_64_start_\w+|secondary_startup\w*|kthread|system_call\w*|cpu_startup_entry"
    r"|start_secondary|asm_\w+|kernel_init|kernel_thread_helper)\+0x|^\s*</TASK>"
)


class Whose(NamedTuple):
    """The processors and tasks that a report's first lines name."""

    cpus: frozenset[str]
    pids: frozenset[str]

    def is_of(self, cpu: str, pid: str) -> bool:
        """Whether a trace of this task, else of this processor, is the report's."""
        return pid in self.pids if pid and self.pids else bool(cpu) and cpu in self.cpus


def named(lines: Sequence[str]) -> Whose:
    """Whose report it is, by the header and what stands beside it."""
    cpus: set[str] = set()
    pids: set[str] = set()
    for line in lines:
        for found in compiled(_SPOKEN).finditer(line):
            for key, value in found.groupdict().items():
                if value:
                    (cpus if key.startswith("cpu") else pids).add(value)
    return Whose(frozenset(cpus), frozenset(pids))


class _Lane:
    """One report's lines, which fields of a trace it has, and whether the trace came to its bottom."""

    def __init__(self) -> None:
        self.lines: list[Numbered] = []
        self.fields: set[str] = set()
        self.begun = False
        self.framed = False
        self.done = False

    def begin(self) -> None:
        self.begun, self.framed, self.done = True, False, False
        self.fields = set()


def is_first_alone(lines: Sequence[Numbered], first: Whose, second: Whose) -> bool:
    """Whether the traces that began in the second report's lines so far are all the first's."""
    marks = [found for line in lines if (found := compiled(_MARK).match(line.text))]
    owners = {(first.is_of(*_of(mark)), second.is_of(*_of(mark))) for mark in marks}
    return owners == {(True, False)}


def begin_of_traces(lines: Sequence[Numbered]) -> int:
    """Where the first trace begins; behind the last line where none does."""
    return next((at for at, line in enumerate(lines) if compiled(_MARK).match(line.text)), len(lines))


def _of(mark: re.Match[str]) -> tuple[str, str]:
    """The processor and the task that a trace's first line names."""
    return mark["cpu"] or mark["cpu2"] or "", mark["pid"] or mark["pid2"] or ""


def parted(lines: Sequence[Numbered], first: Whose, second: Whose) -> tuple[list[Numbered], list[Numbered]] | None:
    """What of the second report's lines is each report's; nothing where no two traces are told to be theirs. What
    stands before the first trace is the second's."""
    one, other = _Lane(), _Lane()
    order: list[_Lane] = []
    for line in lines:
        if mark := compiled(_MARK).match(line.text):
            mine = first.is_of(*_of(mark))
            if mine == second.is_of(*_of(mark)):
                return None
            lane = one if mine else other
            if not lane.begun or lane.done:
                lane.begin()
                order = [*(each for each in order if each is not lane), lane]
            lane.lines.append(line)
        else:
            lane = _owner(line.text, order) if order else other
            lane.lines.append(line)
    return (one.lines, other.lines) if one.framed and other.framed else None


def _owner(text: str, order: Sequence[_Lane]) -> _Lane:
    """Whose line it is, of the traces in the order that they began in: a field's the first that lacks it, a frame's the
    first that is not at its bottom."""
    if found := compiled(_FIELD).match(text):
        lane = next((each for each in order if not each.done and found[0] not in each.fields), order[-1])
        lane.fields.add(found[0])
        return lane
    lane = next((each for each in order if not each.done), order[-1])
    if compiled(_BOTTOM).search(text):
        if not lane.framed:  # the rest of a bottom that has several
            return next((each for each in reversed(order) if each.done), lane)
        lane.done = True
    lane.framed = lane.framed or "+0x" in text
    return lane
