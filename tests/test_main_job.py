"""The main job on real input: Debian's 6.1 source, the example series, real builds, real two-node guests.

What is built stays in the user's cache (or LAB_CACHE), so that only the first run is long; one kernel is built from an
empty store every time.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.case import load_case
from lab.paths import data_folder

pytestmark = [pytest.mark.build, pytest.mark.boot]

CASE = "early-policy"
FIRST_BAD = 6


def lab(*arguments, cache=None, status=0):
    """Run the command with ``--json``; its document. The exit status must be ``status``."""
    environment = {**os.environ, "LAB_CACHE": str(cache)} if cache else None
    result = subprocess.run(
        [sys.executable, "-m", "lab", *arguments, "--json"],
        env=environment,
        capture_output=True,
        check=False,
        timeout=3000,
    )
    assert result.returncode == status, result.stderr.decode() + result.stdout.decode()[:2000]
    return json.loads(result.stdout)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_the_crash_comes_at_the_end_of_the_series_and_not_at_its_base():
    result = lab("repro", CASE)
    assert result["reproduced"] is True
    end, base = result["boots"]
    assert (end["point"], end["verdict"], end["title"]) == (10, "bad", "kernel BUG in policy_zonelist")
    assert end["signature"] == "bug:policy_zonelist"
    assert (base["point"], base["verdict"]) == (0, "good")
    assert base["marker"]["nodes"] == "2"
    console = Path(end["console"]).read_text()
    assert "kernel BUG at mm/mempolicy.c:" in console, "the file is named as the tree names it, wherever it was built"
    assert "lab: userspace" not in console


def test_the_guilty_patch_is_named():
    result = lab("bisect", CASE)
    assert result["first_bad"]["index"] == FIRST_BAD
    verdicts = {probe["point"]: probe["verdict"] for probe in result["probes"]}
    assert verdicts[FIRST_BAD] == "bad"
    assert verdicts[FIRST_BAD - 1] == "good"
    holds = {check["what"]: check["holds"] for check in result["proof"]}
    assert holds["the bad end shows the bug"]
    assert holds["with the patch the bug is there"]
    assert holds["without it the bug is not there"]
    assert result["confidence"] >= 0.99


def test_with_the_fix_there_is_no_bug():
    result = lab("repro", CASE, "--with-fix")
    assert [boot["verdict"] for boot in result["boots"]] == ["good"]
    assert result["as_expected"] is True


def test_a_kernel_is_built_from_an_empty_store_and_is_bit_for_bit_the_same_elsewhere(tmp_path):
    usual = lab("build", CASE, "--at", "0")["kernel"]
    fresh = lab("build", CASE, "--at", "0", cache=tmp_path / "cache")["kernel"]
    assert fresh["from_store"] is False
    assert fresh["key"] == usual["key"]
    assert digest(fresh["image"]) == digest(usual["image"])
    again = lab("build", CASE, "--at", "0", cache=tmp_path / "cache")["kernel"]
    assert again["from_store"] is True
    shutil.rmtree(tmp_path / "cache")


def broken_case(folder, patch):
    """The example case cut down to its first patch, and ``patch`` after it."""
    case = load_case(CASE, data_folder("patches"))
    shutil.copy(case.patches[0], folder / "0001.patch")
    (folder / "0002.patch").write_text(patch)
    (folder / "series.toml").write_text(
        'title = "t"\nbase = "debian-6.1"\npatches = ["0001.patch", "0002.patch"]\n'
        'kconfig = "tiny-numa"\nmachine = "two-nodes"\n'
    )
    return folder


DOES_NOT_COMPILE = """\
From: A <a@example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0000
Subject: [PATCH] init: Break the build

---
diff --git a/init/broken.h b/init/broken.h
new file mode 100644
--- /dev/null
+++ b/init/broken.h
@@ -0,0 +1 @@
+this is no C;
diff --git a/init/noinitramfs.c b/init/noinitramfs.c
--- a/init/noinitramfs.c
+++ b/init/noinitramfs.c
@@ -1,1 +1,2 @@
+#include "broken.h"
 // SPDX-License-Identifier: GPL-2.0-only
"""


def test_a_compile_error_is_a_result_with_file_and_line(tmp_path):
    # init/do_mounts.c is built in every configuration that the case has.
    patch = DOES_NOT_COMPILE.replace("noinitramfs.c", "do_mounts.c")
    result = lab("build", str(broken_case(tmp_path, patch)), status=125)
    error = result["kernel"]["error"]
    assert (error["file"], error["line"]) == ("init/broken.h", 1)
    assert "unknown type name" in error["message"]
    assert Path(error["log"]).is_file()
