"""Bad lines to a host: slow, losing, narrow, cut. The same kernel as here, built once, and what happened is said.

netem, where the kernel has it, does the same to real packets: ``test_namespaces.py``.
"""

import hashlib
from pathlib import Path

import pytest

from .conftest import user, wait_for
from .line import line_to
from .world import make_world

pytestmark = pytest.mark.faults


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path / "world")


def over(ready, line):
    """Reach the host by that line; its key is known there too."""
    known = ready.sshd.home / ".ssh" / "known_hosts"
    key = " ".join((ready.sshd.folder / "host_key.pub").read_text().split()[:2])
    with known.open("a") as file:
        file.write(f"[127.0.0.1]:{line.port} {key}\n")
    ready.add(address=f"{user()}@127.0.0.1:{line.port}")


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_slow_line_that_loses_packets_gives_the_same_kernel(ready, world):
    with line_to(ready.sshd.port, delay=0.06, jitter=0.02, loss=0.03, rate=2e6) as line:
        over(ready, line)
        kernel = ready.json("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)["kernel"]
        assert line.connections > 0
        assert line.stalls > 0, "nothing was lost, so nothing was tried"
    twin = ready.folder / "cache" / "kernels" / kernel["key"][:2] / kernel["key"]
    assert digest(kernel["image"]) == digest(twin / "bzImage")
    here = ready.json("build", *world.arguments, "--at", "1")["kernel"]
    assert (here["key"], here["from_store"]) == (kernel["key"], True)
    assert len(world.built) == len(set(world.built)), "nothing was built twice"


def test_a_line_that_breaks_while_the_kernel_comes_costs_another_call(ready, world):
    with line_to(ready.sshd.port) as line:
        over(ready, line)
        world.hold.touch()
        call = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
        wait_for(world.began, 120)
        line.cut_after = line.passed + 9_000  # in the middle of what comes back
        world.hold.unlink()
        _, said = call.communicate(timeout=120)
        assert line.cuts == 1, "it was never cut"
        assert call.returncode == 128, said
        assert "what the job came to is kept there" in said
        assert not list((ready.here / "cache" / "kernels").rglob("bzImage"))
        assert not list((ready.here / "cache" / "incoming").glob("*"))
        kernel = ready.json("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)["kernel"]
    assert Path(kernel["image"]).is_file()
    assert len(ready.runs()) == 1
    assert len(world.built) == len(set(world.built)), "nothing was built twice"


def test_a_line_that_is_down_for_a_while_is_told_and_the_job_goes_on(ready, world):
    with line_to(ready.sshd.port) as line:
        over(ready, line)
        world.hold.touch()
        call = ready.start("build", *world.arguments, "--at", "1", "--on", "loop")
        wait_for(world.began, 120)
        line.cut()
        _, said = call.communicate(timeout=120)
        assert call.returncode == 128
        assert "the job goes on there" in said
        out, said = ready.run("build", *world.arguments, "--at", "1", "--on", "loop", status=128)
        assert "cannot be reached" in said
        assert out == ""
        world.hold.unlink()
        line.mend()
        _, said = ready.run("build", *world.arguments, "--at", "1", "--on", "loop", seconds=300)
    assert "an earlier call began" in said
    assert len(world.built) == len(set(world.built)), "nothing was built twice"
