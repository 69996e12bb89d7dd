"""Nights of real boots, on kernels that the example case is made of: one is killed and goes on, and a regression that
was planted for the second is new there, and bisected."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lab.case import load_case
from lab.paths import data_folder

pytestmark = [pytest.mark.build, pytest.mark.boot]

MATRIX = """
title = "two nights"
machines = ["two-nodes", "one-node"]
[[case]]
name = "./planted"
points = ["base", "end"]
[[kconfig]]
name = "tiny-numa"
[[required]]
point = "end"
[budget]
retries = 2
"""
GOOD, ALL = 5, 10
"""Patches 1 to 5 of the example boot; the sixth brings its bug."""


@pytest.fixture
def night(tmp_path):
    """Runs one night of a case that has the first patches of the example, and nothing that says which is bad."""
    (tmp_path / "nights.toml").write_text(MATRIX)

    def command(*words, patches):
        case = load_case("early-policy", data_folder("patches"))
        folder = tmp_path / "planted"
        folder.mkdir(exist_ok=True)
        names = [path.name for path in case.patches[:patches]]
        for path in case.patches[:patches]:
            shutil.copy(path, folder / path.name)
        (folder / "series.toml").write_text(
            f'title = "t"\nbase = "debian-6.1"\nkconfig = "tiny-numa"\nmachine = "two-nodes"\npatches = {names}\n'
            f"require = {list(case.require)}\n"
        )
        argv = [sys.executable, "-m", "lab", "matrix", "run", tmp_path / "nights.toml", "--json", *words]
        return subprocess.Popen(
            argv,
            env={**os.environ, "LAB_DATA": str(tmp_path / "data")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return command


def document(process, status):
    out, errors = process.communicate(timeout=1200)
    assert process.returncode == status, errors.decode() + out.decode()[:2000]
    return json.loads(out)


def words(night):
    return {(one["cell"]["label"], one["cell"]["machine"]): one["word"] for one in night["results"]}


ALL_GOOD = {(label, machine): "good" for label in ("base", "end") for machine in ("two-nodes", "one-node")}


def test_a_regression_on_the_second_night_is_new_and_bisected(night):
    first = document(night(patches=GOOD), 0)
    assert words(first) == ALL_GOOD
    assert first["changes"] == []

    second = document(night("--bisect-regressions", patches=ALL), 1)
    bad = {("end", "two-nodes"): "bad", ("end", "one-node"): "bad"}
    assert words(second) == ALL_GOOD | bad
    assert second["before"]["id"] == first["run"]["id"]
    assert {change["kind"] for change in second["changes"]} == {"new"}
    for change in second["changes"]:
        assert change["signature"] == "bug:policy_zonelist"
        assert change["bisected"]["first_bad"] == GOOD + 1
    attempts = [one["attempts"] for one in second["results"] if one["word"] == "bad"]
    assert [len(tried) for tried in attempts] == [3, 3], "a red cell is booted again before it is called bad"

    third = document(night(patches=ALL), 1)
    assert {change["kind"] for change in third["changes"]} == {"still"}
    fourth = document(night(patches=GOOD), 0)
    assert {change["kind"] for change in fourth["changes"]} == {"fixed"}


def test_a_night_that_is_killed_goes_on_where_it_was(night, tmp_path):
    killed = night(patches=GOOD)
    database = tmp_path / "data" / "history.sqlite"
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and filled(database) < 1:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    before = filled(database)
    assert 1 <= before < len(ALL_GOOD)
    again = document(night(patches=GOOD), 0)
    assert words(again) == ALL_GOOD
    assert runs(database) == [(again["run"]["id"], "done")], "it is the same run"


def filled(database):
    return len(query(database, "SELECT cell FROM results"))


def runs(database):
    return query(database, "SELECT id, state FROM runs")


def query(database, statement):
    import contextlib
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:  # not there yet
        return []
