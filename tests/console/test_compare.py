"""A bug report and a console show the same crash when title, signature and call chain agree, whatever else differs."""

import base64
import bz2
import gzip
import html
import json
import lzma
import sys

import pytest

from lab.console.compare import compare, facts_in, facts_of, same_chain, same_crash
from lab.console.scanner import Scanner
from lab.draft.read import read_report
from lab.errors import UserError

REPORT = b"""\
[ 0.000000] Memory: 8102020k/10485760k available (6112k kernel code, 2108912k absent, 274828k reserved)
[ 0.000000] kernel BUG at mm/mempolicy.c:1785!
[ 0.000000] invalid opcode: 0000 [#1] SMP
[ 0.000000] RIP: 0010:[] [] policy_zonelist+0x1e/0xa0
[ 0.000000] RAX: 0000000000000000 RBX: ffffffff81cbfe00 RCX: 000000000000049d
[ 0.000000] Call Trace:
[ 0.000000] [] alloc_pages_current+0xa6/0x170
[ 0.000000] [] __get_free_pages+0x14/0x50
[ 0.000000] [] kmem_cache_init+0x53/0x2d2
[ 0.000000] ---[ end trace ce62cfec816bb3fe ]---
"""
CONSOLE = b"""\
[    0.000000] Linux version 3.7.2 (gcc 12)
[    0.000000] Memory: 8140000k/10485760k available (3000k kernel code, 2097732k absent, 240000k reserved)
[    0.000000] kernel BUG at mm/mempolicy.c:1613!
[    0.000000] invalid opcode: 0000 [#1] SMP
[    0.000000] RIP: 0010:[<ffffffff810a1234>]  [<ffffffff810a1234>] policy_zonelist+0x22/0xb0
[    0.000000] RAX: 0000000000000000 RBX: ffffffff81800000 RCX: 0000000000000000
[    0.000000] Call Trace:
[    0.000000]  [<ffffffff810a2222>] alloc_pages_current+0xa6/0x170
[    0.000000]  [<ffffffff81072222>] __get_free_pages+0xe/0x40
[    0.000000]  [<ffffffff81502222>] kmem_cache_init+0x53/0x2d2
[    0.000000] ---[ end trace 0000000000000000 ]---
"""


def facts(data):
    scanner = Scanner()
    scanner.feed(data)
    return facts_of(data, scanner.close())


def rows_of(report, console):
    return {row.name: row for row in compare(facts(report), facts(console))}


def test_the_same_crash_on_another_kernel_is_recognised():
    assert same_crash(compare(facts(REPORT), facts(CONSOLE)))


def test_each_fact_is_told_as_what_it_is():
    rows = rows_of(REPORT, CONSOLE)
    assert rows["memory total"].how == "agrees"
    assert rows["register RAX"].how == "agrees"
    assert rows["memory absent"].how == "differs"
    assert (rows["line"].report, rows["line"].console, rows["line"].how) == ("1785", "1613", "differs")


def test_what_the_archive_ate_is_told_as_lost():
    rows = rows_of(REPORT, CONSOLE)
    assert rows["instruction address"].how == "lost"
    assert rows["kernel version"].how == "lost"


def test_registers_are_read_in_every_age_s_spacing():
    old = b"[ 0.000000] RIP: 0010:[] [] policy_zonelist+0x1e/0xa0\n[ 0.000000] FS: 0000000000000000(0000)"
    new = b"[    0.000000] RIP: 0010:policy_zonelist+0x1e/0xa0\r\n[    0.000000] FS:  0000000000000000(0000)"
    rest = b" GS:ffff88017bc00000(0000) knlGS:0000000000000000\n[    0.000000] CS:  0010 DS: 0000 ES: 0000\n"
    head, tail = REPORT.split(b"[ 0.000000] RIP", 1)
    for text in (old, new):
        read = facts(head + text + rest + tail.split(b"\n", 1)[1])
        registers = {name: value for name, value in read.items() if name.startswith("register ")}
        assert registers["register FS"] == "0" * 16
        assert registers["register GS"] == "ffff88017bc00000"
        assert registers["register CS"] == "0010"
        assert "register RIP" not in registers  # only its segment would stand there


def test_the_machine_is_not_what_a_serial_line_ends_with():
    text = b"CPU: 0 PID: 0 Comm: swapper Not tainted 6.1.192 #1 \r\nHardware name: QEMU Standard PC\r\n"
    assert facts(CONSOLE + text)["machine"] == "QEMU Standard PC"


def test_another_crash_is_another_crash():
    other = CONSOLE.replace(b"policy_zonelist", b"slab_out_of_luck")
    assert not same_crash(compare(facts(REPORT), facts(other)))
    assert not same_crash(compare(facts(REPORT), facts(b"all is well\n")))
    assert not same_crash(compare(facts(b"all is well\n"), facts(b"all is well\n")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a < b < c < d < x", "a < b < c < d < y", True),
        ("a < b", "a < b < c", True),
        ("a < b < c < d", "a < b < x < d", False),
        ("a", "b", False),
    ],
)
def test_a_call_chain_agrees_from_the_crash_on(one, other, same):
    assert same_chain(one, other) is same


FORMS = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "UTF-16": lambda data: data.decode(errors="replace").encode("utf-16"),
    "a page": lambda data: f"<html><pre>{html.escape(data.decode(errors='replace'))}</pre>".encode(),
    "a journal": lambda data: b"".join(
        json.dumps({"MESSAGE": line.decode(errors="replace")}).encode() + b"\n" for line in data.splitlines()
    ),
    "an attachment": lambda data: (
        b"From: a@b\nSubject: it died\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=xx\n\n"
        b"--xx\nContent-Type: text/plain\n\nSee the log.\n--xx\nContent-Type: application/gzip\n"
        b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(gzip.compress(data)) + b"--xx--\n"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_compared_may_be_kept_in_any_form(tmp_path, form):
    (tmp_path / "report").write_bytes(FORMS[form](REPORT))
    (tmp_path / "console").write_bytes(CONSOLE)
    read = facts_in(tmp_path / "report")
    assert read["title"] == facts(REPORT)["title"]
    assert read["memory total"] == "10485760"
    assert same_crash(compare(read, facts_in(tmp_path / "console")))


@pytest.mark.parametrize("form", FORMS)
def test_a_draft_is_made_of_a_report_in_any_form(tmp_path, form):
    (tmp_path / "report").write_bytes(FORMS[form](b"[ 0.000000] Linux version 3.7.0-rc4+\n" + REPORT))
    evidence = read_report(tmp_path / "report")
    assert evidence.version == "3.7.0-rc4+"
    assert evidence.finding is not None
    assert evidence.finding.signature == "bug:policy_zonelist"


def test_a_packed_report_that_is_damaged_is_told(tmp_path):
    (tmp_path / "report").write_bytes(gzip.compress(b"all is well")[:12])
    for read in (facts_in, read_report):
        with pytest.raises(UserError, match="cut off or damaged"):
            read(tmp_path / "report")


def test_what_can_not_be_unpacked_is_told_with_the_files_name(tmp_path, monkeypatch):
    (tmp_path / "report").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(600))
    for module in ("compression", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"report: .*zstandard is missing"):
        read_report(tmp_path / "report")
