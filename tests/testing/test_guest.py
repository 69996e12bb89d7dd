"""The fixtures on real guests: the example case's kernels, which other tests build as well."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.paths import user_paths
from lab.testing.shell import CommandFailed, GuestDied

if TYPE_CHECKING:
    from lab.testing.booted import Booted
    from lab.testing.shell import Guest

pytestmark = [pytest.mark.build, pytest.mark.boot]
pytest_plugins = ["pytester"]

CACHE = user_paths().cache


@pytest.fixture
def inside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A pytest to be run, with this user's kernels: it has another HOME."""
    monkeypatch.setenv("LAB_CACHE", str(CACHE))
    return pytester


PROGRAM = r"""
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    printf("KTAP version 1\n1..3\n");
    printf("  KTAP version 1\n  1..2\n  ok 1 - first\n  ok 2 - second # SKIP one is enough\nok 1 - suite\n");
    printf("%s 2 - it is told %s\n", argc == 2 ? "ok" : "not ok", argc == 2 ? argv[1] : "nothing");
    printf("not ok 3 - later # TODO not written\n");
    return 0;
}
"""


@pytest.mark.lab(case="early-policy", points=["fix"])
def test_a_guest_to_work_in(guest: Guest, tmp_path: Path) -> None:
    assert guest.sysfs("devices/system/node/online") == "0-1"
    assert guest.sysfs("/sys/devices/system/node/node1/distance") == "20 10"
    assert guest.run("uname", "-r").text.startswith("6.1")
    assert guest.sh("nproc; exit 0").text == "4"
    assert "nr_free_pages" in guest.read("/proc/vmstat")
    guest.write("/proc/sys/vm/swappiness", "17")
    assert guest.read("/proc/sys/vm/swappiness") == "17"

    data = secrets.token_bytes(200_000)
    guest.push(data, "/tmp/data")
    assert guest.pull("/tmp/data", tmp_path / "data") == data
    assert (tmp_path / "data").read_bytes() == data
    assert guest.run("md5sum", input=data).text.split()[0] == guest.run("md5sum", "/tmp/data").text.split()[0]
    (tmp_path / "script").write_text("#!/bin/sh\necho $1\n")
    (tmp_path / "script").chmod(0o755)
    guest.push(tmp_path / "script", "/tmp/script")
    assert guest.run("/tmp/script", "two words").text == "two words"

    with pytest.raises(CommandFailed, match="status 3") as failed:
        guest.sh("echo said; echo wrong >&2; exit 3")
    assert (failed.value.ran.stdout, failed.value.ran.stderr) == (b"said\n", b"wrong\n")
    assert guest.sh("exit 3", check=False).status == 3
    assert guest.run("sleep", "60", deadline=0.5, check=False).late
    with pytest.raises(FileNotFoundError):
        guest.read("/no/such/file")
    assert not guest.findings
    boot = guest.end()
    assert (boot.outcome, boot.verdict.word) == ("userspace", "good")
    assert boot.marker["nodes"] == "2"


@pytest.mark.lab(case="early-policy", points=["fix"])
def test_a_guest_that_dies_is_told_with_what_it_died_of(guest: Guest) -> None:
    with pytest.raises(GuestDied, match="kernel panic: sysrq triggered crash"):
        guest.sh("echo c >/proc/sysrq-trigger")
    assert guest.findings.serious
    with pytest.raises(GuestDied):
        guest.run("true")


SEEN = """
import pytest
@pytest.mark.lab(case="early-policy", points=["fix"], programs=["told.c 'two words'"])
def test_of_a_boot(lab_boot):
    assert lab_boot.reached("userspace")
    assert lab_boot.programs["told"].word == "pass"

@pytest.mark.lab(case="early-policy", points=["fix"])
def test_in_a_guest(guest):
    assert guest.ktap("told.c").word == "fail"

@pytest.mark.lab(case="early-policy", points=["end"])
def test_where_there_is_no_guest(guest):
    pass
"""


def test_programs_are_subtests_and_a_kernel_that_dies_gives_no_guest(inside: pytest.Pytester) -> None:
    inside.makepyfile(SEEN)
    (inside.path / "told.c").write_text(PROGRAM)
    result = inside.runpytest_subprocess("-p", "no:cacheprovider", "-vv", "-rA", timeout=300)
    shown = result.stdout.str()
    for line in (
        "::test_of_a_boot[early-policy-fix] SUBPASSED[told: suite > first]",
        "SUBSKIPPED[told: suite > second]",
        "SUBPASSED[told: it is told two words]",
        "SUBXFAIL[told: later]",
        "SUBFAILED[told: it is told nothing]",
    ):
        assert line in shown, shown
    result.stdout.fnmatch_lines(
        ["* ERROR at setup of test_where_there_is_no_guest*", "early-policy-end: kernel BUG in policy_zonelist*"]
    )
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["errors"]) == (2, 1)


WORKERS = """
import pytest
@pytest.mark.lab(case="early-policy", points=["fix"])
@pytest.mark.parametrize("number", range(3))
def test_boots(lab_boot, number):
    assert not lab_boot.findings
"""


def test_workers_share_kernels_and_the_places_for_guests(inside: pytest.Pytester) -> None:
    inside.makepyfile(WORKERS)
    result = inside.runpytest_subprocess("-p", "no:cacheprovider", "-n2", "--lab-boots=1", timeout=300)
    result.assert_outcomes(passed=3)


@pytest.mark.lab(case="early-policy", points=["end"])
def test_what_is_known_of_a_boot(lab_boot: Booted) -> None:
    assert lab_boot.console.is_file()
    assert "kernel BUG at mm/mempolicy.c:" in lab_boot.text
    assert lab_boot.kernel.image.is_file()
    assert lab_boot.outcome == "died"
    assert os.fspath(lab_boot.boot.folder) in os.fspath(lab_boot.console)
