"""The answer stands in its thread, is wrapped, says what was found, and carries nothing that was smuggled in."""

import email
import email.policy
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.case import load_case
from lab.console.scanner import scan_file
from lab.report.mail import answer
from lab.tree.importing.case import import_case
from tests.importing.conftest import diff, mail, mbox, series

CONSOLE = Path(__file__).parents[1] / "data" / "consoles" / "early-policy-6.1.txt"


def repro(case, word="bad"):
    finding = scan_file(CONSOLE).first if word == "bad" else None
    reason = "kernel BUG in policy_zonelist (line 79)" if word == "bad" else "user space ran on 2 node(s)"
    points = tuple(SimpleNamespace(index=n, subject=f"mm: part {n}") for n in range(len(case.patches) + 1))
    probes = (
        SimpleNamespace(point=points[-1], verdict=SimpleNamespace(word=word, reason=reason, finding=finding)),
        SimpleNamespace(point=points[0], verdict=SimpleNamespace(word="good", reason="user space ran", finding=None)),
    )
    line = SimpleNamespace(
        case=case, series_end=len(case.patches), toolchain=SimpleNamespace(cc="gcc", cc_version=(12, 2, 0)),
        tree=SimpleNamespace(
            base=SimpleNamespace(version="6.1.192", source="Debian's package", stand_in=""), points=points
        ),
        machine=SimpleNamespace(nodes=(1, 2), title="Two nodes " + "with a long title " * 8),
        fragment=SimpleNamespace(name="tiny-numa"),
    )  # fmt: skip
    return SimpleNamespace(line=line, probes=probes)


@pytest.fixture
def case(write, paths, tmp_path):
    wide = b"To: linux-mm@example.org, Me <me@example.org>\nCc: R <r@example.org>"
    mails = [one.replace(b"To: linux-mm@example.org", wide) for one in series(3)]
    done = import_case(str(write("x.mbox", mbox(*mails))), paths, {}, output=tmp_path / "o", base="debian-6.1")
    return load_case(str(done.folder), tmp_path)


def parsed(done):
    return email.message_from_string(done.text, policy=email.policy.default)


def test_it_answers_the_cover_letter_in_its_thread(case):
    found = parsed(answer(repro(case), sender="Me <me@example.org>"))
    assert found["In-Reply-To"] == "<v1-0@x>"
    assert found["References"] == "<v1-0@x>"
    assert found["To"] == "Dev <dev@example.org>"
    assert found["Cc"] == "linux-mm@example.org, R <r@example.org>"
    assert found["Subject"] == "Re: [PATCH 0/3] mm: a series"


def test_it_answers_the_guilty_patch_where_that_is_known(case):
    import msgspec

    guilty = msgspec.structs.replace(case.expect, first_bad=2)
    from dataclasses import replace

    found = parsed(answer(repro(replace(case, expect=guilty)), sender=""))
    assert found["In-Reply-To"] == "<v1-2@x>"
    assert found["References"].split() == ["<v1-0@x>", "<v1-2@x>"]
    assert "It begins with patch 2: mm: part 2" in found.get_content()


def test_it_is_wrapped_and_has_the_facts(case):
    text = answer(repro(case), sender="").text.partition("\n\n")[2]
    prose = [line for line in text.splitlines() if not line.startswith(("  ", ">"))]
    assert max(map(len, prose)) <= 72
    assert "kernel BUG in policy_zonelist. Without them it boots." in " ".join(text.split())
    for fact in (
        "Linux 6.1.192",
        "2 NUMA nodes",
        "Base: Debian's package",
        "Compiler: gcc 12.2.0",
        "kernel BUG at ",
    ):
        assert fact in " ".join(text.split())


def test_good_news_are_told_as_well(case):
    assert "came up to user space without a bug" in " ".join(answer(repro(case, "good"), sender="").text.split())


def test_a_subject_smuggles_no_header_in(write, paths, tmp_path):
    raw = mail("[PATCH] x =?utf-8?q?a=0ABcc:_evil@example.org?=", f"Why.\n---\n{diff()}", msgid="1@x",
               sender="=?utf-8?q?E=0ACc:_evil@example.org?= <e@example.org>")  # fmt: skip
    done = import_case(str(write("x.mbox", mbox(raw))), paths, {}, output=tmp_path / "o", base="debian-6.1")
    found = parsed(answer(repro(load_case(str(done.folder), tmp_path)), sender=""))
    assert found["Bcc"] is None
    assert "evil" not in str(found["Cc"])


def test_a_series_without_mails_begins_a_thread(tmp_path):
    from lab.paths import data_folder

    done = answer(repro(load_case("early-policy", data_folder("patches"))), sender="")
    assert done.in_reply_to == ""
    assert "In-Reply-To" not in done.text
