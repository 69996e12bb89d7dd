"""A host in a network namespace of its own, with a real sshd, over a line that is cut. Needs root."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.process import die_with_parent

from ..conftest import run_lab
from .conftest import There, key_of, run, stock, wait_for, words_of
from .spaces import middle, namespaced, two_hosts
from .world import make_world

pytestmark = pytest.mark.faults
NIGHTLY = Path(__file__).resolve().parents[2] / "ci" / "nightly.toml"
NIGHT_SECONDS = 9000


@pytest.fixture
def here():
    """Where the lines begin, and who calls the hosts is."""
    with middle() as space:
        yield space


@pytest.fixture
def far(ready, here, tmp_path):
    """A host in a namespace, and the line to it."""
    with namespaced(ready, 0, here, tmp_path) as line:
        yield ready, line


def test_a_line_that_is_cut_ends_the_call_and_not_the_job(far, tmp_path):
    there, line = far
    world = make_world(tmp_path / "world")
    world.hold.touch()
    call = there.start("build", *world.arguments, "--at", "1", "--on", "loop")
    wait_for(world.began, 120)
    line.cut()
    world.hold.unlink()
    _, said = call.communicate(timeout=200)
    assert call.returncode == 128
    assert "the job goes on there" in said
    line.mend()
    _, said = there.run("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)
    assert "an earlier call began" in said
    assert len(world.built) == len(set(world.built)), "nothing was built twice"


def test_why_no_worker_comes_is_said_with_its_own_words(far, tmp_path):
    """Dask's workers need a place for semaphores; where it can't be written to, each ends as soon as it began."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    there, line = far
    space = line.ends.there
    run("nsenter", "--target", str(space.pid), "--mount", "mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/dev/shm")
    world = make_world(tmp_path / "world")
    _, said = there.run("bisect", *world.arguments, "--cluster", "ssh:loop", status=128, seconds=400)
    last = said.strip().splitlines()[-1]
    assert "no worker of the cluster came" in last
    assert re.search(r"of its workers ended loop: .*(Read-only|read-only)", last), said


def test_nothing_is_left_of_a_run_that_was_killed(here, tmp_path):
    """No process, and so no namespace and no device."""
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        str(__file__),
        "-k",
        "is_cut_ends",
        "--basetemp",
        str(tmp_path / "base"),
    ]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(argv, stdout=said, stderr=said, preexec_fn=die_with_parent())  # noqa: PLW1509

    def left():
        found = run("pgrep", "-f", str(tmp_path / "base"), check=False).stdout.split()
        return {int(one) for one in found} - {process.pid}

    try:
        built = tmp_path / "base" / "test_a_line_that_is_cut_ends_t0" / "world" / "built"
        wait_for(lambda: built.exists() or process.poll() is not None, 200)
        assert process.poll() is None, (tmp_path / "said").read_text()
        assert len(left()) > 4, "a caller, a host, its session and a build"
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not left(), 60)


def test_a_host_with_a_full_disk_is_told_by_name_and_keeps_nothing_half_written(ready, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    there: There = ready
    world = make_world(tmp_path / "world")
    cache = there.folder / "cache"
    cache.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(cache), check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        for number in range(60):
            world.commit(f"doc/{number}.txt", os.urandom(20_000).hex())
        _, said = there.run("build", *world.arguments, "--at", "1", "--on", "loop", status=128, seconds=200)
        assert said.strip().splitlines()[-1].startswith("lab: loop")
        assert not list(cache.rglob("bzImage"))
    finally:
        run("umount", "-l", str(cache))
    document = there.json("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)
    assert document["kernel"]["built"] is True


@pytest.mark.build
@pytest.mark.boot
def test_two_hosts_in_namespaces_bisect_as_one_machine_does(ready, here, tmp_path):
    """Both have the sources and kernels of this user's cache, each a cache of its own beside."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    with two_hosts(ready, tmp_path, here) as hosts:
        far = ready.json("bisect", "early-policy", "--cluster", "ssh:loop,second", seconds=3000)
    alone = run_lab("bisect", "early-policy")
    assert far["first_bad"] == alone["first_bad"]
    assert far["first_bad"]["index"] == 6
    assert [check["holds"] for check in far["proof"]] == [check["holds"] for check in alone["proof"]]
    words = {probe["point"]: probe["verdict"] for probe in alone["probes"]}
    both = {probe["point"]: probe["verdict"] for probe in far["probes"] if probe["point"] in words}
    assert both == {point: words[point] for point in both}
    assert {5, 6, 10} <= both.keys()
    where = {len(list((host.folder / "cache" / "boots").glob("*"))) > 0 for host in hosts}
    assert where == {True}, "each of the two booted something"


@pytest.mark.build
@pytest.mark.boot
def test_two_hosts_in_namespaces_do_the_default_nightly_as_one_machine_does(ready, here, tmp_path):
    """The cells of ci/nightly.toml whose kernels are in this user's cache, without those of the debug kconfigs, which
    take minutes. Where LAB_NIGHTLY says ``all``: every cell, and what is not built yet is built. A series whose base is
    3.7 takes part where LAB_TREE_37 is given."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    one = There(ready.sshd, ready.folder, tmp_path / "alone")
    stock(one.here / "cache")
    whole, tree = os.environ.get("LAB_NIGHTLY") == "all", os.environ.get("LAB_TREE_37")
    base = ("--base", f"v3.7-rc4={tree}") if tree else ()
    file = NIGHTLY
    if not whole:
        planned = one.json("matrix", "plan", str(NIGHTLY), *base)["cells"]
        without = sorted({(cell["case"], cell["label"], cell["kconfig"]) for cell in planned if not cell["built"]})
        rules = [
            f'case = "{case}"\npoint = "{point}"\nkconfig = "{kconfig}"\n'
            for case, point, kconfig in [("*", "*", "debug*"), *without]
        ]
        file = tmp_path / "nightly.toml"
        file.write_text(NIGHTLY.read_text() + "".join(f"[[exclude]]\n{rule}" for rule in rules))
    cells = {key_of(cell) for cell in one.json("matrix", "plan", str(file), *base)["cells"]}
    if not cells:
        pytest.skip("no kernel of the nightly is in the store")
    words = ("matrix", "run", str(file), *base, "--deadline", str(NIGHT_SECONDS))
    with two_hosts(ready, tmp_path, here):
        far = ready.json(*words, "--cluster", "ssh:loop,second", seconds=NIGHT_SECONDS + 600)
    alone = one.json(*words, seconds=NIGHT_SECONDS + 600)
    assert words_of(far) == words_of(alone)
    assert words_of(far).keys() == cells
    assert {word for word, _ in words_of(far).values()} <= {"good", "bad"}
    places = {attempt["where"] for result in far["results"] for attempt in result["attempts"]}
    assert len(places) == 2, "each of the two booted something"
