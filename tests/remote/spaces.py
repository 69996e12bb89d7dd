"""Hosts in namespaces of their own, each with an sshd, that only a line connects, which can be spoilt. Needs root.

Nothing of this has a name outside: a namespace is there as long as its processes are, each of these dies with the one
that started it, and a device with its namespace. So nothing is left of a run, however it ends.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.process import die_with_parent

from .conftest import CONFIG, SSHD, run, stock, user, wait_for
from .router import Ends, Space, Veth

PORT = 2222
MACS = "02:00:00:00:01:{:02x}", "02:00:00:00:02:{:02x}"


def network_of(process):
    """The network namespace of a process; empty where it has ended."""
    try:
        return str(Path(f"/proc/{process}/ns/net").readlink())
    except OSError:
        return ""


@contextlib.contextmanager
def middle():
    """The namespace that the lines to the hosts begin in, and that whoever calls them is in."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc", "unshare", "nsenter"))):
        pytest.skip("network namespaces need root, iproute2 and util-linux")
    argv = ["unshare", "--net", "sleep", "infinity"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, preexec_fn=die_with_parent())  # noqa: PLW1509
    try:
        own, its = network_of("self"), str(process.pid)
        wait_for(lambda: process.poll() is not None or network_of(its) not in ("", own))
        if process.poll() is not None:
            pytest.skip(f"no network namespaces here: {process.stderr.read().decode().strip()}")
        space = Space(process.pid)
        space.run("ip", "link", "set", "lo", "up")
        yield space
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def namespaced(host, number, here, tmp_path, wire=None):
    """``host``, but its sshd is in namespaces of its own (network, processes, mounts) at the far end of ``wire``, which
    begins ``here``; gives the wire. They are numbered."""
    wire = wire or Veth()
    sshd, near, far = host.sshd, f"ln{number}", f"lf{number}"
    own, its = f"198.18.{number}.1", f"198.18.{number}.2"
    known, before = sshd.home / ".ssh" / "known_hosts", host.inside
    kept = known.read_text()
    config, said = tmp_path / f"config{number}", tmp_path / f"log{number}"
    config.write_text(CONFIG.format(port=PORT, folder=sshd.folder).replace("ListenAddress 127.0.0.1\n", ""))
    with said.open("wb") as log:
        # The sshd is the first process of its namespace: the others end with it, also those that left its session.
        argv = ["unshare", "--net", "--pid", "--mount-proc", "--kill-child", str(SSHD), "-D", "-e", "-f", str(config)]
        process = subprocess.Popen(argv, stdout=log, stderr=log, preexec_fn=die_with_parent())  # noqa: PLW1509
    try:
        wait_for(lambda: b"listening on" in said.read_bytes() or process.poll() is not None)
        if process.poll() is not None:
            pytest.skip(f"no namespaces for a host here: {said.read_text().strip()}")
        there = Space(process.pid)
        wire.lay(Ends(near, far, here, there))
        macs = [mac.format(number) for mac in MACS]
        for space, end, (address, mac), other in (
            (here, near, (own, macs[0]), (its, macs[1])),
            (there, far, (its, macs[1]), (own, macs[0])),
        ):
            space.run("ip", "link", "set", end, "address", mac)
            space.run("ip", "address", "add", f"{address}/30", "dev", end)
            space.run("ip", "link", "set", end, "up")
            # Known beforehand: who it is that has an address is not asked again and again over a line that loses that.
            space.run("ip", "neigh", "replace", other[0], "lladdr", other[1], "dev", end, "nud", "permanent")
        there.run("ip", "link", "set", "lo", "up")
        there.run("ip", "route", "add", "default", "via", own)
        key = " ".join((sshd.folder / "host_key.pub").read_text().split()[:2])
        known.write_text(f"{kept}[{its}]:{PORT} {key}\n")
        host.inside = here.inside
        host.add(host.name, f"{user()}@{its}:{PORT}")
        yield wire
    finally:
        known.write_text(kept)
        host.inside = before
        # unshare ends once the first process of the namespace has, and that one once all others are gone.
        for one in run("pgrep", "-P", str(process.pid), check=False).stdout.split():
            os.kill(int(one), signal.SIGKILL)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def two_hosts(ready, tmp_path, here, lines=(None, None)):
    """``loop`` and ``second``, each in namespaces of its own at the end of one of ``lines``, with the sources and
    kernels of this user's cache; so has whoever asks. Journals, boots and results are their own."""
    second = replace(ready, folder=tmp_path / "second", name="second")
    shutil.copytree(ready.folder, second.folder, symlinks=True)
    for cache in (ready.folder / "cache", second.folder / "cache", ready.here / "cache"):
        stock(cache, ("bases", "kernels", "kconfigs", "objects", "ccache"))
    with namespaced(ready, 0, here, tmp_path, lines[0]), namespaced(second, 1, here, tmp_path, lines[1]):
        yield ready, second
