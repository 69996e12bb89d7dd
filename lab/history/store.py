"""What was run and what came of it, kept in a database. What a function here returned from is on disk."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, String, cast, delete, func, insert, select, update

from lab.errors import InfrastructureError, UserError
from lab.history.claims import NOBODY, Claim
from lab.history.database import connect, database_url, reading, writing
from lab.history.records import Bisected, Cell, Change, Night, Result, Run, RunState
from lab.history.schema import BISECTS, FINDINGS, PLANNED, RESULTS, RUNS
from lab.paths import Paths
from lab.settings import Settings

T = TypeVar("T")
VARIABLE = "LAB_HISTORY"
PAST_RUNS = 60
"""How far back changes look: two months of nights."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A finding where it was seen: ``started`` is when the attempt began, in seconds since the epoch."""

    run: str
    cell: str
    attempt: int
    line: int
    signature: str
    title: str
    kind: str
    is_primary: bool
    started: float


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A signature over all runs: when it was seen first and last, in how many runs and cells, and by how many
    attempts."""

    signature: str
    title: str
    kind: str
    first_seen: float
    last_seen: float
    first_run: str
    last_run: str
    runs: int
    cells: int
    times: int


class About(msgspec.Struct, frozen=True, kw_only=True):
    """All about one signature: what is known, where it was seen (newest first), the last result that shows it, and the
    bisects that it started."""

    known: Known
    sightings: tuple[Sighting, ...]
    last: Result
    bisects: tuple[Bisected, ...]


class History:
    """The database. Its methods may be called from any thread, and from any number of processes at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def begin_run(self, run: Run, cells: Sequence[Cell] = (), claim: Claim = NOBODY) -> None:
        """Take down that ``run`` began, with the cells that it is to fill, in their order; it is ``claim``'s."""
        with writing(self.engine) as connection:
            held = {"owner": claim.token, "owned_by": claim.who, "beats": claim.beats}
            connection.execute(insert(RUNS).values(**msgspec.structs.asdict(run), **held))
            add_planned(connection, run.id, cells)

    def claim(self, run: str) -> Claim:
        """Who is at ``run``, as far as it says so."""
        query = select(RUNS.c.owner, RUNS.c.owned_by, RUNS.c.beats).where(RUNS.c.id == run)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return Claim(*row) if row else NOBODY

    def take_over(self, run: str, before: Claim, claim: Claim) -> bool:
        """Have ``run`` be ``claim``'s from now on; false where it is not any more as ``before`` was, or is done."""
        was = (RUNS.c.id == run, RUNS.c.owner == before.token, RUNS.c.beats == before.beats, RUNS.c.state == "running")
        held = {"owner": claim.token, "owned_by": claim.who, "beats": before.beats + 1}
        with writing(self.engine) as connection:
            return bool(connection.execute(update(RUNS).where(*was).values(**held)).rowcount)

    def beat(self, run: str, token: str) -> bool:
        """Count up for the claim of ``token``; false where ``run`` is not its any more."""
        with writing(self.engine) as connection:
            return counted(connection, run, token)

    def release(self, run: str, token: str) -> None:
        """Give ``run`` back as it is: whoever likes may go on with it at once."""
        with writing(self.engine) as connection:
            mine = (RUNS.c.id == run, RUNS.c.owner == token)
            connection.execute(update(RUNS).where(*mine).values(owner="", owned_by=""))

    def replan(self, run: str, cells: Sequence[Cell], by: str = "") -> None:
        """Another order, or other cells, for a run that goes on."""
        with writing(self.engine) as connection:
            still(connection, run, by)
            connection.execute(delete(PLANNED).where(PLANNED.c.run == run))
            add_planned(connection, run, cells)
            connection.execute(update(RUNS).where(RUNS.c.id == run).values(cells=len(cells)))

    def record_result(self, result: Result, by: str = "") -> None:
        """Take down what a cell came to, at once and whole; a second result of the cell replaces the first. ``by`` is
        the token of who is at the run; :class:`InfrastructureError` where somebody else is meanwhile."""
        key = result.cell.key
        with writing(self.engine) as connection:
            still(connection, result.run, by)
            for table in (FINDINGS, RESULTS):
                connection.execute(delete(table).where(table.c.run == result.run, table.c.cell == key))
            connection.execute(
                insert(RESULTS).values(
                    run=result.run,
                    cell=key,
                    word=result.word,
                    kernel=result.kernel,
                    ended=result.ended,
                    document=encode(result),
                )
            )
            rows = finding_rows(result)
            if rows:
                connection.execute(insert(FINDINGS), rows)

    def record_bisect(self, run: str, bisected: Bisected) -> None:
        """Take down what a bisect came to that a regression in ``run`` started."""
        with writing(self.engine) as connection:
            same = (BISECTS.c.run == run, BISECTS.c.cell == bisected.cell)
            connection.execute(delete(BISECTS).where(*same))
            connection.execute(insert(BISECTS).values(run=run, cell=bisected.cell, document=encode(bisected)))

    def finish_run(self, run: str, state: RunState, ended: float, by: str = "") -> None:
        """Take down how ``run`` ended, and when."""
        with writing(self.engine) as connection:
            still(connection, run, by)
            connection.execute(update(RUNS).where(RUNS.c.id == run).values(state=state, ended=ended))

    def runs(self, *, name: str = "", limit: int = PAST_RUNS) -> tuple[Run, ...]:
        """The newest runs, newest first; those of the matrix ``name`` where one is named."""
        query = select(RUNS).order_by(RUNS.c.id.desc()).limit(limit)
        query = query.where(RUNS.c.name == name) if name else query
        with reading(self.engine) as connection:
            return tuple(run_of(row) for row in connection.execute(query).mappings())

    def run(self, id_: str = "") -> Run:
        """The run whose id begins so, or the newest; :class:`UserError` where there is none, or more than one."""
        query = select(RUNS).order_by(RUNS.c.id.desc()).limit(2)
        query = query.where(RUNS.c.id.startswith(id_, autoescape=True)) if id_ else query
        with reading(self.engine) as connection:
            found = [run_of(row) for row in connection.execute(query).mappings()]
        if not found:
            raise UserError(f"no run {id_[:80]!r} in the history" if id_ else "the history has no run yet")
        if id_ and len(found) > 1 and found[0].id != id_:
            raise UserError(f"{id_[:80]!r} is the beginning of more than one run: {found[1].id}, {found[0].id}")
        return found[0]

    def unfinished(self, name: str, host: str) -> tuple[Run, ...]:
        """The newest runs of that matrix on ``host``, newest first, as long as they have no end: each goes on, or was
        broken off. A run that came to its end hides those before it."""
        mine = (RUNS.c.name == name, RUNS.c.host == host)
        query = select(RUNS).where(*mine).order_by(RUNS.c.id.desc()).limit(PAST_RUNS)
        with reading(self.engine) as connection:
            found = [run_of(row) for row in connection.execute(query).mappings()]
        return tuple(itertools.takewhile(lambda run: run.state == "running", found))

    def planned(self, run: str) -> tuple[Cell, ...]:
        """The cells of a run in the order in which they were to be filled."""
        query = select(PLANNED.c.document).where(PLANNED.c.run == run).order_by(PLANNED.c.position)
        with reading(self.engine) as connection:
            return tuple(decode(text, Cell) for text in connection.execute(query).scalars())

    def results(self, run: str) -> tuple[Result, ...]:
        """What the cells of ``run`` came to, in the order of the plan; those not tried yet are ``waiting``."""
        cells = self.planned(run)
        query = select(RESULTS.c.cell, RESULTS.c.document).where(RESULTS.c.run == run).order_by(RESULTS.c.cell)
        with reading(self.engine) as connection:
            known = {key: decode(text, Result) for key, text in connection.execute(query)}
        waiting = {
            cell.key: Result(run=run, cell=cell, word="waiting", reason="not tried yet")
            for cell in cells
            if cell.key not in known
        }
        keys = dict.fromkeys((*(cell.key for cell in cells), *known))
        return tuple(known.get(key) or waiting[key] for key in keys)

    def bisects(self, run: str) -> tuple[Bisected, ...]:
        """The bisects that regressions in ``run`` started."""
        query = select(BISECTS.c.document).where(BISECTS.c.run == run).order_by(BISECTS.c.cell)
        with reading(self.engine) as connection:
            return tuple(decode(text, Bisected) for text in connection.execute(query).scalars())

    def past(self, run: Run, limit: int = PAST_RUNS) -> tuple[tuple[Run, tuple[Result, ...]], ...]:
        """The runs of the same matrix that ended before ``run``, newest first, each with its results."""
        query = (
            select(RUNS)
            .where(RUNS.c.name == run.name, RUNS.c.id < run.id, RUNS.c.state != "running")
            .order_by(RUNS.c.id.desc())
            .limit(limit)
        )
        with reading(self.engine) as connection:
            runs = [run_of(row) for row in connection.execute(query).mappings()]
            wanted = select(RESULTS.c.run, RESULTS.c.document).where(RESULTS.c.run.in_([one.id for one in runs]))
            found: dict[str, list[Result]] = {one.id: [] for one in runs}
            for id_, text in connection.execute(wanted):
                found[id_].append(decode(text, Result))
        return tuple((one, tuple(found[one.id])) for one in runs)

    def night(self, id_: str = "") -> Night:
        """All of one run (the newest where none is named): its results, and what changed since the run before."""
        from lab.history.changes import changes

        run = self.run(id_)
        results, past, bisects = self.results(run.id), self.past(run), self.bisects(run.id)
        return Night(
            run=run,
            results=results,
            changes=self.with_first_sight(changes(run, results, past, bisects)),
            before=past[0][0] if past else None,
            bisects=bisects,
        )

    def with_first_sight(self, found: tuple[Change, ...]) -> tuple[Change, ...]:
        """Changes with the run in which their finding was seen first, in whichever cell that was."""
        first = {one.signature: one.first_run for one in self.signatures()}
        return tuple(msgspec.structs.replace(one, first_seen=first.get(one.signature, one.first_seen)) for one in found)

    def signatures(self) -> tuple[Known, ...]:
        """Every signature that was ever seen as a primary finding, the last seen first."""
        query = known_query().where(FINDINGS.c.is_primary.is_(True))
        with reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(sorted((Known(**row) for row in rows), key=lambda one: (-one.last_seen, one.signature)))

    def about(self, signature: str) -> About:
        """All about ``signature``; :class:`UserError` with the ones that are alike where it was never seen."""
        column = FINDINGS.c
        sightings = self.sightings(signature)
        if not sightings:
            raise UserError(f"the history knows no finding {signature[:200]!r}", hint=self.alike(signature))
        newest = sightings[0]
        row = known_query().where(column.signature == signature)
        last = select(RESULTS.c.document).where(RESULTS.c.run == newest.run, RESULTS.c.cell == newest.cell)
        with reading(self.engine) as connection:
            known = Known(**connection.execute(row).mappings().one())
            result = decode(connection.execute(last).scalar_one(), Result)
            found = [decode(text, Bisected) for text in connection.execute(select(BISECTS.c.document)).scalars()]
        bisects = tuple(one for one in found if f"({signature})" in one.summary)
        return About(known=known, sightings=sightings, last=result, bisects=bisects)

    def alike(self, signature: str) -> str:
        """Which signatures could have been meant."""
        import difflib

        known = [one.signature for one in self.signatures()]
        near = difflib.get_close_matches(signature[:200], known, n=3, cutoff=0.4)
        return f"it knows {', '.join(near)}" if near else "'lab history' lists what was seen"

    def matrices(self) -> list[tuple[tuple[Run, tuple[Result, ...]], ...]]:
        """The runs of every matrix, newest first, each with its results; those that were broken off too."""
        found: dict[str, list[tuple[Run, tuple[Result, ...]]]] = {}
        for run in self.runs(limit=100_000):
            runs = found.setdefault(run.name, [])
            if len(runs) < PAST_RUNS:
                runs.append((run, self.results(run.id)))
        return [tuple(runs) for runs in found.values()]

    def first_sights(self, signatures: Sequence[str]) -> tuple[Result, ...]:
        """The results that showed these signatures first, in each cell, however long ago."""
        column = FINDINGS.c
        first = (
            select(column.cell, func.min(column.run).label("run"))
            .where(column.signature.in_(signatures), column.is_primary.is_(True))
            .group_by(column.signature, column.cell)
            .subquery()
        )
        query = select(RESULTS.c.document).join(
            first, (RESULTS.c.run == first.c.run) & (RESULTS.c.cell == first.c.cell)
        )
        with reading(self.engine) as connection:
            return tuple(decode(text, Result) for text in dict.fromkeys(connection.execute(query).scalars()))

    def sightings(self, signature: str, limit: int = 1000) -> tuple[Sighting, ...]:
        """Where a signature was seen, newest first."""
        query = (
            select(FINDINGS)
            .where(FINDINGS.c.signature == signature)
            .order_by(FINDINGS.c.run.desc(), FINDINGS.c.cell, FINDINGS.c.attempt, FINDINGS.c.line)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(Sighting(**{name: row[name] for name in Sighting.__struct_fields__}) for row in rows)


def counted(connection: Connection, run: str, token: str) -> bool:
    """Count up for the claim of ``token``; whether ``run`` is its."""
    mine = (RUNS.c.id == run, RUNS.c.owner == token)
    return bool(connection.execute(update(RUNS).where(*mine).values(beats=RUNS.c.beats + 1)).rowcount)


def still(connection: Connection, run: str, token: str) -> None:
    """See that ``run`` is ``token``'s for as long as this transaction lasts; no token: that it is nobody's business."""
    if not token or counted(connection, run, token):
        return
    who = connection.execute(select(RUNS.c.owned_by).where(RUNS.c.id == run)).scalar()
    raise InfrastructureError(
        f"run {run} is not this process's any more: {who or 'somebody else'} went on with it",
        hint="nothing was heard of this process for long; what it filled until then is in the history",
    )


def known_query() -> Any:
    """A row a signature: what :class:`Known` holds."""
    column = FINDINGS.c
    return select(
        column.signature,
        func.max(column.title).label("title"),
        func.max(column.kind).label("kind"),
        func.min(column.started).label("first_seen"),
        func.max(column.started).label("last_seen"),
        func.min(column.run).label("first_run"),
        func.max(column.run).label("last_run"),
        func.count(column.run.distinct()).label("runs"),
        func.count(column.cell.distinct()).label("cells"),
        func.count((column.run + "/" + column.cell + "/" + cast(column.attempt, String)).distinct()).label("times"),
    ).group_by(column.signature)


def add_planned(connection: Connection, run: str, cells: Sequence[Cell]) -> None:
    """Add the cells of a run, in their order."""
    rows = [
        {"run": run, "cell": cell.key, "position": position, "document": encode(cell)}
        for position, cell in enumerate(cells)
    ]
    if rows:
        connection.execute(insert(PLANNED), rows)


def finding_rows(result: Result) -> list[dict[str, Any]]:
    """A row for each line of each attempt at which something was found."""
    rows = {
        (attempt.number, seen.line): {
            "run": result.run,
            "cell": result.cell.key,
            "attempt": attempt.number,
            "line": seen.line,
            "signature": without_zeros(seen.signature),
            "title": without_zeros(seen.title),
            "kind": seen.kind,
            "is_primary": seen.primary,
            "started": attempt.started,
        }
        for attempt in result.attempts
        for seen in reversed(attempt.findings)  # the one to blame comes first in an attempt, and stays
    }
    return list(rows.values())


def run_of(row: Any) -> Run:
    """A row of the table of runs as a value."""
    return Run(**{name: row[name] for name in Run.__struct_fields__})


def encode(value: object) -> str:
    """A value as the database keeps it."""
    return msgspec.json.encode(value).decode()


def without_zeros(text: str) -> str:
    """``text`` without zero bytes, which PostgreSQL takes in no text; JSON has them escaped."""
    return text.replace("\0", "")


def decode(text: str, type_: type[T]) -> T:
    """The value in ``text``; :class:`InfrastructureError` where a newer lab has written it, or something else has."""
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InfrastructureError(f"the history holds a {type_.__name__} that can't be read: {error}") from None


@contextlib.contextmanager
def opened(paths: Paths, settings: Settings) -> Iterator[History]:
    """The history of this user, or the shared one that LAB_HISTORY or the configuration names."""
    history = History(connect(database_url(paths, os.environ.get(VARIABLE) or settings.history)))
    try:
        yield history
    finally:
        history.close()
