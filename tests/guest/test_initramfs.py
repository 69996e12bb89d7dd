"""The initramfs: an archive of the lab's own, the same from the same input."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.guest.initramfs import Entry, archive, build, is_static
from lab.paths import Paths


def listing(archive_file: Path) -> str:
    done = subprocess.run(
        ["busybox", "cpio", "-tv"], input=archive_file.read_bytes(), capture_output=True, check=True, timeout=10
    )
    return done.stdout.decode()


def test_it_holds_a_static_busybox_an_init_and_the_devices_that_old_kernels_need(paths: Paths) -> None:
    text = listing(build(paths))
    for name in ("init", "bin/busybox", "bin/sh", "etc/fstab", "dev/console", "dev/kmsg", "dev/null", "dev/ttyS0"):
        assert f" {name}" in text
    assert "crw-------" in text


def test_it_is_kept_and_the_same_wherever_it_is_built(paths: Paths, tmp_path: Path) -> None:
    first = build(paths)
    written = first.stat().st_mtime_ns
    assert build(paths) == first
    assert first.stat().st_mtime_ns == written, "what is there is not written again"
    other = build(Paths(tmp_path / "b", tmp_path, tmp_path))
    assert (other.name, other.read_bytes()) == (first.name, first.read_bytes())


def test_files_of_the_callers_are_added_as_programs(paths: Paths, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    path = build(paths, extra={"lab/run": program, "usr/share/data": b"x"})
    text = listing(path)
    assert path != build(paths)
    assert " lab/run" in text
    assert " usr/share/data" in text
    assert " usr/share" in text


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "", "a\nb"])
def test_a_name_that_leaves_the_guests_root_is_refused(paths: Paths, name: str) -> None:
    with pytest.raises(UserError, match="not a name below"):
        build(paths, extra={name: b""})


def test_a_file_that_is_not_there_is_told(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        build(paths, extra={"lab/run": tmp_path / "missing"})


def test_without_busybox_the_package_is_named(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InfrastructureError) as caught:
        build(paths)
    assert "busybox-static" in caught.value.hint


def test_a_program_that_needs_an_interpreter_is_not_static() -> None:
    assert is_static(Path("/bin/busybox").read_bytes())
    assert not is_static(Path("/bin/sh").read_bytes())
    assert not is_static(b"#!/bin/sh\n")


def test_a_broken_busybox_leaves_no_archive(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busybox").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match="not statically linked"):
        build(paths)
    assert not list(paths.cache.rglob("*.cpio"))


def test_the_archive_is_aligned_and_ends_with_its_trailer() -> None:
    data = archive([Entry("a", 0o100644, b"xyz"), Entry("bc", 0o100644, b"")])
    assert len(data) % 4 == 0
    assert data.count(b"070701") == 3
    assert b"TRAILER!!!\0" in data
