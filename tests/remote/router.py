"""Lines between network namespaces that netem spoils: by this kernel, or by a guest that stands in between.

The guest is a kernel of Debian's that ``ci/router`` has put into the cache, with two network cards a line, which it
bridges. It is steered as any guest that the lab works in is: by its agent, over a second serial line. Its tap devices
are QEMU's, which dies with these tests, and the devices with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.guest.initramfs import build
from lab.guest.live import Live, agent_files, living
from lab.guest.machine import load_machine
from lab.guest.run import boot
from lab.paths import Paths, user_paths

from .conftest import run

MODULES = ("virtio_pci", "virtio_net", "bridge", "sch_netem")
MACHINE = 'title = "A router"\n[[node]]\ncpus = 1\nmemory = "192M"\n'
DEADLINE = 240.0
SECONDS = 3 * 3600.0
# Packets as they would be on a cable: none is put together or cut up by one side for the other.
OFF = "csum gso host_tso4 host_tso6 host_ecn host_ufo guest_csum guest_tso4 guest_tso6 guest_ecn guest_ufo"
QUEUE = "20000"
"""Packets that netem holds; its default of 1000 would be full at the delays of these tests."""


@dataclass(frozen=True)
class Space:
    """A network namespace without a name: that of the process ``pid``, with which it ends."""

    pid: int

    @property
    def inside(self) -> tuple[str, ...]:
        """What comes before a command that is to be run there."""
        return ("nsenter", "--target", str(self.pid), "--net")

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` there."""
        return run(*self.inside, *argv, check=check)


@dataclass(frozen=True)
class Ends:
    """The names of a line's two ends, and the namespaces that they are in."""

    near: str
    far: str
    here: Space
    there: Space


@dataclass(frozen=True)
class Passed:
    """What netem counted one way: packets that it let go, each copy of its own, and those that it lost."""

    packets: int
    lost: int


class Veth:
    """A line within this kernel."""

    def lay(self, ends: Ends) -> None:
        """Make both ends."""
        self.ends = ends
        peer = ("peer", "name", ends.far, "netns", str(ends.there.pid))
        ends.here.run("ip", "link", "add", ends.near, "type", "veth", *peer)

    @property
    def sides(self) -> tuple[tuple[Space, str], ...]:
        return (self.ends.here, self.ends.near), (self.ends.there, self.ends.far)

    def spoil(self, *words: str) -> None:
        """Have netem do ``words`` to what goes either way; nothing without any."""
        for space, end in self.sides:
            space.run("tc", "qdisc", "del", "dev", end, "root", check=False)
            if words:
                space.run("tc", "qdisc", "add", "dev", end, "root", "netem", "limit", QUEUE, *words)

    def cut(self) -> None:
        """Nothing comes through from now on."""
        self.ends.here.run("ip", "link", "set", self.ends.near, "down")

    def mend(self) -> None:
        """All comes through again."""
        self.ends.here.run("ip", "link", "set", self.ends.near, "up")

    def passed(self) -> tuple[Passed, ...]:
        """What netem says of each way since it was told to spoil the line."""
        return tuple(passed(space.run("tc", "-s", "qdisc", "show", "dev", end).stdout) for space, end in self.sides)


class Routed:
    """A line through the guest ``live``: the cards ``eth2n`` and ``eth2n+1`` on a bridge. QEMU has made its ends
    already, by names of their own."""

    def __init__(self, live: Live, turn: threading.Lock, number: int, taps: tuple[str, str]) -> None:
        self.live, self.taps, self.turn = live, taps, turn
        self.cards = (f"eth{2 * number}", f"eth{2 * number + 1}")
        bridge = f"br{number}"
        self.do("/sbin/ip", "link", "add", bridge, "type", "bridge")
        for card in self.cards:
            self.do("/sbin/ip", "link", "set", card, "gro_max_size", "1", "master", bridge, "up")
        self.do("/sbin/ip", "link", "set", bridge, "up")

    def do(self, *argv: str, check: bool = True) -> str:
        """Run ``argv`` in the guest; from any thread."""
        with self.turn:
            ran = self.live.channel.run(argv, deadline=60.0, most=4)
        assert ran.ok or not check, f"{argv}: {ran.how}: {ran.stderr.decode(errors='replace')}"
        return ran.text

    def lay(self, ends: Ends) -> None:
        """Put both ends where they belong."""
        self.ends = ends
        for old, new in zip(self.taps, (ends.near, ends.far), strict=True):
            ends.here.run("ip", "link", "set", old, "name", new)
        ends.here.run("ip", "link", "set", ends.far, "netns", str(ends.there.pid))

    def spoil(self, *words: str) -> None:
        """Have netem do ``words`` to what goes either way; nothing without any."""
        for card in self.cards:
            if words:
                self.do("/sbin/tc", "qdisc", "replace", "dev", card, "root", "netem", "limit", QUEUE, *words)
            else:
                self.do("/sbin/tc", "qdisc", "del", "dev", card, "root", check=False)

    def cut(self) -> None:
        """Nothing comes through from now on."""
        self.do("/sbin/ip", "link", "set", self.cards[0], "down")

    def mend(self) -> None:
        """All comes through again."""
        self.do("/sbin/ip", "link", "set", self.cards[0], "up")

    def passed(self) -> tuple[Passed, ...]:
        """What netem says of each way since it was told to spoil the line."""
        return tuple(passed(self.do("/sbin/tc", "-s", "qdisc", "show", "dev", card)) for card in self.cards)


