"""What a host answers is a stranger's: each of these ends in one line and leaves nothing in the store."""

import hashlib
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from lab.errors import LabError, UserError
from lab.paths import Paths
from lab.remote import frames, wire
from lab.remote.bring import bring_console, bring_kernel, expected_key, with_consoles
from lab.remote.client import Follower, Talk
from lab.remote.frames import Begun, Ended, File, Refused, Source, packed
from lab.remote.hosts import parse
from lab.remote.ssh import ConnectionLost, Pipe, Strange


class Channel:
    """What stands for paramiko's channel: it says ``answers`` and keeps what it was told."""

    def __init__(self, answers):
        self.answers = bytearray(answers)
        self.told = b""

    def recv(self, most):
        data = bytes(self.answers[:most])
        del self.answers[:most]
        return data

    def sendall(self, data):
        self.told += data

    def recv_stderr_ready(self):
        return False


def talk(*parts):
    host = parse("loop", "me@loop")
    data = b"".join(part if isinstance(part, bytes) else packed(part) for part in parts)
    return Talk(host, Pipe(host, Channel(data)))


def test_a_login_shell_may_print_before_the_lab_answers():
    one = talk(b"Welcome to loop!\r\n", frames.MAGIC, frames.Welcome("3.11.7", "x"))
    one.begin()
    assert one.welcome.python == "3.11.7"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"bash: python: not found\n",
        b"x" * 100_000,
        frames.MAGIC + b"\xff\xff\xff\xff",
        frames.MAGIC + b"\0\0\0\x02{}",
        frames.MAGIC + b"\0\0\0\x04\xff\xfe\x00\x01",
        frames.MAGIC + b"\0\0\xc3\x50" + b"[" * 50_000,
        frames.MAGIC + packed(File(3)),
        frames.MAGIC + packed({"say": "welcome", "python": 3, "version": "x"}),
        frames.MAGIC + packed({"say": "welcome", "python": "3", "version": "x", "more": 1}),
        frames.MAGIC + b"\0\0\x10\0{",
    ],
)
def test_garbage_instead_of_a_greeting(answer):
    with pytest.raises(LabError) as told:
        talk(answer).begin()
    assert isinstance(told.value, Strange | ConnectionLost)


@pytest.mark.parametrize(
    "repo",
    ["relative/pushed-x.git", "/a;reboot/pushed-x.git", "/a/../pushed-x.git", "/etc", "-x", "/a b/pushed-x.git", ""],
)
def test_a_place_to_push_to_that_is_none(repo):
    base = wire.unwired(wire.BaseWire("HEAD", "6.1", "x", "0" * 40), Path("/nowhere/tree-1.git"))
    with pytest.raises(Strange, match="strange place"):
        talk(Source(False, repo)).bring(base, lambda *_: None)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([Refused("user", "no\x1b[31m such")], "no"),
        ([Begun(1, False), Ended(0, "killed")], "died without a result"),
        ([Begun(1, False), Ended(1 << 40)], "answered out of turn"),
        ([Begun(1, False), Ended(100), b"short"], "goes on there"),
        ([Begun(1, False), File(3)], "answered out of turn"),
    ],
)
def test_a_job_that_is_answered_wrongly(answers, why):
    with pytest.raises(LabError, match=why):
        talk(*answers).follow(b"{}", "0" * 64, Follower())


def test_a_file_that_is_not_what_was_announced_is_not_kept(tmp_path):
    blob = wire.Blob(hashlib.sha256(b"right").hexdigest(), 5)
    for answers in ([File(5), b"wrong"], [File(6), b"right!"], [File(-1)], [File(5), b"rig"]):
        with pytest.raises(LabError):
            talk(*answers).fetch("boot", "x", "console.log", blob, tmp_path / "console")
        (tmp_path / "console").unlink(missing_ok=True)
    talk(File(5), b"right").fetch("boot", "x", "console.log", blob, tmp_path / "console")
    assert (tmp_path / "console").read_bytes() == b"right"


@pytest.mark.parametrize(
    "document",
    [
        b"{}x",
        b'{"probes": [{"point": -1}]}',
        b'{"consoles": {"../../etc": {"sha256": "' + b"0" * 64 + b'", "size": 1}}}',
        b'{"probes": [{"point": 1, "kernel": {"key": "../x", "kconfig": "", "files": {}, "seconds": 1,'
        b'"from_store": true}}]}',
        b'{"consoles": {"20261125-000000-00000000": {"sha256": "zz", "size": 1}}}',
        b'{"consoles": {"20261125-000000-00000000\\n": {"sha256": "' + b"0" * 64 + b'", "size": 1}}}',
        b'{"problem": {"kind": "other", "message": "x"}}',
        b"[" * 100_000,
    ],
)
def test_a_result_that_is_none(document):
    with pytest.raises((msgspec.MsgspecError, RecursionError)):
        wire.answer.decode(document)


