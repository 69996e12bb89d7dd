"""Opening the history's database: SQLite in the user's data folder, or PostgreSQL by a URL for a lab that is shared."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from lab.errors import InfrastructureError, UserError
from lab.history.schema import MIGRATIONS, Migration
from lab.paths import Paths

FILE = "history.sqlite"
BUSY_SECONDS = 30.0
"""How long one process waits for another that writes."""
LOCK = 0x6C61625F
"""PostgreSQL's advisory lock that migrations hold: ``lab_``."""
POSTGRES = "postgresql+psycopg"
EXTRA_HINT = "pip install 'kernel-boot-lab[postgres]'"


def database_url(paths: Paths, setting: str = "") -> URL:
    """The URL that ``setting`` (``history`` of the configuration, or LAB_HISTORY) is, or this user's own SQLite file.

    Raises :class:`UserError` for what is no URL of SQLite or PostgreSQL.
    """
    if not setting:
        return URL.create("sqlite", database=str(paths.data / FILE))
    try:
        url = make_url(setting)
        kind = url.get_backend_name()
    except (ArgumentError, ValueError):
        kind = ""
    if kind == "postgresql":
        return url.set(drivername=POSTGRES)
    if kind == "sqlite" and url.database:
        return url.set(drivername="sqlite")
    raise UserError(
        "history: not a database's URL, such as postgresql://user@host/lab or sqlite:////var/lib/lab/history.sqlite",
        hint="it comes from LAB_HISTORY or the configuration file",
    )


def connect(url: URL, migrations: Sequence[Migration] = MIGRATIONS) -> Engine:
    """The database at ``url``, its schema brought up to date.

    Raises :class:`UserError` for one of a newer lab and :class:`InfrastructureError` where it can't be reached.
    """
    engine = sqlite_engine(url) if url.get_backend_name() == "sqlite" else postgres_engine(url)
    try:
        with told(url), engine.connect() as connection:
            migrate(connection, migrations)
    except BaseException:
        engine.dispose()
        raise
    return engine


def sqlite_engine(url: URL) -> Engine:
    """SQLite with a write-ahead log, so that reports are read while a run writes; every write waits for its turn."""
    assert url.database is not None  # noqa: S101 - database_url() made sure
    from pathlib import Path

    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(f"{url.database}: its folder cannot be made: {error.strerror}") from None
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, and not by the driver's guess
        for statement in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {statement}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("lab_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def postgres_engine(url: URL) -> Engine:
    """PostgreSQL by psycopg, which is an extra."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UserError("the history is in PostgreSQL, and psycopg is not installed", hint=EXTRA_HINT) from None
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})


@contextlib.contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what the database raises into one line that names it, without its password."""
    try:
        yield
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        name = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
        raise InfrastructureError(f"history {name}: {said}") from None


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: all of it is there afterwards, or nothing."""
    with told(engine.url), engine.connect() as plain:
        connection = plain.execution_options(lab_writes=True)
        with connection.begin():
            yield connection


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads: it sees one state of the history, whoever writes meanwhile."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with told(engine.url), engine.connect() as plain:
        connection = plain.execution_options(**level)
        with connection.begin():
            yield connection


def migrate(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Take the steps that the database has not seen yet, in one transaction; two processes don't do so at once."""
    connection = connection.execution_options(lab_writes=True)
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied DOUBLE PRECISION NOT NULL)"
        )
        have = connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar() or 0
        newest = migrations[-1].number
        if have > newest:
            raise UserError(
                f"the history's schema is {have}, and this lab knows {newest} at most: a newer lab has written it",
                hint="bring this lab up to date, or name another history",
            )
        for step in migrations:
            if step.number > have:
                for statement in step.statements:
                    connection.exec_driver_sql(statement)
                values = f"({step.number}, {time.time()!r})"
                connection.exec_driver_sql(f"INSERT INTO schema_version VALUES {values}")  # noqa: S608 - two numbers
