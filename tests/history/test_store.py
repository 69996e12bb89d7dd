"""The history keeps what was run, in SQLite and in PostgreSQL alike."""

import multiprocessing
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import asdict, replace
from sqlalchemy import insert, text

from lab.errors import InfrastructureError, UserError
from lab.history import schema
from lab.history.claims import Claim
from lab.history.database import FILE, connect, database_url, writing
from lab.history.needed import Needed, with_first
from lab.history.store import History, opened
from lab.settings import Settings
from tests.history.made import BUG, attempt, cell, result, run


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
def any_history(request, paths):
    """An empty history in each of the two databases."""
    if request.param == "sqlite":
        setting = ""
    else:
        setting = request.getfixturevalue("postgres")
        empty(database_url(paths, setting))
    history = History(connect(database_url(paths, setting)))
    yield history
    history.close()


def empty(url):
    from lab.history.database import postgres_engine

    engine = postgres_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


def test_what_was_recorded_is_read_back(any_history):
    base, end = cell("base"), cell("end", expected="bad")
    any_history.begin_run(run(1), [base, end])
    good, bad = result(run(1).id, base), result(run(1).id, end, "bad")
    any_history.record_result(bad)
    assert [one.word for one in any_history.night().results] == ["waiting", "bad"], "the order is the plan's"
    any_history.record_result(good)
    any_history.finish_run(run(1).id, "done", 1234.5)
    night = any_history.night(run(1).id)
    assert night.results == (good, bad)
    assert (night.run.state, night.run.ended, night.before) == ("done", 1234.5, None)


def test_a_second_result_of_a_cell_replaces_the_first(any_history):
    any_history.begin_run(run(1), [cell()])
    any_history.record_result(result(run(1).id, cell(), "bad"))
    any_history.record_result(result(run(1).id, cell()))
    assert [one.word for one in any_history.results(run(1).id)] == ["good"]
    assert any_history.sightings(BUG.signature) == ()


def test_a_signature_has_a_first_and_a_last_sight(any_history):
    for number in (1, 2, 3):
        any_history.begin_run(run(number), [cell()])
        attempts = [attempt(1, "bad", findings=[BUG], started=number * 100.0)]
        any_history.record_result(result(run(number).id, cell(), "bad", attempts=attempts))
    known = any_history.signatures()[0]
    assert (known.signature, known.runs, known.cells, known.times) == (BUG.signature, 3, 1, 3)
    assert (known.first_seen, known.last_seen) == (100.0, 300.0)
    assert (known.first_run, known.last_run) == (run(1).id, run(3).id)
    assert [one.run for one in any_history.sightings(BUG.signature)] == [run(3).id, run(2).id, run(1).id]


def test_a_finding_that_comes_twice_in_a_boot_is_one_boot_and_the_one_to_blame_is_kept(any_history):
    any_history.begin_run(run(1), [cell()])
    follows = replace(BUG, signature="oops:next", primary=False)
    found = [BUG, replace(BUG, line=90), follows]
    attempts = [attempt(at, "bad", findings=found) for at in (1, 2)]
    any_history.record_result(result(run(1).id, cell(), "bad", attempts=attempts))
    (known,) = any_history.signatures()
    assert (known.signature, known.times) == (BUG.signature, 2)


def test_the_first_sight_of_a_finding_is_found_however_long_ago(any_history):
    for number, word in ((1, "good"), (2, "bad"), (3, "bad")):
        any_history.begin_run(run(number), [cell(), cell("fix")])
        findings = [BUG] if word == "bad" else []
        for of in (cell(), cell("fix")):
            attempts = [attempt(1, word, findings=findings, console=f"console {number}")]
            any_history.record_result(result(run(number).id, of, word, attempts=attempts, kernel=f"k{number}"))
    found = any_history.first_sights([BUG.signature, "another"])
    assert sorted((one.run, one.cell.label) for one in found) == [(run(2).id, "end"), (run(2).id, "fix")]
    held = with_first(Needed(frozenset({"k3"}), frozenset(), (BUG.signature,)), found)
    assert (held.kernels, held.consoles) == ({"k2", "k3"}, {"console 2"})
    assert any_history.first_sights([]) == ()


def test_the_run_before_is_the_last_one_of_the_matrix_that_ended(any_history):
    for number, name, state in ((1, "nightly", "done"), (2, "other", "done"), (3, "nightly", "running")):
        any_history.begin_run(run(number, name=name, state=state), [cell()])
    any_history.begin_run(run(4), [cell()])
    assert any_history.night().before.id == run(1).id
    assert [one.id for one, _ in any_history.past(any_history.run())] == [run(1).id]
    assert any_history.runs(name="other")[0].id == run(2).id


def test_runs_without_an_end_are_found_down_to_the_last_that_has_one(any_history):
    for number in (1, 2, 3):
        any_history.begin_run(run(number), [cell()])
    assert [one.id for one in any_history.unfinished("nightly", "here")] == [run(n).id for n in (3, 2, 1)]
    assert any_history.unfinished("nightly", "another host") == ()
    any_history.finish_run(run(2).id, "deadline", 5.0)
    assert [one.id for one in any_history.unfinished("nightly", "here")] == [run(3).id]
    any_history.finish_run(run(3).id, "done", 5.0)
    assert any_history.unfinished("nightly", "here") == ()


