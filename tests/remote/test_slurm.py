"""A real Slurm's jobs as the workers of a cluster: the section of docs/many-machines.md, typed."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("dask_jobqueue") is None:  # importing it would change what Ctrl-C does to pytest
    pytest.skip("the extra 'slurm' is not installed", allow_module_level=True)

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.paths import Paths
from lab.remote.cluster import await_workers, cluster, known
from lab.remote.spec import parse

from .conftest import SIX_CELLS, stock, user, wait_for, words_of
from .site import site
from .slurm_site import slurm_site

pytestmark = [pytest.mark.faults, pytest.mark.build, pytest.mark.boot]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def slurm():
    with slurm_site() as one:
        yield one


class Person:
    """Someone at a machine from which that Slurm takes jobs, with folders of their own and the configuration that the
    docs show, but for the network's name."""

    def __init__(self, folder, slurm=None):
        self.folder, self.slurm = folder, slurm
        stock(folder / "cache", ("bases", "kernels", "kconfigs", "objects", "ccache"))
        own = {f"LAB_{name.upper()}": str(folder / name) for name in ("cache", "data", "config")}
        base = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "DASK_"))}
        more = slurm.environment if slurm else {}
        self.environment = {**base, **own, "HOME": str(folder), "PYTHONPATH": str(ROOT), **more}
        text = (ROOT / "docs" / "many-machines.md").read_text()
        (shown,) = re.findall(r"```yaml\n(jobqueue:.*?)```", text, re.DOTALL)
        said = shown.replace("ib0", "lo").replace("/shared/home/me/.cache/lab", str(folder / "shared"))
        assert said.count("lo\n") == 1, shown
        (folder / ".config" / "dask").mkdir(parents=True)
        (folder / ".config" / "dask" / "jobqueue.yaml").write_text(said)

    def start(self, *words):
        argv = [sys.executable, "-m", "lab", *words, "--json"]
        return subprocess.Popen(
            argv, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        )

    def asked(self, *words, seconds=3000):
        call = self.start(*words)
        out, said = call.communicate(timeout=seconds)
        assert call.returncode == 0, said
        return json.loads(out), said

    def boots(self):
        return list((self.folder / "cache" / "boots").glob("*-*-*"))


def test_a_matrix_by_jobs_of_slurm(slurm, tmp_path):
    file = tmp_path / "six.toml"
    file.write_text(SIX_CELLS)
    far, _ = Person(tmp_path / "far", slurm).asked("matrix", "run", str(file), "--cluster", "slurm:2")
    wait_for(lambda: not slurm.jobs(), 60)
    own, _ = Person(tmp_path / "own").asked("matrix", "run", str(file))
    assert words_of(far) == words_of(own)
    assert len(far["results"]) == len(words_of(far)) == 6
    assert len({attempt["where"] for one in far["results"] for attempt in one["attempts"]}) == 2, "both jobs worked"


def test_a_bisect_one_of_whose_jobs_is_cancelled_in_the_middle(slurm, tmp_path):
    """Another job takes its place."""
    person = Person(tmp_path / "far", slurm)
    call = person.start("bisect", "early-policy", "--cluster", "slurm:2")
    wait_for(lambda: call.poll() is not None or person.boots(), 1200)
    assert call.poll() is None, call.communicate()
    asked = {line.split()[0] for line in slurm.jobs()}
    slurm.run("scancel", min(asked, key=int))
    wait_for(lambda: call.poll() is not None or {line.split()[0] for line in slurm.jobs()} - asked, 120)
    out, said = call.communicate(timeout=3000)
    assert call.returncode == 0, said
    found = json.loads(out)
    assert found["first_bad"]["index"] == 6
    assert all(check["holds"] for check in found["proof"])
    (journal,) = (person.folder / "cache" / "bisects").glob("*.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    builds = Counter(event["point"] for event in events if event["event"] == "build")
    assert set(builds.values()) == {1}, "nothing is counted twice"
    wait_for(lambda: not slurm.jobs(), 60)


def test_a_queue_s_machines_serve_a_scheduler_that_is_there(slurm, tmp_path):
    """``sbatch --array``, as the docs have it."""
    person = Person(tmp_path / "far", slurm)
    with site(tmp_path / "site", workers=0) as there:
        wrapped = f"{sys.executable} -m lab hosts worker {there.address}"
        argv = ["sbatch", "--array=1-2", "--cpus-per-task=16", "--mem=3G", "--wrap", wrapped]
        subprocess.run(argv, env=person.environment, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        paths = Paths(tmp_path, tmp_path, tmp_path)
        with cluster(parse(there.address), (), paths, lambda *_, **__: None) as client:
            assert await_workers(client, "guest-x86_64", 2, 300.0) == 2
            assert [one["memory"] for one in known(client)] == [3.0, 3.0]
        slurm.run("scancel", "--user", user())
        wait_for(lambda: not slurm.jobs(), 60)
