"""A real sshd on loopback with keys of its own, in a folder of the test's, and what stands for another machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.paths import user_paths
from lab.process import die_with_parent

pytest.importorskip("fabric", reason="the extra 'remote' is not installed")

SSHD = shutil.which("sshd") or next((path for path in ("/usr/sbin/sshd",) if Path(path).exists()), None)
CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowAgentForwarding yes
X11Forwarding no
PrintMotd no
MaxStartups 100
Subsystem sftp internal-sftp
"""


SIX_CELLS = """\
title = "Six cells"
machines = ["two-nodes", "one-node"]
[[case]]
name = "early-policy"
points = ["base", "end", "fix"]
[[kconfig]]
name = "tiny-numa"
[budget]
retries = 1
"""


def run(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=check, capture_output=True, text=True)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until ``condition`` holds."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.02)


def told(result: dict[str, Any]) -> str:
    """A cell's reason without the number of the console's line, which one boot has more or less than another."""
    return without_lines(result["reason"])


def without_lines(text: str) -> str:
    """``text`` without the numbers of a console's lines."""
    return re.sub(r" \(line \d+\)", "", text)


def words_of(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What each cell of a matrix came to, and why."""
    return {key_of(one["cell"]): (one["word"], told(one)) for one in document["results"]}


def key_of(cell: dict[str, Any]) -> str:
    """What a cell is, in a plan as in a result."""
    return "/".join(cell[name] for name in ("case", "label", "kconfig", "machine", "toolchain"))


@dataclass
class Sshd:
    """The server: where it listens, and the home folder of the one who may log in."""

    folder: Path
    port: int
    home: Path
    process: subprocess.Popen[bytes]

    def sessions(self) -> list[int]:
        """The processes that serve connections."""
        done = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in done.stdout.split()]

    def cut(self) -> None:
        """Break every connection that there is."""
        for session in self.sessions():
            os.kill(session, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A running sshd whose one key is known in ``home``."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here: apt-get install openssh-server openssh-client")
    folder, home = tmp_path_factory.mktemp("sshd"), tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    keygen(folder / "host_key")
    keygen(home / ".ssh" / "id_ed25519")
    shutil.copy(home / ".ssh" / "id_ed25519.pub", folder / "authorized_keys")
    port = free_port()
    (home / ".ssh" / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {' '.join((folder / 'host_key.pub').read_text().split()[:2])}\n"
    )
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        argv = [SSHD, "-D", "-e", "-f", str(folder / "config")]
        process = subprocess.Popen(argv, stdout=log, stderr=log, preexec_fn=die_with_parent())  # noqa: PLW1509
    try:
        wait_for(lambda: b"listening on" in (folder / "log").read_bytes() or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield Sshd(folder, port, home, process)
    finally:
        for session in subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, check=False
        ).stdout.split():
            os.kill(int(session), signal.SIGKILL)
        process.kill()
        process.wait()


def user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@dataclass
class There:
    """A host for the lab: its folder there, and how the lab is called here with folders of its own; ``inside`` comes
    before that command."""

    sshd: Sshd
    folder: Path
    here: Path
    name: str = "loop"
    inside: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "SSH_"))}
        return {
            **env,
            "HOME": str(self.sshd.home),
            "LAB_CACHE": str(self.here / "cache"),
            "LAB_CONFIG": str(self.here / "config"),
            "LAB_DATA": str(self.here / "data"),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [*self.inside, sys.executable, "-m", "lab", *arguments]
        return subprocess.Popen(
            argv,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509
        )

    def run(self, *arguments: str, status: int | None = 0, seconds: float = 120) -> tuple[str, str]:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            process.terminate()
            process.wait(30)
            raise
        assert status is None or process.returncode == status, out + err
        return out, err

    def json(self, *arguments: str, status: int | None = 0, seconds: float = 120) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run(*arguments, "--json", status=status, seconds=seconds)[0])
        return document

    def add(self, name: str = "loop", address: str = "") -> None:
        where = address or f"{user()}@127.0.0.1:{self.sshd.port}"
        self.run("hosts", "add", name, where, "--folder", str(self.folder), "--replace")

    def runs(self) -> list[Path]:
        """The folders of the jobs' runs there."""
        return sorted((self.folder / "cache" / "jobs").glob("*/[0-9]*"))


STORE = ("bases", "kernels", "kconfigs", "objects", "worktrees", "ccache")


def stock(cache: Path, names: Sequence[str] = STORE) -> None:
    """Give ``cache`` what the user's cache has of these. Journals, boots and results are its own."""
    own = user_paths().cache
    cache.mkdir(parents=True, exist_ok=True)
    for name in names:
        (own / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to(own / name)


def libraries_of_here(folder: Path) -> None:
    """What setting up would install by pip, from the environment of these tests: it takes half a minute otherwise."""
    from lab.remote.version import this_version

    venv = folder / "venvs" / this_version().environment
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(Path(sys.executable))
    (venv / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv / "pyvenv.cfg")
    (venv / ".whole").touch()


@pytest.fixture
def there(sshd: Sshd, tmp_path: Path) -> There:
    """A host that is named but not set up; the libraries are there."""
    host = There(sshd, tmp_path / "there", tmp_path / "here")
    host.here.mkdir()
    libraries_of_here(host.folder)
    host.add()
    return host


@pytest.fixture
def ready(there: There) -> There:
    """A host that is set up."""
    from lab.remote.version import this_version

    version = this_version()
    import io
    import tarfile

    place = there.folder / "versions" / version.name
    with tarfile.open(fileobj=io.BytesIO(version.archive)) as tar:
        tar.extractall(place, filter="data")
    return there
