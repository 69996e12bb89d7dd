"""What one sees of a bisect: on the terminal, as JSON, Markdown and mail; nothing from outside can forge any of it."""

import email
import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from lab.bisect.engine import run
from lab.bisect.graph import line_graph
from lab.bisect.journal import Journal, append
from lab.bisect.plan import Rules
from lab.bisect.records import Boot, Build, Named, Question
from lab.bisect.replay import load, replay
from lab.bisect.result import conclude
from lab.cli.bisect import bisect as command
from lab.errors import UserError
from lab.report.bisect_live import estimate, strip
from lab.report.bisect_log import show_log
from lab.report.bisect_mail import mail, patch_headers
from lab.report.bisect_markdown import markdown
from lab.report.bisect_terminal import show_bisect
from lab.report.documents import bisect_document

spec = importlib.util.spec_from_file_location("bisect_points_too", Path(__file__).with_name("conftest.py"))
points = importlib.util.module_from_spec(spec)
sys.modules["bisect_points_too"] = points
spec.loader.exec_module(points)


def outcome_of(culprit, last=10, journal=None, **how):
    journal = journal or Journal()
    return run(line_graph(last), points.Points(journal, culprit, **how), journal, Rules(), view=points.plain_view)


def result_of(culprit, last=10, question=None, **how):
    return conclude(question or points.asked(last), outcome_of(culprit, last, **how), 12.0)


def test_the_document_has_the_answer_and_its_proof():
    document = json.loads(msgspec.json.encode(bisect_document(result_of(6)), enc_hook=str))
    assert document["first_bad"]["index"] == 6
    assert document["confidence"] > 0.99
    assert all(check["holds"] for check in document["proof"])
    verdicts = {probe["point"]: probe["verdict"] for probe in document["probes"]}
    assert (verdicts[5], verdicts[6], verdicts[10]) == ("good", "bad", "bad")
    assert document["crash"]["signature"] == "bug:policy_zonelist"
    assert {"probes", "seconds", "candidates", "reason", "command"} <= document.keys()


def test_the_crash_alone_is_no_work_for_a_cluster(capsys):
    question = points.asked(10)
    words = ("lab", "bisect", "made-up", "--tree", "linux", "--cluster", "ssh:attic,cellar")
    show_bisect(result_of(6, question=msgspec.structs.replace(question, command=words)))
    said = " ".join(capsys.readouterr().out.split())
    assert "lab repro made-up --tree linux --at 6" in said
    assert "lab bisect made-up --tree linux --cluster ssh:attic,cellar" in said


def test_each_point_says_which_workers_of_a_cluster_tried_it(capsys):
    alone = result_of(6)
    show_bisect(alone)
    assert "attic" not in capsys.readouterr().out
    assert all(probe["where"] == () for probe in bisect_document(alone)["probes"])
    outcome = outcome_of(6)
    names = ("attic/w1\x1b[31m", "cellar|w")
    events = [
        msgspec.structs.replace(event, where=names[event.point % 2]) if isinstance(event, Build | Boot) else event
        for event in outcome.events
    ]
    question = points.asked(10)
    result = conclude(question, replace(outcome, events=events), 12.0)
    assert {probe["point"]: probe["where"] for probe in bisect_document(result)["probes"]} == {
        probe["point"]: (names[probe["point"] % 2],) for probe in bisect_document(alone)["probes"]
    }
    assert "attic/w1" in markdown(result)
    assert "cellar\\|w" in markdown(result)
    answer = mail(result)
    assert "\x1b" not in answer
    assert re.search(r"^  by: +cellar\|w, points \d", answer, re.M)
    assert "points" not in mail(alone)
    show_bisect(result)
    show_log(question, events, Path("j"))
    said = capsys.readouterr().out
    assert "\x1b[31m" not in said
    assert re.search(r"good .* s \[cellar\|w\]", said)


def test_a_range_and_a_lying_end_are_told(capsys):
    show_bisect(result_of(6, others=(5, 6)))
    assert "One of 3 patches" in capsys.readouterr().out
    lying = result_of(11)
    assert lying.first_bad is None
    show_bisect(lying)
    said = " ".join(capsys.readouterr().out.split())
    assert "No patch can be named: the bad end did not show the bug: point 10 (mm: patch 10), 44 boots: 44 good" in said


def test_the_terminal_shows_the_culprit_and_how_sure_it_is(capsys):
    show_bisect(result_of(6, rate=0.5))
    said = capsys.readouterr().out
    assert "First bad patch: 6 of 10" in said
    assert re.search(r"99\.\d+ %: the bug struck in \d+ % of boots", said)
    assert "lab repro made-up --at 6" in said


