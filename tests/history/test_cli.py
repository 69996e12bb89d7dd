"""``lab history`` and ``lab gc`` as one calls them."""

import json

import pytest
from click.testing import CliRunner

from lab.cli import lab
from lab.history.consoles import keep_console
from lab.history.database import connect, database_url
from lab.history.records import Bisected
from lab.history.store import History
from tests.history.made import BUG, attempt, cell, result, run

CONSOLE = b"".join(b"line %d\n" % number for number in range(1, 38)) + b"a\nb\nkernel BUG at mm/x.c:1!\x1b[31m\n"


@pytest.fixture
def command(paths, monkeypatch):
    """The command on a history of two nights, the second of which has a regression."""
    for name in ("cache", "data", "config"):
        monkeypatch.setenv(f"LAB_{name.upper()}", str(getattr(paths, name)))
    monkeypatch.delenv("LAB_HISTORY", raising=False)
    history = History(connect(database_url(paths)))
    hash_ = keep_console(CONSOLE, paths)
    bad = [attempt(1, "bad", findings=[BUG], console=hash_)]
    for number, word, attempts, kernel in ((1, "good", None, "k1"), (2, "bad", bad, "k2")):
        history.begin_run(run(number, state="done"), [cell()])
        history.record_result(result(run(number).id, cell(), word, attempts=attempts, kernel=kernel))
    summary = f"{BUG.title} ({BUG.signature}): first bad patch: 6 mm: slub"
    bisected = Bisected(
        case="early-policy", cell=cell().key, first_bad=6, subject="mm: slub", commit="c", sure=0.99, summary=summary
    )
    history.record_bisect(run(2).id, bisected)
    history.close()

    def call(*words):
        return CliRunner().invoke(lab, list(words), catch_exceptions=False, standalone_mode=False)

    return call


def test_the_runs_and_the_findings(command):
    document = json.loads(command("history", "--json").stdout)
    assert [one["id"] for one in document["runs"]] == [run(2).id, run(1).id]
    assert document["runs"][0]["counts"] == {"bad": 1}
    assert document["findings"][0]["signature"] == BUG.signature
    said = command("history").stdout
    assert run(1).id in said
    assert BUG.signature in said


def test_a_run_and_what_changed(command):
    document = json.loads(command("history", "run", "--json").stdout)
    (change,) = document["changes"]
    assert (change["kind"], change["bisected"]["first_bad"]) == ("new", 6)
    said = command("history", "run").stdout
    assert "it was good in " + run(1).id in said.replace("\n", " ")
    assert "first bad patch: 6 mm: slub" in said
    assert "There is no run before" in command("history", "run", run(1).id).stdout


def test_a_finding_with_its_console_which_can_do_no_harm(command):
    document = json.loads(command("history", "show", BUG.signature, "--json").stdout)
    assert (document["first_run"], document["times"], len(document["sightings"])) == (run(2).id, 1, 1)
    assert document["bisects"][0]["first_bad"] == 6
    said = command("history", "show", BUG.signature).stdout
    assert "kernel BUG at mm/x.c:1!" in said
    assert "\x1b[31m" not in said


def test_a_finding_that_nobody_saw(command):
    from lab.errors import UserError

    with pytest.raises(UserError, match=r"knows no finding 'bug:policy_zonlist' \(it knows bug:policy_zonelist\)"):
        command("history", "show", "bug:policy_zonlist")
    with pytest.raises(UserError, match="no run 'x' in the history"):
        command("history", "run", "x")


def test_gc_keeps_what_the_open_finding_needs(command, paths):
    import os

    for key in ("k1", "k2", "k3"):
        folder = paths.kernels / "aa" / key
        folder.mkdir(parents=True)
        (folder / "bzImage").write_bytes(b"x" * 9000)
        for path in (folder / "bzImage", folder):
            os.utime(path, (1000, 1000))
    document = json.loads(command("gc", "--budget", "0", "--dry-run", "--json").stdout)
    assert [one["name"] for one in document["removed"]] == ["k3"]
    assert (paths.kernels / "aa" / "k3").exists()
    assert document["open_findings"] == [BUG.signature]
    said = command("gc", "--budget", "0").stdout
    assert sorted(path.name for path in (paths.kernels / "aa").iterdir()) == ["k1", "k2"]
    assert f"Open: {BUG.signature}" in said


@pytest.mark.parametrize("size", ["lots", "-1", "1.5G", ""])
def test_a_budget_that_is_no_size(command, size):
    from lab.errors import UserError

    with pytest.raises(UserError, match=r"--budget: .* is not a size"):
        command("gc", "--budget", size)
