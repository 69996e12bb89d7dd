"""A scheduler or a worker that stays on a host when who started it is gone. ``python -m lab.remote.stay begin`` is
called over SSH by ``lab hosts up``, with what is wanted as a line on standard input; ``… end TOKEN`` by ``lab hosts
down``.

``<cache>/clusters/<token>/<role>/`` holds the certificates, ``log``, ``pid`` and the lock ``alive``, which the process
holds for as long as it lives. A scheduler or worker that dies is started again, the scheduler on the same port.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from lab.files import write_atomic
from lab.paths import Paths, user_paths
from lab.remote.tuning import NO_DASHBOARD_WORDS, environment
from lab.remote.worker import Certificates, stay, written

MARK = "kernel-boot-lab-stays "
ORDER_BYTES = 128 << 10
READY_SECONDS = 90.0
END_SECONDS = 20.0
AGAIN_SECONDS = 1.0
ORDER, ALIVE, PID, LOG, PLACE = "order.json", "alive", "pid", "log", "scheduler.json"
TOKEN = re.compile(r"[0-9a-f]{16}")
Role = Literal["scheduler", "worker"]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to stay: ``address`` is the host's own for a scheduler, and the scheduler's for ``count`` workers."""

    role: Role
    token: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    certificates: Certificates
    address: str
    count: int = 1


class Said(msgspec.Struct, frozen=True):
    """What is told of it: the scheduler's address, or what went wrong."""

    address: str = ""
    problem: str = ""
    ended: int = 0


class Place(msgspec.Struct, frozen=True):
    """Of Dask's scheduler file what is needed."""

    address: str


def main() -> None:
    """Begin, be, or end what stays."""
    paths = user_paths()
    match sys.argv[1:]:
        case ["begin"]:
            said = begin(msgspec.json.decode(sys.stdin.buffer.readline(ORDER_BYTES), type=Order), paths)
        case ["end", token] if TOKEN.fullmatch(token):
            said = Said(ended=end(token, paths))
        case ["be", folder, fd]:
            be(Path(folder), int(fd), paths)
            return
        case words:
            said = Said(problem=f"not understood: {words!r:.80}")
    print(MARK + msgspec.json.encode(said).decode(), flush=True)


def home(token: str, paths: Paths) -> Path:
    """Where the things of one cluster are."""
    return paths.cache / "clusters" / token


def begin(order: Order, paths: Paths) -> Said:
    """Start it in a session of its own, and wait until it is there."""
    folder = home(order.token, paths) / order.role
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return ready(folder, order, None)
    write_atomic(folder / ORDER, msgspec.json.encode(order))
    (folder / ORDER).chmod(0o600)
    (folder / PLACE).unlink(missing_ok=True)
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.remote.stay", "be", str(folder), str(fd)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(fd,),
            start_new_session=True,
        )
    os.close(fd)
    return ready(folder, order, process)


def ready(folder: Path, order: Order, process: subprocess.Popen[bytes] | None) -> Said:
    """Wait for the scheduler's address; a worker will come by itself."""
    if order.role == "worker":
        return Said(order.address)
    limit = time.monotonic() + READY_SECONDS
    while time.monotonic() < limit:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return Said(msgspec.json.decode((folder / PLACE).read_bytes(), type=Place).address)
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.1)
    words = (folder / LOG).read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
    end(order.token, user_paths())
    return Said(problem=f"no scheduler came up: {words[-1][:300] if words else 'it said nothing'}")


def be(folder: Path, fd: int, paths: Paths) -> None:
    """Be it until SIGTERM."""
    os.set_inheritable(fd, False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    write_atomic(folder / PID, f"{os.getpid()}\n")
    order = msgspec.json.decode((folder / ORDER).read_bytes(), type=Order)
    words = written(order.certificates, folder)
    if order.role == "worker":
        stay(order.address, paths, count=order.count, more=[*words, "--local-directory", str(folder)])
    else:
        schedule(order, folder, words)


def schedule(order: Order, folder: Path, words: list[str]) -> None:
    """Be the scheduler; one that died is back on the same port, where its workers and clients look for it."""
    from lab.process import die_with_parent

    argv = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--protocol", "tls", *words]
    argv += [
        *NO_DASHBOARD_WORDS,
        "--host",
        order.address,
        "--port",
        str(free_port(order.address)),
        "--scheduler-file",
        str(folder / PLACE),
    ]
    while True:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            env=environment(),
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )
        try:
            child.wait()
        finally:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(END_SECONDS / 2)
            child.kill()
        time.sleep(AGAIN_SECONDS)


def free_port(host: str) -> int:
    """A port of ``host`` that nobody listens on now."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        return int(one.getsockname()[1])


def end(token: str, paths: Paths) -> int:
    """End what stays of a cluster; how many processes that were."""
    ended = 0
    for role in ("worker", "scheduler"):
        folder = home(token, paths) / role
        limit = time.monotonic() + END_SECONDS
        process = pid_in(folder)
        if process and alive(folder):
            ended += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            while alive(folder) and time.monotonic() < limit:
                time.sleep(0.05)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)  # it leads a session: its children are in its group
    shutil.rmtree(home(token, paths), ignore_errors=True)
    return ended


def alive(folder: Path) -> bool:
    """Whether the process of ``folder`` lives: it holds the lock."""
    try:
        with (folder / ALIVE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def pid_in(folder: Path) -> int:
    """The process of ``folder``; 0 where none said so."""
    with contextlib.suppress(OSError, ValueError):
        return max(0, int((folder / PID).read_text()))
    return 0


if __name__ == "__main__":
    main()
