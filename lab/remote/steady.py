"""Executors over a Dask scheduler that may be restarted in the middle: what it had is handed in again.

A scheduler keeps all it knows in memory. When it goes, Dask's client cancels what it was asked for and tries to reach
it again for as long as its timeout says; work that is handed in meanwhile is sent when it is back. A piece of work has
one future here for as long as that takes, so that its result is taken once, however often it was done.

What is handed in within a moment goes as one graph, and a call as bytes that only its worker looks into: a graph and
each object in it cost the scheduler's one thread about as much as choosing the worker does.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.errors import InfrastructureError

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 1
"""So often a worker is asked again whose answer was an exception; one that dies is another matter (Dask's
``allowed-failures``)."""

PAUSE_SECONDS = 0.05
"""Graphs are at least so far apart; what is handed in after a longer time goes at once."""

GRAPH_BYTES = 4 << 20
"""What a graph carries at most, but for a single call. (Dask warns of 10 MB.)"""

GONE = "the scheduler does not answer any more"


@dataclass(frozen=True)
class Task:
    """A piece of work: its name for Dask, the call as bytes, the resources that its worker has to have, and where its
    result is waited for."""

    name: str
    call: bytes
    resources: Mapping[str, float]
    outer: Future[Any] = field(default_factory=Future)


def packed(call: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """A call as bytes."""
    from distributed.protocol.pickle import dumps

    return bytes(dumps((call, arguments)))


def perform(call: bytes) -> Any:
    """What a worker does: the call."""
    from distributed.protocol.pickle import loads

    function, arguments = loads(call)
    return function(*arguments)


class Steady(Executor):
    """An executor whose work needs ``resources`` of a worker."""

    def __init__(self, post: Post, resources: Mapping[str, float]) -> None:
        self.post = post
        self.resources = resources

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker call ``fn(*args)``."""
        task = Task(getattr(fn, "__name__", "call"), packed(fn, args), self.resources)
        task.outer.set_running_or_notify_cancel()
        self.post.give(task)
        return task.outer


class Post:
    """The way of work to the scheduler of ``client``, and of what came of it back."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.loop: Any = client.loop
        self.lock = threading.Lock()
        self.waiting: list[Task] = []
        self.last = float("-inf")

    def give(self, task: Task) -> None:
        """Give ``task`` to the scheduler, or let it fail where there is none any more. From any thread."""
        if self.closed():  # its loop may not turn any more
            failed([task], GONE)
            return
        with self.lock:
            self.waiting.append(task)
            if len(self.waiting) > 1:
                return
        self.loop.add_callback(self.later)

    async def later(self) -> None:
        """Send what waits, at once or a moment after what was sent last."""
        await asyncio.sleep(max(0.0, self.last + PAUSE_SECONDS - self.loop.time()))
        with self.lock:
            tasks, self.waiting = self.waiting, []
        for some in graphs(tasks):
            self.send(some)
        self.last = self.loop.time()

    def closed(self) -> bool:
        """Whether the scheduler was given up."""
        return self.client.status in ("closed", "closing")

    def send(self, tasks: Sequence[Task]) -> None:
        """Send a graph of ``tasks``, which want the same."""
        if self.closed():
            failed(tasks, GONE)
            return
        try:
            sent = self.client.map(
                perform,
                [task.call for task in tasks],
                key=[f"{task.name}-{uuid.uuid4()}" for task in tasks],
                pure=False,
                retries=RETRIES,
                resources=dict(tasks[0].resources) or None,
            )
        except Exception as error:
            failed(tasks, f"the cluster takes no work: {said(error)}")
            return
        for task, one in zip(tasks, sent, strict=True):
            self.loop.add_callback(self.follow, task, one)

    async def follow(self, task: Task, sent: Any) -> None:
        """Wait for what came of it; hand it in again where the scheduler, or the worker that had the result, is
        gone."""
        try:
            result = await sent._result()
        except (asyncio.CancelledError, CancelledError):
            self.give(task)
        except Exception as error:
            if sent.status == "error" or self.closed():
                task.outer.set_exception(error)
            else:  # the way to the result broke
                self.give(task)
        else:
            task.outer.set_result(result)


def graphs(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """``tasks`` in their order, in parts that want the same and are not too large."""
    some: list[Task] = []
    size = 0
    for task in tasks:
        if some and (task.resources != some[0].resources or size + len(task.call) > GRAPH_BYTES):
            yield some
            some, size = [], 0
        some.append(task)
        size += len(task.call)
    if some:
        yield some


def failed(tasks: Sequence[Task], why: str) -> None:
    """None of ``tasks`` will be done."""
    for task in tasks:
        task.outer.set_exception(InfrastructureError(why))


def said(error: BaseException) -> str:
    """The first line of what an exception says."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
