"""Object directories are hot, and not trusted after a build in them was interrupted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.kernel import objects
from lab.kernel.objects import check_room, heal, interrupted, note_state


def test_a_build_that_was_understood_to_its_end_was_not_interrupted(tmp_path):
    assert not interrupted(tmp_path)
    note_state(tmp_path, "building", "key", {"tree": "t"})
    assert interrupted(tmp_path)
    note_state(tmp_path, "failed", "key", {})
    assert not interrupted(tmp_path)
    (tmp_path / "lab-build.json").write_text("[")
    assert interrupted(tmp_path)


def test_what_was_written_last_goes_and_the_rest_stays(tmp_path):
    def file(name: str, age: float, text: str = "x") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() - age,) * 2)
        return path

    old = file("mm/slub.o", 500)
    kept = [file(".config", 0), file("include/config/auto.conf", 0), file("include/generated/autoconf.h", 0)]
    kept += [file("Makefile", 0), file("lab-build.json", 0)]
    doubtful = [file("mm/mempolicy.o", 0), file("vmlinux", 10), file("mm/page_alloc.o", 500, "")]
    (tmp_path / "source").symlink_to(tmp_path / "nowhere")
    assert heal(tmp_path) == 3
    assert not any(path.exists() for path in doubtful)
    assert all(path.exists() for path in [old, *kept])
    assert (tmp_path / "source").is_symlink()


def test_no_room_is_told_before_anything_is_built(tmp_path, monkeypatch):
    check_room(tmp_path)
    monkeypatch.setattr(objects, "FREE_BYTES", 1 << 60)
    with pytest.raises(InfrastructureError, match="MB are free"):
        check_room(tmp_path)
