"""Hosts at the end of lines that netem spoils: packets come late, in another order, twice, damaged or not at all, and
for a minute nothing comes. The answers are those of one machine, nothing is lost or counted twice, and what happened is
said."""

import json
import os
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import SIX_CELLS, There, stock, words_of
from .router import wires
from .spaces import PORT, middle, namespaced, two_hosts
from .world import make_world

pytestmark = pytest.mark.faults

DELAY, JITTER = 0.2, 0.05
SPOILT = ("delay", "200ms", "50ms", "loss", "7%", "duplicate", "3%", "reorder", "10%", "corrupt", "4%")
CUT_SECONDS = 60.0
ENOUGH = 250
"""Packets one way: that none of so many is damaged happens once in 27,000 times, that none is lost, in 75 million."""
CONNECT = """\
import socket, sys, time
longest = 0
for _ in range(8):
    began = time.monotonic()
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60).close()
    longest = max(longest, time.monotonic() - began)
print(longest)
"""


@pytest.fixture
def here():
    """Where the lines begin, and who calls the hosts is."""
    with middle() as space:
        yield space


@pytest.fixture
def lines(here, tmp_path):
    """Two lines that can be spoilt."""
    with wires(2, here, tmp_path) as both:
        yield both


def counters(space):
    """What TCP and IP have counted in a namespace: ``Tcp:RetransSegs``, as in /proc/net/netstat and /proc/net/snmp."""
    found = Counter()
    for name in ("netstat", "snmp"):
        rows = space.run("cat", f"/proc/net/{name}").stdout.splitlines()
        for names, values in zip(rows[::2], rows[1::2], strict=True):
            kind, *columns = names.split()
            found.update(dict(zip((kind + column for column in columns), map(int, values.split()[1:]), strict=True)))
    return found


def round_trip(line, number):
    """Seconds that it takes to open a connection to the host at the far end: the longest of eight, for what netem puts
    before others it does not delay."""
    argv = (sys.executable, "-c", CONNECT, f"198.18.{number}.2", str(PORT))
    return float(line.ends.here.run(*argv).stdout)


def really_spoilt(lines):
    """Whether packets of each of ``lines`` came late, in another order, twice, damaged and not at all: by the time it
    takes to connect, by what netem says of each way, and by what the two ends have counted together."""
    seen = counters(lines[0].ends.here)
    for number, line in enumerate(lines):
        ways = line.passed()
        print(f"line {number}: {ways}")
        assert all(way.packets + way.lost >= ENOUGH for way in ways), ways
        assert all(way.lost > 0 for way in ways), ways
        assert round_trip(line, number) >= 2 * (DELAY - JITTER)
        seen += counters(line.ends.there)
    said = {
        "lost": seen["Tcp:RetransSegs"],
        "twice": seen["TcpExt:TCPDSACKOldSent"] + seen["TcpExt:TCPDSACKOfoSent"],
        "out of order": seen["TcpExt:TCPOFOQueue"],
        "damaged": seen["Tcp:InCsumErrors"] + seen["Ip:InHdrErrors"],
    }
    print(said)
    return {name for name, count in said.items() if count}


ALL_OF_IT = {"lost", "twice", "out of order", "damaged"}


@contextmanager
def cut_meanwhile(lines, when, seconds=CUT_SECONDS):
    """Have ``lines`` cut for a while once ``when()`` holds; gives what says whether that is over."""
    over, too_late = threading.Event(), threading.Event()

    def work():
        while not when():
            if too_late.wait(0.1):
                return
        for line in lines:
            line.cut()
        time.sleep(seconds)
        for line in lines:
            line.mend()
        over.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield over
    finally:
        too_late.set()
        thread.join(seconds + 60)


def boots_of(host):
    """The boots that were begun there."""
    return list((host.folder / "cache" / "boots").glob("*-*-*"))


def alone(host, tmp_path):
    """One machine with the kernels of this user's cache, and nothing of what ``host``'s caller has."""
    one = There(host.sshd, host.folder, tmp_path / "alone")
    stock(one.here / "cache", ("bases", "kernels", "kconfigs", "objects", "ccache"))
    return one


@pytest.fixture(scope="session")
def own_bisect(sshd, tmp_path_factory):
    """What one machine makes of the bisect."""
    folder = tmp_path_factory.mktemp("own")
    return alone(There(sshd, folder / "there", folder / "here"), folder).json("bisect", "early-policy", seconds=3000)


def verdicts(document):
    return {probe["point"]: probe["verdict"] for probe in document["probes"]}


def same_bisect(document, own):
    """The same answer, from verdicts that are the same where both asked."""
    assert document["first_bad"] == own["first_bad"]
    assert document["first_bad"]["index"] == 6
    assert [check["holds"] for check in document["proof"]] == [check["holds"] for check in own["proof"]]
    one, other = verdicts(document), verdicts(own)
    assert {point: one[point] for point in one.keys() & other.keys()} == {
        point: other[point] for point in one.keys() & other.keys()
    }
    assert {5, 6, 10} <= one.keys()


