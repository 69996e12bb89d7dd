"""The whole line for one case: tree, kernel, boot, verdict. ``repro``, ``bisect`` and ``check`` are its users.

Every step's own work is in its package; here stands only their order and what one hands to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UserError
from lab.paths import Paths, data_folder
from lab.progress import Progress

if TYPE_CHECKING:
    from lab.board.environment import Board
    from lab.case import Case
    from lab.guest.ahead import Ahead
    from lab.guest.live import Live
    from lab.guest.machine import Machine
    from lab.guest.programs import Program
    from lab.guest.types import Boot
    from lab.kernel.kconfig import Fragment
    from lab.kernel.types import BuildFailure, Compat, Kconfig, Kernel, Toolchain
    from lab.settings import Settings
    from lab.share.share import Share
    from lab.tree.types import Base, Point, Tree
    from lab.verdict import Verdict


@dataclass(frozen=True)
class Setup:
    """Where this user's things are and how the work is to be done. ``timeout`` is in seconds of guest time,
    ``build_seconds`` what one build may take, and ``until`` when by ``time.monotonic()`` none may go on any more;
    ``base`` is there where the case's base was found already, by another machine of the same lab; ``share`` is where
    kernels are fetched from and put to beside the store here. ``board`` is a real board to boot on, in the place of
    every guest."""

    paths: Paths
    settings: Settings
    progress: Progress
    tree: Path | None = None
    cc: str | None = None
    jobs: int | None = None
    accel: str = "auto"
    timeout: float = 60.0
    build_seconds: float = 4 * 3600.0
    until: float = float("inf")
    base: Base | None = None
    share: Share | None = None
    board: Board | None = None

    @property
    def build_left(self) -> float:
        """The seconds that a build which begins now may take; none once ``until`` has passed."""
        return max(0.0, min(self.build_seconds, self.until - time.monotonic()))


@dataclass(frozen=True)
class Line:
    """A case made ready: its points stand in a tree, its machine and tools are known to be there."""

    case: Case
    tree: Tree
    toolchain: Toolchain
    compat: Compat
    fragment: Fragment
    machine: Machine

    @property
    def series_end(self) -> int:
        """The index of the series' last patch."""
        return len(self.case.patches)

    @property
    def fix_end(self) -> int:
        """The index of the last point: the fix where the case has one, else the series' end."""
        return len(self.tree.points) - 1


@dataclass(frozen=True)
class Target:
    """What is to be booted: an image (``None`` for what a board boots by itself), the machine, more words for its
    command line, and its symbols."""

    image: Path | None
    machine: Machine
    append: str = ""
    vmlinux: Path | None = None


@dataclass(frozen=True)
class Probe:
    """What one point turned out to be, and what that cost in seconds."""

    point: Point
    verdict: Verdict
    build_seconds: float
    boot_seconds: float
    kernel: Kernel | None = None
    failure: BuildFailure | None = None
    boot: Boot | None = None


def prepare(case: Case, setup: Setup) -> Line:
    """Read what the case names, find its base and apply its series: all that can be refused before a minute is spent.

    Raises :class:`UserError` for what is wrong in the case and :class:`InfrastructureError` for what is missing here.
    """
    from lab.kernel.toolchain import detect_toolchain

    machine = machine_for(case, setup)
    toolchain = detect_toolchain(setup.cc, machine.arch)
    return line_with(case, setup.base or base_for(case, setup), toolchain, setup)


def machine_for(case: Case, setup: Setup) -> Machine:
    """What ``case`` is booted on: the board that was named, or the case's machine."""
    if setup.board is not None:
        return setup.board.machine
    from lab.guest.machine import load_machine

    return load_machine(case.machine, data_folder("qemu"))


def base_for(case: Case, setup: Setup) -> Base:
    """The base that ``case`` names, from where this user has it."""
    from lab.tree.bases import resolve_base

    setup.progress("base", case.base)
    return resolve_base(
        case.base,
        paths=setup.paths,
        tree=setup.tree,
        configured=setup.settings.bases,
        progress=setup.progress,
        keyring=setup.settings.kernel_org_keyring,
        dsc_keyrings=setup.settings.dsc_keyrings,
    )


def line_with(case: Case, base: Base, toolchain: Toolchain, setup: Setup) -> Line:
    """``case`` on ``base`` as it is built with ``toolchain``: the same on every machine."""
    from lab.kernel.compat import choose_compat
    from lab.kernel.kconfig import render
    from lab.tree.series import apply_series

    machine = machine_for(case, setup)
    compat = choose_compat(base.version, toolchain)
    setup.progress("series", case.name)
    tree = apply_series(
        base, case.patches, paths=setup.paths, under=compat.patches, fix=case.fix, progress=setup.progress
    )
    if case.origin is not None and toolchain.sandbox is None:
        from lab.sandbox import choose_sandbox

        key = tree.points[len(case.patches)].tree[:12]
        toolchain = replace(toolchain, sandbox=choose_sandbox(key, setup.settings.sandbox))
    fragment = render(case.kconfig, base.version, {}, folder=data_folder("kconfigs"))
    return Line(case=case, tree=tree, toolchain=toolchain, compat=compat, fragment=fragment, machine=machine)


