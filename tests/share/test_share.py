"""What one machine built, all have; what is wrong with a share is told in a line, and the kernel is built here."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from pathlib import Path

import msgspec
import pytest

from lab.kernel.types import BuildFailure, Kernel
from lab.share.archive import Blob, Damaged, Manifest, blob, pack, read_manifest, unpack
from lab.share.place import Place
from lab.share.share import archive_name, manifest_name

from .conftest import key_of, names, sftp_url

pytestmark = pytest.mark.system


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "kernel.json"}


def test_what_one_machine_built_another_has(url, machine):
    one, two = machine(url), machine(url)
    key = one.build()
    assert two.pull(key) is None
    one.push(key)
    kernel = two.pull(key)
    assert isinstance(kernel, Kernel)
    assert kernel.from_store
    assert content(kernel.folder) == content(one.paths.kernels / key[:2] / key)
    record = json.loads((kernel.folder / "kernel.json").read_text())
    assert record["inputs"]["shared"]["built_on"] == os.uname().nodename
    assert record["release"] == "6.1.0"
    failed = one.fail("broken")
    one.push(failed)
    failure = two.pull(failed)
    assert isinstance(failure, BuildFailure)
    assert (failure.file, failure.line, failure.log.read_text()) == ("mm/a.c", 7, "error: no")
    there = names(url)
    one.push(key)
    assert names(url) == there
    assert len(there) == 4
    assert not any(".new-" in name for name in there)
    assert one.told == two.told == []
    assert one.clean
    assert two.clean


def test_two_writers_of_the_same_kernel_leave_one_whole_kernel(url, machine):
    """Each with other bytes: what is pulled meanwhile is the one or the other."""
    turns = 1 if url.startswith("s3") else 4
    writers = [machine(url) for _ in range(2)]
    contents = [bytes([65 + number]) * 300_000 for number in range(2)]
    keys = [key_of(f"tree{turn}") for turn in range(turns)]
    for writer, data in zip(writers, contents, strict=True):
        for turn in range(turns):
            writer.build(f"tree{turn}", data)
    pulled = []

    def read():
        for key in keys * 3:
            kernel = reader.pull(key)
            if kernel is not None:
                pulled.append(kernel.image.read_bytes())

    reader = machine(url)
    threads = [threading.Thread(target=lambda one=one: [one.push(key) for key in keys]) for one in writers]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    last = machine(url)
    for key in keys:
        kernel = last.pull(key)
        assert isinstance(kernel, Kernel)
        assert kernel.image.read_bytes() in contents
    assert all(data in contents for data in pulled)
    assert [one.told for one in (*writers, reader, last)] == [[], [], [], []]
    assert not any(".new-" in name for name in names(url))


def files_of(folder, key):
    """A pushed kernel's manifest and archive in a share that is a folder."""
    manifest = Path(folder) / manifest_name(key)
    sha256 = json.loads(manifest.read_text())["archive"]["sha256"]
    return manifest, Path(folder) / archive_name(sha256)


def flipped(manifest, archive, other):
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)


def cut_short(manifest, archive, other):
    archive.write_bytes(archive.read_bytes()[:-100])


def longer(manifest, archive, other):
    archive.write_bytes(archive.read_bytes() + b"more")


def gone(manifest, archive, other):
    archive.unlink()


def swapped(manifest, archive, other):
    archive.write_bytes(other[1].read_bytes())


def a_pipe(manifest, archive, other):
    archive.unlink()
    os.mkfifo(archive)


def anothers_manifest(manifest, archive, other):
    manifest.write_bytes(other[0].read_bytes())


def another_kernel_under_its_name(manifest, archive, other):
    """The other kernel with all that belongs to it, and a manifest that claims this key."""
    document = json.loads(other[0].read_text())
    manifest.write_text(json.dumps({**document, "key": manifest.stem}))


def another_config(manifest, archive, other):
    """A kernel that was built with something else than its record says."""
    found = json.loads(manifest.read_text())
    files = unpacked(archive)
    files["config"] = b"CONFIG_SMP=n\n"
    rewritten(manifest, archive, found, files)


def garbage(manifest, archive, other):
    manifest.write_bytes(b"\xff\xfe{")


def deep(manifest, archive, other):
    manifest.write_bytes(b"[" * 60_000)


def huge(manifest, archive, other):
    manifest.write_bytes(b" " * 100_000_000)


def no_gzip(manifest, archive, other):
    resealed(manifest, archive, b"not compressed")


def unpacked(archive):
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def resealed(manifest, archive, data):
    """Another archive, with its hash in the manifest."""
    document = json.loads(manifest.read_text())
    sha256 = hashlib.sha256(data).hexdigest()
    place = archive.parents[1] / sha256[:2] / archive.name.replace(archive.name[:64], sha256)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    document["archive"] = {"sha256": sha256, "size": len(data)}
    manifest.write_text(json.dumps(document))


