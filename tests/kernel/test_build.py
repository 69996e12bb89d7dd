"""Builds: never the same one twice, failures as results, and nothing half-done left, whatever ends the lab."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from lab.errors import InfrastructureError
from lab.kernel.build import kernel_key
from lab.kernel.store import find, folder_of
from lab.kernel.types import BuildFailure, Compat, Kconfig, Kernel

pytestmark = pytest.mark.system


def test_a_kernel_with_all_that_belongs_to_it(fake):
    kernel = fake.build()
    assert isinstance(kernel, Kernel)
    assert not kernel.from_store
    assert kernel.release == "6.1.0"
    assert {path.name for path in kernel.folder.iterdir()} == {
        "bzImage", "vmlinux", "decompressor", "System.map", "config", "build.log", "kernel.json",
    }  # fmt: skip
    assert "CC      mm/mempolicy.o" in (kernel.folder / "build.log").read_text()
    inputs = json.loads((kernel.folder / "kernel.json").read_text())["inputs"]
    assert inputs["tree"] == fake.tree_id
    assert inputs["argv"][0] == "make"
    assert inputs["toolchain"]["identity"] == fake.toolchain.identity


def test_the_same_kernel_is_not_built_twice(fake):
    first = fake.build()
    (fake.source / "Makefile").unlink()
    again = find(first.key, fake.paths)
    assert again == replace(first, from_store=True)
    kconfig = Kconfig("own", (first.folder / "config").read_text(), "")
    assert fake.build(kconfig=replace(kconfig, key=msgspec.json.decode(
        (first.folder / "kernel.json").read_bytes())["inputs"]["kconfig"]["key"])) == again  # fmt: skip


def test_the_key_is_of_all_that_went_in(fake):
    kconfig = Kconfig("own", "CONFIG_SMP=y\n", "k1")
    given = ("tree", kconfig, fake.toolchain, Compat())
    keys = {
        kernel_key(*given),
        kernel_key("other", *given[1:]),
        kernel_key("tree", replace(kconfig, key="k2"), *given[2:]),
        kernel_key("tree", kconfig, replace(fake.toolchain, identity="gcc 13"), Compat()),
        kernel_key("tree", kconfig, fake.toolchain, Compat(flags=(("KCFLAGS", "-O1"),))),
    }
    assert len(keys) == 5
    assert kernel_key(*given) == kernel_key("tree", replace(kconfig, name="renamed"), *given[2:])


def test_the_next_point_compiles_only_what_changed(fake):
    fake.build()
    fake.write("mm/mempolicy.c", "int policy(int mode) { return mode + 1; }\n")
    log = (fake.build().folder / "build.log").read_text()
    assert "CC      mm/mempolicy.o" in log
    assert "init/main.o" not in log


def test_file_names_in_the_kernel_do_not_say_where_it_was_built(fake):
    text = fake.build().vmlinux.read_bytes()
    assert b"init/main.c" in text
    assert b"worktrees" not in text
    assert str(fake.source).encode() not in text


def test_nothing_of_the_callers_environment_gets_into_a_kernel(fake, monkeypatch):
    for name in ("KCFLAGS", "MAKEFLAGS", "CFLAGS", "ARCH", "CROSS_COMPILE"):
        monkeypatch.setenv(name, "-nonsense")
    assert isinstance(fake.build(), Kernel)


def test_a_point_that_does_not_compile_is_a_result_and_kept(fake):
    fake.write("mm/mempolicy.c", "int policy(int mode)\n{\n\treturn g(;\n}\n")
    failure = fake.build()
    assert isinstance(failure, BuildFailure)
    assert (failure.file, failure.line) == ("mm/mempolicy.c", 3)
    assert failure.message == "expected expression before ';' token"
    assert "CC      mm/mempolicy.o" in failure.log.read_text()
    assert find(failure.key, fake.paths) == failure


def test_a_point_after_one_that_does_not_compile(fake):
    good = fake.tree_id
    fake.write("mm/mempolicy.c", "int policy(int mode)\n{\n\treturn g(;\n}\n")
    assert isinstance(fake.build(), BuildFailure)
    fake.write("mm/mempolicy.c", "int policy(int mode) { return mode; }\n", good)
    assert isinstance(fake.build(), Kernel)


def test_warnings_are_kept_with_the_kernel(fake):
    fake.write("mm/mempolicy.c", "static int unused;\nint policy(int mode) { return mode; }\n")
    kernel = fake.build()
    assert [text.partition(" ")[0] for text in kernel.warnings] == ["mm/mempolicy.c:1:"]
    assert find(kernel.key, fake.paths).warnings == kernel.warnings


@pytest.mark.parametrize(
    ("said", "told", "hint"),
    [
        ("cc1: fatal error: error writing to /tmp/cc.s: No space left on device", "the disk is full", "LAB_CACHE"),
        ("gcc: fatal error: Killed signal terminated program cc1", "a program was killed", "--jobs 1"),
        ("x.c:1:1: fatal error: gelf.h: No such file or directory", "gelf.h is missing", "libelf-dev"),
    ],
)
def test_what_the_world_did_is_no_result(fake, tmp_path, said, told, hint):
    cc = tmp_path / "cc"
    cc.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    cc.chmod(0o755)
    broken = replace(fake.toolchain, cc=str(cc))
    kconfig = fake.resolve("CONFIG_SMP=y\n")
    with pytest.raises(InfrastructureError, match=told) as error:
        fake.build(kconfig=kconfig, toolchain=broken)
    assert hint in error.value.hint
    assert find(kernel_key(fake.tree_id, kconfig, fake.toolchain, fake.compat), fake.paths) is None
    assert isinstance(fake.build(kconfig=kconfig), Kernel)


def test_a_build_that_takes_too_long_is_ended(fake):
    slow(fake)
    with pytest.raises(InfrastructureError, match="did not end within 1 s"):
        fake.build(deadline=1)
    assert gone(fake.paths.cache)


def test_progress_is_told(fake):
    told = []
    fake.build(progress=lambda *args: told.append(args))
    assert {step for step, *_ in told} == {"build"}
    assert {"init/main.o", "mm/mempolicy.o"} <= {detail for _, detail, *_ in told}
    assert all(0 < done <= total for _, _, done, total in told)


BUILDER = """\
import msgspec, sys
from pathlib import Path
from lab.kernel.build import build
from lab.kernel.types import Compat, Kconfig, Toolchain
from lab.paths import Paths
source, cache, toolchain, kconfig = sys.argv[1:]
build(Path(source), tree_id="tree-1", kconfig=msgspec.json.decode(kconfig, type=Kconfig), jobs=2, version="6.1.0",
      toolchain=msgspec.json.decode(toolchain, type=Toolchain), compat=Compat(), objects_key="fake_6.1.0",
      paths=Paths(Path(cache), Path(cache), Path(cache)))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_lab_ends_the_build_and_the_next_one_goes_on(ending, fake):
    kconfig = fake.resolve("CONFIG_SMP=y\n")
    slow(fake)
    given = [fake.source, fake.paths.cache, msgspec.json.encode(fake.toolchain), msgspec.json.encode(kconfig)]
    lab = subprocess.Popen([sys.executable, "-c", BUILDER, *given], stderr=subprocess.DEVNULL)
    try:
        wait(lambda: running(fake.paths.cache, "slow.sh"))
        lab.send_signal(ending)
        assert lab.wait(timeout=120) != 0
    finally:
        lab.kill()
    assert gone(fake.paths.cache)

    (place,) = (path for path in fake.paths.objects.glob("fake*") if path.is_dir())
    assert json.loads((place / "lab-build.json").read_text())["state"] == "building"
    key = kernel_key("tree-1", kconfig, fake.toolchain, fake.compat)
    assert find(key, fake.paths) is None
    assert not list(fake.paths.kernels.rglob("*")) if fake.paths.kernels.exists() else True

    (fake.source / "slow.sh").unlink()
    assert isinstance(fake.build(kconfig=kconfig), Kernel)
    assert json.loads((place / "lab-build.json").read_text())["state"] == "built"


