"""A bisect over a history with merges: real git, real builds of a tree that takes a second, boots that are made up."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.bisect import config_hunt, prober
from lab.bisect.history import read_history
from lab.bisect.history_run import bisect_history
from lab.case import Case, Expect
from lab.console.types import Finding, Marker, Report, Stage
from lab.errors import UserError
from lab.guest.types import Boot
from lab.line import Setup
from lab.progress import silent
from lab.report.hunts import config_document as document
from lab.settings import Settings

pytestmark = pytest.mark.system

CONFTEST = Path(__file__).parent.parent / "kernel" / "conftest.py"
spec = importlib.util.spec_from_file_location("fake_kernel", CONFTEST)
assert spec is not None
assert spec.loader is not None
fake_kernel = importlib.util.module_from_spec(spec)
sys.modules["fake_kernel"] = fake_kernel
spec.loader.exec_module(fake_kernel)
fake, toolchain = fake_kernel.fake, fake_kernel.toolchain

VERSION = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n"
BUG = Finding("bug", "kernel BUG in planted", "bug:planted", "planted", line=1, last_line=1, fatal=True)
EXPECT = Expect(signature="bug:planted")
NOVEL = '\nconfig NOVEL\n\tbool "Novel"\n'


class Tree:
    """The fake kernel in a git repository of its own."""

    def __init__(self, fake: Any, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("Makefile", "Kconfig", *fake_kernel.SOURCES):
            (folder / name).parent.mkdir(exist_ok=True)
            text = (fake.source / name).read_text()
            (folder / name).write_text(VERSION + text if name == "Makefile" else text)
        self.git("init", "-q", "-b", "main")
        names = ("one", "left", "right", "further", "two", "three", "last")
        self.commit("start", **{name: f"int none_{name};\n" for name in names})

    def git(self, *args: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *args], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        for name, text in files.items():
            (self.folder / f"mm/{name}.c").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def world(fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Tree, Case, Setup]:
    r"""start - one - two - three - merge - last, with a branch left - right from one; the bug came in on the branch."""
    tree = Tree(fake, tmp_path / "linux")
    tree.commit("one", one="int one;\n")
    tree.git("checkout", "-q", "-b", "side")
    tree.commit("left", left="int left;\n")
    tree.commit("right", right="int planted;\n")
    tree.commit("further", further="int further;\n")
    tree.git("checkout", "-q", "main")
    tree.commit("two", two="int two;\n")
    tree.commit("three", three="int three;\n")
    tree.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    tree.commit("last", last="int last;\n")
    (fake.folder / "own.config").write_text("CONFIG_SMP=y\n")

    def boot_target(target: Any, setup: Setup) -> Boot:
        symbols = subprocess.run(["nm", str(target.image)], check=True, capture_output=True, text=True).stdout
        bad, marker = "planted" in symbols, Marker(2, (("nodes", "2"),))
        report = Report(findings=(BUG,)) if bad else Report(stages=(Stage("userspace", 2),), marker=marker)
        return Boot(
            "died" if bad else "userspace", "", report, "two-nodes", 2, "tcg", (), tmp_path, tmp_path / "console", 0.1
        )  # fmt: skip

    monkeypatch.setattr(prober, "boot_target", boot_target)
    case = Case("own", tmp_path, "own", "", (), (), str(fake.folder / "own.config"), "two-nodes", "", (), EXPECT)
    setup = Setup(fake.paths, Settings(), silent, tree=tree.folder, jobs=2)
    return tree, case, setup


def test_a_bug_that_came_in_on_a_branch_is_found_there(world: tuple[Tree, Case, Setup]):
    tree, case, setup = world
    found = bisect_history(case, read_history(case, ["main~4"], "main", setup), setup)
    assert found.first_bad is not None, (found.reason, [(r.point.subject, r.word, r.reason) for r in found.rows])
    assert found.first_bad.point.subject == "right"
    assert found.first_bad.point.commit == tree.git("rev-parse", "side~1")
    words = {row.point.subject: row.word for row in found.rows}
    assert (words["last"], words["right"], words["left"]) == ("bad", "bad", "good"), "the end and both sides were tried"
    assert all(check.holds for check in found.proof)

    asked = len(found.seen)
    again = bisect_history(case, read_history(case, ["main~4"], "main", setup), setup)
    assert again.first_bad == found.first_bad
    assert len(again.seen) == asked, "what is known is not asked again"


def test_a_commit_that_the_case_cannot_be_prepared_on_is_skipped_with_its_reason(world: tuple[Tree, Case, Setup]):
    """The symbol that the case requires came in after the bug: everything before says nothing, and nobody is named."""
    tree, case, setup = world
    kconfig = tree.folder / "Kconfig"
    kconfig.write_text(kconfig.read_text() + NOVEL)
    tree.commit("novel")
    found = bisect_history(replace(case, require=("NOVEL",)), read_history(case, ["main~3"], "main", setup), setup)
    assert found.first_bad is None
    assert found.candidates == ()
    assert "the good end could not be proven good" in found.reason
    assert "the case requires CONFIG_NOVEL=y" in " ".join(row.reason for row in found.rows)


def test_a_config_hunt_on_real_builds_names_the_member_of_the_choice(
    world: tuple[Tree, Case, Setup], monkeypatch: pytest.MonkeyPatch
):
    _, case, setup = world
    folder = setup.paths.cache.parent / "kconfigs"
    (folder / "good.config").write_text("CONFIG_SMP=y\nCONFIG_SLAB=y\n")
    (folder / "bad.config").write_text("CONFIG_SMP=y\nCONFIG_PCI=y\nCONFIG_NUMA=y\nCONFIG_SLUB=y\nCONFIG_NR_CPUS=4\n")

    def boot_target(target: Any, setup: Setup) -> Boot:
        bad = "CONFIG_SLUB=y" in target.image.with_name("config").read_text()
        report = Report(findings=(BUG,)) if bad else Report(marker=Marker(2, (("nodes", "2"),)))
        return Boot("died" if bad else "userspace", "", report, "", 2, "tcg", (), folder, folder, 0.1)

    monkeypatch.setattr(config_hunt, "boot_target", boot_target)
    case = replace(case, base="main")
    found = config_hunt.hunt_config(case, str(folder / "good.config"), str(folder / "bad.config"), setup)
    assert (found.symbol, found.reason) == ("SLUB", "")
    assert {row[0] for row in found.left} == {"SLAB", "SLUB"}
    assert found.symbols >= 5
    assert len(found.trials) <= 5
    assert [trial.word for trial in found.trials[:2]] == ["bad", "good"], "both ends are proven first"
    assert (found.trials[0].boots, found.trials[1].boots) == (4, 4)
    assert document(found)["symbol"] == "SLUB"

    turned = config_hunt.hunt_config(case, str(folder / "bad.config"), str(folder / "good.config"), setup)
    assert turned.symbol == ""
    assert "the bad kconfig" in turned.reason
    same = config_hunt.hunt_config(case, str(folder / "bad.config"), str(folder / "bad.config"), setup)
    assert same.reason == "the two kconfigs come to the same"


def test_what_has_no_history_is_refused(world: tuple[Tree, Case, Setup], tmp_path: Path):
    _, case, setup = world
    with pytest.raises(UserError, match="--tree PATH"):
        read_history(case, ["main~2"], "main", replace(setup, tree=None))
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(UserError, match="no git repository"):
        read_history(case, ["main~2"], "main", replace(setup, tree=plain))
    with pytest.raises(UserError, match="'nowhere' is not there"):
        read_history(case, ["nowhere"], "main", setup)