def point_at(line: Line, index: int) -> Point:
    """The point with that index; :class:`UserError` where the line has none."""
    if not 0 <= index <= line.fix_end:
        raise UserError(f"{line.case.name} has no point {index}: there are 0 (the base) to {line.fix_end}")
    return line.tree.points[index]


def kconfig_of(line: Line, point: Point, setup: Setup) -> Kconfig:
    """The kconfig of ``point``, resolved in its own tree; from the cache where that was done before."""
    from lab.tree.checkout import checked_out

    known = known_kconfig(line, point, setup)
    if known is not None:
        return known
    with checked_out(line.tree, point, paths=setup.paths) as source:
        return resolved_kconfig(line, point, source, setup)


def known_kconfig(line: Line, point: Point, setup: Setup) -> Kconfig | None:
    """What an earlier resolution of the same kconfig in the same tree came to, without a checkout."""
    from lab.kernel.kconfig import cached

    return cached(
        line.fragment,
        tree_id=point.tree,
        toolchain=line.toolchain,
        compat=line.compat,
        require=line.case.require,
        early=point.index < line.series_end,
        paths=setup.paths,
    )


def resolved_kconfig(line: Line, point: Point, source: Path, setup: Setup) -> Kconfig:
    """The kconfig of ``point``, resolved by the tree in ``source``."""
    from lab.kernel.kconfig import resolve

    setup.progress("kconfig", line.fragment.name)
    return resolve(
        line.fragment,
        source,
        tree_id=point.tree,
        toolchain=line.toolchain,
        compat=line.compat,
        require=line.case.require,
        early=point.index < line.series_end,
        paths=setup.paths,
    )


def kernel_of(line: Line, point: Point, setup: Setup) -> Kernel | BuildFailure:
    """The kernel of ``point``: from the store where it was built before, or from its shared side, else built now."""
    from lab.kernel.kconfig import BrokenKconfig
    from lab.kernel.types import BuildFailure
    from lab.tree.checkout import checked_out

    kconfig = known_kconfig(line, point, setup)
    if kconfig is not None:
        known = stored_kernel(line, point, kconfig, setup)
        if known is not None:
            return known
    setup.progress("checkout", f"{point.index} {point.subject}")
    with checked_out(line.tree, point, paths=setup.paths) as source:
        if kconfig is None:
            try:
                kconfig = resolved_kconfig(line, point, source, setup)
            except BrokenKconfig as broken:
                at = broken.complaint
                return BuildFailure("", at.message, at.file, at.line, broken.log, 0.0)
            known = stored_kernel(line, point, kconfig, setup)
            if known is not None:
                return known
        return built_in(line, point, kconfig, source, setup)


def stored_kernel(line: Line, point: Point, kconfig: Kconfig, setup: Setup) -> Kernel | BuildFailure | None:
    """What was built of ``point`` with ``kconfig`` before: here, or by another machine with the same share."""
    from lab.kernel.build import kernel_key
    from lab.kernel.store import find

    key = kernel_key(point.tree, kconfig, line.toolchain, line.compat)
    known = find(key, setup.paths)
    if known is not None or setup.share is None:
        return known
    setup.progress("share", setup.share.where.name)
    return setup.share.pull(key, setup.paths)


def built_in(line: Line, point: Point, kconfig: Kconfig, source: Path, setup: Setup) -> Kernel | BuildFailure:
    """Build ``point``, which is checked out in ``source``, with ``kconfig``."""
    from lab.kernel.build import build

    built = build(
        source,
        tree_id=point.tree,
        kconfig=kconfig,
        toolchain=line.toolchain,
        compat=line.compat,
        paths=setup.paths,
        objects_key=line.tree.key,
        version=line.tree.base.version,
        jobs=setup.jobs,
        deadline=setup.build_left,
        progress=setup.progress,
    )
    if setup.share is not None:
        setup.share.push(built.key, setup.paths)
    return built


def kernel_with(line: Line, point: Point, kconfig: Kconfig, setup: Setup) -> Kernel | BuildFailure:
    """The kernel of ``point`` with another kconfig than the line's own, which the point's tree resolved."""
    from lab.tree.checkout import checked_out

    known = stored_kernel(line, point, kconfig, setup)
    if known is not None:
        return known
    with checked_out(line.tree, point, paths=setup.paths) as source:
        return built_in(line, point, kconfig, source, setup)