def rewritten(manifest, archive, document, files):
    """The same archive with other files, and a manifest that agrees."""
    members = []
    for name, data in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(data)
        members.append((member, data))
    document["files"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()
    }
    manifest.write_text(json.dumps(document))
    resealed(manifest, archive, tar_of(members))


def tar_of(members, format=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w|", format=format) as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


HARM = [flipped, cut_short, longer, gone, swapped, a_pipe, anothers_manifest, another_kernel_under_its_name]
HARM += [another_config, garbage, deep, huge, no_gzip]


@pytest.mark.parametrize("harm", HARM)
def test_a_kernel_that_is_not_what_it_has_to_be_is_told_and_mended_by_the_next_build(folder, machine, harm):
    one, two = machine(folder), machine(folder)
    keys = [one.build("tree", b"right" * 1000), one.build("other", b"wrong" * 1000)]
    for key in keys:
        one.push(key)
    harm(*files_of(folder, keys[0]), files_of(folder, keys[1]))
    assert two.pull(keys[0]) is None
    (line,) = two.told
    assert line.startswith(f"share {folder}: ")
    assert line.endswith(f"kernel {keys[0][:12]} is built here")
    assert "\n" not in line
    assert len(line) < 400
    assert two.stored == []
    assert two.clean
    if harm is a_pipe:  # whoever makes pipes there can remove them
        return
    two.build("tree", b"right" * 1000)
    two.push(keys[0])
    three = machine(folder)
    kernel = three.pull(keys[0])
    assert isinstance(kernel, Kernel)
    assert kernel.image.read_bytes() == b"right" * 1000
    assert three.told == []


def member(name, kind=tarfile.REGTYPE, size=0, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made, b"x" * size


GOOD = {"bzImage": b"image", "vmlinux": b"linux", "config": b"c", "kernel.json": b"{}"}


def manifest_for(files):
    hashes = {name: Blob(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    return Manifest(key="0" * 64, archive=Blob("0" * 64, 1), files=hashes)


def test_an_archive_of_what_the_manifest_names_is_unpacked(tmp_path):
    for name, data in GOOD.items():
        (tmp_path / name).write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    pack({name: tmp_path / name for name in GOOD}, tmp_path / "archive")
    first = (tmp_path / "archive").read_bytes()
    unpack(tmp_path / "archive", manifest_for(GOOD), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == GOOD
    pack({name: out / name for name in reversed(GOOD)}, tmp_path / "archive")
    assert (tmp_path / "archive").read_bytes() == first, "the same content: the same archive"


@pytest.mark.parametrize(
    "extra",
    [
        [member("../escaped", size=1)],
        [member("/tmp/escaped", size=1)],
        [member("build.log", size=1)],
        [member("config", size=1)],
        [member("sub/config", size=1)],
        [member("config", tarfile.SYMTYPE, link="/etc/passwd")],
        [member("config", tarfile.LNKTYPE, link="bzImage")],
        [member("config", tarfile.CHRTYPE)],
        [member("config", tarfile.BLKTYPE)],
        [member("config", tarfile.FIFOTYPE)],
        [member("config", tarfile.DIRTYPE)],
        [member("config", size=1 << 20)],
        [member("config", tarfile.GNUTYPE_SPARSE, size=1)],
    ],
)
def test_an_archive_of_anything_else_leaves_nothing_outside(tmp_path, extra):
    files = {name: data for name, data in GOOD.items() if name != "config"}
    good = [(member(name, size=len(data))[0], data) for name, data in files.items()]
    refused(tmp_path, tar_of([*good, *extra]))


def refused(tmp_path, data):
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (tmp_path / "archive").write_bytes(data)
    with pytest.raises(Damaged) as told:
        unpack(tmp_path / "archive", manifest_for(GOOD), out)
    assert "\n" not in str(told.value)
    assert {path.name for path in out.iterdir()} <= GOOD.keys()
    assert all(path.is_file() and not path.is_symlink() and path.stat().st_size < 100 for path in out.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "deep"]
    assert not Path("/tmp/escaped").exists()


def test_a_header_with_a_long_name_or_a_bomb_takes_no_memory(tmp_path):
    import tracemalloc

    long = member("x" * 300, size=1)
    bomb = gzip.compress(tarfile.TarInfo("config").tobuf(tarfile.USTAR_FORMAT) + bytes(64 << 20), 1)
    tracemalloc.start()
    for number, data in enumerate((tar_of([long], tarfile.PAX_FORMAT), tar_of([long], tarfile.GNU_FORMAT), bomb)):
        refused(tmp_path / str(number), data) if (tmp_path / str(number)).mkdir() is None else None
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"key": "1" * 64},
        {"format": 2},
        {"files": {}},
        {"files": {"../../bin/sh": {"sha256": "0" * 64, "size": 1}}},
        {"files": {name: {"sha256": "0" * 64, "size": 1 << 30} for name in GOOD}},
        {"files": {name: {"sha256": "0" * 64, "size": -1} for name in GOOD}},
        {"files": {name: {"sha256": "../x", "size": 1} for name in GOOD}},
        {"archive": {"sha256": "../" * 20, "size": 1}},
        {"archive": {"sha256": "0" * 64, "size": 1 << 40}},
        {"more": 1},
        {"built_on": "x" * 1000},
    ],
)
def test_a_manifest_that_claims_what_can_not_be_is_refused(change):
    good = json.loads(msgspec.json.encode(manifest_for(GOOD)))
    assert read_manifest(json.dumps(good).encode(), "0" * 64).files.keys() == GOOD.keys()
    with pytest.raises(Damaged, match=r"manifest|larger"):
        read_manifest(json.dumps({**good, **change}).encode(), "0" * 64)


def test_a_share_that_is_not_there_is_asked_once_and_builds_go_on(tmp_path, machine):
    one = machine(str(tmp_path / "none"))
    key = one.build()
    one.push(key)
    assert one.pull(key_of("other")) is None
    assert one.pull(key_of("third")) is None
    assert one.told == [f"share {tmp_path}/none: no such folder; kernel {key[:12]} is in the store here alone"]


def test_a_server_that_is_gone_is_told_in_time(machine, aws):
    one = machine("s3://bucket?endpoint=http://127.0.0.1:9")
    assert one.pull(key_of("tree")) is None
    (line,) = one.told
    assert "http://127.0.0.1:9" in line
    assert len(line) < 400


def test_a_bucket_that_is_not_there_is_told(machine, aws, s3_server):
    one = machine(f"s3://nobodys-bucket?endpoint={s3_server}")
    assert one.pull(key_of("tree")) is None
    assert len(one.told) == 1


def test_a_host_whose_key_is_unknown_is_sent_nothing(sshd, tmp_path, machine, monkeypatch):
    url = sftp_url(sshd, tmp_path, monkeypatch)
    empty = tmp_path / "home"
    (empty / ".ssh").mkdir(parents=True)
    (empty / ".ssh" / "id_ed25519").write_bytes((sshd.home / ".ssh" / "id_ed25519").read_bytes())
    monkeypatch.setenv("HOME", str(empty))
    one = machine(url)
    one.push(one.build())
    (line,) = one.told
    assert "host key is not in" in line
    assert list((tmp_path / "far").iterdir()) == []


def test_a_connection_that_is_cut_is_told_and_the_kernel_is_built_here(sshd, tmp_path, machine, monkeypatch):
    url = sftp_url(sshd, tmp_path, monkeypatch)
    one, two = machine(url), machine(url)
    key = one.build(content=os.urandom(3_000_000))
    one.push(key)
    assert two.pull(key_of("nothing")) is None
    fetch = Place.fetch

    def cut(self, name, to, limit):
        class Sink:
            def write(self, data):
                sshd.cut()
                return to.write(data)

        return fetch(self, name, Sink(), limit)

    monkeypatch.setattr(Place, "fetch", cut)
    assert two.pull(key) is None
    assert len(two.told) == 1
    assert two.told[0].endswith(f"kernel {key[:12]} is built here")
    assert two.stored == []
    assert two.clean
    monkeypatch.undo()


def test_a_writer_that_dies_leaves_nothing_that_is_read(folder, machine, monkeypatch):
    one = machine(folder)
    key = one.build()
    put, done = Place.put, []

    def dies(self, file, name):
        if done:
            raise KeyboardInterrupt
        done.append(name)
        put(self, file, name)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            one.push(key)
    assert [name for name in names(folder) if name.startswith("kernels/")] == []
    assert one.clean
    two = machine(folder)
    assert two.pull(key) is None
    one.push(key)
    assert isinstance(two.pull(key), Kernel)
    assert len(names(folder)) == 2


def test_a_full_disk_here_is_not_blamed_on_the_share(folder, machine, monkeypatch):
    one, two = machine(folder), machine(folder)
    key = one.build()
    one.push(key)

    fetch = Place.fetch

    def full(self, name, to, limit):
        if name.startswith("archives"):
            raise OSError(28, "No space left on device")
        return fetch(self, name, to, limit)

    monkeypatch.setattr(Place, "fetch", full)
    assert two.pull(key) is None
    assert two.told == [f"share {folder}: this machine: No space left on device; kernel {key[:12]} is built here"]
    assert two.share.place is not None


def test_blob(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert blob(tmp_path / "x") == Blob(hashlib.sha256(b"abc").hexdigest(), 3)
