"""Consoles as they are kept: compressed, in UTF-16, as HTML, a journal's export, a mail or a mailbox."""

from __future__ import annotations

import base64
import bz2
import gzip
import html
import json
import lzma
import os
import quopri
import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.console import sources
from lab.console.scanner import Scanner, scan_file, scan_parts
from lab.console.types import Report
from lab.errors import UserError
from lab.verdict import judge_report

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
NAMES = ("reporter-3.7-rc4", "early-policy-6.1", "zoo-6.1-debug/debug-uaf", "zoo-6.1-debian-arm64/arm64-null")
STAMP = re.compile(rb"^\[ *\d+\.\d+\] ?")


def lines(data: bytes) -> list[str]:
    return [STAMP.sub(b"", line).decode("utf-8", "replace") for line in data.splitlines()]


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def shown(data: bytes, end: str) -> str:
    return html.escape(text(data)).replace("\n", end)


def entry(line: str, at: int) -> bytes:
    return json.dumps({"__MONOTONIC_TIMESTAMP": str(at), "MESSAGE": line, "_TRANSPORT": "kernel"}).encode() + b"\n"


def verbose(line: str, at: int) -> bytes:
    return f"Thu 2026-11-26 10:00:00.{at:06d} UTC [s=a;i={at:x}]\n    PRIORITY=4\n    MESSAGE={line}\n".encode()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two gzip files in one": lambda data: gzip.compress(data[:2000]) + gzip.compress(data[2000:]),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "gzip of UTF-16": lambda data: gzip.compress(text(data).encode("utf-16")),
    "UTF-16 with its mark": lambda data: text(data).encode("utf-16"),
    "UTF-16 without": lambda data: text(data).encode("utf-16-be"),
    "UTF-8 with a mark": lambda data: b"\xef\xbb\xbf" + data,
    "carriage returns alone": lambda data: data.replace(b"\r", b"").replace(b"\n", b"\r"),
    "hard spaces": lambda data: data.replace(b" ", b"\xc2\xa0"),
    "entities": lambda data: html.escape(text(data)).replace(" ", "&nbsp;").encode(),
    "a page": lambda data: (
        f"<html><body><pre>{html.escape(text(data)).replace(chr(10), '<br>' + chr(10))}</pre>".encode()
    ),
    "a page in one line": lambda data: f"<pre>{shown(data, end='<br>')}</pre>".encode(),
    "journalctl -o json": lambda data: b"".join(entry(line, at) for at, line in enumerate(lines(data))),
    "journalctl -o verbose": lambda data: b"".join(verbose(line, at) for at, line in enumerate(lines(data))),
    "LAVA's output": lambda data: b"".join(
        b'- {"dt": "2026-11-26T10:00:00", "lvl": "target", "msg": %s}\n' % json.dumps(line).encode()
        for line in text(data).splitlines()
    ),
}


def essence(report: Report) -> list[tuple[object, ...]]:
    return [(one.title, one.signature, one.functions, one.primary) for one in report.findings]


def plain(data: bytes) -> list[tuple[object, ...]]:
    scanner = Scanner()
    scanner.feed(data)
    return essence(scanner.close(disassemble=False))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_console_says_the_same_in_whatever_form_it_was_kept(tmp_path: Path, name: str, form: str) -> None:
    data = (CONSOLES / f"{name}.txt").read_bytes()
    (tmp_path / "log").write_bytes(FORMS[form](data))
    assert essence(scan_file(tmp_path / "log")) == plain(data)


def test_every_plain_console_is_read_as_it_is(tmp_path: Path) -> None:
    for path in sorted(CONSOLES.rglob("*.txt"))[::9]:
        assert essence(scan_file(path)) == plain(path.read_bytes())


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_of_a_file_that_is_cut_off_all_is_read_that_is_there(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = (CONSOLES / "reporter-3.7-rc4.txt").read_bytes() + os.urandom(1 << 17)
    (tmp_path / "log").write_bytes(pack(data)[: -100_000 if pack is gzip.compress else -5])
    found = scan_file(tmp_path / "log").findings
    assert pack is not gzip.compress or [one.signature for one in found][:1] == ["bug:policy_zonelist"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_boot_whose_file_has_lost_its_end_is_not_called_good(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = (CONSOLES / "clean-6.1.txt").read_bytes() + b"and so on\n" * (1 << 18)
    (tmp_path / "whole").write_bytes(pack(data) + pack(b"more\n"))
    assert judge_report(scan_file(tmp_path / "whole")).word == "good"
    lost = data + os.urandom(1 << 20)  # a block of bzip2 is read whole or not at all
    (tmp_path / "cut").write_bytes(pack(lost)[:-20])
    report = scan_file(tmp_path / "cut")
    assert report.marker
    verdict = judge_report(report)
    assert (verdict.word, verdict.reason) == ("skip", "user space ran, but the packed file is cut off or damaged")


def test_a_packed_file_without_anything_in_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(b"console")[:12])
    with pytest.raises(UserError, match="cut off or damaged"):
        scan_file(tmp_path / "log")


def test_what_unpacks_to_very_much_is_read_with_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(b"\0" * (32 << 20)))
    tracemalloc.start()
    scan_file(tmp_path / "bomb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_what_can_not_be_unpacked_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(600))
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UserError, match="zstd -dc FILE"):
        scan_file(tmp_path / "log")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, 3])
