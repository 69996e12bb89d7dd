"""Executors over a Dask scheduler that may be restarted in the middle: what it had is handed in again.

A scheduler keeps all it knows in memory. When it goes, Dask's client cancels what it was asked for and tries to reach
it again for as long as its timeout says; work that is handed in meanwhile is sent when it is back. A piece of work has
one future here for as long as that takes, so that its result is taken once, however often it was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.errors import InfrastructureError

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 1
"""So often a worker is asked again whose answer was an exception; one that dies is another matter (Dask's
``allowed-failures``)."""

GONE = "the scheduler does not answer any more"


@dataclass(frozen=True)
class Task:
    """A piece of work, the resources that its worker has to have, and where its result is waited for."""

    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    resources: Mapping[str, float]
    outer: Future[Any] = field(default_factory=Future)


class Steady(Executor):
    """An executor whose work needs ``resources`` of a worker."""

    def __init__(self, client: Client, resources: Mapping[str, float]) -> None:
        self.client = client
        self.resources = resources

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker call ``fn(*args)``."""
        task = Task(fn, args, self.resources)
        task.outer.set_running_or_notify_cancel()
        hand_in(self.client, task)
        return task.outer


def hand_in(client: Client, task: Task) -> None:
    """Give ``task`` to the scheduler, or let it fail where there is none any more."""
    if client.status in ("closed", "closing"):
        task.outer.set_exception(InfrastructureError(GONE))
        return
    try:
        sent = client.submit(
            task.call, *task.arguments, pure=False, retries=RETRIES, resources=dict(task.resources) or None
        )
    except Exception as error:
        task.outer.set_exception(InfrastructureError(f"the cluster takes no work: {said(error)}"))
        return
    loop: Any = client.loop
    loop.add_callback(follow, client, task, sent)


async def follow(client: Client, task: Task, sent: Any) -> None:
    """Wait for what came of it; hand it in again where the scheduler, or the worker that had the result, is gone."""
    try:
        result = await sent._result()
    except (asyncio.CancelledError, CancelledError):
        hand_in(client, task)
    except Exception as error:
        if sent.status == "error" or client.status in ("closed", "closing"):
            task.outer.set_exception(error)
        else:  # the way to the result broke
            hand_in(client, task)
    else:
        task.outer.set_result(result)


def said(error: BaseException) -> str:
    """The first line of what an exception says."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
