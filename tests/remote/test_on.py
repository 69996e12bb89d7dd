"""``--on NAME``: the same result as here; jobs go on without a connection, are found again, and end with Ctrl-C."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from .conftest import wait_for
from .world import World, make_world

pytestmark = pytest.mark.system


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path / "world")


def processes(folder):
    """The processes that have to do with a folder, by their command line or where they are."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in words or where.startswith(str(folder)):
            found[int(process.name)] = words
    return found


def followed_by(file, count):
    """Whether so many processes wait for the run whose file of followers this is."""
    held = 0
    for process in processes(file.parents[4]):
        with contextlib.suppress(OSError):
            held += any(str(link.readlink()) == str(file) for link in Path(f"/proc/{process}/fd").iterdir())
    return held >= count


def nobody(folder):
    """Whether there are none."""
    return not processes(folder)


def building(world):
    """Wait until a build there has begun."""
    wait_for(world.began, 60)


def test_a_kernel_built_there_comes_back_by_its_content(ready, world):
    there = ready.json("build", *world.arguments, "--at", "1", "--on", "loop")["kernel"]
    assert there["from_store"] is False
    assert there["image"].startswith(str(ready.here / "cache"))
    twin = ready.folder / "cache" / "kernels" / there["key"][:2] / there["key"]
    for name in ("bzImage", "vmlinux", "config", "System.map", "build.log"):
        assert digest(Path(there["image"]).with_name(name)) == digest(twin / name)
    assert '"host": "loop"' in Path(there["image"]).with_name("kernel.json").read_text()
    built = len(world.built)
    here = ready.json("build", *world.arguments, "--at", "1")["kernel"]
    assert (here["key"], here["from_store"]) == (there["key"], True), "the same tools: the same kernel, built once"
    out, said = ready.run("build", *world.arguments, "--at", "2", "--on", "loop", "--json", status=125)
    error = json.loads(out)["kernel"]["error"]
    assert (error["file"], error["line"]) == ("mm/broken.c", 1)
    assert "broken.c" in Path(error["log"]).read_text()
    assert error["log"].startswith(str(ready.here))
    assert len(world.built) > built
    assert "pushing" not in said, "the source is there since the first call"
    assert not list((ready.here / "cache" / "incoming").glob("*"))


def test_a_job_goes_on_when_the_connection_breaks_and_is_found_again(ready, world):
    world.hold.touch()
    first = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    building(world)
    ready.sshd.cut()
    _, said = first.communicate(timeout=120)
    assert first.returncode == 128
    assert "broke" in said
    assert "goes on" in said
    assert len(said.strip().splitlines()[-1]) < 300
    world.hold.unlink()
    again = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert "going on with what an earlier call began" in said
    assert len(ready.runs()) == 1
    assert len(world.built) == len(set(world.built)), "nothing was built twice"


def test_ctrl_c_ends_it_over_there_too(ready, world):
    world.hold.touch()
    call = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    building(world)
    assert any("make" in words for words in processes(ready.folder).values())
    call.send_signal(signal.SIGINT)
    _, said = call.communicate(timeout=120)
    assert call.returncode == 130, said
    wait_for(partial(nobody, ready.folder))
    assert (ready.runs()[0] / "taken").exists()
    assert not list((ready.folder / "cache" / "kernels").rglob("bzImage"))


@pytest.mark.faults
def test_a_caller_that_is_killed_leaves_the_job_and_the_next_one_takes_it(ready, world):
    world.hold.touch()
    call = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    building(world)
    call.kill()
    call.communicate()
    wait_for(lambda: not any("lab.remote.serve" in words for words in processes(ready.folder).values()), 30)
    assert any("lab.remote.job" in words for words in processes(ready.folder).values())
    world.hold.unlink()
    wait_for((ready.runs()[0] / "result.json").exists, 60)
    _, said = ready.run("build", *world.arguments, "--at", "1", "--on", "loop")
    assert "an earlier call began" in said
    _, said = ready.run("build", *world.arguments, "--at", "1", "--on", "loop")
    assert "an earlier call began" not in said, "what was taken is not given out again"


@pytest.mark.faults
def test_two_who_ask_the_same_share_a_job_and_one_can_leave(ready, world):
    world.hold.touch()
    one = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    building(world)
    two = ready.start("build", *world.arguments, "--at", "1", "--on", "loop", "--json")
    wait_for(partial(followed_by, ready.runs()[0] / "followers", 2), 60)
    one.send_signal(signal.SIGINT)
    _, said = one.communicate(timeout=120)
    assert one.returncode == 130
    assert "somebody else waits for the same job" in said
    world.hold.unlink()
    _, said = two.communicate(timeout=60)
    assert two.returncode == 0, said
    assert len(ready.runs()) == 1


