"""Being a worker of a cluster: what this machine has, told to the scheduler as Dask's resources.

``python -m lab.remote.worker`` is how one is started over SSH: the certificates come on its standard input, and it ends
with all it started when that input ends, so that no connection leaves a worker behind. A worker of Dask's ends when it
has not heard of its scheduler for half a minute; SSH bears longer silence, and then there is another one.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lab.paths import Paths, user_paths
from lab.remote.tuning import NO_DASHBOARD_WORDS, environment

TLS_BYTES = 64 << 10
DEATH_SECONDS = 300.0
"""So long a worker looks for its scheduler before it gives up."""

AGAIN = "lab: the worker of "
"""So the line begins that tells of a worker which ended and is started again."""

PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
END_SECONDS = 10.0


class Certificates(msgspec.Struct, frozen=True):
    """What a worker and the scheduler know each other by, each in PEM."""

    ca: str
    cert: str
    key: str


def toolchain_resource(identity: str) -> str:
    """The resource of all who build with the same compiler and binutils: their kernels are the same."""
    return f"toolchain-{identity[:16]}"


def guest_resource(arch: str) -> str:
    """The resource of all who can run guests of that architecture, if only by emulating them."""
    return f"guest-{arch}"


def resources(paths: Paths, boards: Sequence[str] = ()) -> dict[str, float]:
    """What this machine has: its architecture, cores, free memory in GB, the compilers it builds with, the
    architectures whose guests it runs, a KVM that was proven, and the boards that hang on it."""
    from lab.arch import arches
    from lab.errors import LabError
    from lab.guest.machine import available_memory
    from lab.kernel.toolchain import detect_toolchain
    from lab.settings import load_settings

    found: dict[str, float] = {os.uname().machine: 1, "cores": float(len(os.sched_getaffinity(0)))}
    found["memory"] = float(min((available_memory() or 0) >> 30, given_memory()))
    for name, arch in arches().items():
        if shutil.which(arch.qemu):
            found[guest_resource(name)] = 1
    for compiler, name in compilers(load_settings(paths.config_file).cc or None):
        with contextlib.suppress(LabError):
            found[toolchain_resource(detect_toolchain(compiler, name).identity)] = 1
    if proven_kvm(paths):
        found["kvm"] = 1
    return found | {f"board-{board}": 1 for board in boards}


def given_memory(environ: Mapping[str, str] = os.environ) -> float:
    """The memory in GB that a job of Slurm was given (sbatch(1), ``SLURM_MEM_PER_NODE``, in MB); without end where this
    is none, or it was given all."""
    said = environ.get("SLURM_MEM_PER_NODE", "")
    return int(said) >> 10 if said.isdecimal() and int(said) else float("inf")


def compilers(chosen: str | None) -> list[tuple[str | None, str]]:
    """The compilers that may be here, each with the architecture that it is for: the usual one of each architecture,
    ``chosen`` by the settings, and gcc of every version that has its own name."""
    from lab.arch import arches, host

    usual: list[tuple[str | None, str]] = [(None, name) for name in arches()]
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    names = {path.name for folder in folders for path in folder.glob("gcc-[0-9]*") if path.name[4:].isdecimal()}
    return [*usual, *((name, host()) for name in sorted({*names, *filter(None, [chosen])}))]


def shared(found: Mapping[str, float], count: int) -> dict[str, float]:
    """What each of ``count`` workers on the same machine may take of ``found``."""
    part = {name: float(int(found[name] // count)) for name in ("cores", "memory") if name in found}
    return {**found, **{name: max(amount, 1.0) for name, amount in part.items()}}


def proven_kvm(paths: Paths) -> bool:
    """Whether a real kernel ran under KVM here."""
    from lab.guest.accel import describe

    return describe(paths).startswith("KVM")


def command(address: str, found: Mapping[str, float], count: int = 1, more: Sequence[str] = ()) -> list[str]:
    """The command that is ``count`` workers of the scheduler at ``address``: one piece of work at a time each."""
    argv = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--nworkers", str(count)]
    argv += [*NO_DASHBOARD_WORDS, "--memory-limit", "0", "--death-timeout", f"{DEATH_SECONDS:g}", *more]
    return [*argv, "--resources", told(shared(found, count))]


def told(found: Mapping[str, float]) -> str:
    """Resources as Dask's command line has them."""
    return " ".join(f"{name}={amount:g}" for name, amount in sorted(found.items()))


def stay(address: str, paths: Paths, *, count: int = 1, boards: Sequence[str] = (), more: Sequence[str] = ()) -> None:
    """Be ``count`` workers until this process is ended. Dask's workers end when their scheduler goes; here they are
    started again, and wait until it is back. They end with this process, however that ends."""
    from lab.process import die_with_parent

    pause = PAUSE_SECONDS
    while True:
        began = time.monotonic()
        child = subprocess.Popen(
            command(address, resources(paths, boards), count, more),
            stdin=subprocess.DEVNULL,
            env=environment(),
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one thread, and nothing of Dask's here
        )
        try:
            status = child.wait()
        except BaseException:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(END_SECONDS)
            child.kill()
            raise
        if time.monotonic() - began > DEATH_SECONDS / 2:
            pause = PAUSE_SECONDS
        print(f"{AGAIN}{address} ended ({status}); again in {pause:g} s", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def written(certificates: Certificates, folder: Path) -> list[str]:
    """The certificates as files in ``folder``, which nobody else can read; the words that tell Dask's commands so."""
    words = []
    for name, text in (("ca-file", certificates.ca), ("cert", certificates.cert), ("key", certificates.key)):
        path = folder / f"{name}.pem"
        path.touch(0o600)
        path.write_text(text)
        words += [f"--tls-{name}", str(path)]
    return words


def main() -> None:
    """Be a worker of the scheduler in the first argument until standard input ends."""
    from lab.process import die_with_parent

    address = sys.argv[1]
    data = sys.stdin.buffer.readline(TLS_BYTES)
    certificates = msgspec.json.decode(data, type=Certificates)
    with tempfile.TemporaryDirectory(prefix="lab-worker-") as folder:
        words = [*written(certificates, Path(folder)), "--local-directory", folder]
        pause = PAUSE_SECONDS
        while True:
            began = time.monotonic()
            argv = command(address, resources(user_paths()), more=words)
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                env=environment(),
                process_group=0,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one thread, and nothing of Dask's here
            )
            try:
                ended = attend(child)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if time.monotonic() - began > DEATH_SECONDS / 2:
                pause = PAUSE_SECONDS
            if ended:
                return
            print(f"{AGAIN}{address} ended ({child.returncode}); again in {pause:g} s", file=sys.stderr, flush=True)
            if input_ends(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def attend(child: subprocess.Popen[bytes]) -> bool:
    """Wait for the end of the input or of the worker, whichever comes first; whether it was the input's."""
    pidfd = os.pidfd_open(child.pid)
    try:
        while True:
            ready = select.select([0, pidfd], [], [])[0]
            if 0 in ready and not os.read(0, 4096):
                return True
            if pidfd in ready:
                return False
    finally:
        os.close(pidfd)


def input_ends(seconds: float) -> bool:
    """Whether standard input ends within ``seconds``."""
    limit = time.monotonic() + seconds
    while select.select([0], [], [], max(0.0, limit - time.monotonic()))[0]:
        if not os.read(0, 4096):
            return True
    return False


if __name__ == "__main__":
    main()
