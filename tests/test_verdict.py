"""Good needs proof from user space; only the bug that is looked for is bad; the rest is a skip with its reason."""

from pathlib import Path

import pytest

from lab.case import Expect
from lab.console.types import Finding, Marker, Report, Stage
from lab.guest.types import Boot
from lab.kernel.types import BuildFailure
from lab.verdict import EXIT_CODES, judge_boot, judge_build, judge_report

POLICY = Finding("bug", "kernel BUG in policy_zonelist", "bug:policy_zonelist", "policy_zonelist", 7, 40, fatal=True)
OTHER = Finding("oops", "general protection fault in foo", "oops:foo", "foo", 7, 40, fatal=True)
WARN = Finding("warning", "WARNING in bar", "warning:bar", "bar", 3, 9, fatal=False)
LOCKDEP = Finding("lockdep", "possible deadlock in baz", "lockdep:baz", "baz", 3, 9, fatal=False)
LOOKED_FOR = Expect(signature="bug:policy_zonelist")


def report(*findings, nodes="2"):
    marker = Marker(50, (("nodes", nodes),)) if nodes else None
    return Report(findings=findings, stages=(Stage("early", 1),), marker=marker)


def boot(outcome, report, detail="what ended it", nodes=2):
    return Boot(
        outcome, detail, report, "two-nodes", nodes, "tcg", (), folder=Path(), console=Path("console"), seconds=1.0
    )


def test_good_needs_the_marker_and_every_node():
    assert judge_boot(boot("userspace", report())).word == "good"
    few = judge_boot(boot("userspace", report(nodes="1")))
    assert few.word == "skip"
    assert "sees 1 NUMA node(s), the machine has 2" in few.reason


def test_the_absence_of_a_crash_is_never_good():
    for outcome in ("died", "hang", "qemu", "accelerator", "interrupted"):
        for expect in (Expect(), LOOKED_FOR):
            assert judge_boot(boot(outcome, report(nodes="")), expect).word != "good"
    assert judge_report(report(nodes="")).word == "skip"


def test_the_bug_that_is_looked_for_is_bad():
    verdict = judge_boot(boot("died", report(POLICY, nodes="")), LOOKED_FOR)
    assert (verdict.word, verdict.finding, verdict.exit_code) == ("bad", POLICY, 1)


def test_the_bug_is_bad_also_when_user_space_came_up_after_it():
    assert judge_boot(boot("userspace", report(POLICY)), LOOKED_FOR).word == "bad"


def test_another_bug_is_a_skip_when_one_is_looked_for_and_bad_otherwise():
    died = boot("died", report(OTHER, nodes=""))
    assert judge_boot(died, LOOKED_FOR).word == "skip"
    assert "another bug" in judge_boot(died, LOOKED_FOR).reason
    assert judge_boot(died).word == "bad"


def test_another_bug_is_known_by_an_alternative_title():
    renamed = Finding("bug", "kernel BUG in x", "bug:x", "x", 1, 2, fatal=True, alternatives=("kernel BUG in y",))
    assert judge_report(report(renamed, nodes=""), Expect(title="kernel BUG in y")).word == "bad"


def test_a_warning_does_not_make_a_boot_bad_but_a_lockdep_report_does():
    healthy = judge_report(report(WARN))
    assert healthy.word == "good"
    assert "WARNING in bar" in healthy.reason
    assert judge_report(report(LOCKDEP)).word == "bad"


@pytest.mark.parametrize("outcome", ["accelerator", "qemu", "interrupted"])
def test_faults_of_the_world_are_never_blamed_on_the_kernel(outcome):
    verdict = judge_boot(boot(outcome, report(OTHER, nodes=""), detail="KVM internal error"))
    assert (verdict.word, verdict.reason) == ("skip", "KVM internal error")


def test_a_hang_is_bad_on_its_own_but_not_the_crash_that_is_looked_for():
    hang = boot("hang", report(nodes=""), detail="no marker within 60 s")
    assert judge_boot(hang).word == "bad"
    assert judge_boot(hang, LOOKED_FOR).word == "skip"


def test_a_point_that_does_not_build_says_nothing():
    failure = BuildFailure("key", "implicit declaration of function", "mm/huge.c", 12, Path("log"), 3.0)
    verdict = judge_build(failure)
    assert (verdict.word, verdict.exit_code) == ("skip", 125)
    assert verdict.reason == "does not build: mm/huge.c:12: implicit declaration of function"


def test_the_exit_codes_are_those_of_git_bisect_run():
    assert EXIT_CODES == {"good": 0, "bad": 1, "skip": 125}
