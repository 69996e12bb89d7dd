"""Many machines by Dask: ``--cluster local:N``, ``tcp://…`` or ``ssh:NAMES``, as one
:class:`concurrent.futures.Executor`.

What goes over to a worker is a request and a number, what comes back is a document: both small, so that the scheduler
has nothing to do but schedule. Dask itself trusts its workers: it unpickles what they send.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lab.bisect.engine import Hands
from lab.bisect.records import Boot, Build
from lab.bisect.target import Target, adopted
from lab.errors import InfrastructureError, UserError
from lab.line import Line
from lab.paths import Paths
from lab.progress import Progress
from lab.remote import wire
from lab.remote.ssh import Strange
from lab.remote.version import this_version
from lab.remote.work import CONSOLE_BYTES, Made, Wanted, do
from lab.remote.worker import resources, toolchain_resource
from lab.tree.types import Base

if TYPE_CHECKING:
    from distributed import Client

EXTRA = "pip install 'kernel-boot-lab[cluster]'"
START_SECONDS = 120.0
CLOSE_SECONDS = 15.0
ALONE_SECONDS = 300.0
"""So long a cluster may be without any worker before the work is given up."""

WORKERS_LIMIT = 1000
record = msgspec.json.Decoder(Build | Boot)


@dataclass(frozen=True)
class Spec:
    """Which cluster: ``count`` workers here, the scheduler at ``address``, or the hosts of these names."""

    address: str = ""
    count: int = 0
    hosts: tuple[str, ...] = ()


def parse(text: str) -> Spec:
    """``local:4``, ``ssh:one,two`` or ``tcp://HOST:PORT`` (``tls://`` where Dask is configured for it).

    Raises :class:`UserError`.
    """
    local = re.fullmatch(r"local(?::(\d{1,4}))?", text)
    if local:
        count = int(local[1] or "1")
        if not 1 <= count <= WORKERS_LIMIT:
            raise UserError(f"--cluster {text}: 1 to {WORKERS_LIMIT} workers")
        return Spec(count=count)
    if re.fullmatch(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}", text):
        return Spec(address=text)
    if text.startswith("ssh:") and (names := tuple(filter(None, text[4:].split(",")))):
        return Spec(hosts=tuple(dict.fromkeys(names)))
    hint = "local:N, ssh:NAME,NAME of 'lab hosts', or tcp://HOST:PORT of a Dask scheduler"
    raise UserError(f"--cluster {text!r}: no cluster", hint=hint)


@contextlib.contextmanager
def cluster(spec: Spec, base: Base, paths: Paths, progress: Progress) -> Iterator[Client]:
    """A client of the cluster for as long as the context lasts; workers of its own end with it."""
    try:
        import distributed
    except ImportError:
        raise InfrastructureError("--cluster needs Dask, which is not installed", hint=EXTRA) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        address: Any = spec.address
        security = None
        if spec.hosts:
            from lab.remote.hosts import find_host
            from lab.remote.overssh import hosts_as_workers

            named = [find_host(name, paths) for name in spec.hosts]
            address, security = stack.enter_context(hosts_as_workers(named, base, progress))
        try:
            if spec.count:
                address = distributed.LocalCluster(
                    n_workers=spec.count,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    resources=resources(paths),
                )
                stack.callback(closed, address)
            client = distributed.Client(address, timeout=START_SECONDS, set_as_default=False, security=security)
        except OSError as error:
            raise InfrastructureError(f"the scheduler {spec.address or 'here'} does not answer: {error}") from None
        stack.callback(closed, client)
        yield client


def closed(one: Any) -> None:
    """Close a client or a cluster. One that does not answer any more must not hide why this ends: its workers watch
    their parent and end by themselves."""
    with contextlib.suppress(Exception):
        one.close(timeout=CLOSE_SECONDS)


def workers(client: Client, resource: str) -> int:
    """How many workers with that resource there are now."""
    client.sync(client._update_scheduler_info)
    known = client.scheduler_info(n_workers=-1)["workers"].values()
    return sum(bool(one.get("resources", {}).get(resource)) for one in known)


def await_workers(client: Client, resource: str, count: int, seconds: float = START_SECONDS) -> int:
    """Wait until there are ``count`` workers that have ``resource``; fewer where no more come in time."""
    limit = time.monotonic() + seconds
    while (found := workers(client, resource)) < count:
        if time.monotonic() > limit:
            if found:
                return found
            raise InfrastructureError(
                f"in {seconds:g} s no worker of the cluster came that builds with this machine's compiler ({resource})",
                hint="a bisect needs one compiler; start workers by: lab hosts worker ADDRESS",
            )
        time.sleep(0.1)
    return found


class Sent:
    """A prober for an engine whose hands are elsewhere: what it is asked for is packed and sent."""

    def __init__(self, request: bytes, target: Target, end: int, paths: Paths) -> None:
        self.request = request
        self.target = target
        self.end = end
        self.paths = paths
        self.version = this_version().name

    def wanted(self, what: Any, point: int) -> Wanted:
        """One probe, as it goes to a worker."""
        return Wanted(self.request, what, point, self.target, self.version)

    def build(self, point: int, worker: int) -> Build:
        """Build ``point``, here."""
        made: Build = self.checked(do(self.wanted("build", point)), Build, point)
        return made

    def boot(self, point: int, worker: int) -> Boot:
        """Boot ``point``, here."""
        made: Boot = self.checked(do(self.wanted("boot", point)), Boot, point)
        return made

    def checked(self, made: Any, kind: type[Any], point: int) -> Any:
        """What a worker made, looked at as a stranger's."""
        if not isinstance(made, Made):
            raise Strange(f"a worker answered what no lab says ({type(made).__name__})")
        if made.problem is not None:
            error = UserError if made.problem.kind == "user" else InfrastructureError
            raise error(f"worker on {made.where[:64]}: {made.problem.message[:2000]}", hint=made.problem.hint[:500])
        try:
            event = record.decode(made.record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
            raise Strange(f"worker on {made.where[:64]} answered what no lab says: {str(bad)[:200]}") from None
        if not isinstance(event, kind) or event.point != point:
            raise Strange(f"worker on {made.where[:64]} answered for something else than point {point}")
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
    """An executor that sends the probes of a :class:`Sent` to the workers, and looks at what comes back."""

    def __init__(self, inner: Executor, sent: Sent) -> None:
        self.inner = inner
        self.sent = sent

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send ``fn``, which is ``partial(sent.build, point)`` or ``partial(sent.boot, point)``."""
        method, point = fn.func, fn.args[0]  # type: ignore[attr-defined]
        what = method.__name__
        outer: Future[Any] = Future()
        outer.set_running_or_notify_cancel()
        inner = self.inner.submit(do, self.sent.wanted(what, point))
        inner.add_done_callback(partial(self.settle, outer, Build if what == "build" else Boot, point))
        return outer

    def settle(self, outer: Future[Any], kind: type[Any], point: int, inner: Future[Any]) -> None:
        """Hand on what came of it."""
        try:
            outer.set_result(self.sent.checked(inner.result(), kind, point))
        except UserError as error:
            outer.set_exception(error)
        except InfrastructureError as error:
            outer.set_exception(error)
        except BaseException as error:
            text = str(error).strip().splitlines() or [type(error).__name__]
            outer.set_exception(InfrastructureError(f"the cluster could not probe point {point}: {text[0][:300]}"))


@dataclass(frozen=True)
class Elsewhere:
    """A cluster that probes: the prober for the engine, its hands, how many workers there are."""

    prober: Sent
    hands: Hands
    workers: int


@contextlib.contextmanager
def probing(
    spec: Spec, request: wire.Request, line: Line, target: Target, *, paths: Paths, progress: Progress
) -> Iterator[Elsewhere]:
    """The cluster as the hands of a bisect of ``line``, which is ``request``'s case here. Only workers count that build
    with the same tools as this machine, for else two points would differ by more than a patch."""
    resource = toolchain_resource(line.toolchain.identity)
    progress("host", "starting workers" if spec.count or spec.hosts else spec.address)
    with cluster(spec, line.tree.base, paths, progress) as client:
        count = await_workers(client, resource, spec.count or len(spec.hosts) or 1)
        data, _ = wire.encode(request)
        sent = Sent(data, target, line.series_end, paths)
        executor = client.get_executor(pure=False, retries=1, resources={resource: 1})
        yield Elsewhere(sent, Hands(Checked(executor, sent), Lonely(client, resource).check), count)


class Lonely:
    """Gives up where a cluster has had no worker for long."""

    def __init__(self, client: Client, resource: str) -> None:
        self.client = client
        self.resource = resource
        self.seen = time.monotonic()

    def check(self) -> None:
        """Called again and again while work is under way."""
        try:
            found = workers(self.client, self.resource)
        except Exception as error:
            raise InfrastructureError(f"the scheduler does not answer any more: {type(error).__name__}") from None
        now = time.monotonic()
        if found:
            self.seen = now
        elif now - self.seen > ALONE_SECONDS:
            raise InfrastructureError(f"the cluster has had no worker for {ALONE_SECONDS:g} s")
