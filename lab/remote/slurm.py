"""``--cluster slurm:N``: a scheduler here, and N jobs of Slurm that are a worker each (dask-jobqueue, an extra).

What a job asks Slurm for is in dask-jobqueue's own configuration (``~/.config/dask/jobqueue.yaml``, ``jobqueue.slurm``:
queue, account, walltime, cores, memory, …). A job that ends by its walltime or is preempted is replaced.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import InfrastructureError
from lab.paths import Paths
from lab.progress import Progress
from lab.remote.tuning import NO_DASHBOARD

if TYPE_CHECKING:
    from dask_jobqueue.slurm import SLURMCluster

EXTRA = "pip install 'kernel-boot-lab[slurm]'"
CORES, MEMORY = 4, "8 GiB"
"""What a job gets where the configuration does not say."""

LOOK = "5s"


def options(security: Any, paths: Paths) -> dict[str, Any]:
    """What the cluster is made of, beside what the configuration says. Pure, but for reading that."""
    import dask

    def said(name: str, otherwise: Any) -> Any:
        value = dask.config.get(f"jobqueue.slurm.{name}", None)
        return otherwise if value is None else value

    return {
        "cores": said("cores", CORES),
        "memory": said("memory", MEMORY),
        "processes": 1,
        "worker_command": "lab.remote.node",
        "security": security,
        "protocol": "tls://",
        "log_directory": said("log-directory", str(paths.cache / "slurm")),
        "shared_temp_directory": said("shared-temp-directory", str(paths.cache / "slurm")),
        "scheduler_options": {**NO_DASHBOARD, **said("scheduler-options", {})},
        "name": "lab",
    }


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """What Ctrl-C does stays as it was: importing dask_jobqueue makes it a plain exit, with status 0."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def jobs_as_workers(count: int, paths: Paths, progress: Progress) -> Iterator[tuple[SLURMCluster, Any]]:
    """A scheduler whose workers are ``count`` jobs, and its security. The jobs end with it."""
    try:
        with interrupts_kept():
            from dask_jobqueue.slurm import SLURMCluster
        from distributed.security import Security
    except ImportError:
        raise InfrastructureError("--cluster slurm needs dask-jobqueue, which is not installed", hint=EXTRA) from None
    for tool in ("sbatch", "scancel"):
        if shutil.which(tool) is None:
            raise InfrastructureError(f"{tool} is not here: this is no machine from which Slurm takes jobs")
    from lab.remote.cluster import closed

    security = Security.temporary()
    progress("host", f"{count} job(s) of Slurm")
    wanted = options(security, paths)
    try:
        Path(wanted["shared_temp_directory"]).mkdir(parents=True, exist_ok=True, mode=0o700)
        cluster = SLURMCluster(**wanted)
    except (ValueError, OSError) as error:
        raise InfrastructureError(f"no jobs of Slurm can be made: {str(error).splitlines()[0]}") from None
    try:
        cluster.adapt(minimum=count, maximum=count, interval=LOOK)
        yield cluster, security
    finally:
        closed(cluster)
