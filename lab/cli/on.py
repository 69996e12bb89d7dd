"""What ``--on NAME`` does for the commands that take it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lab.remote.client import Follower
from lab.remote.on import Wish, probe_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.bisect.engine import Watcher
    from lab.case import Case
    from lab.cli.common import Wishes
    from lab.line import Setup
    from lab.progress import Progress
    from lab.remote.frames import Begun, Noted
    from lab.remote.hosts import Host
    from lab.remote.on import Done
    from lab.remote.wire import Kind


class Shown(Follower):
    """Shows what goes on there as it is shown for work that is done here."""

    def __init__(self, progress: Progress, *, live: bool = False, watcher: Watcher | None = None) -> None:
        self.show = progress
        self.live = live
        self.watcher = watcher

    def begun(self, host: Host, begun: Begun) -> None:
        """Say where it runs, and whether an earlier call began it."""
        self.show("host", f"{host.name}: {'going on with what an earlier call began' if begun.found else 'begun'}")

    def progress(self, step: str, detail: str, done: int, total: int) -> None:
        """What it does."""
        self.show(step, detail, done, total)

    def console(self, data: bytes) -> None:
        """What the guest prints."""
        if self.live:
            from lab.cli.boot import write_console

            write_console(data)

    def noted(self, noted: Noted) -> None:
        """What a bisect saw."""
        if self.watcher is not None:
            self.watcher.done(noted.event)

    def told(self, text: str) -> None:
        """Something to know."""
        from lab.report.plain import one_line

        click.echo(f"lab: {one_line(text)}", err=True)
        sys.stderr.flush()


def wish_of(wishes: Wishes, *, live: bool = False) -> Wish:
    """What was said of how it is to be done; the user's configuration here does not count there."""
    from lab.share.where import NONE, chosen

    where = chosen(wishes.share, "", {})
    share = wishes.share and (where.name if where else NONE)
    return Wish(wishes.cc or "", wishes.jobs or 0, wishes.accel or "", wishes.timeout, live, share or "")


def host_of(wishes: Wishes) -> Host:
    """The host that was named."""
    from lab.paths import user_paths
    from lab.remote.hosts import find_host

    return find_host(wishes.on or "", user_paths())


def on_host(
    case: Case,
    kind: Kind,
    points: Sequence[int],
    *,
    setup: Setup,
    wishes: Wishes,
    live: bool = False,
    with_programs: bool = False,
) -> Done:
    """Build (and boot) points of ``case`` on the host that was named."""
    return probe_on(
        host_of(wishes),
        case,
        kind,
        points,
        setup=setup,
        wish=wish_of(wishes, live=live),
        with_programs=with_programs,
        follower=Shown(setup.progress, live=live),
    )
