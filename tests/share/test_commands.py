"""``--share`` as a person uses it: two machines, one build; a share that lies; what doctor and gc say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..remote.world import make_world

pytestmark = pytest.mark.system


@pytest.fixture
def lab(tmp_path):
    def run(cache, *words, status=0):
        env = {**os.environ, "LAB_CACHE": str(tmp_path / cache), "LAB_CONFIG": str(tmp_path / "config")}
        env.pop("LAB_SHARE", None)
        argv = [sys.executable, "-m", "lab", *words]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == status, done.stderr
        return done.stdout, done.stderr

    return run


def test_a_point_is_built_once_for_all_and_a_share_that_lies_costs_a_build(tmp_path, folder, lab):
    world = make_world(tmp_path / "world")
    build = ("build", *world.arguments, "--json", "--share", folder)
    first = json.loads(lab("one", *build, "--at", "1")[0])["kernel"]
    built = len(world.built)
    assert built > 0
    second = json.loads(lab("two", *build, "--at", "1")[0])["kernel"]
    assert (second["key"], second["from_store"], len(world.built)) == (first["key"], True, built)
    assert Path(second["image"]).read_bytes() == Path(first["image"]).read_bytes()
    assert Path(second["image"]).is_relative_to(tmp_path / "two")
    archive = next(Path(folder).glob("archives/*/*"))
    archive.write_bytes(b"lies")
    out, said = lab("three", *build, "--at", "1")
    assert json.loads(out)["kernel"]["from_store"] is False
    assert len(world.built) > built
    assert said.count("\n") == 1
    assert said.startswith(f"lab: share {folder}: not taken, for its archive is not the one")
    out, said = lab("four", *build, "--at", "1")
    assert (json.loads(out)["kernel"]["from_store"], said) == (True, "")


def test_the_doctor_tries_the_share_and_a_lost_one_is_no_illness(tmp_path, folder):
    def run(*words):
        env = {**os.environ, "LAB_CACHE": str(tmp_path / "one"), "LAB_CONFIG": str(tmp_path / "config")}
        argv = [sys.executable, "-m", "lab", *words]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)

    checks = json.loads(run("doctor", "--json", "--share", folder).stdout)["checks"]
    (good,) = (check for check in checks if check["name"] == "share")
    assert (good["status"], good["detail"]) == ("ok", f"{folder}: read and written")
    checks = json.loads(run("doctor", "--json", "--share", f"{folder}/none").stdout)["checks"]
    (lost,) = (check for check in checks if check["name"] == "share")
    assert (lost["status"], lost["detail"]) == ("optional", f"{folder}/none: no such folder")
    assert list(Path(folder).iterdir()) == []
    wrong = run("doctor", "--share", "ftp://x/y")
    assert wrong.returncode == 129
    assert "Traceback" not in wrong.stderr


def test_gc_makes_room_there(folder, lab, machine):
    one = machine(folder)
    for number in range(2):
        one.push(one.build(f"tree{number}", os.urandom(500_000)))
    out, _ = lab("one", "gc", "--share", folder, "--budget", "2M", "--json", "--dry-run")
    assert len(json.loads(out)["removed"]) == 1
    assert len(list(Path(folder).glob("kernels/*/*"))) == 2
    out, _ = lab("one", "gc", "--share", folder, "--budget", "2M", "--json")
    assert json.loads(out)["kept_bytes"] <= 2 << 20
    assert len(list(Path(folder).glob("kernels/*/*"))) == len(list(Path(folder).glob("archives/*/*"))) == 1
    _, said = lab("one", "gc", "--share", f"{folder}/none", "--budget", "1G", status=128)
    assert "no such folder" in said