def journalled(here):
    """How often each build was written down by a bisect here."""
    (journal,) = (here / "cache" / "bisects").glob("*.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    return Counter(event["point"] for event in events if event["event"] == "build")


def test_a_kernel_comes_whole_over_a_line_that_spoils_packets(ready, here, lines, tmp_path):
    world = make_world(tmp_path / "world")
    (world.tree / "doc").mkdir()
    (world.tree / "doc" / "noise").write_bytes(os.urandom(400_000))  # so that there are packets to spoil
    world.git("add", ".")
    world.git("commit", "-qm", "Noise")
    with namespaced(ready, 0, here, tmp_path, lines[0]) as line:
        line.spoil(*SPOILT)
        kernel = ready.json("build", *world.arguments, "--at", "1", "--on", "loop", seconds=900)["kernel"]
        assert really_spoilt([line]) == ALL_OF_IT
    twin = ready.folder / "cache" / "kernels" / kernel["key"][:2] / kernel["key"]
    assert Path(kernel["image"]).read_bytes() == (twin / "bzImage").read_bytes()
    here = ready.json("build", *world.arguments, "--at", "1")["kernel"]
    assert (here["key"], here["from_store"]) == (kernel["key"], True)
    assert len(world.built) == len(set(world.built)), "nothing was built twice"


@pytest.mark.build
@pytest.mark.boot
def test_a_bisect_on_a_host_whose_line_is_cut_for_a_minute(ready, here, lines, own_bisect, tmp_path):
    """The call ends, the job goes on there, and the same command takes its result."""
    for cache in (ready.folder / "cache", ready.here / "cache"):
        stock(cache, ("bases", "kernels", "kconfigs", "objects", "ccache"))
    asked = ("bisect", "early-policy", "--on", "loop")
    with namespaced(ready, 0, here, tmp_path, lines[0]) as line:
        line.spoil(*SPOILT)
        call = ready.start(*asked, "--json")
        with cut_meanwhile([line], lambda: boots_of(ready)) as over:
            out, _ = call.communicate(timeout=3000)
        assert over.is_set(), "it was never cut"
        if call.returncode:  # TCP comes back by itself from a minute's silence, or the caller gives up
            assert call.returncode == 128
            message = json.loads(out)["error"]["message"]
            assert message.endswith(("; the job goes on there", "; what the job came to is kept there"))
            out, _ = ready.run(*asked, "--json", seconds=3000)
        document = json.loads(out)
        assert really_spoilt([line]) == ALL_OF_IT
    same_bisect(document, own_bisect)
    assert len(ready.runs()) == 1, "one job did it all"
    assert set(journalled(ready.folder).values()) == {1}, "nothing is counted twice"
    consoles = [Path(probe["console"]) for probe in document["probes"] if probe.get("console")]
    assert consoles
    assert all(console.is_relative_to(ready.here) and console.is_file() for console in consoles)


@pytest.mark.build
@pytest.mark.boot
def test_a_bisect_by_two_hosts_over_spoilt_lines_one_of_which_is_cut(ready, here, lines, own_bisect, tmp_path):
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    with two_hosts(ready, tmp_path, here, lines) as hosts:
        for line in lines:
            line.spoil(*SPOILT)
        call = ready.start("bisect", "early-policy", "--cluster", "ssh:loop,second", "--json")
        with cut_meanwhile(lines[1:], lambda: boots_of(hosts[1])) as over:
            out, said = call.communicate(timeout=3000)
        assert over.is_set(), "it was never cut"
        assert call.returncode == 0, said
        assert really_spoilt(lines) == ALL_OF_IT
    same_bisect(json.loads(out), own_bisect)
    assert set(journalled(ready.here).values()) == {1}, "nothing is counted twice"


@pytest.mark.build
@pytest.mark.boot
def test_a_matrix_by_two_hosts_over_spoilt_lines_that_are_both_cut(ready, here, lines, tmp_path):
    """For a minute nobody hears of anybody; then the workers are back."""
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    file = tmp_path / "six.toml"
    file.write_text(SIX_CELLS)
    with two_hosts(ready, tmp_path, here, lines) as hosts:
        for line in lines:
            line.spoil(*SPOILT)
        call = ready.start("matrix", "run", str(file), "--cluster", "ssh:loop,second", "--json")

        with cut_meanwhile(lines, lambda: any(map(boots_of, hosts))) as over:
            out, said = call.communicate(timeout=3000)
        assert over.is_set(), "it was never cut"
        assert call.returncode == 0, said
        assert really_spoilt(lines) == ALL_OF_IT
    found = json.loads(out)
    own = alone(ready, tmp_path).json("matrix", "run", str(file), seconds=3000)
    assert words_of(found) == words_of(own)
    assert len(found["results"]) == len(words_of(found)) == 6, "nothing is lost, and nothing counted twice"
    assert all(attempt["where"] for one in found["results"] for attempt in one["attempts"])
    assert "gone from the cluster" in said
    assert "come to the cluster" in said
