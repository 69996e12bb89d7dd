"""What starts a night: systemd, cron and two forges, each checked as far as can be done here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parents[1] / "ci"
UNITS = sorted((CI / "systemd").iterdir())


def test_systemd_takes_the_units(tmp_path, tmp_path_factory):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    runtime = tmp_path_factory.getbasetemp().parent / "run"  # short: other units' sockets are to be in it
    runtime.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    argv = ["systemd-analyze", "verify", "--user", "--man=no", *map(str, UNITS)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    bad = tmp_path / "bad.service"
    bad.write_text(UNITS[0].read_text().replace("Type=oneshot", "Type=nonsense\nExecStat=x"))
    argv = ["systemd-analyze", "verify", "--user", "--man=no", str(bad)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr, "what is wrong is seen"


def test_the_timer_starts_the_service_there_is():
    assert [path.stem for path in UNITS] == ["kernel-boot-lab-nightly"] * 2


def test_the_cron_line_is_one():
    lines = [line for line in (CI / "nightly.cron").read_text().splitlines() if line and line[0] not in "#M"]
    (line,) = lines
    assert re.fullmatch(r"(\S+ ){5}cd .*", line)
    assert "%" not in line, "cron takes a percent sign for a line end"
    shell = line.split(" ", 5)[5]
    subprocess.run(["sh", "-n", "-c", shell], check=True, timeout=10)


@pytest.mark.parametrize("name", ["github-nightly.yml", "gitlab-nightly.yml"])
def test_a_workflow_runs_what_there_is_and_keeps_what_the_next_night_needs(name):
    text = (CI / "workflows" / name).read_text()
    assert "\t" not in text
    for command in re.findall(r"(?:- |run: )(ci/\w+)", text):
        assert os.access(CI.parent / command, os.X_OK), command
    for needed in ("lab/data", "lab/cache/kernels", "lab/cache/ccache", "lab/reports", "ci/nightly.toml"):
        assert needed in text


def test_the_night_is_a_shell_script():
    subprocess.run(["sh", "-n", CI / "nightly"], check=True, timeout=10)