def test_only_who_is_at_a_run_can_add_to_it(any_history):
    mine, other = Claim("m", "me"), Claim("o", "the other")
    any_history.begin_run(run(1), [cell()], mine)
    any_history.record_result(result(run(1).id, cell()), "m")
    assert any_history.claim(run(1).id) == Claim("m", "me", 1)
    assert not any_history.take_over(run(1).id, mine, other), "it counted up since that was read"
    assert any_history.take_over(run(1).id, any_history.claim(run(1).id), other)
    kept = any_history.results(run(1).id)
    for write in (
        lambda: any_history.record_result(result(run(1).id, cell(), "bad"), "m"),
        lambda: any_history.finish_run(run(1).id, "done", 5.0, "m"),
        lambda: any_history.replan(run(1).id, [], "m"),
    ):
        with pytest.raises(InfrastructureError, match="not this process's any more: the other went on with it"):
            write()
    assert any_history.results(run(1).id) == kept
    assert any_history.run(run(1).id).state == "running"
    assert not any_history.beat(run(1).id, "m")
    any_history.release(run(1).id, "m")
    assert any_history.claim(run(1).id).who == "the other"
    any_history.release(run(1).id, "o")
    assert any_history.claim(run(1).id).who == ""


def test_of_many_who_would_go_on_with_a_run_one_does(any_history):
    any_history.begin_run(run(1), [cell()])
    free = any_history.claim(run(1).id)
    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda n: any_history.take_over(run(1).id, free, Claim(str(n), str(n))), range(8)))
    assert took.count(True) == 1
    assert any_history.claim(run(1).id).token == str(took.index(True))


def test_a_change_says_when_its_finding_was_seen_first_in_any_cell(any_history):
    far, near = cell(machine="far"), cell(machine="near")
    for number, words in ((1, ("bad", "good")), (2, ("good", "good")), (3, ("good", "bad"))):
        any_history.begin_run(run(number, state="done"), [far, near])
        for of, word in zip((far, near), words, strict=True):
            any_history.record_result(result(run(number).id, of, word, kernel=f"k{number}"))
    (change,) = any_history.night().changes
    assert (change.kind, change.since, change.first_seen) == ("new", run(3).id, run(1).id)


def test_titles_with_zero_bytes_are_kept_without_them(any_history):
    odd = type(BUG)(signature="bug:a\0b", title="BUG \0\\u0000", kind="bug", line=1)
    any_history.begin_run(run(1), [cell()])
    any_history.record_result(result(run(1).id, cell(), "bad", attempts=[attempt(1, "bad", findings=[odd])]))
    assert any_history.signatures()[0].title == "BUG \\u0000"
    assert any_history.results(run(1).id)[0].finding == odd


def test_a_history_of_the_first_schema_is_brought_up_to_date(any_history, paths):
    url = any_history.engine.url
    any_history.close()
    if url.get_backend_name() == "sqlite":
        (paths.data / FILE).unlink()
    else:
        empty(url)
    first = History(connect(url, schema.MIGRATIONS[:1]))
    with writing(first.engine) as connection:  # as a lab of that time did
        old = insert(schema.RUNS).values(**asdict(run(1, state="done")))
        connection.execute(old)
    first.record_result(result(run(1).id, cell(), "bad"))
    first.close()
    now = History(connect(url))
    assert now.night().results == (result(run(1).id, cell(), "bad"),)
    assert now.bisects(run(1).id) == ()
    now.close()


def test_the_tables_are_what_the_migrations_make(any_history):
    from sqlalchemy import inspect

    seen = inspect(any_history.engine)
    for table in schema.METADATA.sorted_tables:
        assert [column["name"] for column in seen.get_columns(table.name)] == list(table.columns.keys())
        assert seen.get_pk_constraint(table.name)["constrained_columns"] == list(table.primary_key.columns.keys())


def test_the_history_of_a_newer_lab_is_refused(paths, history):
    with history.engine.begin() as connection:
        connection.execute(text("INSERT INTO schema_version VALUES (999, 0)"))
    with pytest.raises(UserError, match=r"schema is 999, and this lab knows \d+ at most"):
        connect(database_url(paths))


def test_what_is_no_database_gets_one_line(paths):
    paths.data.mkdir(parents=True)
    (paths.data / FILE).write_text("hello " * 1000)
    with pytest.raises(InfrastructureError, match=r"history .*history\.sqlite: file is not a database$"):
        connect(database_url(paths))


@pytest.mark.parametrize("setting", ["nonsense", "mysql://a/b", "sqlite://", "://", "postgresql"])
def test_what_is_no_url_of_a_database_is_refused(paths, setting):
    with pytest.raises(UserError, match="history: not a database's URL"):
        database_url(paths, setting)


def test_a_server_that_is_not_there_gets_one_line_without_the_password(paths):
    pytest.importorskip("psycopg")
    with pytest.raises(InfrastructureError) as caught:
        connect(database_url(paths, "postgresql://lab:secret@127.0.0.1:1/lab"))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lab_history_names_another_one_than_the_configuration(paths, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_HISTORY", f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    with opened(paths, Settings(history="nonsense")) as history:
        history.begin_run(run(1))
    assert (tmp_path / "elsewhere.sqlite").exists()


def write(url, number, results):
    history = History(connect(url))
    for i in range(results):
        history.record_result(result(run(1).id, cell(machine=f"m{number}-{i}"), "bad"))


def test_many_processes_write_at_once(any_history):
    any_history.begin_run(run(1))
    url = any_history.engine.url
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=write, args=(url, number, 15)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(any_history.results(run(1).id)) == 45


def test_a_result_is_there_whole_or_not_at_all_when_its_writer_is_killed(paths, history):
    history.begin_run(run(1))
    child = os.fork()
    if not child:
        try:
            write(history.engine.url, 0, 100_000)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 30
    while not history.results(run(1).id) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen = history.results(run(1).id)
    assert seen
    assert len(history.sightings(BUG.signature, limit=100_000)) == len(seen), "findings come with their result"
    with sqlite3.connect(paths.data / FILE) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
