"""The lines of docs/many-machines.md that bring up a lab of two hosts, typed; the hosts are two folders of one sshd,
which share what was built here before."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from .conftest import SIX_CELLS, There, libraries_of_here, stock, user, words_of

pytestmark = [pytest.mark.faults, pytest.mark.build, pytest.mark.boot]


def test_two_hosts_from_nothing(there, tmp_path):
    cellar, attic = (
        There(there.sshd, tmp_path / "cellar", there.here),
        There(there.sshd, tmp_path / "attic", there.here),
    )
    for host, name in ((cellar, "cellar"), (attic, "attic")):
        libraries_of_here(host.folder)
        stock(host.folder / "cache")
        where = f"{user()}@127.0.0.1:{there.sshd.port}"
        there.run("hosts", "add", name, where, "--folder", str(host.folder))
        assert there.json("hosts", "setup", name, seconds=600)["done"] is True
        there.run("hosts", "check", name, status=None)
    stock(there.here / "cache", ("bases",))  # no kernel is here: all come from there
    assert there.json("repro", "early-policy", "--on", "cellar", seconds=1200)["reproduced"] is True
    found = there.json("bisect", "early-policy", "--no-revert", "--cluster", "ssh:cellar,attic", seconds=1800)
    assert found["first_bad"]["index"] == 6
    assert all(check["holds"] for check in found["proof"])
    file = tmp_path / "six.toml"
    file.write_text(SIX_CELLS)
    night = there.json("matrix", "run", str(file), "--cluster", "ssh:cellar,attic", seconds=1800)
    env = {**os.environ, "LAB_DATA": str(tmp_path / "alone")}
    alone = subprocess.run(
        [sys.executable, "-m", "lab", "matrix", "run", str(file), "--json"],
        env=env,
        capture_output=True,
        check=True,
        timeout=1800,
    )
    assert words_of(night) == words_of(json.loads(alone.stdout))
    assert all(attempt["where"] for one in night["results"] for attempt in one["attempts"])
    consoles = {attempt["console"] for one in night["results"] for attempt in one["attempts"]}
    assert all((there.here / "data" / "consoles" / one[:2] / f"{one}.log.zlib").is_file() for one in consoles)
