"""The pytest plugin (entry point ``pytest11``): kernels that are built and guests that are booted, as fixtures.

It is loaded into every pytest run where the lab is installed, so nothing of the lab's is imported here before a test
asks for it; docs/testing.md is its manual.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.kernel.types import Kernel
    from lab.testing.booted import Booted
    from lab.testing.session import CaseAt, Session
    from lab.testing.shell import Guest

FIXTURES = frozenset({"lab_case", "lab_kernel", "lab_boot", "guest"})
MARKER = (
    "lab(case, points, machines, kconfigs, append, timeout, programs, program_timeout, tree): which kernels the test's "
    "lab_boot, guest, lab_kernel or lab_case is of, and which machines they run on (docs/testing.md)"
)
ACCELERATORS = ("auto", "kvm", "tcg")
OPTIONS = ("lab_tree", "lab_accel", "lab_cc", "lab_timeout", "lab_boots", "lab_strict", "lab_console")
HOOKS = "lab-testing-hooks"

SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options; each but ``--lab-console`` has an ini value of the same name, ``lab_tree`` and so on."""
    group = parser.getgroup("lab", "the kernel boot lab")
    group.addoption(
        "--lab-tree",
        action="append",
        metavar="[CASE=]PATH",
        help="A kernel tree to take the base from, of one case or of all. It is only read.",
    )
    group.addoption("--lab-accel", metavar="ACCEL", help="QEMU's accelerator: auto (default), kvm, tcg.")
    group.addoption("--lab-cc", metavar="COMPILER", help="The compiler, such as gcc-11.")
    group.addoption("--lab-timeout", metavar="SECONDS", help="How long a guest may take to user space (default: 60).")
    group.addoption("--lab-boots", metavar="N", help="How many guests of tests may run at once (default: one a core).")
    group.addoption(
        "--lab-strict",
        action="store_true",
        default=None,
        help="What is missing here (QEMU, a base, a compiler) fails tests, where it otherwise skips them.",
    )
    group.addoption(
        "--lab-console",
        metavar="LINES",
        help="How many lines of its console are shown of a boot whose test failed (default: 40; 0: none).",
    )
    parser.addini("lab_tree", "Kernel trees: PATH, or CASE=PATH, one a line.", type="linelist", default=[])
    parser.addini("lab_accel", "QEMU's accelerator.", default="")
    parser.addini("lab_cc", "The compiler.", default="")
    parser.addini("lab_timeout", "Seconds that a guest may take to user space.", default="")
    parser.addini("lab_boots", "How many guests may run at once.", default="")
    parser.addini("lab_console", "Lines of its console that are shown of a boot whose test failed.", default="")
    parser.addini(
        "lab_strict", "What is missing here fails tests instead of skipping them.", type="bool", default=False
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker, and refuse wrong options before any test is looked for."""
    config.addinivalue_line("markers", MARKER)
    if any(config.getoption(name) is not None or config.getini(name) for name in OPTIONS):
        from lab.errors import UserError

        try:
            session_of(config)
        except UserError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each kernel and machine that the test's markers name."""
    if FIXTURES.isdisjoint(metafunc.fixturenames):
        return
    from lab.errors import UserError
    from lab.testing.cells import cells, label, merged

    session_of(metafunc.config)
    marks = [(mark.args, mark.kwargs) for mark in metafunc.definition.iter_markers("lab")]
    if not marks or "lab_case" not in metafunc.fixturenames:
        return
    try:
        wish = merged(marks, Path(str(metafunc.definition.path)).parent)
    except UserError as error:
        pytest.fail(f"lab: {error}", pytrace=False)
    wanted = cells(wish)
    metafunc.parametrize("lab_case", wanted, indirect=True, ids=[label(cell) for cell in wanted])


def session_of(config: pytest.Config) -> Session:
    """What the tests of this run share, made when the first of them asks.

    Raises :class:`lab.errors.UserError` for wrong options.
    """
    if SESSION not in config.stash:
        from lab.testing import hooks
        from lab.testing.session import Session, options

        config.stash[SESSION] = Session(options(config))
        config.pluginmanager.register(hooks, HOOKS)
    return config.stash[SESSION]


@pytest.fixture
def lab_case(request: pytest.FixtureRequest) -> CaseAt:
    """One point of a case on one machine, ready to be built: the patches are applied, what it names is there."""
    session = session_of(request.config)
    cell = getattr(request, "param", None)
    with session.told():
        return session.case_at(cell)


@pytest.fixture
def lab_kernel(request: pytest.FixtureRequest, lab_case: CaseAt) -> Kernel:
    """The kernel of that point: from the store, or built now. One that does not build fails the test."""
    session = session_of(request.config)
    with session.told():
        return session.kernel(lab_case, request)


@pytest.fixture
def lab_boot(request: pytest.FixtureRequest, lab_case: CaseAt, lab_kernel: Kernel) -> Booted:
    """What came of booting that kernel on that machine, with the marker's test programs run in it."""
    session = session_of(request.config)
    with session.told():
        return session.boot(lab_case, lab_kernel, request)


@pytest.fixture
def guest(request: pytest.FixtureRequest, lab_case: CaseAt, lab_kernel: Kernel) -> Iterator[Guest]:
    """A guest that runs that kernel until the test ends: run commands in it, push and pull files, read its sysfs."""
    session = session_of(request.config)
    with session.told(), session.guest(lab_case, lab_kernel, request) as live:
        yield live
