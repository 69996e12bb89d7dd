"""A share at the end of a bad line: slow, losing, cut in the middle of a kernel."""

import os
import threading
import time

import pytest

from lab.kernel.types import Kernel
from lab.share.place import Place, Unreachable
from lab.share.where import parse

from ..remote.line import line_to
from .conftest import key_of, names, new_bucket, sftp_url

pytestmark = pytest.mark.system

KINDS = [pytest.param("sftp", id="sftp"), pytest.param("s3", marks=pytest.mark.faults, id="s3")]


@pytest.fixture
def through(request, sshd, tmp_path, monkeypatch):
    """Gives a share's URL straight, and the one by a line."""

    def urls(kind, line_of):
        if kind == "s3":
            request.getfixturevalue("aws")
            server = request.getfixturevalue("s3_server")
            port = int(server.rpartition(":")[2])
            straight = new_bucket(server)
            line = line_of(port)
            return straight, straight.replace(f":{port}", f":{line.port}"), line
        line = line_of(sshd.port)
        known = sshd.home / ".ssh" / "known_hosts"
        key = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])
        with known.open("a") as file:
            file.write(f"[127.0.0.1]:{line.port} {key}\n")
        straight = sftp_url(sshd, tmp_path, monkeypatch)
        return straight, straight.replace(f":{sshd.port}/", f":{line.port}/"), line

    return urls


@pytest.fixture
def line_of(request):
    """Makes lines that end with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda **spoilt: lambda port: stack.enter_context(line_to(port, **spoilt))


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_line_that_loses_packets_brings_the_same_kernel(kind, through, line_of, machine):
    straight, spoilt, line = through(kind, line_of(delay=0.03, jitter=0.01, loss=0.03, rate=3e6))
    one, two = machine(spoilt), machine(spoilt)
    key = one.build(content=os.urandom(200_000))
    one.push(key)
    kernel = two.pull(key)
    assert isinstance(kernel, Kernel)
    assert kernel.image.read_bytes() == (one.paths.kernels / key[:2] / key / "bzImage").read_bytes()
    assert one.told == two.told == []
    assert line.stalls > 0, "nothing was lost, so nothing was tried"
    assert len(names(straight)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_is_cut_in_mid_kernel_is_told_and_left_alone(kind, through, line_of, machine):
    straight, spoilt, line = through(kind, line_of())
    one, two = machine(straight), machine(spoilt)
    key = one.build(content=os.urandom(1_000_000))
    one.push(key)
    assert two.pull(key_of("nothing")) is None
    assert two.told == []
    line.stays_down = True
    line.cut_after = line.passed + 300_000
    assert two.pull(key) is None
    assert line.cuts == 1, "it was never cut"
    (told,) = two.told
    assert told.endswith(f"kernel {key[:12]} is built here")
    assert two.stored == []
    assert two.clean
    began = time.monotonic()
    two.push(two.build(content=b"built here" * 1000))
    assert two.pull(key_of("nothing")) is None
    assert time.monotonic() - began < 5, "a share that is away is not waited for at each build"
    assert len(two.told) == 1
    line.mend()
    two.share.again = 0.0
    kernel = machine(spoilt).pull(key)
    assert isinstance(kernel, Kernel)


def test_a_line_that_is_cut_in_mid_file_leaves_no_traceback(through, line_of, tmp_path, monkeypatch):
    """paramiko asks for the pieces of a file in a thread of its own, which the cut ends too."""
    _, spoilt, line = through("sftp", line_of())
    with (tmp_path / "far" / "large").open("wb") as file:
        file.truncate(1 << 30)
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    place = Place(parse(spoilt))
    line.cut_after = line.passed + 50_000
    with (tmp_path / "near").open("wb") as near, pytest.raises(Unreachable):
        place.fetch("large", near, 2 << 30)
    place.close()
    assert line.cuts == 1, "it was never cut"
    for thread in threading.enumerate():
        if "_prefetch_thread" in thread.name or "(ask)" in thread.name:
            thread.join(10)
    assert raised == []


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_is_cut_while_a_kernel_goes_leaves_nothing_to_read(kind, through, line_of, machine):
    straight, spoilt, line = through(kind, line_of(rate=2e6))
    one = machine(spoilt)
    key = one.build(content=os.urandom(1_000_000))
    assert one.pull(key_of("nothing")) is None
    line.loop.call_soon_threadsafe(line.loop.call_later, 0.3, line.cut_now)
    line.up = False
    one.push(key)
    (told,) = one.told
    assert told.endswith(f"kernel {key[:12]} is in the store here alone")
    assert [name for name in names(straight) if name.startswith("kernels/")] == []
    two = machine(straight)
    assert two.pull(key) is None
    assert two.told == []
    two.build(content=b"two" * 1000)
    two.push(key)
    assert isinstance(machine(straight).pull(key), Kernel)
