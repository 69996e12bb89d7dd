"""What the tests of one pytest process share: where things are, the cases that were made ready, and how a fixture gets
its kernel, its boot, its guest. Builds and boots are the line's own; here stands who waits for whom.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.errors import InfrastructureError, LabError, UserError
from lab.testing import ACCELERATORS
from lab.testing.cells import Cell, index, label
from lab.testing.slots import slot

if TYPE_CHECKING:
    from lab.case import Case
    from lab.guest.programs import Program
    from lab.kernel.types import Kernel
    from lab.line import Line, Setup
    from lab.testing.booted import Booted
    from lab.testing.shell import Guest
    from lab.tree.types import Point

BUILD_WAIT_SECONDS = 4 * 3600.0
"""How long a test waits for another process that builds the same kernel: as long as a build may take."""
SLOT_WAIT_SECONDS = 3600.0
WORK_SECONDS = 1800.0
"""How long a test may work in its guest."""
DEFAULT_SECONDS = 60.0
CONSOLE_LINES = 40
MOST_BOOTS = 1024


@dataclass(frozen=True)
class Options:
    """What the command line and the ini file say; ``trees`` by case, and under the empty name for all."""

    trees: Mapping[str, Path]
    accel: str
    cc: str
    timeout: float
    boots: int
    strict: bool
    console: int


@dataclass(frozen=True)
class CaseAt:
    """A case made ready, and one point of it. ``label`` names both, and what of the machine and kconfig is not the
    case's own. ``timeout`` is how many seconds a guest may take to user space, ``programs`` are what it runs then, for
    ``program_seconds`` at most."""

    label: str
    line: Line
    point: Point
    timeout: float
    programs: tuple[Program, ...]
    program_seconds: float

    @property
    def case(self) -> Case:
        """The case's manifest, with the marker's kconfig and machine."""
        return self.line.case


def options(config: pytest.Config) -> Options:
    """The options of this run; :class:`UserError` names the one that is wrong."""
    accel = said(config, "lab_accel") or ""
    if accel and accel not in ACCELERATORS:
        raise UserError(f"--lab-accel: {accel!r} is not one of {', '.join(ACCELERATORS)}")
    cores = len(os.sched_getaffinity(0))
    strict = config.getoption("lab_strict")
    return Options(
        trees=trees(config),
        accel=accel,
        cc=said(config, "lab_cc"),
        timeout=number(config, "lab_timeout", DEFAULT_SECONDS, 1, 86400),
        boots=int(number(config, "lab_boots", cores, 1, MOST_BOOTS)),
        strict=bool(config.getini("lab_strict") if strict is None else strict),
        console=int(number(config, "lab_console", CONSOLE_LINES, 0, 1_000_000)),
    )


def said(config: pytest.Config, name: str) -> str:
    """An option, or the ini value of its name."""
    return str(config.getoption(name) or config.getini(name) or "").strip()


def number(config: pytest.Config, name: str, default: float, least: float, most: float) -> float:
    """An option that is a number."""
    text = said(config, name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise UserError(f"--{name.replace('_', '-')}: {text!r} is not a number from {least:g} to {most:g}")
    return value


def trees(config: pytest.Config) -> dict[str, Path]:
    """The kernel trees that were named, the command line's after the ini file's, whose paths are relative to it."""
    root = config.rootpath if config.inipath is None else config.inipath.parent
    named = [(text, root) for text in config.getini("lab_tree")]
    named += [(text, config.invocation_params.dir) for text in config.getoption("lab_tree") or ()]
    found: dict[str, Path] = {}
    for text, folder in named:
        case, equals, path = text.partition("=")
        if not equals or "/" in case:
            case, path = "", text
        tree = (folder / path).absolute()
        if not path or not tree.is_dir():
            raise UserError(f"--lab-tree: {path!r} is not a folder")
        found[case] = tree
    return found


class Session:
    """The cases of this process that were made ready, by what was asked."""

    def __init__(self, chosen: Options) -> None:
        self.options = chosen
        self.lines: dict[tuple[str, ...], Line] = {}
        self.kept: Setup | None = None

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """What the lab raises inside, as pytest's own outcomes, in one line each: a fault of the input fails the test,
        one of the world skips it, or fails it under ``--lab-strict``."""
        from lab.report.plain import one_line

        __tracebackhide__ = True
        try:
            yield
        except LabError as error:
            reason = f"lab: {one_line(str(error))}"
            world = isinstance(error, InfrastructureError)
        else:
            return
        if world and not self.options.strict:
            raise pytest.skip.Exception(reason) from None
        raise pytest.fail.Exception(reason, pytrace=False) from None

    def setup(self) -> Setup:
        """The user's folders and settings, with the options of this run."""
        if self.kept is None:
            from lab.line import Setup
            from lab.paths import user_paths
            from lab.progress import silent
            from lab.settings import load_settings
            from lab.share.where import share_of

            paths = user_paths()
            settings = load_settings(paths.config_file)
            self.kept = Setup(
                paths=paths,
                settings=settings,
                progress=silent,
                cc=self.options.cc or settings.cc or None,
                jobs=settings.jobs or None,
                accel=self.options.accel or settings.accel,
                timeout=self.options.timeout,
                share=share_of(None, settings, lambda text: print(f"lab: {text}", file=sys.stderr)),
            )
        return self.kept

    def case_at(self, cell: Cell | None) -> CaseAt:
        """The cell's point, its case made ready."""
        if cell is None:
            raise UserError('a test with the lab\'s fixtures needs a marker: @pytest.mark.lab(case="early-policy")')
        line = self.line(cell)
        at = index(cell.point, series_end=line.series_end, fix_end=line.fix_end, case=line.case.name)
        from lab.line import point_at

        wish = cell.wish
        return CaseAt(
            label=label(cell),
            line=line,
            point=point_at(line, at),
            timeout=wish.timeout or self.options.timeout,
            programs=self.programs(cell, line.case),
            program_seconds=wish.program_timeout,
        )

    def line(self, cell: Cell) -> Line:
        """The line that the cell is on; made once for all its points."""
        key = (cell.case, str(cell.wish.folder), cell.machine, cell.kconfig, cell.wish.append, cell.wish.tree)
        if key not in self.lines:
            from lab.line import prepare

            self.lines[key] = prepare(self.case(cell), replace(self.setup(), tree=self.tree(cell)))
        return self.lines[key]

    def case(self, cell: Cell) -> Case:
        """The cell's case, with its machine and kconfig: names of the lab's, or paths from the test's folder on."""
        from lab.case import MANIFEST, load_case
        from lab.paths import data_folder

        beside = cell.wish.folder / cell.case
        name = str(beside) if (beside / MANIFEST).is_file() else cell.case
        case = load_case(name, data_folder("patches"))
        return replace(
            case,
            machine=own(cell.machine, cell.wish.folder) or case.machine,
            kconfig=own(cell.kconfig, cell.wish.folder) or case.kconfig,
            append=f"{case.append} {cell.wish.append}".strip(),
        )

    def tree(self, cell: Cell) -> Path | None:
        """The user's kernel tree for the cell, where one was named."""
        if cell.wish.tree:
            path = (cell.wish.folder / cell.wish.tree).absolute()
            if not path.is_dir():
                raise UserError(f"marker lab: tree: {str(path)!r} is not a folder")
            return path
        trees = self.options.trees
        return trees.get(Path(cell.case).name, trees.get(""))

    def programs(self, cell: Cell, case: Case) -> tuple[Program, ...]:
        """The marker's test programs, compiled: files of the test's folder, or of the case's."""
        if not cell.wish.programs:
            return ()
        import shlex

        from lab.guest.programs import make_program

        made = []
        for text in cell.wish.programs:
            try:
                name, *arguments = shlex.split(text)
            except ValueError as error:
                raise UserError(f"marker lab: programs: {text!r}: {error}") from None
            own_file = cell.wish.folder / name
            file = own_file if own_file.is_file() else case.folder / name
            made.append(make_program(file if file.is_file() else own_file, self.setup().paths, tuple(arguments)))
        return tuple(made)

    def kernel(self, at: CaseAt, request: pytest.FixtureRequest) -> Kernel:
        """The kernel of a point. One process builds it, whoever else wants it waits; a point that does not build fails
        the test with the compiler's first error."""
        from lab.files import locked
        from lab.kernel.types import BuildFailure
        from lab.line import kernel_of

        setup = replace(self.setup(), progress=Teller(request, at.label))
        with locked(self.folder / f"{build_key(at)}.lock", BUILD_WAIT_SECONDS):
            built = kernel_of(at.line, at.point, setup)
        if isinstance(built, BuildFailure):
            place = f"{built.file}:{built.line}: " if built.file else ""
            pytest.fail(f"{at.label} does not build: {place}{built.message}\nlog: {built.log}", pytrace=False)
        return built

    @property
    def folder(self) -> Path:
        """Where the locks are."""
        return self.setup().paths.cache / "testing"

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for one guest among those that may run at once."""
        with slot(self.folder, self.options.boots, SLOT_WAIT_SECONDS):
            yield

    def boot(self, at: CaseAt, kernel: Kernel, request: pytest.FixtureRequest) -> Booted:
        """Boot a kernel. What the world did to the boot (QEMU, the accelerator) is raised; all else is the result."""
        from lab.guest.types import FAULTS
        from lab.line import boot_target, target_of
        from lab.testing.attach import add, tell_programs
        from lab.testing.booted import Booted

        with self.place():
            run = boot_target(
                target_of(at.line, kernel),
                replace(self.setup(), timeout=at.timeout),
                programs=at.programs,
                program_seconds=at.program_seconds,
            )
        if run.outcome in FAULTS:
            raise InfrastructureError(f"{at.label}: {run.detail}", hint=f"console: {run.console}")
        booted = Booted(at.label, run, kernel)
        add(request.node, booted)
        tell_programs(request, booted)
        return booted

    @contextlib.contextmanager
    def guest(self, at: CaseAt, kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Guest]:
        """A guest that the test works in."""
        from lab.testing.shell import working

        with self.place(), working(at, kernel, replace(self.setup(), timeout=at.timeout), request) as guest:
            yield guest


class Teller:
    """Says once, on a terminal, that a kernel is being built: minutes in which nothing else is to be seen."""

    def __init__(self, request: pytest.FixtureRequest, label: str) -> None:
        self.manager = request.config.pluginmanager
        self.label = label
        self.told = False

    def __call__(self, step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Take note of a step; ``build`` is the one that takes long."""
        terminal = self.manager.get_plugin("terminalreporter")
        capture = self.manager.get_plugin("capturemanager")
        if step != "build" or self.told or terminal is None or capture is None:
            return
        self.told = True
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(f"lab: building the kernel of {self.label}; the next test finds it in the store")


def own(value: str, folder: Path) -> str:
    """``value`` as a path where it names a file of the test's folder, else as it is."""
    return str(folder / value) if value and (folder / value).is_file() else value


def build_key(at: CaseAt) -> str:
    """What is the same for all who want the same kernel."""
    line = at.line
    parts = (at.point.tree, line.fragment.name, repr(line.fragment), line.toolchain.identity, repr(line.compat.flags))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
