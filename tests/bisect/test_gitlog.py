"""git bisect log's format, with git itself as the judge."""

import subprocess

import pytest

from lab.bisect.gitlog import Said, matched, read, write
from lab.bisect.records import Named, Question, Told
from lab.errors import UserError


@pytest.fixture
def repo(tmp_path):
    """Nine commits in a line, as git and as points."""

    def git(*words, status=0):
        done = subprocess.run(["git", "-C", str(tmp_path), *words], check=False, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stdout.strip()

    git("init", "-q")
    git("config", "user.email", "a@example.org")
    git("config", "user.name", "A")
    points = []
    for number in range(9):
        git("commit", "-q", "--allow-empty", "-m", f"mm: patch {number}")
        points.append(Named(number, f"mm: patch {number}", git("rev-parse", "HEAD")))
    return git, Question("k", "mine", tuple(points))


def test_git_replays_what_is_written(repo, tmp_path):
    git, question = repo
    log = tmp_path / "log"
    log.write_text(write(question, [(8, "bad"), (0, "good"), (4, "skip"), (5, "bad"), (3, "good")], (4, 5)))
    git("bisect", "replay", str(log), status=2)  # only skipped commits are left
    said = git("bisect", "log")
    assert "# possible first bad commit" in said
    assert [one.word for one in read(said, "log")].count("skip") == 1


def test_what_git_writes_is_read(repo):
    git, question = repo
    ids = [point.commit for point in question.points]
    git("bisect", "start", ids[8], ids[0])
    git("bisect", "skip", ids[4])
    git("bisect", "good", ids[3])
    git("bisect", "bad", ids[5], status=2)
    told, strange = matched(read(git("bisect", "log"), "log"), question.points, "log")
    assert strange == []
    words = {one.point: one.word for one in told}
    assert words == {8: "bad", 0: "good", 4: "skip", 3: "good", 5: "bad"}
    assert all(isinstance(one, Told) and one.by == "log" for one in told)


def test_a_commit_is_also_known_by_its_subject(repo):
    _, question = repo
    told, strange = matched([Said("bad", "f" * 40, "mm: patch 7"), Said("good", "e" * 40)], question.points, "x")
    assert told == [Told(7, "bad", "x")]
    assert [one.commit for one in strange] == ["e" * 40]


@pytest.mark.parametrize("text", ["", "hello\n", "git bisect start\n", "git bisect good ; rm -rf /\n"])
def test_what_is_no_log_is_refused(text):
    with pytest.raises(UserError, match="log"):
        read(text, "the log")
