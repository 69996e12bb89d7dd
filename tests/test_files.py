"""Files that are whole, and locks that one process at a time holds."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.files import locked, write_atomic

HOLDER = """
import sys, time
from pathlib import Path
from lab.files import locked
with locked(Path(sys.argv[1]), 10):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, "one ü\n")
    write_atomic(path, b"two\n")
    assert path.read_bytes() == b"two\n"
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_keeps_the_old_file_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(InfrastructureError, match=f"{path}: cannot be written"):
        write_atomic(path, b"x")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_an_error_of_the_world() -> None:
    with pytest.raises(InfrastructureError, match="cannot be written"):
        write_atomic(Path("/proc/lab/file"), b"x")


def test_a_lock_is_held_by_one_and_dropped_by_the_dead(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        with pytest.raises(InfrastructureError, match=f"process {holder.pid} has held this lock"), locked(path, 0.2):
            pytest.fail("two have it")
        assert 0.15 < time.monotonic() - began < 5
        holder.kill()
        holder.wait(timeout=10)
    with locked(path, 5):
        pass


def test_readers_share_a_lock(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", 1, shared=True), locked(tmp_path / "lock", 1, shared=True):
        pass
