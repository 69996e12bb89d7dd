"""A worker that somebody else's batch system starts: Dask's own command, with what this machine has as its resources.

``python -m lab.remote.node SCHEDULER …`` takes Dask's options; the lab's stand after them and count.
"""

from __future__ import annotations

import os
import sys

from lab.paths import user_paths
from lab.remote.tuning import NO_DASHBOARD_WORDS, environment
from lab.remote.worker import resources, told


def main() -> None:
    """Become the worker."""
    own = ["--nthreads", "1", "--memory-limit", "0", *NO_DASHBOARD_WORDS]
    own += ["--resources", told(resources(user_paths()))]
    argv = [sys.executable, "-m", "distributed.cli.dask_worker", *sys.argv[1:], *own]
    os.execve(argv[0], argv, environment())  # noqa: S606 - an argument list of ours


if __name__ == "__main__":
    main()
