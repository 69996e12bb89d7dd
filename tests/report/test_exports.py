"""JUnit, KCIDB and the mail of a night."""

import hashlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from email import message_from_string
from email.policy import default

import pytest
from msgspec.structs import replace

from lab.errors import InfrastructureError, UserError
from lab.history.records import Attempt
from lab.paths import data_folder
from lab.report.excerpt import excerpt
from lab.report.html.pages import rate
from lab.report.junit import junit, written
from lab.report.kcidb import case_patches, kcidb, patchset_hash, validate
from lab.report.night_mail import night_mail

# What Jenkins' and Surefire's schemas allow below each element.
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "rerunFailure", "flakyFailure", "system-out"},
    "flakyFailure": {"system-out"},
}
REQUIRED = {
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name", "classname", "time"},
    "property": {"name", "value"},
    "rerunFailure": {"type"},
    "flakyFailure": {"type"},
}


def parsed(night, consoles):
    return ET.fromstring(written(junit(night, consoles.get)))  # noqa: S314 - of the lab's own making


@pytest.fixture(scope="module")
def document(week):
    return parsed(week.nights[0], week.consoles)


def case(document, name):
    return next(one for one in document.iter("testcase") if one.get("name") == f"{name} gcc 12.2")


def test_junit_has_what_its_schemas_ask_for_and_nothing_else(document):
    for element in document.iter():
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        assert set(element.keys()) >= REQUIRED.get(element.tag, set())


def test_junit_counts_are_those_of_its_tests(document):
    (suite,) = document
    tests = suite.findall("testcase")
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(name)) == sum(test.find(tag) is not None for test in tests)
    assert int(suite.get("tests")) == len(tests) == 54


def test_a_regression_fails_with_its_bug_and_console(document):
    failure = case(document, "fix tiny-numa four-nodes").find("failure")
    assert failure.get("message") == "kernel BUG in policy_zonelist"
    assert failure.get("type") == "bug:policy_zonelist"
    assert "RIP: 0010:policy_zonelist+0x" in failure.text
    assert len(case(document, "fix tiny-numa four-nodes").findall("rerunFailure")) == 2


def test_a_flake_passes_and_says_that_it_is_one(document):
    test = case(document, "fix debug eight-nodes")
    assert test.find("failure") is None
    assert [one.get("type") for one in test.findall("flakyFailure")] == ["bug:zoo_irq_bug_fn"] * 2


def test_a_flake_that_only_hangs_now_and_then_says_so_too(week):
    one = next(result for result in week.nights[0].results if result.word == "good")
    hung = replace(one.attempts[0], number=2, verdict="skip", outcome="hang", reason="no marker within 60 s")
    flaky = replace(one, word="flaky", attempts=(one.attempts[0], hung))
    document = parsed(replace(week.nights[0], results=(flaky,)), {})
    (told,) = document.iter("flakyFailure")
    assert (told.get("message"), told.get("type")) == ("no marker within 60 s", "skip")
    assert rate(flaky) == "1/2"


def test_an_expected_bug_passes_and_its_absence_fails(document):
    assert case(document, "end debug two-nodes").find("failure") is None
    assert case(document, "end debug one-node").find("failure").get("type") == "expected-bug-missing"


def test_the_labs_own_failure_is_an_error_and_no_failure(document):
    test = case(document, "base debug cpuless-node")
    assert test.find("error").get("type") == "infrastructure"
    assert test.find("failure") is None


HOSTILE = "]]></failure>\x00\x1b[31m\ufffe\u202e & <x>"


def hostile(week):
    night = week.nights[0]
    bad = next(one for one in night.results if one.word == "bad")
    seen = replace(bad.attempts[0].findings[0], title=HOSTILE, signature=HOSTILE, line=1, last_line=1)
    attempt = replace(
        bad.attempts[0], reason=HOSTILE, accel=HOSTILE, topology=(HOSTILE,), findings=(seen,), console="h"
    )
    names = ("case", "label", "subject", "kconfig", "machine", "toolchain", "base")
    cell = replace(bad.cell, **dict.fromkeys(names, HOSTILE))
    change = replace(night.changes[0], cell=cell, sentence=HOSTILE + "\nBcc: everyone@example.org")
    made = replace(bad, cell=cell, reason=HOSTILE, attempts=(attempt,))
    run = replace(night.run, name=HOSTILE + "\nBcc: everyone@example.org", host=HOSTILE)
    return replace(night, run=run, results=(made,), changes=(change,)), {"h": HOSTILE.encode() + b"\xff\x07\n"}


