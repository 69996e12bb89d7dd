"""What a series makes of the next probes: prices by what would be compiled, and where the bug is likely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import overload

from lab.bisect.choose import Outlook
from lab.bisect.price import Pace, Prices
from lab.bisect.records import Boot, Build, Event
from lab.bisect.touches import Crash, Touch, contents, likelihood, read
from lab.kernel.build import objects_folder
from lab.kernel.depends import groups, stands_at
from lab.kernel.store import find
from lab.kernel.types import Kernel
from lab.line import Line, Setup, known_kconfig

USUAL = Pace()


class LineView:
    """The outlook of a bisect over ``line``, as its events make it. What git and the object directory say is read when
    it is first needed, and the latter once for each process: patches seldom change what hangs on what."""

    def __init__(self, line: Line, setup: Setup, workers: int = 1) -> None:
        self.line = line
        self.setup = setup
        self.workers = workers
        self.points = line.tree.points[: line.series_end + 1]

    def __call__(self, events: Sequence[Event]) -> Outlook:
        """What is likely and what it costs after ``events``."""
        builds = [event for event in events if isinstance(event, Build)]
        built = {event.point for event in builds if event.image} | self.stored
        hot = next((event.point for event in reversed(builds) if event.fresh), self.standing)
        pace = paced(events)
        boots = [event for event in events if isinstance(event, Boot)]
        return Outlook(
            cost=Costs(self, pace).cost,
            weight=Weights(self, crash_of(boots, self.points[-1].index)),
            hot=hot,
            stored=frozenset(built),
            compiled=tuple(sorted(built | {event.point for event in builds})),
            workers=self.workers,
            boot=pace.boot,
            redo=2 * (pace.link + pace.boot) + 200 * pace.compile,
        )

    @cached_property
    def touches(self) -> list[Touch]:
        """What each patch touches."""
        commits = [point.commit for point in self.points[1:]]
        found = read(self.line.tree.repo, commits)
        return [found[commit] for commit in commits]

    @cached_property
    def contents(self) -> list[dict[str, str]]:
        """The files that any patch touches, at each point."""
        return contents(self.touches)

    @cached_property
    def groups(self) -> Counter[frozenset[str]]:
        """How many objects hang on which of these files."""
        line = self.line
        names = {name for touch in self.touches for name in touch.files}
        place = objects_folder(line.tree.key, line.fragment.name, line.toolchain, line.compat, self.setup.paths)
        return groups(place, line.tree.key, names)

    @cached_property
    def compiled(self) -> dict[str, int] | None:
        """How many objects hang on each file; ``None`` where no object directory tells."""
        counts: Counter[str] = Counter()
        for files, count in self.groups.items():
            counts.update(dict.fromkeys(files, count))
        return dict(counts) if self.groups else None

    @cached_property
    def stored(self) -> frozenset[int]:
        """The points whose kernels were in the store when the bisect began."""
        from lab.kernel.build import kernel_key

        found = set()
        for point in self.points:
            kconfig = known_kconfig(self.line, point, self.setup)
            if kconfig is not None:
                key = kernel_key(point.tree, kconfig, self.line.toolchain, self.line.compat)
                if isinstance(find(key, self.setup.paths), Kernel):
                    found.add(point.index)
        return frozenset(found)

    @cached_property
    def standing(self) -> int | None:
        """Where the object directory stood when the bisect began, if at a point of the series."""
        line = self.line
        place = objects_folder(line.tree.key, line.fragment.name, line.toolchain, line.compat, self.setup.paths)
        tree = stands_at(place)
        return next((point.index for point in self.points if tree and point.tree == tree), None)


class Costs:
    """What probes cost, worked out when it is first asked for: most steps of a bisect are clear without it."""

    def __init__(self, view: LineView, pace: Pace) -> None:
        self.view = view
        self.pace = pace

    @cached_property
    def prices(self) -> Prices:
        """The prices as the object directory has them now."""
        return Prices(self.view.contents, self.view.groups, self.pace)

    def cost(self, hot: int | None, point: int, compiled: tuple[int, ...]) -> float:
        """See :meth:`Prices.cost`."""
        return self.prices.cost(hot, point, compiled)


class Weights(Sequence[float]):
    """How likely each point brought the bug, worked out when it is first asked for."""

    def __init__(self, view: LineView, crash: Crash) -> None:
        self.view = view
        self.crash = crash

    @cached_property
    def all(self) -> tuple[float, ...]:
        """The weights of all points."""
        return (1.0, *(likelihood(touch, self.crash, self.view.compiled) for touch in self.view.touches))

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        return self.all[index]

    def __len__(self) -> int:
        return len(self.view.points)


def paced(events: Sequence[Event], usual: Pace = USUAL) -> Pace:
    """How quick this machine is, from the builds and boots so far."""
    builds = [event for event in events if isinstance(event, Build) and event.fresh and event.image and event.compiled]
    boots = [event.seconds for event in events if isinstance(event, Boot) and event.word in ("good", "bad")]
    boot = max(boots, default=usual.boot)
    largest = max(builds, key=lambda event: event.compiled, default=None)
    if largest is None or largest.compiled < 20:
        return Pace(usual.compile, usual.link, boot)
    each = max(largest.seconds - usual.link, 1.0) / largest.compiled
    rests = [event.seconds - each * event.compiled for event in builds if event is not largest]
    return Pace(each, min(max(min(rests, default=usual.link), 1.0), 60.0), boot)


def crash_of(boots: Sequence[Boot], end: int) -> Crash:
    """The bug as the bad end showed it."""
    for boot in boots:
        if boot.point == end and boot.word == "bad":
            sight = next((one for one in boot.seen if one.signature == boot.signature), None)
            if sight is not None:
                return Crash(sight.functions, sight.file)
    return Crash()
