"""Simulated workers of a Dask scheduler, many in a process: ``python -m benches._workers ADDRESS COUNT NAME``.

Each is a worker of Dask's with one thread, as the lab's are, that says it has what a cell of the bench needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass

import dask
import msgspec
from distributed import Worker, get_worker

from lab.history.records import Attempt, Result, Seen
from lab.matrix.judge import word_of
from lab.remote import cellwork

RESOURCES = {"toolchain-bench": 1, "guest-x86_64": 1, "memory": 16}
FINDING = Seen(signature="bug:policy_zonelist", title="kernel BUG in policy_zonelist", kind="bug", line=80, fatal=True)


HAVE: dict[str, set[object]] = {}
"""Which workers of this process have a case."""


@dataclass(frozen=True)
class Kernels:
    """What the bench's workers do instead of building and booting: they sleep for as long as a boot took."""

    seconds: dict[str, float]

    def build(self, wanted: cellwork.Wanted, seconds: float) -> cellwork.Answer:
        """A kernel that is in the store."""
        return cellwork.Answer(msgspec.json.encode(cellwork.Built(key="k", whole=True, from_store=True)), where="w")

    def fill(self, cell: cellwork.Cell) -> cellwork.Answer:
        """A boot as good as any; a worker has to be sent the case once."""
        if cell.wanted.request:
            HAVE.setdefault(cell.wanted.key, set()).add(get_worker().name)
        elif get_worker().name not in HAVE.get(cell.wanted.key, ()):
            return cellwork.Answer(where="w", lacks=True)
        began = time.time()
        time.sleep(self.seconds.get(cell.job.cell.key, 0.0))
        attempt = Attempt(
            number=1,
            verdict="good",
            reason="user space ran on 2 node(s)",
            outcome="userspace",
            started=began,
            seconds=time.time() - began,
            findings=(FINDING,),
            where="w",
        )
        word, reason = word_of([attempt])
        result = Result(
            run=cell.run,
            cell=cell.job.cell,
            word=word,
            reason=reason,
            attempts=(attempt,),
            kernel=cell.made.key,
            started=began,
            ended=time.time(),
        )
        return cellwork.Answer(msgspec.json.encode(result), where="w")


RARELY = {
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.system-monitor.interval": "60s",
}
"""A worker alone on its machine does this more often; 200 would keep this one busy."""


async def serve(address: str, count: int, name: str) -> None:
    """Be ``count`` workers until the scheduler goes."""
    async with contextlib.AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(
                Worker(
                    address, nthreads=1, name=f"{name}-{number}", resources=RESOURCES, memory_limit=0, dashboard=False
                )
            )
            for number in range(count)
        ]
        await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    dask.config.set(RARELY)
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
