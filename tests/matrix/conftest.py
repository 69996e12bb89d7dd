"""What tests of the matrix share: folders, a history, and a matrix of kernels that are made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.history.database import connect, database_url
from lab.history.store import History
from lab.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of this test's own."""
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")


@pytest.fixture
def history(paths: Paths) -> Iterator[History]:
    """A history in SQLite."""
    opened = History(connect(database_url(paths)))
    yield opened
    opened.close()
