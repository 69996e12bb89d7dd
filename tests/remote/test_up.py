"""``lab hosts up`` and ``down`` by a real sshd, and Slurm by a stand-in for ``sbatch`` that runs what it is given."""

import os
import signal
import subprocess
import time

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.errors import InfrastructureError, UserError
from lab.paths import Paths
from lab.remote import stay
from lab.remote.cluster import await_workers, cluster
from lab.remote.spec import parse
from lab.remote.up import all_up, at, down
from lab.remote.worker import Certificates, given_memory

from .conftest import There, libraries_of_here, wait_for

GUEST = "guest-x86_64"


def quiet(*_arguments, **_more):
    """No progress."""


def pgrep(*words):
    return [int(line) for line in subprocess.run(["pgrep", *words], capture_output=True, check=False).stdout.split()]


def test_nothing_is_up_where_nothing_was_started(tmp_path):
    paths = Paths(tmp_path, tmp_path, tmp_path)
    assert all_up(paths) == []
    assert at("tls://192.0.2.7:1", paths) is None
    with pytest.raises(UserError, match="nothing is up on cellar"):
        down(["cellar"], paths, quiet)


def test_what_is_no_token_ends_nothing(tmp_path, monkeypatch, capsys):
    for words in (["end", "../../x"], ["end", "0" * 15], ["begin", "more"], []):
        monkeypatch.setattr("sys.argv", ["stay", *words])
        stay.main()
        assert "not understood" in capsys.readouterr().out


def test_a_scheduler_that_cannot_be_is_told_with_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(stay, "READY_SECONDS", 30.0)
    order = stay.Order("scheduler", "0" * 16, Certificates("", "", ""), "192.0.2.1")
    said = stay.begin(order, Paths(tmp_path, tmp_path, tmp_path))
    assert said.address == ""
    assert "no scheduler came up" in said.problem
    assert not stay.home("0" * 16, Paths(tmp_path, tmp_path, tmp_path)).exists()


@pytest.fixture
def two(ready, tmp_path):
    """Two hosts of one sshd: folders of their own."""
    attic = There(ready.sshd, tmp_path / "attic", ready.here)
    libraries_of_here(attic.folder)
    (attic.folder / "versions").symlink_to(ready.folder / "versions")
    where = f"{os.environ.get('USER', 'root')}@127.0.0.1:{ready.sshd.port}"
    ready.run("hosts", "add", "attic", where, "--folder", str(attic.folder))
    return ready


@pytest.mark.faults
def test_a_cluster_of_two_hosts_stays_comes_back_and_ends(two, tmp_path, monkeypatch):
    started = two.json("hosts", "up", "loop", "attic", seconds=400)
    try:
        assert started["workers"] == 2
        _, said = two.run("hosts", "up", "attic", status=129, seconds=400)
        assert "up already" in said
        paths = Paths(cache=two.here / "cache", data=two.here / "data", config=two.here / "config")
        monkeypatch.setenv("HOME", str(two.sshd.home))
        with cluster(parse(started["address"]), (), paths, quiet) as client:
            assert await_workers(client, GUEST, 2) == 2
            assert client.submit(os.getpid, resources={GUEST: 1}, pure=False).result(60)
            scheduler = next((two.folder / "cache" / "clusters").glob("*/scheduler"))
            supervisor = stay.pid_in(scheduler)
            os.kill(pgrep("-P", str(supervisor))[0], signal.SIGKILL)
            time.sleep(2)
            assert await_workers(client, GUEST, 2) == 2, "it is back on its port, and so are its workers"
        stranger = Paths(cache=tmp_path / "s", data=tmp_path / "s", config=tmp_path / "s")
        with (
            pytest.raises(UserError, match="no certificates for it here"),
            cluster(parse(started["address"]), (), stranger, quiet),
        ):
            pass
    finally:
        ended = two.json("hosts", "down", seconds=400)
    assert ended == {"ended": [started["address"]], "problems": []}
    for folder in (two.folder, tmp_path / "attic"):
        assert list((folder / "cache" / "clusters").glob("*")) == []
    wait_for(lambda: not pgrep("-f", started["address"]))
    two.run("hosts", "down", status=129)


