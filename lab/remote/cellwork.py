"""What a worker of a cluster does for a matrix: builds a kernel, or fills a cell by the very functions that do it
elsewhere (:func:`lab.matrix.schedule.build_one` and :func:`lab.matrix.schedule.fill_one`)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from lab.errors import InfrastructureError, LabError, UserError
from lab.history.consoles import console_path
from lab.history.records import Attempt
from lab.line import Line, Setup
from lab.matrix import schedule
from lab.matrix.plan import Job
from lab.matrix.run import LineRunner
from lab.matrix.schedule import Limits
from lab.paths import Paths, user_paths
from lab.remote import wire
from lab.remote.work import Lacking, prepared, slot, worker_name
from lab.remote.work import kept as kept_here
from lab.tree.types import Point


@dataclass(frozen=True)
class Wanted:
    """A kernel that is wanted: the request with its case and kconfig (by its hash, ``key``; the bytes are there for a
    worker that lacks it), the point, and what tells that it is the same there: the point's tree, the identity of the
    compiler, the version of the lab."""

    request: bytes
    kernel: str
    point: int
    tree: str
    toolchain: str
    version: str
    key: str

    @property
    def bare(self) -> Wanted:
        """The same without the bytes."""
        return replace(self, request=b"")


@dataclass(frozen=True)
class Cell:
    """A cell that is to be filled, once its kernel was ``made`` somewhere, for ``run``; ``left`` are the seconds that
    there were to the deadline when it was sent."""

    wanted: Wanted
    job: Job
    made: schedule.Made
    limits: Limits
    run: str
    left: float = float("inf")

    @property
    def bare(self) -> Cell:
        """The same without the bytes of its case."""
        return replace(self, wanted=self.wanted.bare)


class Built(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a build came to. ``late``: it did not end in time."""

    key: str = ""
    release: str = ""
    from_store: bool = False
    seconds: float = 0.0
    whole: bool = False
    late: bool = False
    attempt: Attempt | None = None


class Answer(msgspec.Struct, frozen=True):
    """What comes back from a worker: a document as JSON, consoles by their hash as they are kept (compressed), or why
    there is none; ``where`` names the worker. ``lacks``: it has to be asked again, with the case."""

    document: bytes = b""
    consoles: dict[str, bytes] = {}
    problem: wire.Problem | None = None
    where: str = ""
    lacks: bool = False


def build(wanted: Wanted, seconds: float) -> Answer:
    """Build a kernel within ``seconds``."""

    def work(line: Line, setup: Setup, point: Point) -> Answer:
        runner = LineRunner({wanted.kernel: (line, point)}, setup)
        made = schedule.build_one(runner, wanted.kernel, seconds)
        if made is None:
            return Answer(msgspec.json.encode(Built(late=True)))
        whole = made.kernel is not None
        attempt = told(made.attempt) if made.attempt else None
        built = Built(made.key, made.release, made.from_store, made.seconds, whole, attempt=attempt)
        return Answer(msgspec.json.encode(built))

    return answered(wanted, work)


def fill(cell: Cell) -> Answer:
    """Fill a cell: boot it as often as it takes to know what it is."""

    def work(line: Line, setup: Setup, point: Point) -> Answer:
        runner = Booting({cell.wanted.kernel: (line, point)}, setup)
        limit = time.monotonic() + cell.left
        terms = schedule.Terms(cell.run, cell.limits, lambda: limit - time.monotonic())
        result = schedule.fill_one(runner, cell.job, cell.made, terms)
        result = msgspec.structs.replace(result, attempts=tuple(told(one) for one in result.attempts))
        return Answer(msgspec.json.encode(result), kept(result.attempts, setup.paths))

    return answered(cell.wanted, work)


class Booting(LineRunner):
    """Boots a kernel that another worker built: it is in the store here, or is built here too."""

    def boot(self, job: Job, made: schedule.Made, number: int) -> Attempt:
        """Boot it once."""
        if made.kernel is None or made.kernel is True:
            here = self.stored(job.kernel) or self.build(job.kernel, self.setup.build_seconds)
            if here.kernel is None:
                raise InfrastructureError(f"no kernel on this worker: {here.attempt.reason if here.attempt else ''}")
            made = replace(made, kernel=here.kernel)
        return super().boot(job, made, number)


def answered(wanted: Wanted, work: Callable[[Line, Setup, Point], Answer]) -> Answer:
    """What ``work`` gives on the line that is wanted; what goes wrong is an answer too."""
    from lab.__main__ import as_lab_error

    where = worker_name()
    try:
        line, setup = same_line(wanted)
        with slot(line, setup.paths) as number:
            own = line if number == 0 else replace(line, tree=replace(line.tree, key=f"{line.tree.key}-w{number}"))
            return msgspec.structs.replace(work(own, setup, line.tree.points[wanted.point]), where=where)
    except Lacking:
        return Answer(where=where, lacks=True)
    except Exception as error:
        if not isinstance(error, LabError):
            import traceback

            traceback.print_exc()
        known = as_lab_error(error)
        kind: Literal["user", "infrastructure"] = "user" if isinstance(known, UserError) else "infrastructure"
        return Answer(problem=wire.Problem(kind, known.message, known.hint), where=where)


def same_line(wanted: Wanted) -> tuple[Line, Setup]:
    """The line here; a :class:`LabError` where it would give another kernel than the one that is wanted."""
    from lab.remote.version import this_version

    if wanted.version != this_version().name:
        raise UserError("this worker runs another version of the lab", hint="lab hosts setup NAME; start it again")
    line, setup = prepared(kept_here(wanted.key, wanted.request, user_paths()))
    if line.toolchain.identity != wanted.toolchain:
        raise InfrastructureError("this worker builds with another compiler than it said")
    if wanted.point > line.fix_end or line.tree.points[wanted.point].tree != wanted.tree:
        raise InfrastructureError("the series comes to another tree on this worker")
    return line, setup


def told(attempt: Attempt) -> Attempt:
    """An attempt with the name of this worker."""
    return msgspec.structs.replace(attempt, where=worker_name())


def kept(attempts: tuple[Attempt, ...], paths: Paths) -> dict[str, bytes]:
    """The consoles of ``attempts`` as they are kept here."""
    found = {}
    for hash_ in dict.fromkeys(one.console for one in attempts if one.console):
        with contextlib.suppress(OSError):
            found[hash_] = console_path(hash_, paths).read_bytes()
    return found
