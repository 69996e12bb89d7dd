"""A case's test programs, each in a guest of its own: what the kernel with the fix has to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab.line import Line, Setup, Target, boot_target, kernel_of, point_at
from lab.paths import data_folder
from lab.verdict import Verdict, judge_boot, judge_build

if TYPE_CHECKING:
    from lab.case import Programs
    from lab.guest.machine import Machine
    from lab.guest.programs import Program
    from lab.guest.types import Boot


@dataclass(frozen=True)
class GuestTest:
    """One program on one machine. Good: it passed, or had nothing to test there. No ``boot``: there is no kernel."""

    program: str
    machine: str
    verdict: Verdict
    boot: Boot | None = None


@dataclass(frozen=True)
class Ready:
    """A case's programs, compiled, its machines, checked, and the line with the kconfig that they need."""

    line: Line
    programs: tuple[Program, ...]
    machines: tuple[Machine, ...]
    seconds: float


def make_ready(line: Line, wanted: Programs, setup: Setup) -> Ready:
    """All that can be refused before a kernel is built.

    Raises :class:`UserError` for a program that does not compile and a machine or kconfig that is not there.
    """
    from lab.guest.machine import load_machine
    from lab.guest.programs import make_program
    from lab.kernel.kconfig import render

    fragment = render(wanted.kconfig, line.tree.base.version, {}, folder=data_folder("kconfigs"))
    return Ready(
        line=replace(line, fragment=fragment),
        programs=tuple(make_program(source, setup.paths) for source in wanted.sources),
        machines=tuple(load_machine(name, data_folder("qemu")) for name in wanted.machines),
        seconds=wanted.seconds,
    )


def run_guest_tests(
    ready: Ready, index: int, setup: Setup, *, seen: Callable[[GuestTest], None] = lambda _test: None
) -> tuple[GuestTest, ...]:
    """Each program on each machine on the kernel of point ``index``, telling ``seen`` of each as it is known.

    Where that point does not build, each is a skip.
    """
    from lab.kernel.types import BuildFailure

    kernel = kernel_of(ready.line, point_at(ready.line, index), setup)
    results = []
    for program in ready.programs:
        for machine in ready.machines:
            if isinstance(kernel, BuildFailure):
                result = GuestTest(program.name, machine.name, judge_build(kernel))
            else:
                setup.progress("guest test", f"{program.name} on {machine.name}")
                target = Target(kernel.image, machine, ready.line.case.append, kernel.vmlinux)
                run = boot_target(target, setup, programs=(program,), program_seconds=ready.seconds)
                result = GuestTest(program.name, machine.name, judge_boot(run, ready.line.case.expect), run)
            results.append(result)
            seen(result)
    return tuple(results)
