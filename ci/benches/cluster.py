"""A matrix of 5,000 cells on 200 simulated workers of a real Dask scheduler, and bisects by 1 to 8 workers.

The workers sleep for as long as boots took that were recorded (`durations.json`: 1,200 boots of this project's kernels,
of one-node to eight-node machines, under TCG on a busy host), times `--scale`. All else is the lab's own: the schedule,
what is sent and checked, Dask's client, scheduler and workers, all on this machine. That 200 workers are on one is no
cost of the lab's: each looks after itself and the machine every few seconds here, and not many times a second.

A case is `--case-bytes` large; a worker that lacks it is sent it, and `asked_bytes` is what was sent for a cell, all of
that together over the cells.

`overhead_ms`: wall time a cell of cells that take no time. `efficiency`: the ideal schedule's time (the largest of the
sum over the workers, the longest cell, and longest-first by hand) over the wall time. `in_order_efficiency` is what the
order of the file would give at best. `*_cpu_ms`: processor time a cell of the scheduler, of all workers and of the
asking side, with all heartbeats of that time. `bisect_K_*`: bisects of 1,000 patches in simulation by K workers: rounds
(the time, where all probes take as long), probes, and how many points were probed (the rest is to boot a point again:
the proofs), beside an ideal search that splits into K+1 equal parts and proves nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lab.bisect.choose import Outlook
from lab.bisect.graph import line_graph
from lab.bisect.plan import NOTHING, Found, Rules, State, next_step
from lab.guest.machine import MachineFile, NodeFile, check
from lab.history.records import Cell, Result
from lab.matrix.plan import Costs, Job, longest_first
from lab.matrix.schedule import Limits, Made, fill
from lab.paths import Paths
from lab.remote.tuning import environment

ROOT = Path(__file__).resolve().parents[2]
MACHINE = check(MachineFile(title="t", node=[NodeFile(cpus=1, memory="512M")]), "bench", "bench")
PER_PROCESS = 100
PATCHES = 1000
START_SECONDS = 900.0
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this bench may be told."""
    parser.add_argument("--cells", type=int, default=5000, metavar="N")
    parser.add_argument("--workers", type=int, default=200, metavar="N")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="Recorded seconds times X (default 1).")
    parser.add_argument("--bisects", type=int, default=100, metavar="N", help="Bisects for each number of workers.")
    parser.add_argument("--parts", default="idle,recorded,bisect", help="Which of idle, recorded, bisect.")
    parser.add_argument("--case-bytes", type=int, default=40_000, metavar="N", help="Of a case with its patches.")
    parser.add_argument("--seed", type=int, default=1, metavar="N")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    chance = random.Random(arguments.seed)  # noqa: S311
    parts = arguments.parts.split(",")
    result: dict[str, Any] = {"cells": arguments.cells, "workers": arguments.workers, "load": os.getloadavg()[0]}
    if "idle" in parts or "recorded" in parts:
        with site(arguments.workers) as there:
            come(there.address, arguments.workers)
            if "idle" in parts:
                result |= idle(there, arguments.cells, arguments.case_bytes)
            if "recorded" in parts:
                result |= recorded(there, arguments, chance)
    if "bisect" in parts:
        for count in (1, 2, 4, 8):
            result |= bisects(count, arguments.bisects, chance)
    return result


@dataclass(frozen=True)
class Site:
    """A scheduler's address, its process, and those of the workers."""

    address: str
    scheduler: int
    workers: tuple[int, ...]


