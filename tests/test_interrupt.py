"""Ctrl-C, SIGTERM and SIGKILL at any step leave no child process and nothing half-written in the store."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

MAKEFILE = """\
VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 7
EXTRAVERSION =

allnoconfig:
	@cp $(KCONFIG_ALLCONFIG) $(O)/.config
	@{kconfig}
bzImage:
	@echo '  CC      init/main.o'
	@{build}
"""
KCONFIG = "CONFIG_NUMA=y\n"
SERIES = """\
title = "t"
base = "HEAD"
patches = ["0001.patch"]
kconfig = "mine.config.j2"
machine = "two-nodes"
"""
PATCH = """\
From: A <a@example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0000
Subject: [PATCH] Add a file

---
diff --git a/new b/new
new file mode 100644
--- /dev/null
+++ b/new
@@ -0,0 +1 @@
+new
"""


@pytest.fixture
def world(tmp_path):
    """A case and a kernel tree whose build takes for ever, and an empty cache."""

    def make(*, kconfig="true", build="true"):
        tree = tmp_path / "linux"
        tree.mkdir()
        (tree / "Makefile").write_text(MAKEFILE.format(kconfig=kconfig, build=build))
        (tree / "Kconfig").write_text("config NUMA\n\tbool\n")
        git = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@example.org"]
        for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "Linux"]):
            subprocess.run([*git, *step], check=True)
        case = tmp_path / "case"
        case.mkdir()
        (case / "series.toml").write_text(SERIES)
        (case / "0001.patch").write_text(PATCH)
        (case / "mine.config.j2").write_text(KCONFIG)
        return tmp_path

    return make


def start(world):
    """Start building the case; ``started`` appears in the world when the step that never ends was reached."""
    environment = {**os.environ, "LAB_CACHE": str(world / "cache"), "LAB_CONFIG": str(world)}
    argv = [sys.executable, "-m", "lab", "build", str(world / "case"), "--tree", str(world / "linux")]
    lab = subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    wait_for(lambda: (world / "started").exists() or lab.poll() is not None)
    assert lab.poll() is None, lab.communicate()
    return lab


def wait_for(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.02)


def survivors(world):
    """Processes that have to do with this world: by their folder or their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(world) in words or where.startswith(str(world))):
            found.append(words)
    return found


FOREVER = "touch {world}/started; sleep 1000 & sleep 1000"
STEPS = ["kconfig", "build"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("sig", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_nothing_is_left_when_the_lab_is_ended(world, tmp_path, step, sig, status):
    lab = start(world(**{step: FOREVER.format(world=tmp_path)}))
    lab.send_signal(sig)
    _, said = lab.communicate(timeout=120)
    assert lab.returncode == status
    if sig != signal.SIGKILL:
        assert said.decode().splitlines()[-1] == "lab: interrupted"
    wait_for(lambda: not survivors(tmp_path), seconds=10)
    stored = [path for path in (tmp_path / "cache" / "kernels").rglob("*") if path.is_file()]
    assert stored == []
    assert not list((tmp_path / "cache" / "kconfigs").glob("*.json")) or step == "build"


def test_the_next_call_goes_on_after_a_kill(world, tmp_path):
    killed = start(world(build=FOREVER.format(world=tmp_path)))
    killed.kill()
    killed.communicate(timeout=120)
    (tmp_path / "started").unlink()
    again = start(tmp_path)
    again.send_signal(signal.SIGINT)
    assert again.communicate(timeout=120)[1].decode().splitlines()[-1] == "lab: interrupted"


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(world, tmp_path):
    """The cache is a file system of 1 MiB; user namespaces make that possible without root."""
    world(build="dd if=/dev/zero of=$(O)/vmlinux bs=1M count=4 2>/dev/null")
    cache = tmp_path / "cache"
    cache.mkdir()
    lab = f"{sys.executable} -m lab build {tmp_path}/case --tree {tmp_path}/linux"
    script = f"mount -t tmpfs -o size=1M tmpfs {cache} && exec {lab}"
    probe = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(cache)], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip("user namespaces are not allowed here")
    environment = {**os.environ, "LAB_CACHE": str(cache), "LAB_CONFIG": str(tmp_path)}
    result = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], env=environment, capture_output=True, check=False, timeout=60
    )
    assert result.returncode == 128
    last = result.stderr.decode().splitlines()[-1]
    assert "1 MB are free" in last
    assert "set LAB_CACHE to another disk" in last
    assert "Traceback" not in result.stderr.decode()