class TestKernels:
    """A kernel gets into the store under no other key than the one that our own tree and its own tools lead to."""

    @pytest.fixture
    def line(self, tmp_path):
        from types import SimpleNamespace

        from lab.kernel.types import Compat, Toolchain

        tools = Toolchain("gcc", (12, 2), (2, 40), (5, 36), (4, 3), "identity")
        point = SimpleNamespace(index=1, tree="0" * 40)
        fragment = SimpleNamespace(name="own")
        return SimpleNamespace(toolchain=tools, compat=Compat(), fragment=fragment, point=point)

    def sent(self, key, files):
        blobs = {name: wire.Blob(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
        return wire.KernelWire(key, "CONFIG_X=y\n", blobs, 1.0, False)

    FILES: ClassVar = {
        "bzImage": b"image",
        "vmlinux": b"elf",
        "config": b"CONFIG_X=y\n",
        "kernel.json": b'{"release":"6.1","seconds":1,"warnings":[],"inputs":{}}',
    }  # fmt: skip

    def test_another_key_is_refused(self, line, tmp_path):
        paths = Paths(tmp_path, tmp_path, tmp_path)
        with pytest.raises(Strange, match="not under the key"):
            bring_kernel(talk(), line, line.point, self.sent("f" * 64, self.FILES), paths)
        assert not paths.kernels.exists()

    @pytest.mark.parametrize("change", [{"kernel.json": b"[]"}, {"vmlinux": None}, {"../../x": b"x"}])
    def test_a_kernel_that_is_not_whole_is_refused(self, line, tmp_path, change):
        paths = Paths(tmp_path, tmp_path, tmp_path)
        files = {name: data for name, data in {**self.FILES, **change}.items() if data is not None}
        answers = [part for data in files.values() for part in (File(len(data)), data)]
        key = expected_key(line, line.point, "CONFIG_X=y\n")
        with pytest.raises(Strange):
            bring_kernel(talk(*answers), line, line.point, self.sent(key, files), paths)
        assert not list(tmp_path.rglob("bzImage"))

    def test_a_right_one_is_kept_and_not_replaced(self, line, tmp_path):
        paths = Paths(tmp_path, tmp_path, tmp_path)
        key = expected_key(line, line.point, "CONFIG_X=y\n")
        answers = [part for data in self.FILES.values() for part in (File(len(data)), data)]
        kernel = bring_kernel(talk(*answers), line, line.point, self.sent(key, self.FILES), paths)
        assert kernel.image.read_bytes() == b"image"
        again = bring_kernel(talk(), line, line.point, self.sent(key, {**self.FILES, "bzImage": b"evil"}), paths)
        assert again.image.read_bytes() == b"image"


def test_a_console_is_no_larger_than_any(tmp_path):
    with pytest.raises(Strange, match="MiB"):
        bring_console(
            talk(), "20261125-000000-00000000", wire.Blob("0" * 64, 1 << 33), Paths(tmp_path, tmp_path, tmp_path)
        )


def test_paths_of_the_host_do_not_pass_for_ours(tmp_path):
    here = {"20261125-000000-00000000": tmp_path / "console.log"}
    document = {
        "a": [{"console": "/there/boots/20261125-000000-00000000/console.log"}, {"console": "/etc/passwd"}],
        "log": "/there/build.log",
    }
    assert with_consoles(document, here, "loop") == {
        "a": [{"console": str(tmp_path / "console.log")}, {"console": None}],
        "log": "loop:/there/build.log",
    }


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "x\0y"])
def test_a_file_of_a_case_stays_in_its_folder(tmp_path, name):
    from lab.case import Manifest

    manifest = Manifest(title="t", base="HEAD", kconfig="k", machine="m")
    base = wire.BaseWire("HEAD", "6.1", "x", "0" * 40)
    request = wire.Request(kind="build", name="t", manifest=manifest, files={name: b"x"}, base=base)
    with pytest.raises(UserError, match="outside"):
        wire.unpack(request, tmp_path / "job")
    assert not list(tmp_path.rglob("x"))
