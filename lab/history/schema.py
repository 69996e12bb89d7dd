"""The history's tables, and the numbered steps from the first schema to this one.

A step is SQL that SQLite and PostgreSQL both take. Steps are only ever added: a history of any age is brought up to
date when it is opened, and one of a newer lab is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Boolean, Column, Double, Integer, MetaData, String, Table, Text

METADATA = MetaData()

RUNS = Table(
    "runs",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String),
    Column("started", Double),
    Column("ended", Double),
    Column("state", String),
    Column("host", String),
    Column("lab_version", String),
    Column("manifest", String),
    Column("cells", Integer),
    Column("owner", String),
    Column("owned_by", String),
    Column("beats", Integer),
)
PLANNED = Table(
    "planned",
    METADATA,
    Column("run", String, primary_key=True),
    Column("cell", String, primary_key=True),
    Column("position", Integer),
    Column("document", Text),
)
RESULTS = Table(
    "results",
    METADATA,
    Column("run", String, primary_key=True),
    Column("cell", String, primary_key=True),
    Column("word", String),
    Column("kernel", String),
    Column("ended", Double),
    Column("document", Text),
)
FINDINGS = Table(
    "findings",
    METADATA,
    Column("run", String, primary_key=True),
    Column("cell", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("signature", String),
    Column("title", Text),
    Column("kind", String),
    Column("is_primary", Boolean),
    Column("started", Double),
)
BISECTS = Table(
    "bisects",
    METADATA,
    Column("run", String, primary_key=True),
    Column("cell", String, primary_key=True),
    Column("document", Text),
)


@dataclass(frozen=True)
class Migration:
    """One step of the schema: its number, what it is for, and its statements."""

    number: int
    what: str
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        1,
        "runs, their cells and results, findings by signature",
        (
            "CREATE TABLE runs (id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, started DOUBLE PRECISION NOT NULL, "
            "ended DOUBLE PRECISION, state VARCHAR NOT NULL, host VARCHAR NOT NULL, lab_version VARCHAR NOT NULL, "
            "manifest VARCHAR NOT NULL, cells INTEGER NOT NULL)",
            "CREATE TABLE planned (run VARCHAR NOT NULL REFERENCES runs (id), cell VARCHAR NOT NULL, "
            "position INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (run, cell))",
            "CREATE TABLE results (run VARCHAR NOT NULL REFERENCES runs (id), cell VARCHAR NOT NULL, "
            "word VARCHAR NOT NULL, kernel VARCHAR NOT NULL, ended DOUBLE PRECISION NOT NULL, "
            "document TEXT NOT NULL, PRIMARY KEY (run, cell))",
            "CREATE INDEX results_by_cell ON results (cell, run)",
            "CREATE TABLE findings (run VARCHAR NOT NULL REFERENCES runs (id), cell VARCHAR NOT NULL, "
            "attempt INTEGER NOT NULL, line INTEGER NOT NULL, signature VARCHAR NOT NULL, title TEXT NOT NULL, "
            "kind VARCHAR NOT NULL, is_primary BOOLEAN NOT NULL, started DOUBLE PRECISION NOT NULL, "
            "PRIMARY KEY (run, cell, attempt, line))",
            "CREATE INDEX findings_by_signature ON findings (signature, run)",
        ),
    ),
    Migration(
        2,
        "the bisects that regressions started",
        (
            "CREATE TABLE bisects (run VARCHAR NOT NULL REFERENCES runs (id), cell VARCHAR NOT NULL, "
            "document TEXT NOT NULL, PRIMARY KEY (run, cell))",
        ),
    ),
    Migration(3, "cells say their architecture: an older lab does not take such documents", ()),
    Migration(
        4,
        "who is at a run",
        (
            "ALTER TABLE runs ADD COLUMN owner VARCHAR NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN owned_by VARCHAR NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN beats INTEGER NOT NULL DEFAULT 0",
        ),
    ),
)
NEWEST = MIGRATIONS[-1].number