GIT = """\
#!/bin/sh
# git, but for one of its commands, which never ends
for word; do case $word in -*|*=*|/*) ;; *) break ;; esac; done
if [ "$word" = "$(cat {world}/stop)" ]; then touch {world}/started; sleep 1000 & sleep 1000; fi
exec {git} "$@"
"""


@pytest.mark.parametrize("command", ["init", "apply", "update-ref", "read-tree"])
def test_no_git_is_left_and_what_it_left_is_no_obstacle(world, tmp_path, monkeypatch, command):
    """A base being made, a patch being applied, a series being kept, a checkout."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(GIT.format(world=tmp_path, git=shutil.which("git")))
    (folder / "git").chmod(0o755)
    (tmp_path / "stop").write_text(command)
    world(build=FOREVER.format(world=tmp_path))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    end(start(tmp_path), tmp_path)
    assert not (tmp_path / "cache" / "kernels").exists()
    assert not (tmp_path / "cache" / "objects").exists(), "it was git that was met, not the build"
    (tmp_path / "started").unlink()
    (tmp_path / "stop").write_text("nothing")
    end(start(tmp_path), tmp_path)
    assert (tmp_path / "cache" / "objects").exists(), "with the same cache it comes as far as the build"


def end(lab, world):
    """Ctrl-C: one line, the exit code for it, and nobody left."""
    lab.send_signal(signal.SIGINT)
    _, said = lab.communicate(timeout=120)
    assert (lab.returncode, said.decode().splitlines()[-1]) == (130, "lab: interrupted")
    wait_for(lambda: not survivors(world), seconds=10)


def lab_with(world, *words, **environment):
    """The lab with an empty cache, in a process group of its own."""
    told = {**os.environ, "LAB_CACHE": str(world / "cache"), "LAB_CONFIG": str(world), **environment}
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.Popen(argv, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def test_a_download_is_let_go_and_what_came_of_it_is_no_base(world, tmp_path):
    """The way to kernel.org is a proxy that takes the request and never answers."""
    world()
    manifest = tmp_path / "case" / "series.toml"
    manifest.write_text(manifest.read_text().replace("HEAD", "v3.7-rc4"))
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(60)
        lab = lab_with(
            tmp_path, "build", str(tmp_path / "case"), HTTPS_PROXY=f"http://127.0.0.1:{proxy.getsockname()[1]}"
        )
        line, _ = proxy.accept()
        with line:
            assert line.recv(1000).startswith(b"CONNECT git.kernel.org:443 ")
            end(lab, tmp_path)
    left = [path.name for path in (tmp_path / "cache" / "downloads").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []
    assert not list((tmp_path / "cache").glob("bases/*/HEAD"))


def test_a_scan_of_a_log_that_never_ends_can_be_ended(tmp_path):
    log = tmp_path / "console"
    os.mkfifo(log)
    lab = lab_with(tmp_path, "scan", str(log), "--json")
    with log.open("wb", buffering=0) as console:  # opens when the other side reads
        console.write(b"[    0.000000] Linux version 6.1.0\n" * 4000)  # more than a pipe holds
        end(lab, tmp_path)


def test_a_full_disk_under_standard_output_is_told(tmp_path):
    console = tmp_path / "console"
    console.write_text("[    0.000000] Linux version 6.1.0\n")
    argv = [sys.executable, "-m", "lab", "scan", str(console), "--json"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr.splitlines()) == (
        128,
        ["lab: standard output: No space left on device"],
    )
