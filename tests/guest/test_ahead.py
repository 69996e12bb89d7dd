"""A QEMU that is started ahead: only where nothing has changed, taken only where it is the wanted one, never left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.guest.ahead import FD, GO, QEMU, Ahead, read_note
from lab.guest.machine import Machine
from lab.guest.qemu import Wires, started
from lab.guest.run import boot
from lab.paths import Paths

WORDS = ["boot", "--kernel", "bzImage", "--append", ""]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"LAB_CACHE": str(tmp_path / "cache"), "PATH": os.environ["PATH"]}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program in QEMU's place on PATH."""

    def make(body: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / QEMU
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return make


def test_the_same_words_and_files_come_to_the_same_qemu(env: dict[str, str], tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(b"one")
    argv = [QEMU, "-qmp", f"socket,fd={FD}", "-append", "", "öäü\udcff\n"]
    first = Ahead(WORDS, env)
    first.files.append(str(image))
    first.remember(argv, [str(tmp_path / "not there")])
    again = Ahead(WORDS, env)
    assert read_note(again.note, again.key) == argv

    image.write_bytes(b"another")
    assert read_note(again.note, again.key) == []
    first.remember(argv, [])
    assert read_note(again.note, again.key) == argv
    image.unlink()
    assert read_note(again.note, again.key) == []


def test_other_words_or_another_folder_are_another_command_line(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Ahead(WORDS, env)
    first.remember([QEMU], [])
    for other in (Ahead([*WORDS, "--live"], env), Ahead(WORDS, {**env, "PATH": "/bin"})):
        assert read_note(first.note, other.key) == []
    monkeypatch.chdir(tmp_path)
    assert read_note(first.note, Ahead(WORDS, env).key) == []


@pytest.mark.parametrize("data", [b"", b"\0", b"x\0y", b"-5\0-5\0", b"1\0" * 9, b"\xff" * 99, b"9999\x009999\0"])
def test_a_damaged_note_is_none(env: dict[str, str], data: bytes) -> None:
    ahead = Ahead(WORDS, env)
    Path(ahead.note).parent.mkdir(parents=True)
    Path(ahead.note).write_bytes(data)
    ahead.start()
    assert ahead.early is None


def test_no_other_program_is_started(env: dict[str, str], tmp_path: Path) -> None:
    """Who can write a note can name QEMU's arguments there, but nothing else."""
    ahead = Ahead(WORDS, env)
    ahead.remember([QEMU, "x"], [])
    note = Path(ahead.note)
    note.write_bytes(note.read_bytes().replace(QEMU.encode(), b"/bin/touch").replace(b"\0x", b"\0" + bytes(tmp_path)))
    ahead.start()
    assert ahead.early is None
    other = Ahead([*WORDS, "--json"], env)
    other.remember(["/bin/true"], [])
    assert not Path(other.note).exists()


def test_without_a_place_for_notes_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for env in ({}, {"LAB_CACHE": str(tmp_path / "file" / "x")}):
        ahead = Ahead(WORDS, env)
        ahead.remember([QEMU], [])
        ahead.start()
        assert ahead.early is None


TELLS = """exec PYTHON -c '
import os, socket, sys, time
said = socket.socket(fileno=int(sys.argv[2])).recv(4096).split()
print(*map(bytes.decode, said), os.getsid(0), sys.argv[3], flush=True)
time.sleep(60)' "$@" $(sed -n 's/^SigIgn:[[:space:]]*//p' /proc/$$/status)""".replace("PYTHON", sys.executable)


def test_it_is_let_go_and_taken_where_it_is_the_wanted_one(
    env: dict[str, str], stand_in: Callable[[str], None]
) -> None:
    stand_in(TELLS)
    note = Ahead(WORDS, {**env, "PATH": os.environ["PATH"]})
    note.remember([QEMU, "--", FD], [])
    ahead = Ahead(WORDS, {**env, "PATH": os.environ["PATH"]})
    ahead.start()
    assert ahead.early
    pid = ahead.early.process.pid
    with started(lambda wires: [QEMU, "--", str(wires.qmp)], ahead=ahead) as guest:
        assert guest.process.pid == pid
        os.set_blocking(guest.console, True)
        with open(guest.console, closefd=False) as console:
            said = console.readline().split()
        assert " ".join(said[:2]).encode() == b" ".join(GO.split())
        assert said[2] == str(pid), "it leads a session, so that Ctrl-C at a terminal does not reach it"
        assert int(said[3], 16) & (1 << (signal.SIGPIPE - 1)) == 0, "Python ignores SIGPIPE; QEMU must not"
    assert not Path(f"/proc/{pid}").exists()


def test_it_is_ended_where_another_one_is_wanted(env: dict[str, str], stand_in: Callable[[str], None]) -> None:
    stand_in("exec sleep 60")
    env["PATH"] = os.environ["PATH"]
    Ahead(WORDS, env).remember([QEMU, "old", FD], [])
    ahead = Ahead(WORDS, env)
    ahead.start()
    assert ahead.early
    pid = ahead.early.process.pid
    with started(lambda wires: [QEMU, "new", str(wires.qmp)], ahead=ahead) as guest:
        assert guest.process.pid != pid
        assert not Path(f"/proc/{pid}").exists()


def test_it_is_ended_where_none_is_wanted(env: dict[str, str], stand_in: Callable[[str], None]) -> None:
    stand_in("exec sleep 60")
    env["PATH"] = os.environ["PATH"]
    Ahead(WORDS, env).remember([QEMU], [])
    ahead = Ahead(WORDS, env)
    ahead.start()
    assert ahead.early
    pid = ahead.early.process.pid
    ahead.drop()
    assert not Path(f"/proc/{pid}").exists()
    ahead.drop()


def test_it_dies_with_the_lab(env: dict[str, str], stand_in: Callable[[str], None]) -> None:
    stand_in("exec sleep 60")
    env["PATH"] = os.environ["PATH"]
    program = (
        "import sys, time\nfrom lab.guest.ahead import Ahead, QEMU\n"
        f"Ahead({WORDS!r}, {env!r}).remember([QEMU], [])\n"
        f"ahead = Ahead({WORDS!r}, {env!r})\nahead.start()\n"
        "print(ahead.early.process.pid, flush=True)\ntime.sleep(60)\n"
    )
    lab = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert lab.stdout
    pid = int(lab.stdout.readline())
    time.sleep(0.2)  # until it has become QEMU
    lab.kill()
    lab.wait()
    lab.stdout.close()
    limit = time.monotonic() + 5
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < limit, "it outlives the lab"
        time.sleep(0.01)


def test_where_qemu_is_gone_the_lab_says_so_in_its_own_way(
    env: dict[str, str], stand_in: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.process import ToolMissing

    stand_in("exec sleep 60")
    env["PATH"] = str(tmp_path / "bin")
    Ahead(WORDS, env).remember([QEMU], [])
    (tmp_path / "bin" / QEMU).unlink()
    ahead = Ahead(WORDS, env)
    monkeypatch.setenv("PATH", env["PATH"])
    ahead.start()
    time.sleep(0.3)
    with pytest.raises(ToolMissing), started(lambda _wires: [QEMU], ahead=ahead):
        pass


@pytest.mark.boot
def test_a_second_boot_takes_the_qemu_that_was_started_ahead(
    kernel: Path,
    two_nodes: Machine,
    initramfs: Path,
    paths: Paths,
) -> None:
    env = {"LAB_CACHE": str(paths.cache)}

    def run(ahead: Ahead) -> None:
        result = boot(kernel, two_nodes, initramfs=initramfs, accel="tcg", paths=paths, ahead=ahead)
        assert (result.outcome, result.report.stage) == ("userspace", "userspace")
        assert result.console.read_bytes().startswith(b"[    0.000000] Linux version"), "nothing of the console is lost"

    run(Ahead(WORDS, env))
    second = Ahead(WORDS, env)
    second.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.guest.qemu.spawn", None)
        run(second)


def test_the_number_of_the_monitor_is_put_in(env: dict[str, str], stand_in: Callable[[str], None]) -> None:
    stand_in("exec sleep 60")
    env["PATH"] = os.environ["PATH"]
    Ahead(WORDS, env).remember([QEMU, f"socket,fd={FD},id=qmp"], [])
    ahead = Ahead(WORDS, env)
    ahead.start()
    assert ahead.early
    assert ahead.early.argv == [QEMU, f"socket,fd={Wires(ahead.early.fd, -1).qmp},id=qmp"]
    ahead.drop()
