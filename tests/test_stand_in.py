"""A near kernel that stands in for a case's base is named in every result, for people and for programs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.cli import lab
from lab.kernel.types import BuildFailure

SENTENCE = "stand-in base 3.7.2 for v3.7-rc4"
PATCH = """\
From: Somebody <somebody@example.org>
Subject: [PATCH] Add a note

---
diff --git a/note.txt b/note.txt
new file mode 100644
--- /dev/null
+++ b/note.txt
@@ -0,0 +1 @@
+note
"""
SERIES = """\
title = "t"
base = "v3.7-rc4"
patches = ["0001-note.patch"]
kconfig = "few.config"
machine = "two-nodes"
[expect]
first_bad = 1
"""


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A case for v3.7-rc4, a tree of 3.7.2, and a lab whose every point fails to compile: what it says of it."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("lab.kernel.compat.choose", lambda *_: [])
    failure = BuildFailure("", "no such thing", "mm/slub.c", 1, tmp_path / "build.log", 0.1)
    for module in ("lab.line", "lab.bisect.prober"):  # the second has its own name for it, once it was imported
        monkeypatch.setattr(f"{module}.kernel_of", lambda *_: failure)
    tree, case = tmp_path / "tree", tmp_path / "case"
    tree.mkdir()
    case.mkdir()
    (tree / "Makefile").write_text("VERSION = 3\nPATCHLEVEL = 7\nSUBLEVEL = 2\nEXTRAVERSION =\n")
    (tree / "Kconfig").write_text("config SMP\n\tbool\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "Linux 3.7.2"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *command], cwd=tree, check=True)
    (case / "0001-note.patch").write_text(PATCH)
    (case / "few.config").write_text("CONFIG_SMP=y\n")
    (case / "series.toml").write_text(SERIES)
    return [str(case), "--tree", str(tree)]


@pytest.mark.parametrize("command", [["repro"], ["bisect"], ["build"], ["boot"], ["series", "check"]])
def test_every_result_names_the_stand_in(near: list[str], command: list[str]) -> None:
    document = json.loads(CliRunner().invoke(lab, [*command, *near, "--json"]).stdout)
    assert document["base"]["stand_in"] == SENTENCE
    assert document["base"]["version"] == "3.7.2"
    text = CliRunner().invoke(lab, [*command, *near]).stdout
    assert SENTENCE in text


def test_a_kconfig_is_resolved_on_a_stand_in_too(near: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.kernel.types import Kconfig

    kconfig = Kconfig(name="few", text="CONFIG_SMP=y\n", key="k", asked=(("SMP", "y"),), unmet=())
    monkeypatch.setattr("lab.line.kconfig_of", lambda *_: kconfig)
    config = Path(near[0]) / "few.config"
    for command in (["render", *near], ["import", str(config), "--case", *near]):
        assert (
            json.loads(CliRunner().invoke(lab, ["kconfig", *command, "--json"]).stdout)["base"]["stand_in"] == SENTENCE
        )
        assert SENTENCE in CliRunner().invoke(lab, ["kconfig", *command]).stderr
