"""``lab matrix``: plan, run and watch a matrix of boots."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli.common import ACCELERATORS, SHARE, Wishes, emit, output_options, working

if TYPE_CHECKING:
    from lab.history.store import History
    from lab.line import Setup
    from lab.matrix.run import LineRunner, Planned
    from lab.matrix.schedule import Hands, Runner
    from lab.remote.spec import Spec

HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=HELP)
def matrix() -> None:
    """Points x kconfigs x machines x toolchains: what to boot tonight, and what came of it.

    \b
    lab matrix plan ci/nightly.toml
    lab matrix run ci/nightly.toml --deadline 3600
    lab matrix watch
    """


def base_places(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``NAME=TREE`` pairs as a mapping."""
    places = {}
    for value in values:
        name, equals, place = value.partition("=")
        if not (name and equals and place):
            raise click.BadParameter(f"{value!r} is not NAME=TREE, such as v3.7-rc4=~/src/linux-3.7")
        places[name] = place
    return places


@dataclass(frozen=True)
class Asked:
    """What plan and run were asked for alike."""

    file: Path
    bases: dict[str, str]
    wishes: Wishes
    fresh: bool


def common_options(function: Callable[..., int]) -> Callable[..., int]:
    """The options that plan and run share, as one value: ``asked``."""

    @functools.wraps(function)
    def command(
        *,
        file: Path,
        bases: dict[str, str],
        tree: Path | None,
        jobs: int | None,
        accel: str | None,
        share: str | None,
        fresh: bool,
        **more: Any,
    ) -> int:
        asked = Asked(file, bases, Wishes(tree=tree, jobs=jobs, accel=accel, share=share), fresh)
        return function(asked=asked, **more)

    options = (
        click.argument("file", type=click.Path(dir_okay=False, path_type=Path)),
        click.option(
            "--base",
            "bases",
            multiple=True,
            callback=base_places,
            metavar="NAME=TREE",
            help="Take the base NAME from this tree or URL. Can be repeated.",
        ),
        click.option(
            "--tree",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="The tree that the revisions of [[branch]] are in.",
        ),
        click.option("--jobs", "-j", type=click.IntRange(1, 4096), help="Compile jobs; default: one a core."),
        click.option("--accel", type=ACCELERATORS, help="QEMU's accelerator; auto proves KVM before it trusts it."),
        SHARE,
        click.option("--new", "fresh", is_flag=True, help="A fresh run, also where one was broken off."),
    )
    wrapped: Callable[..., int] = command
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


@contextmanager
def planned(asked: Asked, *, quiet: bool) -> Iterator[tuple[Planned, LineRunner, History, Setup]]:
    """The matrix in the file made ready and put in order, while progress is shown."""
    import msgspec

    from lab.history.store import opened
    from lab.matrix.lines import make_ready
    from lab.matrix.manifest import load_matrix
    from lab.matrix.run import LineRunner, plan

    wanted = load_matrix(asked.file)
    with working(asked.wishes, quiet=quiet) as given:
        settings = msgspec.structs.replace(given.settings, bases={**given.settings.bases, **asked.bases})
        setup = replace(given, settings=settings)
        ready = make_ready(wanted, setup)
        runner = LineRunner(ready.kernels, replace(setup, timeout=wanted.budget.boot_seconds))
        with opened(setup.paths, settings) as history:
            yield plan(ready, history, runner, fresh=asked.fresh, say=say), runner, history, setup


def say(text: str) -> None:
    """Something to know, on standard error."""
    from lab.report.plain import one_line

    click.echo(f"lab: {one_line(text)}", err=True)


@matrix.command()
@common_options
@output_options
def plan(*, asked: Asked, as_json: bool) -> int:
    """What FILE would run, in which order, and what that will cost by history. Nothing is built or booted.

    \b
    lab matrix plan ci/nightly.toml
    lab matrix plan ci/nightly.toml --base v3.7-rc4=~/src/linux-3.7 --json
    """
    from lab.matrix.run import limits_of
    from lab.report.matrix import plan_document, show_plan

    with planned(asked, quiet=as_json) as (found, _, _, _):
        cores = limits_of(found.ready.matrix).cores
    if as_json:
        emit(plan_document(found, cores))
    else:
        show_plan(found, cores)
    return 0


