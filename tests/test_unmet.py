"""What a kconfig asked for and did not get is told by whoever builds with it."""

import json
import os
import subprocess
import sys

import pytest

from .remote.world import make_world

pytestmark = pytest.mark.system


def build(world, cache, *more):
    environment = {**os.environ, "LAB_CACHE": str(cache), "LAB_CONFIG": str(cache)}
    argv = [sys.executable, "-m", "lab", "build", *world.arguments, "--at", "1", *more]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_an_allocator_that_the_case_took_away_is_told(tmp_path):
    world = make_world(tmp_path / "world")
    manifest = world.case / "series.toml"
    manifest.write_text(f'{manifest.read_text()}require = ["SLUB"]\n')
    (world.case / "mine.config.j2").write_text("CONFIG_SMP=y\nCONFIG_SLAB=y\n")
    done = build(world, tmp_path / "cache")
    assert "SLAB=y asked, n came: its choice went to SLUB" in done.stderr
    document = json.loads(build(world, tmp_path / "cache", "--json").stdout)
    assert [(one["symbol"], one["got"]) for one in document["unmet"]] == [("SLAB", "n")]


def test_nothing_is_told_where_all_came(tmp_path):
    world = make_world(tmp_path / "world")
    assert "asked" not in build(world, tmp_path / "cache").stderr
    assert json.loads(build(world, tmp_path / "cache", "--json").stdout)["unmet"] == []
