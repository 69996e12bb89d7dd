"""The series' end without its culprit, in real git repositories."""

import subprocess
from pathlib import Path

import pytest

from lab.bisect.revert import without
from lab.bisect.touches import contents, read
from lab.tree.types import Base, Point, Tree


@pytest.fixture
def line(tmp_path):
    """Makes a tree of a base and patches, each a dict of files."""

    def git(*words):
        done = subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def make(*steps):
        git("init", "-q")
        git("config", "user.email", "a@example.org")
        git("config", "user.name", "A")
        points = []
        for index, files in enumerate(steps):
            for name, text in files.items():
                Path(tmp_path, name).write_text(text)
            git("add", "-A")
            git("commit", "-q", "-m", f"patch {index}")
            commit, tree = git("rev-parse", "HEAD"), git("rev-parse", "HEAD^{tree}")
            points.append(Point(index, "patch" if index else "base", f"patch {index}", commit, tree))
        base = Base("b", "6.1.0", "made", tmp_path / ".git", points[0].commit)
        return Tree(base, tmp_path / ".git", tuple(points), "key"), git

    return make


TEN = "".join(f"line {number}\n" for number in range(10))


def test_a_patch_that_nothing_depends_on_is_taken_back(line):
    tree, git = line({"a": TEN, "b": TEN}, {"a": TEN + "culprit\n"}, {"b": "new\n" + TEN})
    made = without(tree, 1, 2, 3)
    assert made.dropped == ()
    assert made.point.index == 3
    assert git("show", f"{made.point.tree}:a") == TEN.strip()
    assert git("show", f"{made.point.tree}:b").startswith("new")


def test_what_depends_on_it_goes_too(line):
    tree, git = line({"a": TEN}, {"a": "culprit\n"}, {"a": "culprit, changed\n"}, {"b": "other\n"})
    made = without(tree, 1, 3, 4)
    assert [point.index for point in made.dropped] == [2]
    assert git("show", f"{made.point.tree}:a") == TEN.strip()
    assert git("show", f"{made.point.tree}:b") == "other"
    assert "without what depends on it: 2" in made.name


def test_what_does_not_compile_without_it_can_be_left_out_as_well(line):
    tree, git = line({"a": TEN}, {"a": "int f();\n" + TEN}, {"c": "f();\n"}, {"b": "other\n"})
    made = without(tree, 1, 3, 4, also=(2,))
    assert [point.index for point in made.dropped] == [2]
    assert git("ls-tree", "--name-only", made.point.tree).split() == ["a", "b"]


def test_leaving_out_the_last_patch_is_the_point_before_it(line):
    tree, _ = line({"a": TEN}, {"a": "x\n"}, {"a": "y\n"})
    assert without(tree, 2, 2, 3).point.commit == tree.points[1].commit


def test_the_base_cannot_be_left_out(line):
    tree, _ = line({"a": TEN}, {"a": "x\n"})
    assert without(tree, 0, 1, 2) is None


def test_what_each_patch_touches_is_what_git_says(line):
    tree, git = line({"a": TEN, "gone": "x\n"}, {"a": TEN + "one\n", "new": "n\n"}, {"new": "n2\n"})
    touches = read(tree.repo, [point.commit for point in tree.points[1:]])
    found = contents([touches[point.commit] for point in tree.points[1:]])
    assert found[0] == {"a": git("rev-parse", f"{tree.points[0].commit}:a"), "new": ""}
    assert found[2]["new"] == git("rev-parse", f"{tree.points[2].commit}:new")
    assert touches[tree.points[1].commit].lines == 2
