"""A bisect's probes by a cluster's workers: what is asked is sent, and what comes back is looked at."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lab.bisect.engine import Hands
from lab.bisect.records import Boot, Build
from lab.bisect.target import Target, adopted
from lab.errors import InfrastructureError, UserError
from lab.line import Line
from lab.paths import Paths
from lab.progress import Progress
from lab.remote import wire
from lab.remote.cluster import Lonely, await_workers, cluster
from lab.remote.spec import Spec
from lab.remote.ssh import Strange
from lab.remote.steady import Post, Steady, said
from lab.remote.version import this_version
from lab.remote.work import CONSOLE_BYTES, WHERE_LENGTH, Made, Wanted, do
from lab.remote.worker import toolchain_resource

NOT_HERE = frozenset({"KilledWorker", "CancelledError"})
"""Errors of Dask's that say nothing of a worker's honesty."""

record = msgspec.json.Decoder(Build | Boot)


class Sent:
    """A prober for an engine whose hands are elsewhere: what it is asked for is packed and sent."""

    def __init__(self, request: bytes, target: Target, end: int, paths: Paths) -> None:
        self.request = request
        self.key = hashlib.sha256(request).hexdigest()
        self.target = target
        self.end = end
        self.paths = paths
        self.version = this_version().name

    def wanted(self, what: Any, point: int, *, whole: bool = False) -> Wanted:
        """One probe, as it goes to a worker, or ``whole`` to one that lacks the case."""
        return Wanted(self.request if whole else b"", what, point, self.target, self.version, self.key)

    def build(self, point: int, worker: int) -> Build:
        """Build ``point``, here."""
        made: Build = self.checked(do(self.wanted("build", point, whole=True)), Build, point)
        return made

    def boot(self, point: int, worker: int) -> Boot:
        """Boot ``point``, here."""
        made: Boot = self.checked(do(self.wanted("boot", point, whole=True)), Boot, point)
        return made

    def checked(self, made: Any, kind: type[Any], point: int) -> Any:
        """What a worker made, looked at as a stranger's."""
        if not isinstance(made, Made):
            raise Strange(f"a worker answered what no lab says ({type(made).__name__})")
        if made.lacks:
            raise Strange(f"worker on {made.where[:64]} lacks the case that it was sent")
        if made.problem is not None:
            error = UserError if made.problem.kind == "user" else InfrastructureError
            raise error(f"worker on {made.where[:64]}: {made.problem.message[:2000]}", hint=made.problem.hint[:500])
        try:
            event = record.decode(made.record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
            raise Strange(f"worker on {made.where[:64]} answered what no lab says: {str(bad)[:200]}") from None
        if not isinstance(event, kind) or event.point != point:
            raise Strange(f"worker on {made.where[:64]} answered for something else than point {point}")
        event = msgspec.structs.replace(event, where=made.where[:WHERE_LENGTH])
        if isinstance(event, Boot):
            event = self.with_console(event, made.console)
            if not self.target and event.point == self.end:
                self.target = adopted(self.target, [event], self.end)
        return event

    def with_console(self, boot: Boot, console: bytes) -> Boot:
        """The boot with its console here: where it is, when the worker shares this machine's cache, else written."""
        path = Path(str(boot.document.get("console") or ""))
        name = path.parent.name
        if path.is_relative_to(self.paths.boots) and path.is_file():
            return boot
        if not re.fullmatch(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}", name) or not console or len(console) > CONSOLE_BYTES:
            return msgspec.structs.replace(boot, document={**boot.document, "console": None})
        from lab.files import write_atomic

        here = self.paths.boots / name / "console.log"
        if not here.exists():
            write_atomic(here, console)
        return msgspec.structs.replace(boot, document={**boot.document, "console": str(here)})


class Checked(Executor):
    """An executor that sends the probes of a :class:`Sent` to the workers, and looks at what comes back.

    What a worker answers that no lab says, or can't do for a fault of its own, is done here instead, one probe at a
    time, and told in a line. Work that killed its workers is not: it would kill this process too.
    """

    def __init__(self, inner: Executor, sent: Sent, tell: Callable[[str], None]) -> None:
        self.inner = inner
        self.sent = sent
        self.tell = tell
        self.one = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send ``fn``, which is ``partial(sent.build, point)`` or ``partial(sent.boot, point)``."""
        method, point = fn.func, fn.args[0]  # type: ignore[attr-defined]
        what = method.__name__
        outer: Future[Any] = Future()
        outer.set_running_or_notify_cancel()
        self.hand_in(outer, what, point, whole=False)
        return outer

    def hand_in(self, outer: Future[Any], what: str, point: int, *, whole: bool) -> None:
        """Have a worker do it."""
        inner = self.inner.submit(do, self.sent.wanted(what, point, whole=whole))
        inner.add_done_callback(partial(self.settle, outer, what, point, whole))

    def settle(self, outer: Future[Any], what: str, point: int, whole: bool, inner: Future[Any]) -> None:
        """Hand on what came of it."""
        try:
            made = inner.result()
            if isinstance(made, Made) and made.lacks and not whole:
                self.hand_in(outer, what, point, whole=True)
                return
        except InfrastructureError as error:  # the scheduler is gone
            outer.set_exception(error)
            return
        except BaseException as error:
            if not isinstance(error, Exception) or type(error).__name__ in NOT_HERE:
                outer.set_exception(InfrastructureError(f"the cluster could not probe point {point}: {said(error)}"))
                return
            self.instead(outer, what, point, f"a worker failed ({said(error)})")
            return
        try:
            outer.set_result(self.sent.checked(made, Build if what == "build" else Boot, point))
        except InfrastructureError as error:
            self.instead(outer, what, point, error.message)
        except BaseException as error:
            outer.set_exception(error)

    def instead(self, outer: Future[Any], what: str, point: int, why: str) -> None:
        """Do it here, in a thread of its own: this one is the network's."""
        verb = "built" if what == "build" else "booted"
        self.tell(f"{why[:300]}; point {point} is {verb} here")
        threading.Thread(target=self.here, args=(outer, what, point), daemon=True).start()

    def here(self, outer: Future[Any], what: str, point: int) -> None:
        """Do it here."""
        try:
            with self.one:
                outer.set_result(self.sent.build(point, 0) if what == "build" else self.sent.boot(point, 0))
        except BaseException as error:
            outer.set_exception(error)


@dataclass(frozen=True)
class Elsewhere:
    """A cluster that probes: the prober for the engine, its hands, how many workers there are."""

    prober: Sent
    hands: Hands
    workers: int


@contextlib.contextmanager
def probing(
    spec: Spec,
    request: wire.Request,
    line: Line,
    target: Target,
    *,
    paths: Paths,
    progress: Progress,
    tell: Callable[[str], None],
) -> Iterator[Elsewhere]:
    """The cluster as the hands of a bisect of ``line``, which is ``request``'s case here. Only workers count that build
    with the same tools as this machine, for else two points would differ by more than a patch. ``tell`` gets a line for
    each probe that a worker did not do as it should."""
    resource = toolchain_resource(line.toolchain.identity)
    progress("host", spec.address or "starting workers")
    with cluster(spec, (line.tree.base,), paths, progress, tell) as client:
        count = await_workers(client, resource, spec.expected)
        data, _ = wire.encode(request)
        sent = Sent(data, target, line.series_end, paths)
        executor = Steady(Post(client), {resource: 1})
        yield Elsewhere(sent, Hands(Checked(executor, sent, tell), Lonely(client, resource, tell).check), count)
