"""What a worker says that ends before its time is what the caller is told."""

import threading
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.remote.hosts import parse
from lab.remote.listener import KEPT_BYTES, heard
from lab.remote.ssh import Pipe, connected

from .conftest import user, wait_for

AGAIN = b"lab: the worker of tls://10.0.0.1:4 ended (1); again in 0.5 s\n"


class Channel:
    """What stands for paramiko's channel: it says ``pieces``, and then waits for its end unless it ``ends``."""

    def __init__(self, pieces, ends):
        self.pieces = list(pieces)
        self.silent = threading.Event()
        self.closed = False
        self.over = threading.Event()
        if ends:
            self.over.set()

    def recv(self, most):
        if self.pieces:
            return self.pieces.pop(0)[:most]
        self.silent.set()
        self.over.wait(60)
        return b""

    def close(self):
        self.closed = True
        self.over.set()


def worker(*pieces, ends=False, name="far"):
    return Pipe(parse(name, f"me@{name}"), Channel(pieces, ends))


def fail(pipes, told=None):
    """The work fails once all that the workers say was heard."""
    told = [] if told is None else told
    with heard(pipes, told.append):
        for pipe in pipes:
            assert pipe.channel.silent.wait(10)
        wait_for(lambda: len(told) == sum(pipe.channel.over.is_set() for pipe in pipes))
        raise InfrastructureError("in 120 s no worker came", hint="start one")


def test_what_ended_is_told_at_once_and_with_the_error():
    told = []
    pipes = [
        worker(b"Traceback\n", b"ImportError: no \x1b[31mdask\n\n", ends=True),
        worker(b"INFO hello\n", name="well"),
    ]
    with pytest.raises(InfrastructureError) as caught:
        fail(pipes, told)
    assert told == ["a worker ended: far: ImportError: no \ufffd[31mdask"]
    assert caught.value.message == "in 120 s no worker came; of its workers ended far: ImportError: no \ufffd[31mdask"
    assert caught.value.hint == "start one"
    assert all(pipe.channel.closed for pipe in pipes)


def test_so_is_one_that_is_started_again_and_again():
    with pytest.raises(InfrastructureError, match=r"of its workers ended far: no room \(start one\)$"):
        fail([worker(b"no room\n", AGAIN)])


def test_what_went_wrong_first_is_why():
    """Python prints what an exception came of before it."""
    chain = b"OSError: [Errno 30] Read-only file system\n\nThe above exception ...\n  File x\nRuntimeError: no start\n"
    with pytest.raises(InfrastructureError, match=r"ended far: OSError: \[Errno 30\] Read-only file system "):
        fail([worker(b"KeyError: 1\n", AGAIN, b"INFO hello\n", chain, AGAIN, b"INFO hello again\n")])


def test_one_that_ended_without_a_word():
    with pytest.raises(InfrastructureError, match=r"ended far: it said nothing \(start one\)$"):
        fail([worker(ends=True)])


def test_an_error_with_all_workers_there_stays_as_it_is():
    with pytest.raises(InfrastructureError, match=r"^in 120 s no worker came \(start one\)$"):
        fail([worker(b"INFO hello\n")])


def test_another_error_is_none_of_the_workers():
    with pytest.raises(UserError, match=r"^wrong$"), heard([worker(ends=True)], lambda _line: None):
        raise UserError("wrong")


def test_who_ends_with_the_work_is_not_told():
    told = []
    with heard([worker(b"INFO hello\n")], told.append):
        pass
    assert not told


def test_little_is_kept_of_much():
    pipe = worker(*[b"x" * 60_000] * 50, b"\nlast\n", ends=True)
    with pytest.raises(InfrastructureError, match=r"ended far: last \(start one\)$"):
        fail([pipe])
    assert KEPT_BYTES < 60_000


@pytest.mark.system
def test_a_command_over_there_never_waits_for_a_reader(sshd, tmp_path, monkeypatch):
    """It says 5 MB, more than SSH takes without one, before it goes on; then it ends."""
    monkeypatch.setenv("HOME", str(sshd.home))
    host = parse("loop", f"{user()}@127.0.0.1:{sshd.port}")
    mark, told = tmp_path / "mark", []
    with connected(host) as link:
        pipe = link.start(f"head -c 5000000 /dev/zero | tr '\\0' '\\n'; echo the last; touch {mark}; exit 3")
        pipe.joined()
        with heard([pipe], told.append):
            wait_for(lambda: told)
            assert Path(mark).exists()
    assert told == ["a worker ended: loop: the last"]
