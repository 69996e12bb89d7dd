"""The store of built kernels: one folder a key, whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.kernel.store import Built, Failed, find, folder_of, keep
from lab.kernel.types import BuildFailure, Kernel
from lab.paths import Paths

BUILT = Built("6.1.0", 70.5, ("mm/slub.c:1: unused",), {"tree": "t"})
KEY = "ab12"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "cache", tmp_path / "data", tmp_path / "config")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("bzImage", "vmlinux", "config", "System.map")}
    for name, path in made.items():
        path.write_text(name)
    return made


def test_what_is_kept_is_found(paths, files):
    assert find(KEY, paths) is None
    keep(KEY, files, BUILT, paths)
    kernel = find(KEY, paths)
    assert isinstance(kernel, Kernel)
    assert (kernel.release, kernel.seconds, kernel.warnings, kernel.from_store) == (
        "6.1.0",
        70.5,
        ("mm/slub.c:1: unused",),
        True,
    )
    assert kernel.image.read_text() == "bzImage"
    assert kernel.vmlinux.parent == kernel.folder


def test_a_failure_is_found_too(paths, files):
    keep(KEY, {"build.log": files["config"]}, Failed("no such thing", "mm/slub.c", 7, 3.0, {}), paths)
    failure = find(KEY, paths)
    assert isinstance(failure, BuildFailure)
    assert (failure.message, failure.file, failure.line) == ("no such thing", "mm/slub.c", 7)
    assert failure.log.is_file()


def test_what_has_lost_a_file_is_not_there_and_can_be_kept_again(paths, files):
    keep(KEY, files, BUILT, paths)
    (folder_of(KEY, paths) / "vmlinux").unlink()
    assert find(KEY, paths) is None
    keep(KEY, files, BUILT, paths)
    assert isinstance(find(KEY, paths), Kernel)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"release": 1}'])
def test_a_damaged_record_is_as_good_as_none(text, paths, files):
    keep(KEY, files, BUILT, paths)
    (folder_of(KEY, paths) / "kernel.json").write_text(text)
    assert find(KEY, paths) is None


def test_a_full_disk_leaves_nothing(paths, files, monkeypatch):
    def full(_from: Path, _to: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InfrastructureError, match="No space left on device"):
        keep(KEY, files, BUILT, paths)
    assert find(KEY, paths) is None
    assert list(folder_of(KEY, paths).parent.iterdir()) == []


def test_what_a_killed_process_left_goes_away_after_a_day(paths, files):
    left = folder_of(KEY, paths).parent / ".new-abc"
    left.mkdir(parents=True)
    keep(KEY, files, BUILT, paths)
    assert left.exists()
    os.utime(left, (time.time() - 100_000,) * 2)
    keep(KEY, files, BUILT, paths)
    assert not left.exists()
    assert isinstance(find(KEY, paths), Kernel)


def test_what_a_guest_is_started_from_stays_readable_when_the_same_is_kept_again(paths, files):
    keep(KEY, files, BUILT, paths)
    here = os.open(folder_of(KEY, paths), os.O_RDONLY)
    try:
        keep(KEY, files, BUILT, paths)
        assert os.stat("bzImage", dir_fd=here).st_size == len("bzImage")
    finally:
        os.close(here)
    asides = list(folder_of(KEY, paths).parent.glob(".new-*"))
    assert len(asides) == 1
    os.utime(asides[0], (time.time() - 100_000,) * 2)
    keep(KEY, files, BUILT, paths)
    assert not asides[0].exists()


def test_what_was_there_comes_back_where_the_new_can_not_be_put_in_place(paths, files, monkeypatch):
    keep(KEY, files, BUILT, paths)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.startswith(".new-") and not self.name.endswith("-before"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InfrastructureError, match="cannot be stored"):
        keep(KEY, files, BUILT, paths)
    assert isinstance(find(KEY, paths), Kernel)
