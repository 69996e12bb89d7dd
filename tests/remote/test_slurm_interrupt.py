"""Ctrl-C with Slurm's library loaded."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="the extra 'slurm' is not installed"),
]

CALL = """
import os, pathlib, signal, sys
from lab.errors import InfrastructureError
from lab.paths import user_paths
from lab.remote.slurm import jobs_as_workers
os.environ["PATH"] = ""
try:
    with jobs_as_workers(1, user_paths(), lambda *_: None):
        pass
except InfrastructureError as error:
    assert "sbatch" in str(error), error
assert "dask_jobqueue" in sys.modules
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def test_ctrl_c_is_no_plain_exit_where_slurm_is_asked_for():
    """A night that is broken off must not end with 0."""
    done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
