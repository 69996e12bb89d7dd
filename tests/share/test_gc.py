"""Room on a share: the oldest goes first, what is half there after a day, and nothing that is on its way in."""

import json
import os
from pathlib import Path

import pytest

from lab.kernel.types import Kernel
from lab.share.gc import Kept, choose, remove, survey
from lab.share.place import Place
from lab.share.where import parse

from .conftest import names

pytestmark = pytest.mark.system

DAY = 24 * 3600.0


def kept(name, written, size=10, orphan=False):
    return Kept(name, (name,), size, written, orphan)


def test_the_oldest_goes_until_the_rest_fits():
    there = [kept("new", 3 * DAY), kept("old", DAY), kept("middle", 2 * DAY)]
    assert choose(there, 30) == []
    assert [one.name for one in choose(there, 20)] == ["old"]
    assert [one.name for one in choose(there, 15)] == ["old", "middle"]
    assert [one.name for one in choose(there, 0)] == ["old", "middle", "new"]
    assert choose([], 0) == []


def test_what_belongs_to_nothing_goes_after_a_day_of_the_shares_own_clock():
    there = [kept("left", 1.0, orphan=True), kept("coming", 2 * DAY, orphan=True), kept("new", 2 * DAY + 1)]
    assert [one.name for one in choose(there, 1000)] == ["left"]
    assert [one.name for one in choose(there, 0)] == ["left", "new"]


def test_a_share_is_surveyed_and_what_goes_is_gone_whole(url, machine):
    one = machine(url)
    keys = [one.build(f"tree{number}", bytes([number]) * 100_000) for number in range(2)]
    for key in keys:
        one.push(key)
    place = Place(parse(url))
    there = survey(place)
    assert {item.name for item in there} == set(keys)
    assert all(len(item.files) == 2 and not item.orphan and item.size > 1000 for item in there)
    gone = choose(there, max(item.size for item in there))
    assert len(gone) == 1
    remove(place, gone)
    place.close()
    assert len(names(url)) == 2
    two = machine(url)
    assert two.pull(gone[0].name) is None
    assert isinstance(two.pull(next(key for key in keys if key != gone[0].name)), Kernel)
    assert two.told == []


def test_leftovers_of_those_who_died_are_seen(folder, machine):
    one = machine(folder)
    key = one.build()
    one.push(key)
    manifest = next(Path(folder).glob("kernels/*/*.json"))
    (manifest.parent / ".new-0-x.json").write_text("half")
    broken = manifest.parent / f"{'0' * 64}.json"
    broken.write_text("{}")
    archive = next(Path(folder).glob("archives/*/*"))
    lost = archive.parent / f"{'1' * 64}.tar.gz"
    lost.write_bytes(b"archive")
    place = Place(parse(folder))
    assert {item.name for item in survey(place) if item.orphan} == {".new-0-x.json", "0" * 64, lost.name}
    for path in (broken, lost, manifest.parent / ".new-0-x.json"):
        os.utime(path, (1, 1))
    remove(place, choose(survey(place), 1 << 40))
    assert {item.name for item in survey(place)} == {key}
    assert json.loads(manifest.read_text())["key"] == key
