"""A host in a network namespace of its own, with a real sshd, over a line that delays, loses and is cut. Needs root."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import CONFIG, SSHD, There, user, wait_for
from .world import make_world

pytestmark = pytest.mark.faults
PORT = 2222


def run(*argv, check=True):
    return subprocess.run(argv, check=check, capture_output=True, text=True)


@pytest.fixture
def far(sshd, ready, tmp_path):
    """``ready``, but its sshd is in another namespace, at the far end of a line that ``tc`` can spoil."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        pytest.skip("network namespaces need root and iproute2")
    space, near, away = f"lab{os.getpid()}", f"ln{os.getpid()}", f"lf{os.getpid()}"
    if run("ip", "netns", "add", space, check=False).returncode:
        pytest.skip("no network namespaces here")
    inside = ("ip", "netns", "exec", space)
    process = None
    known = sshd.home / ".ssh" / "known_hosts"
    kept = known.read_text()
    try:
        run("ip", "link", "add", near, "type", "veth", "peer", "name", away, "netns", space)
        run("ip", "address", "add", "198.18.77.1/30", "dev", near)
        run("ip", "link", "set", near, "up")
        run(*inside, "ip", "address", "add", "198.18.77.2/30", "dev", away)
        run(*inside, "ip", "link", "set", away, "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        config = CONFIG.format(port=PORT, folder=sshd.folder).replace("127.0.0.1", "198.18.77.2")
        (tmp_path / "config").write_text(config)
        with (tmp_path / "log").open("wb") as log:
            argv = [*inside, str(SSHD), "-D", "-e", "-f", str(tmp_path / "config")]
            process = subprocess.Popen(argv, stdout=log, stderr=log, process_group=0)
        wait_for(lambda: b"listening on" in (tmp_path / "log").read_bytes() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "log").read_text()
        key = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])
        known.write_text(f"{kept}[198.18.77.2]:{PORT} {key}\n")
        ready.add(address=f"{user()}@198.18.77.2:{PORT}")
        yield ready, near
    finally:
        known.write_text(kept)
        for one in run("ip", "netns", "pids", space, check=False).stdout.split():
            os.kill(int(one), signal.SIGKILL)
        if process is not None:
            process.wait()
        run("ip", "link", "del", near, check=False)
        run("ip", "netns", "del", space, check=False)


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
