"""Options and helpers that several commands share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from lab.board.environment import Board
    from lab.case import Case
    from lab.kernel.types import Unmet
    from lab.line import Line, Setup
    from lab.paths import Paths
    from lab.settings import Settings
    from lab.tree.types import Point

F = TypeVar("F", bound=Callable[..., Any])

ACCELERATORS = click.Choice(["auto", "kvm", "tcg"])


def output_options(function: F) -> F:
    """``--json`` and ``--debug``, which every command takes."""
    function = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(function)
    return click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")(function)


@dataclass(frozen=True)
class Wishes:
    """What the options said; what was not said comes from the user's configuration file."""

    tree: Path | None = None
    cc: str | None = None
    jobs: int | None = None
    accel: str | None = None
    timeout: float = 60.0
    kconfig: str | None = None
    machine: str | None = None
    on: str | None = None
    share: str | None = None
    board: str | None = None


ON = click.option("--on", metavar="NAME", help="Do it on this host of 'lab hosts'; what comes of it is here after.")
BOARD = click.option("--board", metavar="NAME", help="Boot on this board: a labgrid environment, see docs/boards.md.")
TREE = click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A kernel tree of your own (git or unpacked) to take the base from. It is only read.",
)
TREE_HERE = click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The kernel tree to judge; default: this folder. Its HEAD is what counts.",
)
CC = click.option("--cc", metavar="COMPILER", help="The compiler, such as gcc-11.")
SHARE = click.option(
    "--share",
    metavar="URL",
    help="Fetch kernels from there, and put new ones there: a folder, sftp:// or s3://; none: neither.",
)
BUILD = (
    click.option("--kconfig", metavar="NAME", help="Another kconfig of kconfigs/, or a file, than the case's own."),
    CC,
    click.option("--jobs", "-j", type=click.IntRange(1, 4096), help="Compile jobs; default: one a core."),
    SHARE,
)
BOOT = (
    click.option("--machine", metavar="NAME", help="Another machine of qemu/, or a TOML file, than the case's own."),
    click.option("--accel", type=ACCELERATORS, help="QEMU's accelerator; auto proves KVM before it trusts it."),
    click.option(
        "--timeout",
        type=click.FloatRange(1, 86400),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a guest may take to reach user space.",
    ),
)


def wishes(*options: Callable[[F], F]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command ``options`` (of ``TREE``, ``BUILD`` and ``BOOT``) and hand it what they said as ``wishes``."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def command(**arguments: Any) -> int:
            said = {name: arguments.pop(name) for name in WISH_NAMES & arguments.keys()}
            return function(wishes=Wishes(**said), **arguments)

        for option in reversed(options):
            command = option(command)
        return command

    return decorate


WISH_NAMES = frozenset(Wishes.__dataclass_fields__)


def chosen_case(name: str, wishes: Wishes) -> Case:
    """Case ``name`` with the kconfig and machine that were wished for; what the case requires stays required."""
    from lab.case import load_case
    from lab.paths import data_folder

    case = load_case(name, data_folder("patches"))
    programs = case.programs and replace(
        case.programs,
        kconfig=wishes.kconfig or case.programs.kconfig,
        machines=(wishes.machine,) if wishes.machine else case.programs.machines,
    )
    return replace(
        case, kconfig=wishes.kconfig or case.kconfig, machine=wishes.machine or case.machine, programs=programs
    )


def point_index(case: Case, at: int | None, *, with_fix: bool) -> int:
    """The point that is meant: the one that was named, the fix, or the series' end."""
    end = len(case.patches)
    return at if at is not None else end + len(case.fix) if with_fix else end


@contextmanager
def working(wishes: Wishes, *, quiet: bool) -> Iterator[Setup]:
    """The user's folders, settings and wishes as one value, while progress is shown on standard error unless
    ``quiet``."""
    from lab.line import Setup
    from lab.paths import user_paths
    from lab.report.live import shown
    from lab.settings import load_settings
    from lab.share.where import share_of

    paths = user_paths()
    settings = load_settings(paths.config_file)
    board = board_of(wishes, paths, settings) if wishes.board else None
    with shown(quiet=quiet) as progress:
        yield Setup(
            paths=paths,
            settings=settings,
            progress=progress,
            tree=wishes.tree,
            cc=wishes.cc or settings.cc or None,
            jobs=wishes.jobs or settings.jobs or None,
            accel=wishes.accel or settings.accel,
            timeout=wishes.timeout,
            share=share_of(wishes.share, settings, tell),
            board=board,
        )


def tell(text: str) -> None:
    """Something to know, a line on standard error."""
    from lab.report.plain import one_line

    click.echo(f"lab: {one_line(text)}", err=True)


def board_of(wishes: Wishes, paths: Paths, settings: Settings) -> Board:
    """The board that was named; it is the machine, and nothing is emulated."""
    said = {"--machine": wishes.machine, "--accel": wishes.accel, "--on": wishes.on}
    if other := next((option for option, value in said.items() if value), None):
        raise click.UsageError(f"--board and {other} exclude each other")
    from lab.board.environment import load_board

    return load_board(wishes.board or "", paths, settings)


def emit(document: object) -> None:
    """Print ``document`` as one JSON document on standard output."""
    import msgspec

    from lab.errors import InfrastructureError

    try:
        sys.stdout.write(msgspec.json.encode(document, enc_hook=str).decode() + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:  # it names no file
        raise InfrastructureError(f"standard output: {error.strerror}") from None


def unmet_of(line: Line, point: Point, setup: Setup) -> tuple[Unmet, ...]:
    """What the kconfig of ``point`` asked for and did not get; nothing where it was not resolved."""
    from lab.line import known_kconfig

    known = known_kconfig(line, point, setup)
    return known.unmet if known is not None else ()


def tell_unmet(symbols: Iterable[Unmet]) -> None:
    """Say on standard error what a kconfig asked for and did not get, and why."""
    from lab.report.plain import one_line

    for unmet in symbols:
        got = unmet.got or "not set"
        click.echo(one_line(f"{unmet.symbol}={unmet.asked} asked, {got} came: {unmet.why}"), err=True)


def tell_stand_in(line: Line | None) -> None:
    """Say that a near kernel stood in for the case's base, where one did: a line after a person's result."""
    if line is not None and line.tree.base.stand_in:
        click.echo(line.tree.base.stand_in)
