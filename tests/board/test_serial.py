"""Boards over a serial line that is a pseudo-terminal: power, damage, silence, and what an earlier boot left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.board.environment import read_board
from lab.board.run import Ask, boot
from lab.case import Expect
from lab.errors import InfrastructureError
from lab.guest.types import Boot
from lab.paths import Paths
from lab.progress import silent
from lab.verdict import judge_boot
from tests.board.conftest import OFF, Bench
from tests.board.made import CLEAN, CRASH

pytestmark = pytest.mark.system

BUG = Expect(signature="bug:policy_zonelist")


def run(bench: Bench, environment: Path, paths: Paths, deadline: float = 60.0) -> Boot:
    image, initramfs = bench.folder / "Image", bench.folder / "initramfs"
    for file in (image, initramfs):
        file.write_bytes(b"")
    bench.start()
    board = read_board(environment, dict(os.environ))
    return boot(Ask(board, image, initramfs, "", deadline), paths=paths, progress=silent)


def test_a_clean_boot_on_a_line_that_loses_bytes_is_good(bench: Bench, paths: Paths) -> None:
    bench.rate, bench.seed = 0.002, 3
    bench.before = CRASH.read_bytes()
    result = run(bench, bench.environment(), paths)
    assert judge_boot(result, BUG).word == "good", result
    assert result.report.findings == ()
    assert (result.machine, result.accel, result.nodes) == ("bench", "labgrid", 1)
    assert not bench.powered
    assert result.console.stat().st_size > 5000
    assert json.loads((result.folder / "boot.json").read_bytes())["outcome"] == "userspace"


def test_a_crash_on_a_line_that_loses_bytes_is_bad_with_its_title(bench: Bench, paths: Paths) -> None:
    bench.prints, bench.rate, bench.seed = CRASH, 0.002, 5
    bench.before = bench.first = CLEAN.read_bytes()  # from before, and once more with the power
    result = run(bench, bench.environment(), paths)
    verdict = judge_boot(result, BUG)
    assert verdict.word == "bad", result.detail
    assert "kernel BUG in policy_zonelist" in verdict.reason
    assert result.report.marker is None
    assert not bench.powered


def test_fewer_nodes_than_the_board_has_is_no_good(bench: Bench, paths: Paths) -> None:
    file = bench.environment()
    file.write_text(file.read_text().replace("nodes: 1", "nodes: 2"))
    verdict = judge_boot(run(bench, file, paths))
    assert (verdict.word, verdict.reason) == ("skip", "the guest sees 1 NUMA node(s), the machine has 2")


def test_an_earlier_boot_that_is_told_again_is_no_good_and_no_bad(bench: Bench, paths: Paths) -> None:
    bench.word = "lab.boot=00c0ffee"
    result = run(bench, bench.environment(), paths, deadline=3.0)
    verdict = judge_boot(result)
    assert (verdict.word, result.outcome) == ("skip", "board")
    assert "no kernel with this run's command line" in verdict.reason
    assert not bench.powered


def test_a_console_that_says_nothing_blames_nobody(bench: Bench, paths: Paths) -> None:
    bench.prints = None
    result = run(bench, bench.environment("firmware_seconds: 1.0"), paths, deadline=1.0)
    verdict = judge_boot(result)
    assert (verdict.word, result.outcome) == ("skip", "board")
    assert "the console said nothing within 2 s" in verdict.reason
    assert not bench.powered


def test_a_switch_that_fails_is_told_with_its_words(bench: Bench, paths: Paths) -> None:
    broken = "echo the relay is stuck >&2; exit 7"
    with pytest.raises(InfrastructureError) as caught:
        run(bench, bench.environment(on=broken), paths)
    assert "board bench: " in caught.value.message
    assert "exit status 7" in caught.value.message
    assert "the relay is stuck" in caught.value.message


def test_power_that_cannot_be_cut_is_told_beside_the_verdict(
    bench: Bench, paths: Paths, capfd: pytest.CaptureFixture[str]
) -> None:
    once = f"test -e {{folder}}/on && exit 3; {OFF}"  # works before, and not after
    result = run(bench, bench.environment(off=once), paths)
    assert result.outcome == "userspace"
    assert any("power could not be cut" in note for note in result.notes)
    assert "its power could not be cut" in capfd.readouterr().err


def test_a_console_that_goes_on_without_power_is_refused(bench: Bench, paths: Paths) -> None:
    keeps_on = "echo lab.boot=0 >{folder}/on"
    with pytest.raises(InfrastructureError, match="console goes on with the power cut"):
        run(bench, bench.environment(off=keeps_on), paths)


def test_a_line_that_is_unplugged_is_a_skip(bench: Bench, paths: Paths) -> None:
    bench.prints, bench.hang_up = None, True
    bench.first = b"U-Boot 2024.01\r\n"
    result = run(bench, bench.environment(), paths)
    assert (judge_boot(result).word, result.outcome) == ("skip", "board")
    assert "console or drivers failed" in result.detail
    assert not bench.powered


@pytest.mark.parametrize(("sig", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_power_is_cut_when_the_lab_is_ended(bench: Bench, paths: Paths, sig: int, status: int) -> None:
    bench.prints = None
    file = bench.environment()
    image = bench.folder / "bzImage"
    image.write_bytes(b"")
    environment = {**os.environ, "LAB_CACHE": str(paths.cache), "LAB_CONFIG": str(paths.config)}
    argv = [sys.executable, "-m", "lab", "boot", "--kernel", str(image), "--board", str(file)]
    bench.start()
    lab = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: bench.powered or lab.poll() is not None)
    assert lab.poll() is None, lab.communicate()
    lab.send_signal(sig)
    _, said = lab.communicate(timeout=300)
    assert lab.returncode == status, said
    wait_for(lambda: not bench.powered)
    wait_for(lambda: not keepers(bench.folder))


def keepers(folder: Path) -> list[str]:
    """Processes that work for this test's board."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "cwd").readlink()).startswith(str(folder)):
                found.append(process.name)
        except OSError:
            continue
    return found


def wait_for(condition, seconds: float = 300) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.02)