Wire = Veth | Routed


def passed(shown: str) -> Passed:
    """What ``tc -s qdisc show`` says of netem."""
    found = re.search(r"qdisc netem .*?Sent \d+ bytes (\d+) pkt \(dropped (\d+),", shown, re.DOTALL)
    assert found, shown
    return Passed(int(found[1]), int(found[2]))


@contextlib.contextmanager
def wires(count: int, here: Space, tmp_path: Path) -> Iterator[Sequence[Wire]]:
    """``count`` lines from ``here`` that can be spoilt; skips the test, saying why, where there is no way to."""
    if here.run("tc", "qdisc", "add", "dev", "lo", "root", "netem", check=False).returncode == 0:
        here.run("tc", "qdisc", "del", "dev", "lo", "root")
        yield [Veth() for _ in range(count)]
        return
    missing, place = "this kernel has no netem (CONFIG_NET_SCH_NETEM)", user_paths().cache / "router"
    if not (place / "bzImage").is_file():
        pytest.skip(f"{missing}, and ci/router has not got one that has")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip(f"{missing}, and there is no qemu-system-x86_64 for one that has")
    if here.run("ip", "tuntap", "add", "try", "mode", "tap", check=False).returncode:
        pytest.skip(f"{missing}, and there are no tap devices (CONFIG_TUN) for a guest that has")
    here.run("ip", "tuntap", "del", "try", "mode", "tap")
    with routed(place, count, here, tmp_path) as lines:
        yield lines


@contextlib.contextmanager
def routed(place: Path, count: int, here: Space, tmp_path: Path) -> Iterator[Sequence[Routed]]:
    """``count`` lines through a guest of the kernel at ``place``, whose ends are ``here``."""
    folder = tmp_path / "router"
    folder.mkdir()
    taps = [(f"near{number}", f"far{number}") for number in range(count)]
    with guest(place, [tap for pair in taps for tap in pair], here, folder) as live:
        for module in needed(place / "modules"):
            ran = live.channel.run(("/bin/insmod", f"/modules/{module}.ko"), deadline=60.0, most=4)
            assert ran.ok, f"{module}: {ran.stderr!r}"
        turn = threading.Lock()
        yield [Routed(live, turn, number, pair) for number, pair in enumerate(taps)]


@contextlib.contextmanager
def guest(place: Path, taps: Sequence[str], here: Space, folder: Path) -> Iterator[Live]:
    """A guest with a network card at each of ``taps``, in their order, which QEMU makes ``here``."""
    (folder / "router.toml").write_text(MACHINE)
    paths = Paths(folder, folder, folder)
    cards = []
    for number, tap in enumerate(taps):
        cards += ["-netdev", f"tap,id=n{number},ifname={tap},script=no,downscript=no"]
        switched = ",".join(f"{word}=off" for word in OFF.split())
        cards += ["-device", f"virtio-net-pci,netdev=n{number},addr={0x10 + number:#x},{switched}"]
    qemu = folder / "qemu"
    qemu.write_text(f'#!/bin/sh\nexec {" ".join(here.inside)} qemu-system-x86_64 "$@" {" ".join(cards)}\n')
    qemu.chmod(0o755)
    files: dict[str, Path | bytes] = dict(agent_files(paths))
    files |= {f"modules/{name}.ko": place / "modules" / f"{name}.ko" for name in needed(place / "modules")}
    files |= dict(program("tc") | program("ip"))
    initramfs = build(paths, extra=files)

    def start(live: Live) -> object:
        return boot(
            place / "bzImage",
            load_machine("router", folder),
            initramfs=initramfs,
            accel="tcg",
            paths=paths,
            append="quiet",
            deadline=DEADLINE,
            on_console=live.take,
            qemu=str(qemu),
            explain=False,
            meanwhile=live.running,
            tether=live.tether,
        )

    with living(start, deadline=DEADLINE, seconds=SECONDS) as live:  # type: ignore[arg-type]
        if live.result is not None or live.failure is not None:
            raise AssertionError(f"the router did not come up: {live.end()}")
        yield live


def needed(modules: Path) -> list[str]:
    """The modules to load, each after those that it needs; what is built in is no file there."""
    order: list[str] = []

    def add(name: str) -> None:
        file = modules / f"{name}.ko"
        if name in order or not file.is_file():
            return
        found = re.search(rb"\0depends=([^\0]*)\0", file.read_bytes())
        for one in (found[1].decode() if found else "").split(","):
            add(one)
        order.append(name)

    for name in MODULES:
        add(name)
    return order


def program(name: str) -> dict[str, Path]:
    """A program of this machine's with the libraries that it needs, by their places."""
    found = shutil.which(name, path=f"/usr/sbin:/sbin:{os.environ['PATH']}")
    assert found is not None
    said = run("ldd", found).stdout
    libraries = [Path(word) for word in re.findall(r"(/\S+) \(0x", said)]
    return {f"sbin/{name}": Path(found).resolve(), **{str(one).lstrip("/"): one.resolve() for one in libraries}}