def target_of(line: Line, kernel: Kernel) -> Target:
    """``kernel`` on the case's machine."""
    return Target(kernel.image, line.machine, line.case.append, kernel.vmlinux)


def boot_target(
    target: Target,
    setup: Setup,
    on_console: Callable[[bytes], None] | None = None,
    programs: Sequence[Program] = (),
    program_seconds: float = 0.0,
    *,
    meanwhile: Callable[[], None] | None = None,
    ahead: Ahead | None = None,
) -> Boot:
    """One run of ``target``; the rest as for :func:`lab.guest.run.boot`.

    With ``programs`` the guest runs them, and has ``program_seconds`` more for that.
    """
    if setup.board is not None:
        return on_board(setup.board, target, setup, on_console, programs=programs, seconds=program_seconds)
    from lab.guest.accel import choose
    from lab.guest.initramfs import build
    from lab.guest.run import boot

    machine = target.machine
    assert target.image is not None  # noqa: S101 - only a board boots without one
    initramfs = build(setup.paths, arch=machine.arch)
    accel = choose(setup.accel, paths=setup.paths, image=target.image, initramfs=initramfs, arch=machine.arch)
    if programs:
        from lab.guest.programs import extra_files

        initramfs = build(setup.paths, extra=extra_files(programs), arch=machine.arch)
    run = boot(
        target.image,
        target.machine,
        initramfs=initramfs,
        accel=accel.name,
        paths=setup.paths,
        append=target.append,
        deadline=setup.timeout + (program_seconds if programs else 0.0),
        on_console=on_console,
        vmlinux=target.vmlinux,
        programs=tuple(program.name for program in programs),
        meanwhile=meanwhile,
        ahead=ahead,
    )
    return replace(run, notes=(accel.note, *run.notes)) if accel.note else run


def on_board(
    board: Board,
    target: Target,
    setup: Setup,
    on_console: Callable[[bytes], None] | None,
    *,
    programs: Sequence[Program],
    seconds: float,
) -> Boot:
    """One run of ``target`` on a real board, with the user space that guests get where the board takes one."""
    from lab.board.environment import INITRAMFS
    from lab.board.run import Ask, boot

    initramfs = None
    if INITRAMFS in board.takes:
        from lab.guest.initramfs import build
        from lab.guest.programs import extra_files

        initramfs = build(setup.paths, extra=extra_files(programs) if programs else None, arch=board.options.arch)
    ask = Ask(
        board=board,
        image=target.image,
        initramfs=initramfs,
        append=target.append,
        deadline=setup.timeout + (seconds if programs else 0.0),
        vmlinux=target.vmlinux,
        programs=tuple(program.name for program in programs),
    )
    return boot(ask, paths=setup.paths, progress=setup.progress, on_console=on_console)


@contextmanager
def live_target(target: Target, setup: Setup, seconds: float) -> Iterator[Live]:
    """``target`` as a guest to work in for ``seconds`` at most (see :mod:`lab.guest.live`); gone when this is left.

    Raises :class:`UserError` for an architecture whose machines have no second serial line.
    """
    from lab.arch import DEFAULT
    from lab.guest.accel import choose
    from lab.guest.initramfs import build
    from lab.guest.live import agent_files, living
    from lab.guest.run import boot

    image = target.image
    if setup.board is not None or image is None:
        raise UserError("a real board cannot be worked in so far")
    if target.machine.arch != DEFAULT:
        raise UserError(f"machine {target.machine.name}: only guests of {DEFAULT} can be worked in so far")
    accel = choose(setup.accel, paths=setup.paths, image=image, initramfs=build(setup.paths))
    initramfs = build(setup.paths, extra=agent_files(setup.paths))

    def run(live: Live) -> Boot:
        return boot(
            image,
            target.machine,
            initramfs=initramfs,
            accel=accel.name,
            paths=setup.paths,
            append=target.append,
            deadline=setup.timeout,
            on_console=live.take,
            vmlinux=target.vmlinux,
            meanwhile=live.running,
            tether=live.tether,
        )

    with living(run, deadline=setup.timeout, seconds=seconds) as live:
        yield live


def probe(line: Line, index: int, setup: Setup) -> Probe:
    """Build and boot point ``index`` and judge it by what the case looks for."""
    from lab.kernel.types import BuildFailure
    from lab.verdict import judge_boot, judge_build

    point = point_at(line, index)
    started = time.monotonic()
    built = kernel_of(line, point, setup)
    build_seconds = time.monotonic() - started
    if isinstance(built, BuildFailure):
        return Probe(point, judge_build(built), build_seconds, 0.0, failure=built)
    setup.progress("boot", f"{point.index} {point.subject}")
    run = boot_target(target_of(line, built), setup)
    return Probe(point, judge_boot(run, line.case.expect), build_seconds, run.seconds, kernel=built, boot=run)
