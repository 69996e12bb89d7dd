"""Network namespaces with an sshd each: hosts that only a line connects, which can be spoilt. Needs root."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from .conftest import CONFIG, SSHD, There, stock, user, wait_for

PORT = 2222


def run(*argv, check=True):
    return subprocess.run(argv, check=check, capture_output=True, text=True)


@contextlib.contextmanager
def namespaced(host, number, tmp_path):
    """``host``, but its sshd is in a namespace of its own, at the far end of a line that ``tc`` can spoil; gives the
    near end's name. Lines are numbered."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        pytest.skip("network namespaces need root and iproute2")
    sshd, space = host.sshd, f"lab{os.getpid()}-{number}"
    near, away = f"ln{os.getpid()}-{number}", f"lf{os.getpid()}-{number}"
    place = 2 * (os.getpid() % 100) + number  # so that two who run these tests at once are not in each other's way
    here, there = f"198.18.{place}.1", f"198.18.{place}.2"
    if run("ip", "netns", "add", space, check=False).returncode:
        pytest.skip("no network namespaces here")
    inside = ("ip", "netns", "exec", space)
    process = None
    known = sshd.home / ".ssh" / "known_hosts"
    kept = known.read_text()
    try:
        run("ip", "link", "add", near, "type", "veth", "peer", "name", away, "netns", space)
        run("ip", "address", "add", f"{here}/30", "dev", near)
        run("ip", "link", "set", near, "up")
        run(*inside, "ip", "address", "add", f"{there}/30", "dev", away)
        run(*inside, "ip", "link", "set", away, "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "route", "add", "default", "via", here)
        config = CONFIG.format(port=PORT, folder=sshd.folder).replace("127.0.0.1", there)
        (tmp_path / f"config{number}").write_text(config)
        said = tmp_path / f"log{number}"
        with said.open("wb") as log:
            argv = [*inside, str(SSHD), "-D", "-e", "-f", str(tmp_path / f"config{number}")]
            process = subprocess.Popen(argv, stdout=log, stderr=log, process_group=0)
        wait_for(lambda: b"listening on" in said.read_bytes() or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        key = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])
        known.write_text(f"{kept}[{there}]:{PORT} {key}\n")
        host.add(host.name, f"{user()}@{there}:{PORT}")
        yield near
    finally:
        known.write_text(kept)
        for one in run("ip", "netns", "pids", space, check=False).stdout.split():
            os.kill(int(one), signal.SIGKILL)
        if process is not None:
            process.wait()
        run("ip", "link", "del", near, check=False)
        run("ip", "netns", "del", space, check=False)


@contextlib.contextmanager
def two_hosts(ready, tmp_path):
    """``loop`` and ``second``, each in a namespace, with the sources and kernels of this user's cache; so has whoever
    asks. Journals, boots and results are their own."""
    second = There(ready.sshd, tmp_path / "second", ready.here, "second")
    shutil.copytree(ready.folder, second.folder, symlinks=True)
    for cache in (ready.folder / "cache", second.folder / "cache", ready.here / "cache"):
        stock(cache, ("bases", "kernels", "kconfigs", "objects", "ccache"))
    with namespaced(ready, 0, tmp_path), namespaced(second, 1, tmp_path):
        yield ready, second
