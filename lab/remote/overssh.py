"""``--cluster ssh:NAMES``: a scheduler here, a worker on each of these hosts, started over SSH and gone with it.

They know each other by certificates that are made for this run alone and go over SSH, so that nobody else on the
network can join or give orders.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lab.errors import InfrastructureError
from lab.progress import Progress
from lab.remote.client import Talk
from lab.remote.hosts import Host
from lab.remote.install import serve_command
from lab.remote.listener import heard
from lab.remote.ssh import Link, connected
from lab.remote.tuning import NO_DASHBOARD
from lab.remote.version import this_version
from lab.remote.worker import Certificates
from lab.tree.types import Base

if TYPE_CHECKING:
    from distributed import LocalCluster


@contextlib.contextmanager
def hosts_as_workers(
    hosts: Sequence[Host], bases: Sequence[Base], progress: Progress, tell: Callable[[str], None]
) -> Iterator[tuple[LocalCluster, Any]]:
    """A scheduler with a worker on each host, and its security; the sources of ``bases`` are there. ``tell`` gets a
    line for each host whose worker ends before the work does."""
    import distributed
    from distributed.security import Security

    from lab.remote.cluster import closed

    security = Security.temporary()
    certificates = certificates_of(security)
    with contextlib.ExitStack() as stack:
        links = []
        for host in hosts:
            progress("host", host.name)
            link = stack.enter_context(connected(host))
            brought(link, bases, progress)
            links.append(link)
        try:
            cluster = distributed.LocalCluster(
                n_workers=0,
                host=own_address(links),
                protocol="tls://",
                security=security,
                scheduler_kwargs=NO_DASHBOARD,
            )
        except (OSError, ValueError) as error:
            raise InfrastructureError(f"no scheduler can be started here: {error}") from None
        stack.callback(closed, cluster)
        pipes = []
        for link in links:
            pipe = link.start(serve_command(link.host, this_version(), "lab.remote.worker", cluster.scheduler_address))
            stack.callback(pipe.close)
            pipe.joined()
            pipe.write(msgspec.json.encode(certificates) + b"\n")
            pipes.append(pipe)
        stack.enter_context(heard(pipes, tell))
        yield cluster, security


def brought(link: Link, bases: Sequence[Base], progress: Progress) -> None:
    """Have the sources of ``bases`` on a host."""
    pipe = link.start(serve_command(link.host, this_version()))
    with contextlib.closing(pipe):
        talk = Talk(link.host, pipe)
        talk.begin()
        for base in bases:
            talk.bring(base, progress)


def own_address(links: Sequence[Link]) -> str:
    """This machine's address as the hosts see it: the one that the first connection comes from."""
    transport = links[0].connection.client.get_transport()
    return str(transport.sock.getsockname()[0])


def certificates_of(security: Any) -> Certificates:
    """What a worker needs of a run's certificates."""
    return Certificates(security.tls_ca_file, security.tls_worker_cert, security.tls_worker_key)
