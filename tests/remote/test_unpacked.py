"""The cases that a machine was sent: unpacked once for all of its workers, and gone when unused for long."""

import os
import time

import pytest

from lab.case import load_case
from lab.paths import Paths
from lab.remote import jobs, unpacked, wire

from .world import make_world

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path, tmp_path, tmp_path)


@pytest.fixture
def request_(tmp_path):
    """A case as it comes."""
    packed = wire.pack(load_case(str(make_world(tmp_path / "world").case), tmp_path))
    base = wire.BaseWire(name="b", version="6.1", source="s", commit="c" * 40, stand_in="")
    return wire.Request(kind="build", name="t", manifest=packed.manifest, files=packed.files, base=base)


def aged(path):
    """As if it had been used last somewhat longer ago than it is kept."""
    long_ago = time.time() - unpacked.UNUSED_SECONDS - 60
    os.utime(path, (long_ago, long_ago))


def here(paths):
    return {path.name for path in unpacked.cases_folder(paths).iterdir()} - {"lock"}


def test_a_case_is_unpacked_once_for_all_of_a_machine(paths, request_):
    assert not unpacked.use(KEY, paths)
    one, two = (unpacked.unpacked(KEY, request_, paths) for _ in range(2))
    assert one == two
    assert here(paths) == {KEY}
    assert one.patches[0].read_bytes().startswith(b"From: A")
    assert unpacked.use(KEY, paths)


def test_what_is_not_what_came_is_replaced(paths, request_):
    patch = unpacked.unpacked(KEY, request_, paths).patches[0]
    whole = patch.read_bytes()
    patch.write_bytes(whole[:10])  # the machine died while it was written
    assert unpacked.unpacked(KEY, request_, paths).patches[0].read_bytes() == whole
    assert here(paths) == {KEY}


def test_what_was_not_used_for_long_goes_and_the_rest_stays(paths, request_):
    unpacked.unpacked(KEY, request_, paths)
    folder = unpacked.cases_folder(paths)
    for name in (f"{KEY}.json", f"{OTHER}.json"):
        (folder / name).write_text("{}")
    (folder / f"{OTHER[:16]}-x1y2z3").mkdir()  # as an older lab unpacked it
    (folder / ".new-left").mkdir()  # by a process that was killed
    for path in folder.iterdir():
        aged(path)
    assert unpacked.use(KEY, paths), "it is in use now"
    unpacked.sweep(paths)
    assert here(paths) == {KEY, f"{KEY}.json"}
    aged(folder / KEY)
    unpacked.sweep(paths)
    assert not unpacked.use(KEY, paths), "who has it ready unpacks it again"


def test_jobs_that_ended_long_ago_go_without_the_cases(paths, request_):
    unpacked.unpacked(KEY, request_, paths)
    old = jobs.jobs_folder(paths) / OTHER / "000001"
    old.mkdir(parents=True)
    for path in (old, unpacked.cases_folder(paths)):
        aged(path)
    jobs.sweep(jobs.jobs_folder(paths), keep=jobs.jobs_folder(paths) / KEY)
    assert not old.exists()
    assert here(paths) == {KEY}