def test_a_half_written_object_is_not_taken_for_a_finished_one(fake):
    kernel = fake.build()
    (place,) = (path for path in fake.paths.objects.glob("fake*") if path.is_dir())
    truncated = place / "mm" / "mempolicy.o"
    truncated.write_bytes(truncated.read_bytes()[:100])
    state = json.loads((place / "lab-build.json").read_text())
    (place / "lab-build.json").write_text(json.dumps({**state, "state": "building"}))
    fake.write("init/main.c", (fake.source / "init/main.c").read_text() + "/* another point */\n")
    again = fake.build()
    assert isinstance(again, Kernel)
    assert again.image.read_bytes() == kernel.image.read_bytes()


def test_a_failure_after_an_interrupted_build_counts_only_from_a_clean_start(fake):
    fake.build()
    (place,) = (path for path in fake.paths.objects.glob("fake*") if path.is_dir())
    old = time.time() - 1000
    (place / "mm" / "mempolicy.o").write_bytes(b"not an object")
    for path in place.rglob("*"):
        os.utime(path, (old, old), follow_symlinks=False)
    os.utime(place / "mm" / "mempolicy.o", (old + 900, old + 900))
    (place / "System.map").touch()
    state = json.loads((place / "lab-build.json").read_text())
    (place / "lab-build.json").write_text(json.dumps({**state, "state": "building"}))
    fake.tree_id = "tree-2"
    assert isinstance(fake.build(), Kernel)


def test_two_object_directories_give_the_same_image(fake):
    one, other = fake.build(), fake.build(objects_key="elsewhere", tree_id="tree-2")
    assert one.image.read_bytes() == other.image.read_bytes()


def test_a_store_that_lost_its_files_is_filled_again(fake):
    kernel = fake.build()
    kernel.vmlinux.unlink()
    assert find(kernel.key, fake.paths) is None
    assert isinstance(fake.build(), Kernel)
    assert folder_of(kernel.key, fake.paths) == kernel.folder


def slow(fake) -> None:
    """Let each file of the tree take ten minutes."""
    script: Path = fake.source / "slow.sh"
    script.write_text("#!/bin/sh\nsleep 600 # so that nobody waits for it by chance\n")
    script.chmod(0o755)


def running(folder: Path, word: str = "") -> bool:
    """Whether a process has the folder's path, and the word, in its command line or works in it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and word in line and (str(folder) in line or place.startswith(str(folder))):
            return True
    return False


def gone(folder: Path) -> bool:
    """Whether no process is left that has to do with the folder, a moment later at most."""
    wait(lambda: not running(folder))
    return not running(folder)


def wait(until, seconds: float = 60.0) -> None:
    """Wait until something is so; the caller looks whether it is."""
    limit = time.monotonic() + seconds
    while not until() and time.monotonic() < limit:
        time.sleep(0.05)
