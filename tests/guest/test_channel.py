"""The agent that works in guests, here on a terminal of this host: commands, files, and what may go wrong with them."""

from __future__ import annotations

import errno
import os
import pty
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.guest.channel import ACK, HEADER, HELLO, SHARED_BYTES, Channel, ChannelLost
from lab.guest.live import SOURCE
from lab.guest.programs import make_program
from lab.paths import Paths

FILE_BYTES = 3 << 20


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent, compiled as it is for guests."""
    folder = tmp_path_factory.mktemp("agent")
    return make_program(SOURCE, Paths(folder, folder, folder)).file


@pytest.fixture(params=["line", "memory"])
def channel(agent: Path, request: pytest.FixtureRequest) -> Iterator[Channel]:
    """A line to an agent that runs here; with memory that is shared, and without."""
    ours, theirs = pty.openpty()
    memory = os.memfd_create("shared")
    os.truncate(memory, SHARED_BYTES)
    shared = mmap(memory, SHARED_BYTES) if request.param == "memory" else None
    argv = [agent, os.ttyname(theirs), f"/proc/{os.getpid()}/fd/{memory}" if shared else "/none"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=quiet, stdout=quiet, restore_signals=False)  # SIGXFSZ is ignored, as here
    try:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        channel = Channel(ours, shared)
        channel.greet(10)
        assert channel.shared is shared
        yield channel
    finally:
        process.kill()
        process.wait()
        os.close(memory)
        os.close(ours)
        os.close(theirs)


def test_a_command_s_outputs_status_and_time(channel: Channel) -> None:
    ran = channel.run(("sh", "-c", "printf 'a\\0b\\n'; echo wrong >&2; exit 3"), deadline=10)
    assert (ran.status, ran.stdout, ran.stderr, ran.ok, ran.how) == (3, b"a\0b\n", b"wrong\n", False, "status 3")
    assert 0 <= ran.seconds < 10
    assert channel.run(("true",), deadline=10).ok


def test_every_byte_comes_as_it_is(channel: Channel, tmp_path: Path) -> None:
    size = 2_500_000 if channel.shared else 70_000
    data = bytes(range(256)) * 300 + os.urandom(size) + b"\3\4\21\23\6"
    there = tmp_path / "there"
    channel.push(data, str(there), 0o751)
    assert there.read_bytes() == data
    assert stat.S_IMODE(there.stat().st_mode) == 0o751
    assert channel.pull(str(there)) == data
    assert channel.run(("cat",), stdin=str(there), deadline=20, limit=len(data)).stdout == data
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_arguments_are_no_shell_s_business(channel: Channel) -> None:
    argv = ("printf", "%s|", "two words", "$HOME", "`id`", "", "é", "a\nb")
    assert channel.run(argv, deadline=10).text == "two words|$HOME|`id`||é|a\nb|"


def test_what_ends_by_a_signal_says_so(channel: Channel) -> None:
    ran = channel.run(("sh", "-c", "kill -SEGV $$"), deadline=10)
    assert (ran.status, ran.how) == (-signal.SIGSEGV, "ended by signal 11")


def test_a_command_that_hangs_is_killed_with_all_it_started(channel: Channel, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    ran = channel.run(("sh", "-c", f"sleep 300 & echo $! >{pid}; sleep 300"), deadline=0.3)
    assert (ran.late, ran.ok) == (True, False)
    assert ran.how.startswith("killed at its deadline")
    assert not alive(int(pid.read_text()))
    assert channel.run(("echo", "next"), deadline=10).text == "next"


def test_what_a_command_leaves_behind_does_not_keep_it_from_ending(channel: Channel, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    ran = channel.run(("sh", "-c", f"sleep 300 & echo $! >{pid}; echo done"), deadline=10)
    assert (ran.ok, ran.text) == (True, "done")
    assert not alive(int(pid.read_text()))


def alive(pid: int) -> bool:
    """Whether that process runs; it is given a moment to be gone."""
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.01)
    return True


def test_a_flood_is_cut_and_read_to_its_end(channel: Channel) -> None:
    ran = channel.run(("head", "-c", "500000", "/dev/zero"), deadline=20, limit=1000)
    assert (len(ran.stdout), ran.cut, ran.status) == (1000, True, 0)
    assert not channel.run(("head", "-c", "1000", "/dev/zero"), deadline=20, limit=1000).cut


def test_what_the_guest_refuses_is_an_os_error_as_it_would_be_here(channel: Channel, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "file")
    for asked in (
        lambda: channel.pull(missing),
        lambda: channel.push(b"x", missing),
        lambda: channel.write(missing, b""),
    ):
        with pytest.raises(FileNotFoundError, match="missing/file"):
            asked()
    with pytest.raises(FileNotFoundError):
        channel.run((missing,), deadline=10)
    with pytest.raises(IsADirectoryError):
        channel.pull(str(tmp_path))
    assert channel.run(("true",), deadline=10).ok, "it goes on"


def test_a_file_is_not_pulled_beyond_the_limit(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10_000))
    assert len(channel.pull(str(tmp_path / "file"), limit=10_000)) == 10_000
    with pytest.raises(OSError, match="larger than 9999") as refused:
        channel.pull(str(tmp_path / "file"), limit=9_999)
    assert refused.value.errno == errno.EFBIG


def test_a_push_that_does_not_fit_leaves_nothing(channel: Channel, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large"):
        channel.push(bytes(FILE_BYTES + 40_000), str(tmp_path / "large"))
    assert list(tmp_path.iterdir()) == []
    assert channel.run(("true",), deadline=10).ok


def test_a_push_replaces_files_and_nothing_else(channel: Channel, tmp_path: Path) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"old")
    os.mkfifo(pipe)
    channel.push(b"new", str(file))
    assert file.read_bytes() == b"new"
    with pytest.raises(FileExistsError):
        channel.push(b"new", str(pipe))
    with pytest.raises(IsADirectoryError):
        channel.push(b"new", str(tmp_path))
    assert pipe.is_fifo()


def test_a_write_goes_in_one_call(channel: Channel, tmp_path: Path) -> None:
    file = tmp_path / "sysctl"
    file.write_bytes(b"")
    channel.write(str(file), b"1\n")
    assert file.read_bytes() == b"1\n"


def test_what_cannot_be_asked_is_told_at_once(channel: Channel) -> None:
    with pytest.raises(UserError, match="begins with /"):
        channel.pull("relative")
    with pytest.raises(UserError, match="zero byte"):
        channel.run(("echo", "a\0b"), deadline=1)
    with pytest.raises(UserError, match="the guest's agent takes"):
        channel.run(("echo", "x" * 70_000), deadline=1)
    assert channel.run(("true",), deadline=10).ok


def test_a_damaged_request_is_refused_and_the_line_stays_in_step(channel: Channel) -> None:
    os.write(channel.line, HEADER.pack(b"G", 4, 0) + b"")
    assert channel.exactly(1, time.monotonic() + 5) == ACK
    os.write(channel.line, b"/etc")
    assert channel.exactly(1, time.monotonic() + 5) == ACK
    with pytest.raises(OSError) as refused:
        channel.done("/etc")
    assert refused.value.errno == errno.EBADMSG
    assert channel.run(("true",), deadline=10).ok


def line_that_says(data: bytes) -> tuple[Channel, int]:
    """A line whose other end has said ``data`` and is still there."""
    ours, theirs = pty.openpty()
    os.write(theirs, b"")
    import tty

    tty.setraw(theirs)
    os.write(theirs, data)
    return Channel(ours), theirs


def test_nothing_is_waited_for_without_end() -> None:
    channel, theirs = line_that_says(b"garbage")
    with pytest.raises(ChannelLost, match=r"did not come up within 0\.05 s"):
        channel.greet(0.05)
    os.close(theirs)
    with pytest.raises(ChannelLost, match="has ended"):
        channel.greet(5)
    os.close(channel.line)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (HELLO + HEADER.pack(b"H", 8, 1) + bytes(8), "damaged"),
        (HELLO + HEADER.pack(b"H", 1 << 30, 1), "out of step"),
        (HELLO + HEADER.pack(b"Z", 0, 0), "another language"),
    ],
)
def test_damage_is_told_as_such(said: bytes, why: str) -> None:
    channel, theirs = line_that_says(b"noise\2lab" + said)
    with pytest.raises(ChannelLost, match=why):
        channel.greet(5)
    os.close(theirs)
    os.close(channel.line)


def test_memory_that_changes_under_way_is_told_as_damage(channel: Channel, tmp_path: Path) -> None:
    if channel.shared is None:
        pytest.skip("nothing is shared")
    (tmp_path / "file").write_bytes(b"a" * 10_000)
    receive = channel.fetch

    def spoiled(where: bytes, limit: float) -> tuple[bytes, bytes]:
        assert channel.shared is not None
        channel.shared[5:6] = b"b"
        return receive(where, limit)

    channel.fetch = spoiled  # type: ignore[method-assign]
    with pytest.raises(ChannelLost, match="shared came damaged"):
        channel.pull(str(tmp_path / "file"))
