"""A stranger's build reaches no network and writes where it may; where it can't be shut in, that is said."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from lab import sandbox
from lab.errors import InfrastructureError
from lab.process import run
from lab.sandbox import Sandbox, choose_sandbox, quiet_cache, shut_in, unusable

usable = pytest.mark.skipif(bool(unusable()), reason=f"{unusable()}")
ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def inside(tmp_path):
    """Runs a shell script as a stranger's build; gives its output."""
    source, place = tmp_path / "source", tmp_path / "objects"
    source.mkdir()
    place.mkdir()
    (tmp_path / "secret").write_text("secret")

    def script(text: str) -> str:
        argv = shut_in(["sh", "-c", text], source=source, writable=(place,), env=ENV, sandbox=Sandbox("k"))
        done = run(argv, deadline=30, env=ENV)
        return (done.stdout + done.stderr).decode()

    script.source, script.place, script.outside = source, place, tmp_path
    return script


@usable
def test_only_the_object_directory_is_writable(inside):
    places = [inside.source / "x", inside.outside / "x", Path("/etc/x"), Path("/usr/x"), Path.cwd() / "owned"]
    said = inside("".join(f"echo owned > {place}; " for place in places) + f"echo fine > {inside.place}/x")
    assert said.count("Read-only file system") + said.count("nonexistent") + said.count("Permission denied") >= 3
    assert not any(place.exists() for place in places)
    assert (inside.place / "x").read_text() == "fine\n"


@usable
def test_home_and_other_work_are_not_seen(inside):
    assert "secret" not in inside(f"cat {inside.outside}/secret 2>/dev/null; ls -A {Path.home()}")
    assert inside("ls -A /run").strip() == ""


@usable
def test_there_is_no_network(inside):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        python = shutil.which("python3", path="/usr/bin:/bin")
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('out')"
        assert "out" not in inside(f'{python} -c "{code}"').splitlines()
    assert [line.split(":")[0].strip() for line in inside("cat /proc/net/dev").splitlines()[2:]] == ["lo"]


@usable
def test_no_process_outside_is_seen(inside):
    assert str(os.getpid()) not in inside("ls /proc").split()


def test_without_bubblewrap_it_is_said_plainly(monkeypatch):
    monkeypatch.setattr(sandbox, "unusable", lambda: "bubblewrap is not installed")
    found = choose_sandbox("k", "auto")
    assert found.sentence.startswith("NOT shut in: bubblewrap is not installed")
    assert shut_in(["make"], source=Path("/"), writable=(), env={}, sandbox=found) == ["make"]
    with pytest.raises(InfrastructureError, match="can't be shut in"):
        choose_sandbox("k", "require")
    assert "sandbox" in choose_sandbox("k", "off").open_because


def test_a_trees_own_build_is_left_as_it_is():
    assert shut_in(["make"], source=Path("/"), writable=(), env={}, sandbox=None) == ["make"]


def test_the_compiler_cache_is_only_read(tmp_path):
    assert quiet_cache({"A": "b"}, tmp_path, Sandbox("k"))["CCACHE_READONLY"] == "1"
    assert quiet_cache({"A": "b"}, tmp_path, None) == {"A": "b"}
