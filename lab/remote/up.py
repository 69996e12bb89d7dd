"""``lab hosts up`` and ``down``: a scheduler on the first of some hosts and a worker on each, that stay until they are
told to end. Who knows the certificates can use them: they are in this user's data folder, and on the hosts."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lab.errors import InfrastructureError, UserError
from lab.files import write_atomic
from lab.paths import Paths
from lab.progress import Progress
from lab.remote import stay
from lab.remote.hosts import Host, find_host
from lab.remote.install import UNREADY, serve_command
from lab.remote.ssh import Link, Strange, connected
from lab.remote.version import this_version
from lab.remote.worker import Certificates
from lab.tree.types import Base

BEGIN_SECONDS = 120.0
SAID_BYTES = 1 << 16
ADDRESS = re.compile(r"tls://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")


class Up(msgspec.Struct, frozen=True):
    """A cluster that was started from here: its scheduler's address, the hosts (the scheduler's first), its name there,
    and the certificates."""

    address: str
    hosts: tuple[str, ...]
    token: str
    certificates: Certificates


def folder_of(paths: Paths) -> Path:
    """Where the clusters are that were started from here."""
    return paths.data / "clusters"


def all_up(paths: Paths) -> list[Up]:
    """The clusters that were started from here."""
    found = []
    for path in sorted(folder_of(paths).glob("*.json")):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Up))
    return found


def at(address: str, paths: Paths) -> Up | None:
    """The cluster with the scheduler at ``address``, where it was started from here."""
    return next((one for one in all_up(paths) if one.address == address), None)


def security_of(one: Up) -> Any:
    """What a client of ``one`` shows and asks for."""
    from distributed.security import Security

    known = one.certificates
    return Security(tls_ca_file=known.ca, tls_client_cert=known.cert, tls_client_key=known.key, require_encryption=True)


def up(names: Sequence[str], paths: Paths, progress: Progress, *, count: int = 1) -> Up:
    """Start a scheduler on the first of the hosts ``names`` and ``count`` workers on each, and note it.

    :class:`UserError` where one of them is in a cluster already that was started from here.
    """
    from distributed.security import Security

    from lab.remote.overssh import certificates_of

    hosts = [find_host(name, paths) for name in dict.fromkeys(names)]
    for one in all_up(paths):
        if both := sorted({host.name for host in hosts} & set(one.hosts)):
            raise UserError(f"{', '.join(both)}: up already, {one.address}", hint=f"lab hosts down {one.hosts[0]}")
    certificates = certificates_of(Security.temporary())
    token = os.urandom(8).hex()
    begun: list[Host] = []
    try:
        with contextlib.ExitStack() as stack:
            links = []
            for host in hosts:
                progress("host", host.name)
                links.append(stack.enter_context(connected(host)))
            own = str(links[0].connection.client.get_transport().sock.getpeername()[0])
            begun.append(hosts[0])
            address = ordered(links[0], stay.Order("scheduler", token, certificates, own))
            for link in links:
                begun.append(link.host)
                ordered(link, stay.Order("worker", token, certificates, address, count))
    except BaseException:
        for host in dict.fromkeys(begun):
            with contextlib.suppress(InfrastructureError, UserError):
                ended_on(host, token)
        raise
    one = Up(address, tuple(host.name for host in hosts), token, certificates)
    folder_of(paths).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(folder_of(paths) / f"{token}.json", msgspec.json.encode(one))
    (folder_of(paths) / f"{token}.json").chmod(0o600)
    return one


def down(names: Sequence[str], paths: Paths, progress: Progress) -> tuple[list[Up], list[str]]:
    """End the clusters that were started from here (those with a host of ``names``, where there are any): which they
    were, and what went wrong. One is forgotten only when every host has ended its part."""
    chosen = [one for one in all_up(paths) if not names or set(names) & set(one.hosts)]
    if not chosen:
        raise UserError("nothing is up" + (f" on {', '.join(names)}" if names else ""), hint="lab hosts up NAME…")
    problems: list[str] = []
    for one in chosen:
        before = len(problems)
        for name in reversed(one.hosts):
            progress("host", name)
            try:
                ended_on(find_host(name, paths), one.token)
            except (InfrastructureError, UserError) as error:
                problems.append(error.message)
        if len(problems) == before:
            (folder_of(paths) / f"{one.token}.json").unlink(missing_ok=True)
    return chosen, problems


def ordered(link: Link, order: stay.Order) -> str:
    """Have ``order`` done on a host; the scheduler's address."""
    address = asked(link, ("begin",), msgspec.json.encode(order) + b"\n").address
    if not ADDRESS.fullmatch(address):
        raise Strange(f"{link.host.name} named a strange address of a scheduler: {address[:100]!r}")
    return address


def ended_on(host: Host, token: str) -> int:
    """End what stays of a cluster on ``host``."""
    with connected(host) as link:
        return asked(link, ("end", token)).ended


def asked(link: Link, words: tuple[str, ...], data: bytes = b"") -> stay.Said:
    """What the lab there says."""
    command = serve_command(link.host, this_version(), "lab.remote.stay", *words)
    text = link.run(command, input=data, seconds=BEGIN_SECONDS, limit=SAID_BYTES).text
    name = link.host.name
    for line in reversed(text.splitlines()):
        if line.strip() in UNREADY:
            raise UserError(f"{name}: {UNREADY[line.strip()]}", hint=f"lab hosts setup {name}")
        if line.startswith(stay.MARK):
            try:
                said = msgspec.json.decode(line.removeprefix(stay.MARK), type=stay.Said)
            except msgspec.MsgspecError as bad:
                raise Strange(f"{name} answered what no lab says: {str(bad)[:200]}") from None
            if said.problem:
                raise InfrastructureError(f"{name}: {said.problem[:500]}")
            return said
    last = text.strip().splitlines()[-1:] or ["nothing"]
    raise Strange(f"{name}: the lab there does not start: {last[0][:300]}")


def reached(one: Up, bases: Sequence[Base], paths: Paths, progress: Progress) -> Any:
    """Have the sources of ``bases`` on the hosts of ``one``; the security for its client."""
    from lab.remote.overssh import brought

    for name in one.hosts:
        with connected(find_host(name, paths)) as link:
            brought(link, bases, progress)
    return security_of(one)
