"""What tests of the history share: a history on a disk of their own, runs and results that are made up, and a real
PostgreSQL server where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.history.database import connect, database_url
from lab.history.store import History
from lab.paths import Paths

SECONDS = 60


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


def server_program(name: str) -> str:
    """One of PostgreSQL's server programs: on PATH, or where Debian puts them; empty where there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((found for place in places if (found := shutil.which(name, path=str(place)))), shutil.which(name) or "")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server that was started for these tests and listens in a folder of theirs alone."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'kernel-boot-lab[postgres]'")
    initdb, postgres = server_program("initdb"), server_program("postgres")
    if not initdb or not postgres:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else ""  # the server refuses to run as root
    if user:
        try:
            pwd.getpwnam(user)
        except KeyError:
            pytest.skip("as root there has to be a user 'postgres' to run PostgreSQL as")
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/lab-pg-XXXXXX"], text=True).strip())  # a short path
    if user:
        shutil.chown(folder, user)
    as_user = {"user": user} if user else {}
    data = str(folder / "data")
    made = [initdb, "-D", data, "-A", "trust", "-U", "lab", "-E", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, timeout=SECONDS, cwd="/", **as_user)
    settings = (f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off", "shared_buffers=16MB")
    argv = [postgres, "-D", data, *(word for setting in settings for word in ("-c", setting))]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, cwd="/", **as_user) as server:
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if b"ready to accept connections" in line:
                    break
            else:
                pytest.fail("PostgreSQL did not start")
            yield f"postgresql://lab@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # "fast": it does not wait for whoever is still connected
            try:
                server.wait(SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
            shutil.rmtree(folder, ignore_errors=True)
