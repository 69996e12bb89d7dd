"""What is hostile is refused or harmless, in one line, without a traceback and in no time."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time

import pytest

from lab.case import MANIFEST, Manifest
from lab.errors import UserError
from lab.manifest import load
from lab.tree.importing.case import import_case
from lab.tree.importing.letter import Raw, read_letters
from lab.tree.importing.mime import Unreadable
from tests.importing.conftest import diff, mail, mbox, patch_body, series


def take(path, paths, tmp_path, **options):
    return import_case(str(path), paths, {}, output=tmp_path / "out", base="debian-6.1", **options)


def refused(path, paths, tmp_path):
    """The one line that ``path`` is refused with; nothing was written."""
    with pytest.raises(UserError) as caught:
        take(path, paths, tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../../etc/passwd", "a path that leaves the tree"),
        ("/etc/passwd", "an absolute path"),
        (".git/hooks/pre-commit", "a path into git's own folder"),
        ("mm/.GIT/config", "a path into git's own folder"),
        ("mm/\x1b[31mred.c", "a path with control characters"),
    ],
)
def test_a_patch_that_leaves_its_place(write, paths, tmp_path, name, why):
    body = f"Why.\n---\n{diff()}".replace("a/mm/slub.c", f"a/{name}").replace("b/mm/slub.c", f"b/{name}")
    assert why in refused(write("x.mbox", mbox(mail("[PATCH] x", body, msgid="1@x"))), paths, tmp_path)


def test_a_path_through_a_symbolic_link(write, paths, tmp_path):
    # Importing keeps it as it is; applying looks at what git makes of it (tests/tree/test_series.py has the rest).
    from lab.tree.patch import unsafe_link

    link = "diff --git a/mm/out b/mm/out\nnew file mode 120000\nindex 0000000..1111111\n"
    link += "--- /dev/null\n+++ b/mm/out\n"
    body = f"{link}@@ -0,0 +1 @@\n+../../../etc\n\\ No newline at end of file\n{diff('mm/out/passwd')}"
    done = take(write("x.mbox", mbox(mail("[PATCH] x", body, msgid="1@x"))), paths, tmp_path)
    assert sorted(path.name for path in done.folder.iterdir()) == ["0001-x.patch", "series.toml"]
    assert unsafe_link("mm/out", "../../../etc")


def test_an_applied_link_and_a_path_through_it_is_refused(write, paths, tmp_path, kernel_tree):
    from lab.case import load_case
    from lab.tree.bases import resolve_base
    from lab.tree.series import apply_series

    link = "diff --git a/mm/out b/mm/out\nnew file mode 120000\nindex 0000000..1111111\n"
    link += "--- /dev/null\n+++ b/mm/out\n"
    body = f"{link}@@ -0,0 +1 @@\n+../../etc\n\\ No newline at end of file\n"
    new = "diff --git a/mm/out/x b/mm/out/x\nnew file mode 100644\nindex 0000000..1111111\n"
    new += "--- /dev/null\n+++ b/mm/out/x\n"
    mails = [mail("[PATCH 1/2] a", body, msgid="1@x"),
             mail("[PATCH 2/2] b", f"{new}@@ -0,0 +1 @@\n+owned\n", msgid="2@x")]  # fmt: skip
    done = take(write("x.mbox", mbox(*mails)), paths, tmp_path)
    base = resolve_base("HEAD", paths=paths, tree=kernel_tree)
    with pytest.raises(UserError, match="symbolic link that leads out of the tree"):
        apply_series(base, load_case(str(done.folder), tmp_path).patches, paths=paths)


def test_a_million_parts(write):
    raw = mail(
        "[PATCH] x", "--b\n\nx\n" * 1_000_000, msgid="1@x", headers="Content-Type: multipart/mixed; boundary=b\n"
    )
    started = time.monotonic()
    with pytest.raises(Unreadable, match="more than 200 parts"):
        read_letters(Raw("m", raw))
    assert time.monotonic() - started < 5


def test_parts_within_parts():
    body = "".join(f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n" for n in range(1000))
    with pytest.raises(Unreadable, match="nested more than 8 deep"):
        read_letters(Raw("m", mail("x", body, msgid="1@x", headers="Content-Type: multipart/mixed; boundary=b0\n")))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ("Content-Type: multipart/mixed\n", "names no boundary"),
        ("Content-Type: multipart/mixed; boundary=nowhere\n", "the boundary between its parts is nowhere in it"),
        (f"X: {'y' * 300_000}\n", "headers are longer than 256 KiB"),
        (f'Content-Type: text/plain; x="{";" * 100_000}"\n', "its Content-Type is longer"),
    ],
)
def test_mails_out_of_shape(headers, why):
    started = time.monotonic()
    with pytest.raises(Unreadable, match=why):
        read_letters(Raw("m", mail("[PATCH] x", diff(), msgid="1@x", headers=headers)))
    assert time.monotonic() - started < 5


def test_one_bad_mail_is_told_and_the_others_are_taken(write, paths, tmp_path):
    bad = mail("[PATCH 9/9] y", "x", msgid="bad@x", headers="Content-Type: multipart/mixed\n")
    done = take(write("x.mbox", mbox(*series(2), bad)), paths, tmp_path)
    assert len(done.ingested.chosen.patches) == 2
    told = [one for one in done.ingested.chosen.mails if one.became.startswith("not taken")]
    assert [one.where for one in told] == ["mail 4 of x.mbox"]


def test_a_mailbox_that_is_a_zip_bomb(write, paths, tmp_path):
    bomb = gzip.compress(mbox(*series(1))) + 9 * gzip.compress(bytes(32 << 20), 1)
    assert "larger than 256 MiB when unpacked" in refused(write("x.mbox.gz", bomb), paths, tmp_path)


def test_a_mail_with_a_zip_bomb_in_it_stays_packed(write, paths, tmp_path):
    import base64

    bomb = base64.encodebytes(gzip.compress(bytes(50 << 20))).decode()
    body = (f"--b\nContent-Type: text/plain\n\n{patch_body(1)}\n--b\nContent-Type: application/gzip; name=x.patch.gz\n"
            f"Content-Transfer-Encoding: base64\n\n{bomb}\n--b--\n")  # fmt: skip
    raw = mail("[PATCH] x", body, msgid="1@x", headers="Content-Type: multipart/mixed; boundary=b\n")
    done = take(write("x.mbox", mbox(raw)), paths, tmp_path)
    assert "application/gzip was left out" in done.ingested.chosen.mails[0].became


def tarball(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = target
            data = diff().encode() if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (("/etc/cron.d/x.patch", tarfile.REGTYPE, ""), "unsafe path"),
        (("a/../../x.patch", tarfile.REGTYPE, ""), "unsafe path"),
        (("a/x\x1b[31m.patch", tarfile.REGTYPE, ""), "unsafe path"),
        (("dev.patch", tarfile.CHRTYPE, ""), "neither a file nor a folder"),
        (("fifo.patch", tarfile.FIFOTYPE, ""), "neither a file nor a folder"),
        (("hard.patch", tarfile.LNKTYPE, "/etc/passwd"), "neither a file nor a folder"),
        (("sym.patch", tarfile.SYMTYPE, "../../etc/passwd"), "neither a file nor a folder"),
    ],
)
def test_a_tarball_that_reaches_out(write, paths, tmp_path, member, why):
    data = tarball(("0001-good.patch", tarfile.REGTYPE, ""), member)
    assert why in refused(write("x.tar.gz", data), paths, tmp_path)


def test_a_folder_with_a_link_out_of_it(write, paths, tmp_path):
    write("f/0001-a.patch", diff().encode())
    (tmp_path / "f" / "0002-b.patch").symlink_to("/etc/passwd")
    done = take(tmp_path / "f", paths, tmp_path)
    assert len(done.ingested.chosen.patches) == 1
    write("f/series", b"../../../../etc/passwd\n")
    with pytest.raises(UserError, match="of its series file is not a file in it"):
        take(tmp_path / "f", paths, tmp_path)


def test_a_manifest_of_a_gigabyte(tmp_path):
    path = tmp_path / MANIFEST
    with path.open("wb") as file:
        file.truncate(1 << 30)  # a sparse file: it reads as a gigabyte of zeros
    started = time.monotonic()
    with pytest.raises(UserError, match="larger than 1 MiB, so not a manifest"):
        load(path, Manifest)
    assert time.monotonic() - started < 1


def test_a_series_of_ten_thousand_patches(write, paths, tmp_path):
    started = time.monotonic()
    path = write("x.mbox", mbox(*series(10_000)))
    assert "has 10000 patches; the lab takes at most 1000" in refused(path, paths, tmp_path)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "subject",
    [
        "[PATCH] $(touch /tmp/owned); `id` && rm -rf / #",
        "[PATCH] \x1b[2J\x1b]0;title\x07 red",
        "[PATCH] a\x00b",
        "[PATCH] ../../../../etc/passwd",
        '[PATCH] "; base = "x',
        "[PATCH] " + "x" * 100_000,
        "[PATCH] \u202egnp.exe",
    ],
)
def test_subjects_that_want_to_be_more(write, paths, tmp_path, subject):
    done = take(write("x.mbox", mbox(mail(subject, patch_body(1), msgid="1@x"))), paths, tmp_path)
    names = [path.name for path in done.folder.iterdir()]
    assert all(name.isascii() and name.isprintable() and len(name) < 80 for name in names)
    assert done.folder.parent == tmp_path / "out"
    manifest = load(done.folder / MANIFEST, Manifest)
    assert manifest.base == "debian-6.1"
    assert manifest.title.isprintable()
    assert not any(char in (done.folder / names[0]).read_text() for char in "\x1b\x00\x07")


def test_the_command_prints_nothing_raw(write, tmp_path):
    path = write("x.mbox", mbox(mail("[PATCH] \x1b[2Jred", patch_body(1), msgid="1@x"), b"\x1b]0;x\x07: y\n\nz"))
    env = {**os.environ, "LAB_CACHE": str(tmp_path / "c"), "LAB_DATA": str(tmp_path / "d")}
    argv = [
        sys.executable,
        "-m",
        "lab",
        "series",
        "import",
        str(path),
        "--base",
        "debian-6.1",
        "--output",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(argv, env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    again = subprocess.run([*argv, "--json"], env=env, capture_output=True, timeout=60, check=False)
    assert again.returncode == 129
    assert "is there already" in json.loads(again.stdout)["error"]["message"]
