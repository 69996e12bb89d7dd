"""Nights out of a real history, and the commands that write them."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from msgspec.structs import replace

from lab.cli import lab
from lab.errors import UserError
from lab.history.consoles import keep_console
from lab.history.store import opened
from lab.paths import user_paths
from lab.report.nights import book, compare, console_reader, stamp
from lab.settings import Settings


@pytest.fixture
def paths(tmp_path, monkeypatch):
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"LAB_{name}", str(tmp_path / name.lower()))
    monkeypatch.delenv("LAB_HISTORY", raising=False)
    monkeypatch.chdir(tmp_path)
    return user_paths()


@pytest.fixture
def history(paths, week):
    """Three nights of a few cells each, as the matrix takes them down."""
    with opened(paths, Settings()) as made:
        for night in reversed(week.nights):
            results = night.results[-6:]
            made.begin_run(replace(night.run, state="running", ended=None), [result.cell for result in results])
            for result in results:
                made.record_result(result)
            made.finish_run(night.run.id, "done", night.run.ended)
        for data in week.consoles.values():
            keep_console(data, paths)
        yield made


def test_a_book_has_the_newest_night_and_those_before_it(history, week):
    made = book(history, "", 2)
    assert [night.run.id for night in made.nights] == [night.run.id for night in week.nights[:2]]
    assert [result.cell.key for result in made.nights[0].results] == [
        one.cell.key for one in week.nights[0].results[-6:]
    ]
    assert [night.before.id for night in made.nights] == [night.run.id for night in week.nights[1:]]
    assert made.nights[0].changes == history.night().changes
    assert made.nights[1].changes == history.night(week.nights[1].run.id).changes
    assert len(book(history, week.nights[2].run.id, 7).nights) == 1
    with pytest.raises(UserError, match="no run 'nope'"):
        book(history, "nope", 7)


def test_any_two_nights_are_compared(history):
    newest, _, oldest = book(history, "", 3).nights
    assert {change.kind for change in compare(newest, oldest)} >= {"flaky"}
    assert all(change.kind in ("slower", "faster") for change in compare(oldest, oldest))


def test_the_stamp_changes_with_every_result_of_a_running_night(history, week):
    stamps = [stamp(history)]
    assert stamp(history) == stamps[0]
    run = replace(week.nights[0].run, id="20991231T000000-x", state="running", ended=None)
    results = week.nights[0].results[:2]
    history.begin_run(run, [result.cell for result in results])
    stamps.append(stamp(history))
    for result in results:
        history.record_result(replace(result, run=run.id))
        stamps.append(stamp(history))
    history.finish_run(run.id, "done", 1.0)
    stamps.append(stamp(history))
    assert len(set(map(str, stamps))) == len(stamps)


def test_a_console_that_is_gone_or_damaged_is_no_reason_to_fail(paths, history, week):
    read = console_reader(paths)
    digest, data = next(iter(week.consoles.items()))
    assert read(digest) == data
    assert read("0" * 64) is None
    assert read("../../etc/passwd") is None
    next(paths.consoles.rglob(f"{digest}*")).write_bytes(b"\x00")
    assert read(digest) is None


def run(*arguments):
    return lab.main(args=["report", *arguments], prog_name="lab", standalone_mode=False)


def test_each_form_is_written_and_told(history, tmp_path, capsys):
    told = {}
    for name in ("html", "junit", "kcidb", "night-mail"):
        assert run(name, "--json") == 0
        told[name] = json.loads(capsys.readouterr().out)
        assert run(name) == 0
        assert "Written: " in capsys.readouterr().out
    assert (tmp_path / "lab-report" / "index.html").is_file()
    assert len(told["html"]["runs"]) == 3
    assert told["html"]["pages"] == sum(1 for _ in (tmp_path / "lab-report").rglob("*.html"))
    assert (told["junit"]["tests"], told["junit"]["failures"]) == (6, 0)
    assert json.loads((tmp_path / "kcidb.json").read_text())["version"] == told["kcidb"]["version"]
    assert told["night-mail"]["subject"].startswith("[nightly] 2026-11-25: ")
    assert "Subject: " + told["night-mail"]["subject"] in (tmp_path / "night.eml").read_text()


@pytest.mark.parametrize("name", ["html", "junit", "kcidb", "night-mail"])
def test_without_a_history_it_is_told_in_a_line(paths, name):
    with pytest.raises(UserError, match="no run yet"):
        run(name)


def test_serving_ends_with_ctrl_c(folder):
    command = [sys.executable, "-m", "lab", "report", "serve", "--folder", str(folder), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ.copy()) as server:
        try:
            address = json.loads(server.stdout.readline())["address"]
            with urllib.request.urlopen(address, timeout=60) as page:  # noqa: S310 - the lab's own
                assert page.read() == (folder / "index.html").read_bytes()
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 130
            assert server.stderr.read().strip() == b"lab: interrupted"
        finally:
            server.kill()
