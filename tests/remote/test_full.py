"""A disk that is full over there: what is told of it."""

import pytest

from lab.errors import InfrastructureError
from lab.process import Completed
from lab.remote import job, wire
from lab.remote.client import said_there
from lab.remote.jobs import RESULT

REFUSED = b"""\
remote: fatal: write error: No space left on device\x1b[31m        \n\
error: remote unpack failed: index-pack abnormal exit
To ssh://127.0.0.1:22/home/me/bases/pushed-x.git
 ! [remote rejected]     70cd7ec -> refs/lab/70cd7ec (unpacker error)
"""


def test_a_push_says_what_git_said_there():
    assert said_there(Completed((), 1, b"", REFUSED, 0.1)) == "write error: No space left on device\ufffd[31m"
    assert said_there(Completed((), 1, b"", b"fatal: could not read\n", 0.1)) == ""


@pytest.fixture
def full(tmp_path, monkeypatch):
    """A job's folder on a disk that has no more room than what was kept for the end."""
    write = job.write_atomic

    def refused(path, data):
        if (tmp_path / job.ROOM).exists() or len(data) > job.ROOM_BYTES:
            raise InfrastructureError(f"{path}: cannot be written: No space left on device")
        write(path, data)

    job.keep_room(tmp_path)
    assert (tmp_path / job.ROOM).stat().st_blocks * 512 >= job.ROOM_BYTES
    monkeypatch.setattr(job, "write_atomic", refused)
    return tmp_path


def test_why_a_job_failed_is_told_also_where_the_disk_is_full(full):
    job.hand_in(wire.Answer(problem=wire.Problem("infrastructure", "git: No space left " * 900, "h")), full)
    problem = wire.answer.decode((full / RESULT).read_bytes()).problem
    assert problem.message.startswith("git: No space left")
    assert not (full / job.ROOM).exists()


def test_a_result_that_there_is_no_room_for_is_told(full):
    job.hand_in(wire.Answer(trees=("a" * 40,) * 9000), full)
    problem = wire.answer.decode((full / RESULT).read_bytes()).problem
    assert problem.message == f"{full / RESULT}: cannot be written: No space left on device"


def test_the_room_is_given_back_where_it_was_not_needed(tmp_path):
    job.keep_room(tmp_path)
    job.hand_in(wire.Answer(trees=("a" * 40,)), tmp_path)
    assert wire.answer.decode((tmp_path / RESULT).read_bytes()).trees
    assert [path.name for path in tmp_path.iterdir()] == [RESULT]