@contextmanager
def site(workers: int) -> Iterator[Site]:
    """A scheduler and its workers, each number of them in a process."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{one.getsockname()[1]}"
    env = {**environment(), "PYTHONPATH": f"{ROOT / 'ci'}{os.pathsep}{ROOT}"}
    quiet = {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    words = ["-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"]
    processes = [subprocess.Popen([sys.executable, *words], **quiet)]  # type: ignore[call-overload]
    try:
        for number in range(math.ceil(workers / PER_PROCESS)):
            count = min(PER_PROCESS, workers - number * PER_PROCESS)
            argv = [sys.executable, "-m", "benches._workers", address, str(count), f"w{number}"]
            processes.append(subprocess.Popen(argv, **quiet))  # type: ignore[call-overload]
        yield Site(address, processes[0].pid, tuple(one.pid for one in processes[1:]))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def jobs(count: int) -> list[Job]:
    """Cells of 40 kernels that are in the store."""
    found = []
    for number in range(count):
        cell = Cell(
            case="bench",
            point=number % 40,
            label=str(number % 40),
            subject="s",
            commit="c" * 40,
            kconfig="tiny-numa",
            machine=f"m{number // 40}",
            toolchain="gcc",
        )
        found.append(Job(cell, f"bench/{number % 40}/tiny-numa/gcc", MACHINE))
    return found


class Stored:
    """A runner whose kernels are all there."""

    def stored(self, kernel: str) -> Made:
        """There."""
        return Made(key="k", from_store=True, kernel=True)


def ran(
    address: str, members: Sequence[Job], seconds: dict[str, float], case_bytes: int
) -> tuple[float, list[Result], float]:
    """Fill the cells by the workers of ``address``; how long that took, what came, and the bytes that were asked for
    each cell."""
    import distributed

    from benches._workers import Kernels
    from lab.remote import cellwork
    from lab.remote.cells import Many, Sending, Workers
    from lab.remote.cluster import known
    from lab.remote.steady import Post, Steady, packed

    kernels = Kernels(seconds)
    case = os.urandom(case_bytes)
    key = hashlib.sha256(case).hexdigest()
    sent = 0

    class Simulating(Steady):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            key = args[0].job.cell.key
            one = replace(kernels, seconds={key: seconds.get(key, 0.0)})
            nonlocal sent
            sent += len(packed(one.fill, args))
            return super().submit(one.fill, *args)

    client = distributed.Client(address, timeout=START_SECONDS, set_as_default=False)
    try:
        workers = Workers(lambda: known(client), 60.0)
        workers.refresh()
        wanted = {one.kernel: cellwork.Wanted(case, one.kernel, 0, "t", "bench", "v", key) for one in members}
        needed = {"toolchain-bench": 1.0, "guest-x86_64": 1.0, "memory": 1.0}
        with tempfile.TemporaryDirectory() as folder:
            paths = Paths(Path(folder), Path(folder), Path(folder))
            to = partial(Simulating, Post(client))
            hands = Many(workers, Sending(to, workers, lambda _job: needed, wanted=wanted, paths=paths))
            results: list[Result] = []
            costs = Costs(by_cell=seconds, stored=frozenset(wanted))
            began = time.monotonic()
            ordered = longest_first(members, costs)
            fill(ordered, Stored(), Limits(1, 1), costs, run="r", record=results.append, hands=hands)  # type: ignore[arg-type]
            took = time.monotonic() - began
        if len(results) != len(members) or any(one.word != "good" for one in results):
            odd = next((one.reason for one in results if one.word != "good"), "some are missing")
            raise SystemExit(f"ci/bench cluster: not every cell was filled: {odd}")
        return took, results, sent / len(members)
    finally:
        client.close(timeout=10)


def come(address: str, count: int) -> None:
    """Wait for the workers."""
    import distributed

    with distributed.Client(address, timeout=START_SECONDS, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=START_SECONDS)


def idle(there: Site, cells: int, case_bytes: int) -> dict[str, Any]:
    """Cells that take no time."""
    members = jobs(cells)
    before = spent(there)
    took, results, sent = ran(there.address, members, {}, case_bytes)
    return {
        "overhead_ms": 1000 * took / cells,
        "cells_a_second": cells / took,
        **{f"{name}_cpu_ms": 1000 * seconds / cells for name, seconds in since(there, before).items()},
        "scheduler_mb": memory(there.scheduler) / 1e6,
        "case_bytes": case_bytes,
        "asked_bytes": sent,
        "result_bytes": len(msgspec.json.encode(results[0])),
    }


def recorded(there: Site, arguments: argparse.Namespace, chance: random.Random) -> dict[str, Any]:
    """Cells that take as long as recorded boots."""
    lengths = msgspec.json.decode((Path(__file__).with_name("durations.json")).read_bytes(), type=list[float])
    members = jobs(arguments.cells)
    seconds = {one.cell.key: chance.choice(lengths) * arguments.scale for one in members}
    times = list(seconds.values())
    whole, longest = sum(times) / arguments.workers, max(times)
    by_hand = makespan(sorted(times, reverse=True), arguments.workers)
    ideal = max(whole, longest, by_hand)
    before = spent(there)
    took, _, _ = ran(there.address, members, seconds, arguments.case_bytes)
    return {
        "scale": arguments.scale,
        "sum_s": sum(times),
        "longest_s": longest,
        "ideal_s": ideal,
        "wall_s": took,
        "efficiency": ideal / took,
        "added_ms": 1000 * (took - ideal) / arguments.cells,
        "in_order_efficiency": ideal / makespan(times, arguments.workers),
        **{f"recorded_{name}_cpu_ms": 1000 * one / arguments.cells for name, one in since(there, before).items()},
    }


def makespan(times: Sequence[float], workers: int) -> float:
    """How long ``times`` take where each goes to the worker that is free first, in this order."""
    free = [0.0] * workers
    for one in times:
        heapq.heappushpop(free, free[0] + one)
    return max(free)


def spent(there: Site) -> dict[str, float]:
    """The seconds of processor time so far: of the scheduler, of all workers, and of the client, which is here."""
    return {
        "scheduler": processor(there.scheduler),
        "workers": sum(processor(one) for one in there.workers),
        "client": time.process_time(),
    }


def since(there: Site, before: dict[str, float]) -> dict[str, float]:
    """What was spent since ``before``."""
    return {name: seconds - before[name] for name, seconds in spent(there).items()}


def processor(pid: int) -> float:
    """The seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> int:
    """The bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def bisects(workers: int, count: int, chance: random.Random) -> dict[str, Any]:
    """Bisects of a line whose probes all cost the same, one after the other or ``workers`` at once."""
    rounds = probes = points = 0
    for _ in range(count):
        culprit = chance.randint(1, PATCHES)
        known: dict[int, Any] = {}
        graph = line_graph(PATCHES)
        while True:
            step = next_step(State(graph, known, Rules(), Outlook(workers=workers)))
            if not isinstance(step, list):
                break
            rounds += 1
            probes += len(step)
            for one in step:
                tally = known.get(one.point, NOTHING)
                word = "bad" if one.point >= culprit else "good"
                known[one.point] = replace(tally, **{word: getattr(tally, word) + 1})
        points += len(known)
        assert isinstance(step, Found)  # noqa: S101
        assert step.candidates == (culprit,)  # noqa: S101
    ideal = math.ceil(math.log(PATCHES, workers + 1))
    name = f"bisect_{workers}"
    return {
        f"{name}_rounds": rounds / count,
        f"{name}_probes": probes / count,
        f"{name}_points": points / count,
        f"{name}_ideal_rounds": ideal,
        f"{name}_ideal_probes": ideal * workers,
    }
