"""Being a worker of a cluster: what this machine has, told to the scheduler as Dask's resources.

``python -m lab.remote.worker`` is how one is started over SSH: the certificates come on its standard input, and it ends
with all it started when that input ends, so that no connection leaves a worker behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lab.paths import Paths, user_paths

TLS_BYTES = 64 << 10


class Certificates(msgspec.Struct, frozen=True):
    """What a worker and the scheduler know each other by, each in PEM."""

    ca: str
    cert: str
    key: str


def toolchain_resource(identity: str) -> str:
    """The resource of all who build with the same compiler and binutils: their kernels are the same."""
    return f"toolchain-{identity[:16]}"


def resources(paths: Paths) -> dict[str, float]:
    """What this machine has: its architecture, toolchain, cores, free memory in GB, and a KVM that was proven."""
    from lab.errors import LabError
    from lab.guest.machine import available_memory
    from lab.kernel.toolchain import detect_toolchain
    from lab.settings import load_settings

    found: dict[str, float] = {os.uname().machine: 1, "cores": float(len(os.sched_getaffinity(0)))}
    found["memory"] = float((available_memory() or 0) >> 30)
    with contextlib.suppress(LabError):
        tools = detect_toolchain(load_settings(paths.config_file).cc or None)
        found[toolchain_resource(tools.identity)] = 1
    if proven_kvm(paths):
        found["kvm"] = 1
    return found


def proven_kvm(paths: Paths) -> bool:
    """Whether a real kernel ran under KVM here."""
    from lab.guest.accel import describe

    return describe(paths).startswith("KVM")


def command(address: str, found: Mapping[str, float], count: int = 1, tls: Sequence[str] = ()) -> list[str]:
    """The command that is a worker of the scheduler at ``address``: one probe at a time each."""
    argv = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--nworkers", str(count)]
    argv += ["--no-dashboard", "--memory-limit", "0", "--death-timeout", "300", *tls]
    return [*argv, "--resources", " ".join(f"{name}={amount:g}" for name, amount in sorted(found.items()))]


def main() -> None:
    """Be a worker of the scheduler in the first argument until standard input ends."""
    address = sys.argv[1]
    data = sys.stdin.buffer.readline(TLS_BYTES)
    certificates = msgspec.json.decode(data, type=Certificates)
    with tempfile.TemporaryDirectory(prefix="lab-worker-") as folder:
        tls = []
        for name, text in (("ca-file", certificates.ca), ("cert", certificates.cert), ("key", certificates.key)):
            path = Path(folder) / f"{name}.pem"
            path.touch(0o600)
            path.write_text(text)
            tls += [f"--tls-{name}", str(path)]
        tls += ["--local-directory", folder]
        child = subprocess.Popen(
            command(address, resources(user_paths()), tls=tls), stdin=subprocess.DEVNULL, process_group=0
        )
        try:
            attend(child)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def attend(child: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the input or of the worker, whichever comes first."""
    pidfd = os.pidfd_open(child.pid)
    try:
        while True:
            ready = select.select([0, pidfd], [], [])[0]
            if pidfd in ready or not os.read(0, 4096):
                return
    finally:
        os.close(pidfd)


if __name__ == "__main__":
    main()
