"""The project's own 19 patches, really sent with git send-email into a file and answered, come to their verdict.

Kernels with these contents and kconfigs may be in the store already: then nothing is built.
"""

import os
from pathlib import Path

import pytest

from lab.case import load_case
from lab.paths import data_folder, user_paths
from lab.tree.importing.take import take
from tests.importing.sent import AGAIN, write_thread

TREE = Path(os.environ.get("LAB_TREE_37", "/nonexistent"))

pytestmark = [
    pytest.mark.tree37,
    pytest.mark.skipif(not os.environ.get("LAB_TREE_37"), reason="LAB_TREE_37 names no tree"),
    pytest.mark.skipif(not Path("/usr/lib/git-core/git-send-email").exists(), reason="git send-email is not here"),
]


@pytest.fixture(scope="module")
def mbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The thread as the mailbox of who reads the list."""
    path = tmp_path_factory.mktemp("sent") / "thread.mbox"
    write_thread(TREE, path, user_paths())
    return path


@pytest.fixture(scope="module")
def setup():
    from lab.line import Setup
    from lab.progress import silent
    from lab.settings import Settings

    return Setup(paths=user_paths(), settings=Settings(), progress=silent, tree=TREE, accel="tcg")


def test_the_mailbox_is_the_case_that_was_sent(mbox: Path, setup) -> None:
    from lab.line import prepare

    taken = take(str(mbox), setup.paths, {}, tree=TREE)
    assert taken.imported is not None
    chosen = taken.imported.ingested.chosen
    assert [n for n, one in enumerate(chosen.patches, 1) if one.subject.version == 2] == list(AGAIN)
    assert [one.became for one in chosen.mails].count("left out: a reply") == 3
    assert taken.imported.switches == ("BALANCE_NUMA",)
    theirs = prepare(taken.case, setup)
    ours = prepare(load_case("numa-foundation", data_folder("patches")), setup)
    assert [point.tree for point in theirs.tree.points] == [point.tree for point in ours.tree.points]
    assert taken.case.origin is not None, "its builds are shut in"


@pytest.mark.build
@pytest.mark.boot
def test_it_runs_to_the_verdict(mbox: Path, setup) -> None:
    from lab.cli.repro import exit_code
    from lab.line import kernel_of, prepare
    from lab.repro import plan, reproduce

    taken = take(str(mbox), setup.paths, {}, tree=TREE)
    line = prepare(taken.case, setup)
    result = reproduce(line, plan(taken.case, line.fix_end, (), False), setup)
    words = {probe.point.index: probe.verdict.word for probe in result.probes}
    assert words == {0: "good", 19: "bad"}
    finding = next(probe.verdict.finding for probe in result.probes if probe.point.index == 19)
    assert finding is not None
    assert finding.title == "kernel BUG in policy_zonelist"
    assert exit_code(result) == 1
    fixed = reproduce(line, plan(taken.case, line.fix_end, (), True), setup)
    assert [probe.verdict.word for probe in fixed.probes if probe.point.index == line.fix_end] == ["good"]
    ours = prepare(load_case("numa-foundation", data_folder("patches")), setup)
    for index in (0, line.series_end, line.fix_end):
        one, other = (kernel_of(some, some.tree.points[index], setup) for some in (line, ours))
        assert one.key == other.key, "the store has one kernel for both"
