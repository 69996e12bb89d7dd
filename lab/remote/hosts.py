"""The hosts that this user has named: ``hosts.toml`` in the configuration folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.errors import UserError
from lab.files import locked, write_atomic
from lab.manifest import load
from lab.paths import Paths
from lab.tree.importing.write import toml

FILE = "hosts.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?")
DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,15})?")
FOLDER = re.compile(r"/[A-Za-z0-9_./+@-]{1,200}")
WAIT_SECONDS = 10.0


class HostEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A host as the file has it. ``identity`` is a private key's file here; ``folder`` is where the lab lives there."""

    address: str
    identity: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Host:
    """A machine that is reached over SSH.

    ``user`` is empty where SSH's own configuration decides, ``port`` 0 likewise. ``folder`` is the absolute path there
    below which everything of the lab is kept; empty: the places that the XDG specification names.
    """

    name: str
    host: str
    user: str = ""
    port: int = 0
    identity: str = ""
    folder: str = ""

    @property
    def address(self) -> str:
        """``USER@HOST:PORT`` as it was given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")


def parse(name: str, address: str, *, identity: str = "", folder: str = "") -> Host:
    """The host ``name`` at ``[USER@]HOST[:PORT]``, an IPv6 address in brackets.

    Raises :class:`UserError` for what can't be one: nothing that a shell or ssh(1) would read as something else passes.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"host name {name!r}: letters, digits, dot, dash and underscore, at most 63 of them")
    user, at, rest = address.rpartition("@")
    if at and not USER.fullmatch(user):
        raise UserError(
            f"{name}: address {address!r}: {user!r} is no user name", hint="write USER@HOST or USER@HOST:PORT"
        )
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", rest)
    host, _, port = (bracketed[1], ":", bracketed[2] or "") if bracketed else rest.partition(":")
    ok = IPV6.fullmatch(host) if bracketed else DOMAIN.fullmatch(host)
    if not ok:
        raise UserError(f"{name}: address {address!r}: {host!r} is no host", hint="write USER@HOST or USER@HOST:PORT")
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise UserError(f"{name}: address {address!r}: {port!r} is no port")
    if folder and (not FOLDER.fullmatch(folder) or ".." in folder.split("/")):
        raise UserError(f"{name}: folder {folder!r}: an absolute path of plain characters is needed")
    return Host(name, host, user, int(port or 0), identity, folder.rstrip("/"))


def load_hosts(paths: Paths) -> dict[str, Host]:
    """The hosts of this user by name; :class:`UserError` names what is wrong in the file."""
    path = paths.config / FILE
    if not path.exists():
        return {}
    found = {}
    for name, entry in load(path, dict[str, HostEntry]).items():
        try:
            found[name] = parse(name, entry.address, identity=entry.identity, folder=entry.folder)
        except UserError as error:
            raise UserError(f"{path}: {error.message}", hint=error.hint) from None
    return found


def find_host(name: str, paths: Paths) -> Host:
    """The host ``name``; :class:`UserError` with those there are."""
    hosts = load_hosts(paths)
    if name not in hosts:
        known = ", ".join(sorted(hosts)) or "none"
        raise UserError(f"no host {name!r}; known hosts: {known}", hint="lab hosts add NAME USER@HOST")
    return hosts[name]


def add_host(host: Host, paths: Paths, *, replace: bool = False) -> None:
    """Write ``host`` into the list. :class:`UserError` where another has its name, unless ``replace``."""
    with locked(lock_file(paths), WAIT_SECONDS):
        hosts = load_hosts(paths)
        if host.name in hosts and hosts[host.name] != host and not replace:
            raise UserError(f"{host.name} is already {hosts[host.name].address}", hint="--replace, or remove it first")
        save({**hosts, host.name: host}, paths)


def remove_host(name: str, paths: Paths) -> Host:
    """Take host ``name`` out of the list. Nothing changes there."""
    with locked(lock_file(paths), WAIT_SECONDS):
        host = find_host(name, paths)
        save({key: value for key, value in load_hosts(paths).items() if key != name}, paths)
    return host


def lock_file(paths: Paths) -> Path:
    """What is held while the list changes."""
    return paths.config / f".{FILE}.lock"


def save(hosts: dict[str, Host], paths: Paths) -> None:
    """Write the whole list."""
    write_atomic(paths.config / FILE, as_toml(hosts))


def as_toml(hosts: dict[str, Host]) -> str:
    """The list as its file has it."""
    lines = ["# The lab's hosts; written by 'lab hosts add'.\n"]
    for name, host in sorted(hosts.items()):
        lines += [f"\n[{toml(name)}]\n", f"address = {toml(host.address)}\n"]
        lines += [f"identity = {toml(host.identity)}\n"] if host.identity else []
        lines += [f"folder = {toml(host.folder)}\n"] if host.folder else []
    return "".join(lines)
