"""A kernel tree that builds in a second, as git has it, and a case on it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..kernel.conftest import KCONFIG, MAKEFILE, SOURCES

HOLD_SECONDS = 600
WAIT = "sleep 0.1; left=$((left - 1))"
VERSION = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\nEXTRAVERSION =\n\n"
SERIES = """\
title = "t"
base = "HEAD"
patches = ["0001.patch", "0002.patch"]
kconfig = "mine.config.j2"
machine = "two-nodes"
"""
PATCH = """\
From: A <a@example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0000
Subject: [PATCH] {subject}

---
diff --git a/{name} b/{name}
new file mode 100644
--- /dev/null
+++ b/{name}
@@ -0,0 +1 @@
+{text}
"""


@dataclass
class World:
    """The tree and the case. A build waits while ``hold`` is there, and notes in ``built`` that it began."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "linux"

    @property
    def case(self) -> Path:
        return self.folder / "case"

    @property
    def hold(self) -> Path:
        return self.folder / "hold"

    @property
    def built(self) -> list[str]:
        file = self.folder / "built"
        return file.read_text().splitlines() if file.exists() else []

    def began(self) -> bool:
        """Whether any build began."""
        return bool(self.built)

    @property
    def arguments(self) -> tuple[str, ...]:
        return (str(self.case), "--tree", str(self.tree))

    def git(self, *words: str) -> str:
        argv = ["git", "-C", str(self.tree), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def commit(self, name: str, text: str) -> None:
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.git("add", ".")
        self.git("commit", "-qm", name)


def make_world(folder: Path) -> World:
    """A world in ``folder``."""
    world = World(folder)
    world.tree.mkdir(parents=True)
    # Bounded: a test that fails must not leave a build behind that waits for ever.
    limit = f"left={HOLD_SECONDS * 10}\n"
    wait = f'echo "$1" >>{folder}/built\n{limit}while [ -e {folder}/hold ] && [ $left -gt 0 ]; do {WAIT}; done\n'
    makefile = MAKEFILE.replace("@PYTHON@", sys.executable)
    files = {"Makefile": VERSION + makefile, "Kconfig": KCONFIG, "slow.sh": f"#!/bin/sh\n{wait}", **SOURCES}
    for name, text in files.items():
        path = world.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (world.tree / "slow.sh").chmod(0o755)
    world.git("init", "-q")
    world.git("add", ".")
    world.git("commit", "-qm", "Linux")
    world.case.mkdir()
    (world.case / "series.toml").write_text(SERIES)
    (world.case / "mine.config.j2").write_text("CONFIG_SMP=y\n")
    (world.case / "0001.patch").write_text(PATCH.format(subject="Add a file", name="new", text="new"))
    broken = PATCH.format(subject="Break it", name="mm/broken.c", text="this is no C;")
    (world.case / "0002.patch").write_text(broken)
    return world
