"""A host in a network namespace of its own, with a real sshd, over a line that delays, loses and is cut. Needs root."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from lab.paths import user_paths

from ..conftest import run_lab
from .conftest import CONFIG, SSHD, There, user, wait_for
from .world import make_world

pytestmark = pytest.mark.faults
PORT = 2222


def run(*argv, check=True):
    return subprocess.run(argv, check=check, capture_output=True, text=True)


@contextlib.contextmanager
def namespaced(host, number, tmp_path):
    """``host``, but its sshd is in a namespace of its own, at the far end of a line that ``tc`` can spoil; gives the
    near end's name. Lines are numbered."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        pytest.skip("network namespaces need root and iproute2")
    sshd, space = host.sshd, f"lab{os.getpid()}-{number}"
    near, away = f"ln{os.getpid()}-{number}", f"lf{os.getpid()}-{number}"
    here, there = f"198.18.{77 + number}.1", f"198.18.{77 + number}.2"
    if run("ip", "netns", "add", space, check=False).returncode:
        pytest.skip("no network namespaces here")
    inside = ("ip", "netns", "exec", space)
    process = None
    known = sshd.home / ".ssh" / "known_hosts"
    kept = known.read_text()
    try:
        run("ip", "link", "add", near, "type", "veth", "peer", "name", away, "netns", space)
        run("ip", "address", "add", f"{here}/30", "dev", near)
        run("ip", "link", "set", near, "up")
        run(*inside, "ip", "address", "add", f"{there}/30", "dev", away)
        run(*inside, "ip", "link", "set", away, "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "route", "add", "default", "via", here)
        config = CONFIG.format(port=PORT, folder=sshd.folder).replace("127.0.0.1", there)
        (tmp_path / f"config{number}").write_text(config)
        said = tmp_path / f"log{number}"
        with said.open("wb") as log:
            argv = [*inside, str(SSHD), "-D", "-e", "-f", str(tmp_path / f"config{number}")]
            process = subprocess.Popen(argv, stdout=log, stderr=log, process_group=0)
        wait_for(lambda: b"listening on" in said.read_bytes() or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        key = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])
        known.write_text(f"{kept}[{there}]:{PORT} {key}\n")
        host.add(host.name, f"{user()}@{there}:{PORT}")
        yield near
    finally:
        known.write_text(kept)
        for one in run("ip", "netns", "pids", space, check=False).stdout.split():
            os.kill(int(one), signal.SIGKILL)
        if process is not None:
            process.wait()
        run("ip", "link", "del", near, check=False)
        run("ip", "netns", "del", space, check=False)


@pytest.fixture
def far(ready, tmp_path):
    """A host in a namespace, and the line to it."""
    with namespaced(ready, 0, tmp_path) as line:
        yield ready, line


def test_a_slow_line_that_loses_packets_gives_the_same_kernel(far, tmp_path):
    there, line = far
    world = make_world(tmp_path / "world")
    spoil = ("tc", "qdisc", "add", "dev", line, "root", "netem", "delay", "60ms", "20ms", "loss", "3%")
    if run(*spoil, check=False).returncode:
        pytest.skip("this kernel has no netem (CONFIG_NET_SCH_NETEM)")
    kernel = there.json("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)["kernel"]
    twin = there.folder / "cache" / "kernels" / kernel["key"][:2] / kernel["key"]
    assert Path(kernel["image"]).read_bytes() == (twin / "bzImage").read_bytes()
    here = there.json("build", *world.arguments, "--at", "1")["kernel"]
    assert (here["key"], here["from_store"]) == (kernel["key"], True)


def test_a_line_that_is_cut_ends_the_call_and_not_the_job(far, tmp_path):
    there, line = far
    world = make_world(tmp_path / "world")
    world.hold.touch()
    call = there.start("build", *world.arguments, "--at", "1", "--on", "loop")
    wait_for(world.began, 120)
    run("ip", "link", "set", line, "down")
    world.hold.unlink()
    _, said = call.communicate(timeout=200)
    assert call.returncode == 128
    assert "the job goes on there" in said
    run("ip", "link", "set", line, "up")
    _, said = there.run("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)
    assert "an earlier call began" in said
    assert len(world.built) == len(set(world.built)), "nothing was built twice"


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
def test_two_hosts_in_namespaces_bisect_as_one_machine_does(ready, tmp_path):
    """Both have the sources and kernels of this user's cache, each a cache of its own beside."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    second = There(ready.sshd, tmp_path / "second", ready.here, "second")
    shutil.copytree(ready.folder, second.folder, symlinks=True)
    own = user_paths().cache
    for cache in (ready.folder / "cache", second.folder / "cache", ready.here / "cache"):
        cache.mkdir(exist_ok=True)
        for name in ("bases", "kernels", "kconfigs", "objects", "ccache"):
            (own / name).mkdir(parents=True, exist_ok=True)
            (cache / name).symlink_to(own / name)
    with namespaced(ready, 0, tmp_path), namespaced(second, 1, tmp_path):
        far = ready.json("bisect", "early-policy", "--cluster", "ssh:loop,second", seconds=3000)
    alone = run_lab("bisect", "early-policy")
    assert far["first_bad"] == alone["first_bad"]
    assert far["first_bad"]["index"] == 6
    assert [check["holds"] for check in far["proof"]] == [check["holds"] for check in alone["proof"]]
    words = {probe["point"]: probe["verdict"] for probe in alone["probes"]}
    both = {probe["point"]: probe["verdict"] for probe in far["probes"] if probe["point"] in words}
    assert both == {point: words[point] for point in both}
    assert {5, 6, 10} <= both.keys()
    where = {len(list((host.folder / "cache" / "boots").glob("*"))) > 0 for host in (ready, second)}
    assert where == {True}, "each of the two booted something"
