"""Every transfer encoding and charset comes out as the text that was written."""

import base64
import quopri
import subprocess

import pytest

from lab.tree.importing.letter import Raw, read_letters
from lab.tree.importing.mime import Unreadable
from lab.tree.importing.write import patch_file
from tests.importing.conftest import DEV, diff, mail

TEXT = "Grüße, “quoted” – ok\n\nSigned-off-by: Ärger Dev <dev@example.org>\n---\n" + diff(line="x")


def one(raw: bytes):
    (letter,) = read_letters(Raw("m", raw))
    return letter


def with_part(head: str, body: bytes, subject: str = "[PATCH] x") -> bytes:
    start = f"From: =?iso-8859-1?Q?=C4rger_Dev?= <dev@example.org>\nSubject: {subject}\nMessage-ID: <1@x>\n"
    return start.encode() + f"MIME-Version: 1.0\n{head}\n\n".encode() + body


@pytest.mark.parametrize("charset", ["utf-8", "windows-1252", "utf-16", "gb18030", "utf-7"])
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64", "x-uuencode"])
def test_encodings_and_charsets(charset, encoding):
    text = TEXT
    data = text.encode(charset)
    if encoding == "8bit" and charset == "utf-16":
        pytest.skip("UTF-16 can't be sent like that")
    if encoding == "quoted-printable":
        data = quopri.encodestring(data)
    elif encoding == "base64":
        data = base64.encodebytes(data)
    elif encoding == "x-uuencode":
        import binascii

        rows = [binascii.b2a_uu(data[n : n + 45]) for n in range(0, len(data), 45)]
        data = b"begin 644 x\n" + b"".join(rows) + b"`\nend\n"
    letter = one(with_part(f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}", data))
    assert letter.text.strip() == text.strip()
    assert letter.name == "Ärger Dev"


def test_bytes_that_are_not_the_charset_stay_as_they_are():
    data = TEXT.encode("latin-1", "replace").replace(b"slub.c\n@@", b"slub.c\n@@") + b"\xff\n"
    letter = one(with_part("Content-Type: text/plain; charset=utf-8", data))
    assert letter.text.encode("utf-8", "surrogateescape") == data


def test_flowed_text_is_put_together_and_unstuffed():
    flowed = diff(line="x").replace("\n int", "\n  int")
    letter = one(with_part("Content-Type: text/plain; charset=us-ascii; format=flowed", flowed.encode()))
    assert "\n int slub;\n" in letter.text


def test_crlf_throughout_is_the_mails_and_elsewhere_the_files():
    whole = mail("[PATCH] x", diff(), msgid="1@x").replace(b"\n", b"\r\n")
    assert "\r" not in one(whole).text
    mixed = with_part("Content-Type: text/plain", diff().replace("int slub;\n", "int slub;\r\n").encode())
    assert "int slub;\r\n" in one(mixed).text


def multipart(kind: str, *parts: str) -> bytes:
    body = "".join(f"--=_b\n{part}\n" for part in parts) + "--=_b--\n"
    return with_part(f'Content-Type: multipart/{kind}; boundary="=_b"', body.encode())


def test_the_plain_text_of_an_alternative_counts():
    letter = one(
        multipart("alternative", f"Content-Type: text/plain\n\n{diff()}", "Content-Type: text/html\n\n<b>x</b>")
    )
    assert letter.has_diff
    assert "<b>" not in letter.text


def test_a_signature_beside_the_text_is_no_part_of_it():
    letter = one(
        multipart("signed", f"Content-Type: text/plain\n\n{diff()}", "Content-Type: application/pgp-signature\n\nsig")
    )
    assert letter.has_diff
    assert letter.notes == ()


def test_a_patch_that_is_attached():
    letter = one(multipart("mixed", "Content-Type: text/plain\n\nSee attachment.",
                           f"Content-Type: text/x-patch; name=x.patch\n\n{diff()}"))  # fmt: skip
    assert letter.has_diff
    assert letter.text.startswith("See attachment.")


def test_mails_that_are_attached_are_the_series():
    inner = (
        f"From {'1' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <a@x>\n"
        "Subject: [PATCH {n}/2] p{n}\n\nWhy.\n---\n" + diff()
    )
    parts = [f"Content-Type: application/octet-stream; name={n}.patch\n\n{inner.format(n=n)}" for n in (1, 2)]
    letters = read_letters(Raw("m", multipart("mixed", "Content-Type: text/plain\n\nTwo.", *parts)))
    assert [(one.subject.counter, one.subject.title, one.email) for one in letters] == [
        (1, "p1", "a@x"),
        (2, "p2", "a@x"),
    ]


def test_what_is_written_is_what_git_takes(tmp_path):
    head = "Content-Type: text/plain; charset=windows-1252"
    raw = with_part(head, TEXT.encode("windows-1252"), subject="[PATCH v2 3/7] =?utf-8?b?R3LDvMOfZTog4oCm?=")
    (tmp_path / "p").write_bytes(patch_file(one(raw)))
    argv = ["git", "mailinfo", "--encoding=UTF-8", "msg", "diff"]
    data = (tmp_path / "p").read_bytes()
    done = subprocess.run(argv, cwd=tmp_path, input=data, check=True, capture_output=True)
    info = done.stdout.decode()
    assert "Author: Ärger Dev\nEmail: dev@example.org\nSubject: Grüße: …" in info
    assert (tmp_path / "msg").read_text().startswith("Grüße, “quoted” – ok\n\nSigned-off-by: Ärger Dev")
    assert (tmp_path / "diff").read_text().endswith(diff(line="x"))
    assert DEV.startswith("Ärger")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is empty"),
        (b"hello\nworld\n", "neither headers nor a diff"),
        (with_part("Content-Type: text/html", b"<b>"), "no plain text"),
        (with_part("Content-Transfer-Encoding: x-rot13", b"x"), "'x-rot13', which is none"),
        (with_part("Content-Type: multipart/encrypted; boundary=b", b"--b\nContent-Type: application/pgp-encrypted\n"),
         "encrypted"),
    ],
)  # fmt: skip
def test_a_mail_that_cannot_be_taken_says_why(raw, why):
    with pytest.raises(Unreadable, match=why):
        read_letters(Raw("m", raw))
