"""Real kernels and guests on another host: the same answers as here. The kernels are those of the user's cache."""

import hashlib
from pathlib import Path

import pytest

from lab.paths import user_paths

from ..conftest import run_lab
from .conftest import stock

pytestmark = [pytest.mark.build, pytest.mark.boot]


@pytest.fixture
def stocked(ready):
    """The host has the sources and kernels of this user; here there are the sources alone."""
    stock(ready.folder / "cache")
    stock(ready.here / "cache", ("bases",))
    return ready


def test_the_crash_is_reproduced_there_and_its_kernel_and_console_are_here(stocked):
    result = stocked.json("repro", "early-policy", "--on", "loop", seconds=3000)
    end, base = result["boots"]
    assert result["reproduced"] is True
    assert (end["point"], end["verdict"], end["signature"]) == (10, "bad", "bug:policy_zonelist")
    assert (base["verdict"], base["marker"]["nodes"]) == ("good", "2")
    for boot in (end, base):
        assert Path(boot["console"]).is_relative_to(stocked.here)
        assert "booted on loop" in boot["notes"]
    twin = stocked.folder / "cache" / "boots" / Path(end["console"]).parent.name / "console.log"
    assert twin.read_bytes() == Path(end["console"]).read_bytes()
    image = Path(result["kernel"]["image"])
    assert image.is_relative_to(stocked.here)
    key = result["kernel"]["key"]
    store = user_paths().kernels / key[:2] / key / "bzImage"
    assert hashlib.sha256(image.read_bytes()).digest() == hashlib.sha256(store.read_bytes()).digest()


@pytest.mark.faults
def test_a_bisect_there_names_the_same_patch(stocked, tmp_path, monkeypatch):
    there = stocked.json("bisect", "early-policy", "--on", "loop", seconds=3000)
    stock(tmp_path / "alone")  # with no journal of an earlier day, so that both begin at the same place
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "alone"))
    here = run_lab("bisect", "early-policy")
    assert there["first_bad"]["index"] == 6
    assert there["first_bad"] == here["first_bad"]
    words = {probe["point"]: probe["verdict"] for probe in there["probes"]}
    assert words == {probe["point"]: probe["verdict"] for probe in here["probes"]}
    assert [check["holds"] for check in there["proof"]] == [check["holds"] for check in here["proof"]]
    assert all(Path(probe["console"]).is_file() for probe in there["probes"])