def test_a_flaky_bug_says_at_what_rate_it_struck():
    struck, missed = result_of(6, rate=0.3).rate
    assert struck >= 5
    assert missed > 0


HOSTILE = "evil\r\nBcc: all@example.org\n\x1b[31m<script>`|*x*"


def hostile():
    question = points.asked(3)
    named = Named(2, HOSTILE, "2" * 40)
    return msgspec.structs.replace(question, points=(*question.points[:2], named, question.points[3]), case=HOSTILE)


def test_no_header_can_be_smuggled_into_the_mail():
    text = mail(result_of(2, 3, hostile()))
    message = email.message_from_string(text)
    assert message["Bcc"] is None
    assert "\x1b" not in text
    assert message["To"] == "NAME <ADDRESS>"


def test_nothing_from_outside_becomes_markup():
    text = markdown(result_of(2, 3, hostile()))
    assert "<script>" not in text
    assert "\x1b" not in text
    assert r"\<script\>\`\|\*x\*" in text


def test_the_mail_answers_the_patch(tmp_path):
    patch = tmp_path / "0002-x.patch"
    patch.write_text(
        "From 1234 Mon Sep 17 00:00:00 2001\nFrom: A Coder <a@example.org>\nMessage-Id: <x-1@example.org>\n"
        "Subject: [PATCH 2/3] mm: a long\n subject\n\nBody\nSubject: no header\n"
    )
    assert patch_headers(patch)["subject"] == "[PATCH 2/3] mm: a long subject"
    question = points.asked(3)
    named = Named(2, "mm: a long subject", "2" * 40, patch=str(patch))
    question = msgspec.structs.replace(question, points=(*question.points[:2], named, question.points[3]))
    text = mail(result_of(2, 3, question))
    message = email.message_from_string(text)
    assert message["Subject"] == "Re: [PATCH 2/3] mm: a long subject"
    assert message["In-Reply-To"] == message["References"] == "<x-1@example.org>"
    assert message["To"] == "A Coder <a@example.org>"
    body = message.get_payload()
    needed = ["kernel BUG in policy_zonelist", "kernel BUG at mm/m.c:7!", "two-nodes", "How sure: 99.", "lab bisect"]
    needed += ["Reported-by: NAME <ADDRESS>", 'Fixes: 222222222222 ("mm: a long subject")']
    assert [words for words in needed if words not in body] == []


def test_the_line_of_points_fits_the_terminal():
    state = outcome_of(6, 300).state
    for width in (20, 80, 400):
        signs = strip(state, {6}, width)
        assert sum(len(sign) for sign, _ in signs) <= width + 10
    whole = "".join(sign for sign, _ in strip(state, set(), 400))
    assert "G" in whole
    assert "B" in whole
    assert estimate(state).startswith("about")


def test_a_journal_is_judged_again_without_a_kernel(tmp_path):
    path = tmp_path / "a.jsonl"
    append(path, points.asked(10))
    journal = Journal(path)
    expected = outcome_of(6, journal=journal)
    result = replay(path, load(path), Rules())
    assert result.first_bad.point.index == 6
    assert result.confidence == expected.step.confidence
    done = CliRunner().invoke(command, ["replay", str(path), "--json"], standalone_mode=False)
    assert json.loads(done.output)["first_bad"]["index"] == 6
    said = CliRunner().invoke(command, ["log", str(path)], standalone_mode=False).output
    assert "bad   kernel BUG in policy_zonelist" in said
    assert "git bisect bad" in CliRunner().invoke(command, ["log", str(path), "--git"], standalone_mode=False).output


def test_a_journal_that_stops_half_way_says_what_comes_next(tmp_path):
    path = tmp_path / "a.jsonl"
    outcome_of(6, journal=Journal(path))
    lines = path.read_bytes().splitlines(keepends=True)
    with pytest.raises(UserError, match="does not say what was asked"):
        replay(path, load(path), Rules())
    path.unlink()
    append(path, points.asked(10))
    path.write_bytes(path.read_bytes() + b"".join(lines[:6]))
    with pytest.raises(UserError, match="is not at its end: point"):
        replay(path, load(path), Rules())


@pytest.mark.parametrize("text", ["", "hello\n", "\x00\xff" * 100, "[" * 100_000])
def test_what_is_no_journal_gets_one_line(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="not a bisect's journal"):
        load(path)


def test_a_question_without_points_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    append(path, Question("k", "c", ()))
    with pytest.raises(UserError, match="not a bisect's journal"):
        replay(path, load(path), Rules())