SBATCH = """\
#!/bin/sh
# Runs the job script that it is given, as Slurm would on a node.
cp "$1" {folder}/script
number=$(($(cat {folder}/number 2>/dev/null || echo 0) + 1))
echo $number >{folder}/number
setsid sh "$1" >{folder}/job$number.log 2>&1 </dev/null &
echo $! >{folder}/job$number.pid
sleep 0.5  # the script is removed when this returns
echo "Submitted batch job $number"
"""
SCANCEL = """\
#!/bin/sh
for job; do kill -- -$(cat {folder}/job$job.pid); done
"""


@pytest.mark.faults
def test_jobs_of_slurm_are_workers_and_end_with_the_call(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="the extra 'slurm' is not installed")
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    paths = Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")
    with cluster(parse("slurm:2"), (), paths, quiet) as client:
        assert await_workers(client, GUEST, 2) == 2
        assert client.submit(os.getpid, resources={GUEST: 1}, pure=False).result(60) != os.getpid()
    script = (folder / "script").read_text()
    assert "-m lab.remote.node tls://" in script
    assert "--tls-ca-file" in script
    assert "#SBATCH --cpus-per-task=4" in script
    assert "PRIVATE KEY" not in script
    pids = [int(path.read_text()) for path in folder.glob("job*.pid")]
    wait_for(lambda: not any(alive(pid) for pid in pids), 60)


def alive(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_without_sbatch_there_is_no_slurm(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="the extra 'slurm' is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    paths = Paths(cache=tmp_path, data=tmp_path, config=tmp_path)
    with pytest.raises(InfrastructureError, match="sbatch is not here"), cluster(parse("slurm"), (), paths, quiet):
        pass


def test_a_job_of_slurm_writes_into_the_cache_where_nothing_is_said(tmp_path):
    pytest.importorskip("dask_jobqueue", reason="the extra 'slurm' is not installed")
    import dask

    from lab.remote.slurm import options

    paths = Paths(cache=tmp_path, data=tmp_path, config=tmp_path)
    given = options(None, paths)
    assert {given["log_directory"], given["shared_temp_directory"]} == {str(tmp_path / "slurm")}
    with dask.config.set({"jobqueue.slurm.log-directory": "/logs"}):
        assert options(None, paths)["log_directory"] == "/logs"


@pytest.mark.parametrize(
    ("said", "memory"), [("32768", 32.0), ("1500", 1.0), ("0", float("inf")), ("", float("inf")), ("x", float("inf"))]
)
def test_a_worker_has_the_memory_of_its_job(said, memory):
    assert given_memory({"SLURM_MEM_PER_NODE": said}) == memory


def test_what_a_job_of_slurm_is_asked_for_comes_from_dask_s_configuration(tmp_path):
    pytest.importorskip("dask_jobqueue", reason="the extra 'slurm' is not installed")
    import dask
    from dask_jobqueue.slurm import SLURMJob

    from lab.remote.slurm import options

    paths = Paths(cache=tmp_path, data=tmp_path, config=tmp_path)
    said = {"jobqueue.slurm.cores": 16, "jobqueue.slurm.memory": "32 GiB", "jobqueue.slurm.queue": "debug"}
    with dask.config.set(said):
        given = options(None, paths)
        job = SLURMJob(
            "tls://192.0.2.7:1",
            "w",
            **{name: given[name] for name in ("cores", "memory", "processes", "worker_command")},
        )
        script = job.job_script()
    assert "#SBATCH -p debug" in script
    assert "#SBATCH --cpus-per-task=16" in script
    assert "#SBATCH --mem=32G" in script
    assert "-m lab.remote.node tls://192.0.2.7:1" in script