def test_a_console_in_zstd_says_the_same(tmp_path: Path, name: str, frames: int) -> None:
    zstandard = pytest.importorskip("zstandard")
    data = (CONSOLES / f"{name}.txt").read_bytes()
    size = -(-len(data) // frames)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    (tmp_path / "log").write_bytes(b"".join(zstandard.ZstdCompressor().compress(piece) for piece in pieces))
    assert essence(scan_file(tmp_path / "log")) == plain(data)


def test_zstd_that_is_cut_off_or_wants_too_much_memory_is_told(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    data = (CONSOLES / "clean-6.1.txt").read_bytes()
    (tmp_path / "log").write_bytes(zstandard.ZstdCompressor().compress(data + os.urandom(1 << 20))[:-20])
    assert scan_file(tmp_path / "log").incomplete == "the packed file is cut off or damaged"
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=29)
    with zstandard.open(tmp_path / "wide", "wb", cctx=zstandard.ZstdCompressor(compression_params=wide)) as file:
        file.write(data)
    with pytest.raises(UserError, match="more memory"):
        scan_file(tmp_path / "wide")


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_bomb_is_told_and_read_no_further(tmp_path: Path, pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BOMB_BYTES", 8 << 20)
    empty = bytes(32 << 20)
    packed = gzip.compress(empty) if pack == "gzip" else pytest.importorskip("zstandard").compress(empty)
    (tmp_path / "bomb").write_bytes(packed)
    tracemalloc.start()
    report = scan_file(tmp_path / "bomb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than 1000 times its size" in report.incomplete
    assert judge_report(report).word == "skip"
    assert peak < 32 << 20


def mail(subject: str, body: bytes, encoding: str = "8bit") -> bytes:
    coded = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)(body)
    head = (
        f"From a@b Thu Nov  8 10:00:00 2012\nFrom: a@b\nSubject: {subject}\nContent-Type: text/plain; charset=utf-8\n"
    )
    return f"{head}Content-Transfer-Encoding: {encoding}\n\n".encode() + coded + b"\n"


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("name", NAMES)
def test_a_console_in_a_mail_says_the_same(tmp_path: Path, name: str, encoding: str) -> None:
    data = (CONSOLES / f"{name}.txt").read_bytes()
    (tmp_path / "mail").write_bytes(mail("it dies", b"Hello,\n\nsee below.\n\n" + data, encoding))
    assert essence(scan_file(tmp_path / "mail")) == plain(b"\n" + data)


def test_each_mail_of_a_mailbox_is_a_console_of_its_own(tmp_path: Path) -> None:
    first, second = ((CONSOLES / f"{name}.txt").read_bytes() for name in NAMES[:2])
    box = mail("one", first, "base64") + mail("nothing", b"Thanks!\n") + mail("two", second, "quoted-printable")
    (tmp_path / "box.gz").write_bytes(gzip.compress(box))
    found = list(scan_parts(tmp_path / "box.gz"))
    assert [name for name, _ in found] == ["mail 1, part 1: one", "mail 2, part 1: nothing", "mail 3, part 1: two"]
    assert [essence(report) for _, report in found] == [plain(first), [], plain(second)]


def test_attachments_are_parts_and_of_alternatives_one_counts(tmp_path: Path) -> None:
    console = (CONSOLES / "reporter-3.7-rc4.txt").read_bytes()
    packed = base64.encodebytes(gzip.compress(console)).decode()
    page = html.escape(text(console))
    (tmp_path / "mail").write_text(
        "Return-Path: <a@b>\nSubject: a\n report\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=out\n\n"
        "--out\nContent-Type: multipart/alternative; boundary=in\n\n"
        f"--in\nContent-Type: text/plain\n\n{text(console)}\n"
        f"--in\nContent-Type: text/html\n\n<pre>{page}</pre>\n--in--\n"
        "--out\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nS0VSTkVMIEJVRw==\n"
        f"--out\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n{packed}\n--out--\n"
    )
    found = list(scan_parts(tmp_path / "mail"))
    assert [essence(report) for _, report in found] == [plain(console), plain(console)]
    assert found[0][0].endswith(": a report")