@matrix.command()
@common_options
@click.option(
    "--deadline", type=click.FloatRange(1, 7 * 86400), metavar="SECONDS", help="Instead of the file's own budget."
)
@click.option(
    "--cluster",
    metavar="CLUSTER",
    help="Have workers build and boot: local:N, ssh:NAME,NAME of 'lab hosts', slurm:N, or tcp://HOST:PORT.",
)
@click.option(
    "--bisect-regressions",
    is_flag=True,
    help="Bisect each new failure that a series' patch can have brought, in what is left of the deadline; from when "
    "one is seen, a fifth of it is kept for that, or what the file says.",
)
@output_options
def run(*, asked: Asked, deadline: float | None, cluster: str | None, bisect_regressions: bool, as_json: bool) -> int:
    """Run the matrix in FILE, and say what changed since the last run.

    A run that was killed goes on where it was when the same command is given again. With a deadline, what matters most
    is run first: required cells, then those that were not as expected last time; what the time was too short for is
    'waiting'. A red cell is booted again before it is called bad.

    Exits 0 when every required cell is as expected and nothing new fails, 1 when not, 125 when a required cell is not
    known (the deadline came first, or the world failed), 128 when all that was tried came to nothing by a fault of the
    world.

    \b
    lab matrix run ci/nightly.toml
    lab matrix run ci/nightly.toml --deadline 3600 --bisect-regressions
    lab matrix run ci/nightly.toml --cluster local:4
    """
    import time

    from lab.matrix.hunt import bisect_new, kept_for_bisects
    from lab.matrix.run import run as run_matrix
    from lab.remote.spec import parse
    from lab.report.matrix import night_document, show_night, told

    spec = parse(cluster) if cluster is not None else None
    with planned(asked, quiet=True) as (found, runner, history, setup):
        watcher = told(found, quiet=as_json)
        began = time.monotonic()
        with hands_of(spec, found, runner, setup, asked.wishes) as (who, hands):
            spare = kept_for_bisects(found, history, deadline) if bisect_regressions else None
            done = run_matrix(
                found, history, who, setup.paths, seconds=deadline, watcher=watcher, hands=hands, spare=spare
            )
        night = history.night(done.id)
        if bisect_regressions:
            budget = found.ready.matrix.budget.seconds if deadline is None else deadline
            left = max(budget - (time.monotonic() - began), 0.001) if budget else 0.0
            night = bisect_new(night, found.ready, history, setup, seconds=left, say=watcher.say)
    if as_json:
        emit(night_document(night, found))
    else:
        show_night(night)
    return exit_code(night)


@contextmanager
def hands_of(
    spec: Spec | None, found: Planned, runner: LineRunner, setup: Setup, wishes: Wishes
) -> Iterator[tuple[Runner, Hands | None]]:
    """Who fills the cells: this machine, or the cluster that was named."""
    if spec is None:
        yield runner, None
        return
    from lab.cli.common import tell
    from lab.cli.on import wish_of
    from lab.remote.cells import Elsewhere, many

    with many(spec, found.ready, setup, wish_of(wishes), tell) as hands:
        yield Elsewhere(runner, bool(spec.count)), hands


def exit_code(night: object) -> int:
    """Whether the night is as it should be."""
    from lab.history.records import Night
    from lab.matrix.judge import night_word

    assert isinstance(night, Night)  # noqa: S101
    return {"good": 0, "bad": 1, "skip": 125, "infrastructure": 128}[night_word(night)]


@matrix.command()
@click.argument("run_id", metavar="[RUN]", default="")
@click.option("--once", is_flag=True, help="Show how it stands, and end.")
@output_options
def watch(*, run_id: str, once: bool, as_json: bool) -> int:
    """The cells of RUN (default: the newest) filling live, until it is done. Ctrl-C ends the watching, not the run.

    \b
    lab matrix watch
    lab matrix watch --once
    """
    from lab.history.store import opened
    from lab.paths import user_paths
    from lab.report.matrix import watch_document
    from lab.report.matrix_watch import follow
    from lab.settings import load_settings

    paths = user_paths()
    with opened(paths, load_settings(paths.config_file)) as history:
        if as_json:
            emit(watch_document(history.run(run_id), history, paths))
        else:
            follow(history, paths, run_id, once=once)
    return 0
