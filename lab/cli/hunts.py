"""``lab bisect --config GOOD BAD`` and ``--machine GOOD BAD``: a bisect of something else than a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lab.cli.common import Wishes, chosen_case, emit, working

if TYPE_CHECKING:
    from lab.bisect.plan import Rules
    from lab.bisect.result import Result

BAD_MACHINE = "--bad-machine"


class Hunting(click.Command):
    """A command whose ``--machine`` takes one machine, or two: a good and a bad one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let ``--machine GOOD BAD`` through: where there is a word too many, and it follows a machine, it is the bad
        one."""
        return super().parse_args(ctx, with_bad_machine(self, ctx, args))


def with_bad_machine(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    """``args`` with the second word after ``--machine`` made an option of its own."""
    if "--machine" not in args:
        return args
    place = args.index("--machine") + 2
    too_many = command.make_parser(ctx).parse_args(list(args))[1]
    if not too_many or place >= len(args) or args[place].startswith("-"):
        return args
    return [*args[:place], f"{BAD_MACHINE}={args[place]}", *args[place + 1 :]]


def hunt_config(case: str, pair: tuple[str, str], wishes: Wishes, *, at: int | None, as_json: bool) -> int:
    """``lab bisect --config GOOD BAD``."""
    from lab.bisect.config_hunt import hunt_config as search
    from lab.report.hunts import config_document, show_config_hunt, show_config_trial

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        found = search(wanted, *pair, setup, at=at, seen=(lambda _trial: None) if as_json else show_config_trial)
    if as_json:
        emit(config_document(found))
    else:
        show_config_hunt(found)
    return 0 if found.symbol else 1


def hunt_machine(case: str, pair: tuple[str, str], wishes: Wishes, *, at: int | None, as_json: bool) -> int:
    """``lab bisect --machine GOOD BAD``."""
    from lab.bisect.machine_hunt import hunt_machine as search
    from lab.report.hunts import machine_document, show_machine_hunt, show_machine_trial

    wanted = chosen_case(case, wishes)
    with working(wishes, quiet=as_json) as setup:
        found = search(wanted, *pair, setup, at=at, seen=(lambda _seen: None) if as_json else show_machine_trial)
    if as_json:
        emit(machine_document(found))
    else:
        show_machine_hunt(found)
    return 0 if found.smallest is not None and not found.reason else 1


def hunt_history(
    case: str, ends: tuple[tuple[str, ...], str | None], wishes: Wishes, *, rules: Rules, as_json: bool
) -> Result:
    """``lab bisect --good REV --bad REV``."""
    from dataclasses import replace

    from lab.bisect.history import read_history
    from lab.bisect.history_run import bisect_history
    from lab.report.bisect_live import watched

    good, bad = ends
    if not good or not bad:
        raise click.UsageError("--good and --bad go together: name a commit without the bug and one with it")
    wanted = chosen_case(case, wishes)
    command = ["lab", "bisect", case, "--tree", str(wishes.tree), *(f"--good={one}" for one in good), f"--bad={bad}"]
    with watched(quiet=as_json) as watch, working(wishes, quiet=True) as quiet:
        setup = replace(quiet, progress=watch.progress)
        found = read_history(wanted, good, bad, setup)
        return bisect_history(wanted, found, setup, rules=rules, command=command, begin=watch.begin, watcher=watch)