def test_hostile_text_makes_valid_documents_all_the_same(week):
    night, consoles = hostile(week)
    root = parsed(night, consoles)
    assert "\\x1b[31m" in root.find("testsuite/testcase/failure").text
    validate(kcidb(night, consoles.get, lambda cell: None))
    text = night_mail(night, consoles.get, to="a@example.org\nBcc: b@example.org")
    mail = message_from_string(text, policy=default)
    assert mail["Bcc"] is None
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


# KCIDB.


def test_patchset_hash_is_what_the_schemas_shell_command_prints(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.patch").write_bytes(f"patch {number}\n".encode() * (number + 1))
    files = sorted(tmp_path.glob("*.patch"))
    command = "sha256sum *.patch | cut -c-64 | sha256sum | cut -c-64"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert patchset_hash(files) == done.stdout.decode().strip()
    assert patchset_hash([]) == ""
    assert patchset_hash(files[::-1]) != patchset_hash(files)


def test_kcidb_is_valid_and_holds_together(week):
    made = kcidb(week.nights[0], week.consoles.get, case_patches(data_folder("patches")), url="https://example.org/b/")
    ids = {kind: {one["id"] for one in made[kind]} for kind in ("checkouts", "builds", "tests", "issues", "incidents")}
    assert {len(made[kind]) - len(ids[kind]) for kind in ids} == {0}
    assert {build["checkout_id"] for build in made["builds"]} <= ids["checkouts"]
    assert {test["build_id"] for test in made["tests"]} <= ids["builds"]
    assert {one["test_id"] for one in made["incidents"]} <= ids["tests"]
    assert {one["issue_id"] for one in made["incidents"]} == ids["issues"]
    attempts = sum(len(result.attempts) for result in week.nights[0].results)
    assert len(made["tests"]) == attempts - 2  # the lab's own failure had no kernel
    assert {test["status"] for test in made["tests"]} == {"PASS", "FAIL", "ERROR"}
    digest = next(iter(week.consoles))
    assert any(test["log_url"] == f"https://example.org/b/consoles/{digest}.txt" for test in made["tests"])


def test_the_architecture_is_the_machines_whatever_the_compiler_is_called(week):
    night = week.nights[0]
    one = night.results[0]
    cells = [replace(one.cell, arch=arch, label=arch, toolchain="clang") for arch in ("arm64", "x86_64")]
    night = replace(night, results=tuple(replace(one, cell=cell) for cell in cells))
    made = kcidb(night, lambda _: None, lambda _: None)
    assert [build["architecture"] for build in made["builds"]] == ["arm64", "x86_64"]


def test_the_patches_of_a_point_are_those_up_to_it(week):
    made = kcidb(week.nights[0], week.consoles.get, case_patches(data_folder("patches")))
    by = {one["misc"]["lab"]["label"]: one for one in made["checkouts"]}
    folder = data_folder("patches") / "early-policy"
    patches = sorted(folder.glob("*.patch"))
    fix = sorted((folder / "fix").glob("*.patch"))
    assert by["base"]["patchset_hash"] == ""
    assert by["end"]["patchset_hash"] == patchset_hash(patches)
    assert by["fix"]["patchset_hash"] == patchset_hash([*patches, *fix])
    assert "git_commit_hash" not in by["base"]  # the lab's commits are its own


def test_nothing_is_said_of_patches_that_are_not_those_of_the_night(week, tmp_path):
    shutil.copytree(data_folder("patches") / "early-policy", tmp_path / "early-policy")
    last = next((tmp_path / "early-policy").glob("0010-*"))
    last.write_text(last.read_text().replace("Subject: [PATCH] ", "Subject: [PATCH] another: "))
    made = kcidb(week.nights[0], week.consoles.get, case_patches(tmp_path))
    by = {one["misc"]["lab"]["label"]: one for one in made["checkouts"]}
    assert "patchset_hash" not in by["end"]
    assert by["fix"]["patchset_hash"]
    gone = kcidb(week.nights[0], week.consoles.get, case_patches(tmp_path / "nowhere"))
    assert all("patchset_hash" not in one for one in gone["checkouts"] if one["misc"]["lab"]["point"])


def test_a_build_that_failed_is_told_as_a_build(week):
    result = week.nights[0].results[0]
    attempt = Attempt(number=1, verdict="skip", reason="does not build: mm/a.c:1: oops", outcome="build", started=1.0,
                      seconds=3.0, build="mm/a.c:1:2: error: oops")  # fmt: skip
    night = replace(week.nights[0], results=(replace(result, word="skip", attempts=(attempt,), kernel=""),))
    made = kcidb(night, {}.get, lambda cell: None)
    assert [build["status"] for build in made["builds"]] == ["FAIL"]
    assert made["builds"][0]["log_excerpt"] == "mm/a.c:1:2: error: oops"
    assert "tests" not in made


def test_what_kcidb_does_not_take_is_refused_in_a_line(week):
    with pytest.raises(UserError, match="no origin"):
        kcidb(week.nights[0], {}.get, lambda cell: None, origin="My Lab")
    with pytest.raises(UserError, match="not an http"):
        kcidb(week.nights[0], {}.get, lambda cell: None, url="javascript:alert(1)")
    with pytest.raises(InfrastructureError, match="not valid: tests/0"):
        validate({"version": {"major": 5, "minor": 3}, "tests": [{"id": "x"}]})


# The mail.


@pytest.fixture(scope="module")
def mail(week):
    return night_mail(week.nights[0], week.consoles.get, to="linux-mm@example.org", url="https://example.org/b")


def test_the_mail_says_what_changed_in_its_subject(mail):
    message = message_from_string(mail, policy=default)
    assert message["Subject"] == "[nightly] 2026-11-25: 1 new failure, 1 flaky, 1 slower, 1 still failing"
    assert message["To"] == "linux-mm@example.org"
    assert message["In-Reply-To"] is None
    body = message.get_content()
    assert body.index("New failures (1)") < body.index("Flaky (1)") < body.index("Still failing (1)")
    assert 'First bad: 6, 8d3f5c0a91b2 ("mm: slub: Place new slabs' in " ".join(body.split())
    assert "    [    0.000000] kernel BUG at " in body
    assert "https://example.org/b" in body


def test_the_mail_says_which_workers_booted(mail, by_workers, week):
    assert "ooted by" not in mail
    text = night_mail(by_workers, week.consoles.get)
    message = message_from_string(text, policy=default)
    assert message["Bcc"] is None
    body = " ".join(message.get_content().split())
    assert re.search(r"Booted by 3 workers, with so many cells: (cellar/0|<b>attic).* 27, .* 26, .* 1\.", body)
    assert re.search(r"\* early-policy/fix/tiny-numa/four-nodes/gcc 12.2( \(required\))?, booted by", body)


def test_the_mail_is_short_and_wrapped(mail):
    lines = mail.splitlines()
    assert len(lines) < 90
    assert [line for line in lines if len(line) > 72 and not line.startswith(("    ", "Subject: "))] == []


def test_cells_with_the_same_bug_and_bisect_are_one_entry(week):
    new = week.nights[0].changes[0]
    others = [replace(new, cell=replace(new.cell, machine=name)) for name in ("uneven", "far")]
    text = night_mail(replace(week.nights[0], changes=(new, *others)), week.consoles.get)
    assert text.count("First bad: 6") == text.count("kernel BUG at") == 1
    assert all(f"* early-policy/fix/tiny-numa/{name}/gcc 12.2" in text for name in ("uneven", "far", "four-nodes"))
    assert "RIP: 0010:policy_zonelist" in text
    assert "RAX:" not in text


def test_the_mail_of_a_first_night_does_not_claim_a_change(week):
    text = night_mail(replace(week.nights[0], before=None, changes=()), week.consoles.get)
    assert "there is no earlier night to compare with" in text.splitlines()[2]


def test_an_excerpt_of_a_boot_without_finding_is_its_end(week, nights):
    data, findings, _ = nights.recorded("clean-6.1")
    boot = replace(week.nights[0].results[0].attempts[0], findings=findings)
    assert excerpt(data, boot, 3)[-1].endswith("reboot: machine restart")
    assert len(excerpt(data, boot, 3)) == 3


def test_the_hash_names_the_console(week):
    assert all(hashlib.sha256(data).hexdigest() == digest for digest, data in week.consoles.items())
