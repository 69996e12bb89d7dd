"""The pytest plugin as somebody sees it who runs pytest: ids, what a failure prints, skips, options, reports."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.console.ktap import read
from lab.errors import InfrastructureError, UserError
from lab.kernel.types import BuildFailure

pytestmark = pytest.mark.system

if TYPE_CHECKING:
    from conftest import StandIn

pytest_plugins = ["pytester"]

PLAIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:xdist")
HEADER = "import pytest\n"
REACHES = """
import pytest
@pytest.mark.lab(case="early-policy", points=["base", "end"], machines=["far"])
def test_boots(lab_boot):
    assert lab_boot.reached("userspace")
"""
NO_FINDINGS = """
import pytest
@pytest.mark.lab(case="early-policy")
def test_boots(lab_boot):
    assert not lab_boot.findings
"""


def run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    """Run pytest on one file with that text."""
    pytester.makepyfile(text)
    return pytester.runpytest_inprocess(*PLAIN, *options)


def test_ids_are_readable_and_passes_are_quiet(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in()
    result = run(pytester, REACHES, "-v")
    result.stdout.fnmatch_lines(["*::test_boots[[]early-policy-base-far] PASSED*", "*[[]early-policy-end-far] FAILED*"])
    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    "text", [REACHES, NO_FINDINGS, NO_FINDINGS.replace("not lab_boot.findings", "[] == lab_boot.findings")]
)
def test_a_failed_assertion_prints_the_finding_decoded(pytester: pytest.Pytester, stand_in: StandIn, text: str) -> None:
    stand_in()
    result = run(pytester, text)
    result.stdout.fnmatch_lines(
        [
            "E *kernel BUG in policy_zonelist*",
            "E *at mm/mempolicy.c:1927, lines 84 to 110 of the console, 0.000000 s",
            "E *call trace:",
            "E *policy_zonelist+0xae/0xb0",
            "E *mem_init+0x157/0x19e",
            "E *registers: RSP ffffffff81a03e40  EFLAGS 00000093  RAX 0000000000000000*",
            "E *+0x0: ud2 <-- trapping instruction",
            "E *console: */early-policy-6.1.txt",
            "-* lab console of early-policy-end* -*",
            "*kernel BUG at ../wt/mm/mempolicy.c:1927!",
        ]
    )


def test_findings_that_are_compared_are_listed(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in()
    result = run(pytester, NO_FINDINGS.replace("not lab_boot.findings", "lab_boot.findings == []"))
    result.stdout.fnmatch_lines(["E *kernel BUG in policy_zonelist  [[]bug:policy_zonelist], line 84"])


def test_how_much_console_is_shown_is_an_option(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in()
    assert "lab console" not in run(pytester, NO_FINDINGS, "--lab-console", "0").stdout.str()
    assert "lab console" not in run(pytester, NO_FINDINGS, "--show-capture=no").stdout.str()
    pytester.makeini("[pytest]\nlab_console = 8\n")
    assert "… 34 line(s) after" in run(pytester, NO_FINDINGS).stdout.str()


def test_escapes_of_a_guest_never_reach_the_terminal(
    pytester: pytest.Pytester, stand_in: StandIn, tmp_path: Path
) -> None:
    log = tmp_path / "evil.log"
    log.write_bytes(b"\x1b[31mKernel panic - not syncing: \x1b]0;owned\x07 \x9b2J\r\n")
    stand_in(console=log, outcome="died")
    shown = run(pytester, REACHES).stdout.str()
    assert "\x1b]0" not in shown
    assert "\\x1b]0;owned\\x07" in shown


def test_another_failure_of_a_test_tells_of_its_boot_as_well(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in()
    result = run(
        pytester, NO_FINDINGS.replace("assert not lab_boot.findings", "pytest.fail('no reason', pytrace=False)")
    )
    result.stdout.fnmatch_lines(["no reason", "*kernel BUG in policy_zonelist"])


def test_what_is_missing_here_is_a_skip_with_its_reason_and_under_strict_a_failure(
    pytester: pytest.Pytester, stand_in: StandIn
) -> None:
    stand_in(raised=InfrastructureError("qemu-system-x86_64: cannot be run", hint="sudo apt-get install qemu"))
    result = run(pytester, NO_FINDINGS, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*lab: qemu-system-x86_64: cannot be run (sudo apt-get install qemu)"])
    strict = run(pytester, NO_FINDINGS, "--lab-strict")
    strict.assert_outcomes(errors=1)
    strict.stdout.fnmatch_lines(["lab: qemu-system-x86_64: cannot be run (sudo apt-get install qemu)"])
    pytester.makeini("[pytest]\nlab_strict = true\n")
    run(pytester, NO_FINDINGS).assert_outcomes(errors=1)


@pytest.mark.parametrize("outcome", ["accelerator", "qemu"])
def test_a_boot_that_the_world_broke_is_no_result(pytester: pytest.Pytester, stand_in: StandIn, outcome: str) -> None:
    stand_in(outcome=outcome)  # type: ignore[arg-type]
    run(pytester, NO_FINDINGS).assert_outcomes(skipped=1)


def test_a_fault_of_the_input_is_one_line(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in(raised=UserError("series.toml: base: no \x1b[31msuch base"))
    result = run(pytester, NO_FINDINGS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["_* ERROR at setup of test_boots* _*", "lab: series.toml: base: no \\x1b[[]31msuch base"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()


def test_a_kernel_that_does_not_build_fails_with_the_compiler_s_error(
    pytester: pytest.Pytester, stand_in: StandIn
) -> None:
    stand_in(built=BuildFailure("key", "unknown type name 'this'", "init/broken.h", 1, Path("build.log"), 3.0))
    result = run(pytester, NO_FINDINGS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["early-policy-end does not build: init/broken.h:1: unknown type name 'this'", "log: build.log"]
    )


@pytest.mark.parametrize(
    ("marker", "why"),
    [
        ('case="early-policy", machine="far"', "lab: marker lab: no key 'machine'*"),
        ('case="early-policy", points=["last"]', "lab: marker lab: points: 'last' is neither*"),
        ("", "lab: marker lab: no case*"),
    ],
)
def test_a_wrong_marker_is_one_line(pytester: pytest.Pytester, marker: str, why: str) -> None:
    result = run(pytester, f"{HEADER}@pytest.mark.lab({marker})\ndef test_boots(lab_boot): pass")
    result.stdout.fnmatch_lines([why])
    assert "Traceback" not in result.stdout.str()


def test_a_test_without_a_marker_is_told_what_it_needs(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_boots(lab_boot): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["lab: a test with the lab's fixtures needs a marker: @pytest.mark.lab(case=*"])


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--lab-tree=/no/such/tree", "--lab-tree: '/no/such/tree' is not a folder"),
        ("--lab-tree=early-policy=", "--lab-tree: '' is not a folder"),
        ("--lab-accel=xen", "--lab-accel: 'xen' is not one of auto, kvm, tcg"),
        ("--lab-timeout=soon", "--lab-timeout: 'soon' is not a number from 1 to 86400"),
        ("--lab-timeout=nan", "--lab-timeout: 'nan' is not a number*"),
        ("--lab-boots=0", "--lab-boots: '0' is not a number from 1 to 1024"),
    ],
)
def test_wrong_options_are_one_line_of_usage(pytester: pytest.Pytester, option: str, why: str) -> None:
    result = run(pytester, NO_FINDINGS, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {why}"])


def test_the_report_for_machines_names_the_console(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in()
    run(pytester, NO_FINDINGS, "--junit-xml=report.xml")
    report = ET.parse(pytester.path / "report.xml")  # noqa: S314 - it is pytest's own
    properties = {(one.get("name"), one.get("value")) for one in report.iter("property")}
    named = dict(properties)
    assert str(named["lab_console"]).endswith("early-policy-6.1.txt")
    assert named["lab_boot"] == "early-policy-end"
    assert ("lab_finding", "kernel BUG in policy_zonelist [bug:policy_zonelist]") in properties


PROGRAM = (
    "1..4",
    "  1..1",
    "  not ok 1 - deep",
    "not ok 1 - suite",
    "ok 2 - plain",
    "ok 3 - huge # SKIP none",
    "not ok 4 - later # TODO",
)


def test_results_of_guest_programs_are_subtests(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in(programs=(read("counters", PROGRAM, 0),))
    result = run(pytester, NO_FINDINGS.replace('"early-policy"', '"early-policy", points="base"'), "-vv", "-rA")
    shown = result.stdout.str()
    for line in (
        "SUBFAILED[counters: suite > deep]",
        "SUBFAILED[counters: suite]",
        "SUBPASSED[counters: plain]",
        "SUBSKIPPED[counters: huge]",
        "SUBXFAIL[counters: later]",
    ):
        assert line in shown, shown
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 3, "two subtests and the test that holds them"


def test_without_subtests_they_are_one_failure(pytester: pytest.Pytester, stand_in: StandIn) -> None:
    stand_in(programs=(read("counters", PROGRAM, 0),))
    text = NO_FINDINGS.replace('"early-policy"', '"early-policy", points="base"')
    result = run(pytester, text, "-p", "no:subtests")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["counters: suite > deep: not ok 1 - deep", "counters: suite: not ok 1 - suite"])


def test_a_run_without_tests_of_the_lab_s_imports_nothing_of_it(pytester: pytest.Pytester) -> None:
    program = (
        "import sys, pytest; pytest.main([*sys.argv[1:], '--collect-only']);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('lab', 'msgspec', 'hyperscan', 'jinja2')))"
    )
    argv = [sys.executable, "-c", program, *PLAIN, "test_other.py"]
    pytester.makepyfile(test_other="def test_other(tmp_path): pass")
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert "1 test collected" in done.stdout
    assert done.stdout.splitlines()[-1] == "['lab', 'lab.testing']"
