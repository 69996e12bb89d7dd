"""A Slurm of a test's own on this machine: munged, slurmctld and slurmd, all this user's, in a folder that is gone
afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .conftest import free_port, user, wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2
KillWait=5
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=64 RealMemory=200000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Slurm:
    """Where it is, and what runs."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What makes Slurm's commands speak with it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self, *argv: str) -> None:
        """Start a daemon in the foreground."""
        env = {**os.environ, **self.environment}
        with (self.folder / f"{Path(argv[0]).name}.said").open("wb") as log:
            self.processes.append(subprocess.Popen(argv, env=env, stdout=log, stderr=log, process_group=0))

    def run(self, *argv: str) -> str:
        """What one of Slurm's commands prints."""
        env = {**os.environ, **self.environment}
        return subprocess.run(argv, env=env, check=False, capture_output=True, text=True, timeout=60).stdout

    def jobs(self) -> list[str]:
        """The jobs that are there, each with its state."""
        return self.run("squeue", "--noheader", "--format=%i %T").splitlines()

    def said(self) -> str:
        """The logs, for a test that failed."""
        files = [*self.folder.glob("*.log"), *self.folder.glob("*.said")]
        return "\n".join(f"{file.name}:\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def tool(name: str) -> str:
    """Where a daemon is; skips the test where it is not."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install slurm-wlm munge")
    return found


@contextmanager
def slurm_site() -> Iterator[Slurm]:
    """A Slurm that takes jobs. Its folder is a short one: a socket's path has at most 108 bytes."""
    munged, slurmctld, slurmd = map(tool, DAEMONS)
    folder = Path(tempfile.mkdtemp(prefix="lab-slurm-"))
    one = Slurm(folder)
    host = os.uname().nodename.partition(".")[0]
    try:
        (folder / "key").touch(0o600)
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "state").mkdir()
        ports = {"ctld_port": free_port(), "node_port": free_port()}
        (folder / "slurm.conf").write_text(CONFIG.format(folder=folder, host=host, user=user(), **ports))
        munge = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file")]
        one.start(munged, "--foreground", "--force", *munge, f"--seed-file={folder}/seed", f"--key-file={folder}/key")
        wait_for((folder / "munge.socket").exists)
        one.start(slurmctld, "-D", "-i")
        one.start(slurmd, "-D", "-N", host)
        wait_for(lambda: "idle" in one.run("sinfo", "--noheader", "--format=%T"), 120)
        yield one
    except AssertionError:
        print(one.said())
        raise
    finally:
        one.run("scancel", "--user", user(), "--signal=KILL")
        for process in reversed(one.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)