@pytest.mark.faults
def test_a_job_that_is_killed_there_is_told_and_begins_anew(ready, world):
    world.hold.touch()
    call = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    building(world)
    for process, words in processes(ready.folder).items():
        if "lab.remote.job" in words:
            os.kill(process, signal.SIGKILL)
    _, said = call.communicate(timeout=120)
    assert call.returncode == 128
    assert "died without a result" in said
    wait_for(lambda: not any("make" in words for words in processes(ready.folder).values()), 20)
    world.hold.unlink()
    assert ready.json("build", *world.arguments, "--at", "1", "--on", "loop")["kernel"]["built"] is True
    assert len(ready.runs()) == 2


@pytest.mark.faults
def test_only_what_is_missing_is_pushed(ready, world):
    for number in range(40):
        world.commit(f"doc/{number}.txt", os.urandom(20_000).hex())
    _, said = ready.run("build", *world.arguments, "--at", "0", "--on", "loop")
    assert "pushing HEAD to loop" in said
    (repo,) = (ready.folder / "cache" / "bases").glob("pushed-*.git")

    def size():
        return sum(file.stat().st_size for file in (repo / "objects").rglob("*") if file.is_file())

    whole = size()
    assert whole > 700_000
    world.commit("init/more.c", "int more;\n")
    _, said = ready.run("build", *world.arguments, "--at", "0", "--on", "loop")
    assert "pushing HEAD to loop" in said
    assert size() - whole < 100_000
    assert world.git("rev-list", "--count", "HEAD").strip() == "42"
    commits = (repo / "shallow").read_text().split()
    assert len(commits) == 2, "no history goes along"


def size_of(repo):
    return sum(file.stat().st_size for file in (repo / "objects").rglob("*") if file.is_file())


@pytest.mark.faults
def test_another_tree_on_the_same_base_is_pushed_as_what_it_differs_by(ready, world, tmp_path):
    for number in range(40):
        world.commit(f"doc/{number}.txt", os.urandom(20_000).hex())
    bases = ready.folder / "cache" / "bases"
    build = ("build", "--at", "0", "--on", "loop")
    ready.run(*build, *world.arguments)
    (first,) = bases.glob("pushed-*.git")
    assert size_of(first) > 700_000
    other = World(tmp_path / "other")
    other.folder.mkdir()
    subprocess.run(["git", "clone", "-q", "--no-local", str(world.tree), str(other.tree)], check=True)
    (other.folder / "case").symlink_to(world.case)
    other.commit("init/other.c", "int other;\n")
    _, said = ready.run(*build, *other.arguments)
    assert "pushing HEAD to loop" in said
    (second,) = set(bases.glob("pushed-*.git")) - {first}
    assert size_of(second) < 100_000, "the rest is borrowed from the first"
    assert len((second / "shallow").read_text().split()) == 1, "no history goes along"
    # Who lent is removed by hand: then all of it comes again, and the worktree that was there is no hindrance.
    shutil.rmtree(first)
    other.commit("init/another.c", "int another;\n")
    _, said = ready.run(*build, *other.arguments)
    assert "pushing HEAD to loop" in said
    assert size_of(second) > 700_000


@pytest.mark.faults
def test_a_clock_that_is_off_by_a_day_changes_nothing(ready, world):
    if shutil.which("faketime") is None:
        pytest.skip("no faketime here: apt-get install faketime")
    venv = next((ready.folder / "venvs").iterdir())
    python = venv / "bin" / "python"
    real = python.readlink()
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec faketime -f -1d "{venv}/bin/python3" "$@"\n')
    python.chmod(0o755)
    (venv / "bin" / "python3").symlink_to(real)
    world.hold.touch()
    first = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
    building(world)
    ready.sshd.cut()
    first.communicate(timeout=120)
    world.hold.unlink()
    python.unlink()
    python.symlink_to(real)
    document = ready.json("build", *world.arguments, "--at", "1", "--on", "loop")
    assert document["kernel"]["built"] is True
    assert len(ready.runs()) == 1
    assert ready.json("build", *world.arguments, "--at", "1")["kernel"]["from_store"] is True
