"""One SSH connection by Fabric: keys strictly checked, nothing asked for, nothing forwarded, every wait bounded."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lab.errors import InfrastructureError, UserError
from lab.remote.hosts import Host

if TYPE_CHECKING:
    from fabric import Connection
    from paramiko import Channel

CONNECT_SECONDS = 15.0
KEEPALIVE_SECONDS = 15
SILENT_SECONDS = 60.0
"""A host that says nothing for so long while it should is gone."""

SAID_BYTES = 256 << 10
EXTRA = "pip install 'kernel-boot-lab[remote]'"


class ConnectionLost(InfrastructureError):
    """The connection to a host broke, or the host stopped answering."""


class Strange(InfrastructureError):
    """A host answered what no lab says."""


class Unchecked(Exception):
    """The host's key is not known here."""


class Refuse:
    """A policy of paramiko's for host keys that are not known: nothing goes on."""

    def missing_host_key(self, client: object, hostname: str, key: object) -> None:
        """Called with such a key."""
        raise Unchecked(hostname)


@contextlib.contextmanager
def connected(host: Host, *, seconds: float = CONNECT_SECONDS) -> Iterator[Link]:
    """A connection to ``host`` for as long as the context lasts.

    Only keys and the agent are tried; there is never a prompt. Raises :class:`UserError` for an unknown or changed host
    key and a login that is refused, :class:`ConnectionLost` where nobody answers.
    """
    try:
        import fabric
    except ImportError:
        raise InfrastructureError("hosts need Fabric, which is not installed", hint=EXTRA) from None
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
    config = fabric.Config(lazy=True)
    config.load_ssh_config()
    keys: dict[str, Any] = {
        "look_for_keys": True,
        "allow_agent": True,
        "banner_timeout": seconds,
        "auth_timeout": seconds,
    }
    if host.identity:
        keys["key_filename"] = str(Path(host.identity).expanduser())
    connection = fabric.Connection(
        host.host,
        user=host.user or None,
        port=host.port or None,
        config=config,
        forward_agent=False,
        connect_timeout=seconds,
        connect_kwargs=keys,
    )
    check_keys(connection)
    try:
        opened(connection, host)
        yield Link(host, connection)
    finally:
        with contextlib.suppress(Exception):
            connection.close()


def known_hosts() -> Path:
    """The user's list of host keys."""
    return Path("~/.ssh/known_hosts").expanduser()


def check_keys(connection: Connection) -> None:
    """Have ``connection``, and each that it goes through, refuse every host key that the user does not have."""
    one: Any = connection
    while one is not None and not isinstance(one, str):
        one.client.set_missing_host_key_policy(Refuse())
        one.client.load_system_host_keys()
        everyone = Path("/etc/ssh/ssh_known_hosts")
        if everyone.is_file():
            one.client.load_system_host_keys(str(everyone))
        one = one.gateway


def opened(connection: Connection, host: Host) -> None:
    """Open ``connection``; what can go wrong is told in one line."""
    try:
        connection.open()
    except Exception as error:
        explain(error, host, connection)
    transport = connection.client.get_transport()
    if transport is None:
        raise ConnectionLost(f"{host.name}: the connection was closed at once")
    transport.set_keepalive(KEEPALIVE_SECONDS)


def explain(error: Exception, host: Host, connection: Connection) -> NoReturn:
    """Raise what a person can act on for an error of paramiko's or the network's."""
    import paramiko
    from paramiko import ssh_exception

    at = f"{host.name} ({host.address})"
    port = connection.port or 22
    where = f"-p {port} {connection.host}" if port != 22 else str(connection.host)
    if isinstance(error, Unchecked):
        raise UserError(
            f"{at}: its host key is not in {known_hosts()}, so nothing was sent",
            hint=f"compare the fingerprint, then say yes: ssh {port_option(port)}{login(connection)} true; "
            f"or: ssh-keyscan {where} >>{known_hosts()}",
        ) from None
    if isinstance(error, ssh_exception.BadHostKeyException):
        name = f"[{connection.host}]:{port}" if port != 22 else str(connection.host)
        raise UserError(
            f"{at}: its host key is ANOTHER than in {known_hosts()}: it was set up anew, or somebody is in between",
            hint=f"only if you know why: ssh-keygen -R {shlex.quote(name)}",
        ) from None
    if isinstance(error, ssh_exception.PasswordRequiredException):
        raise UserError(
            f"{at}: the key needs a passphrase, and nothing is asked for here", hint="ssh-add it first"
        ) from None
    allowed = getattr(error, "allowed_types", None)
    if isinstance(error, ssh_exception.BadAuthenticationType) and allowed and "publickey" not in allowed:
        kinds = ", ".join(str(kind)[:40] for kind in allowed[:5])
        raise UserError(
            f"{at}: it takes no keys, only {kinds}, and nothing is asked for here",
            hint="'PubkeyAuthentication yes' in its sshd_config",
        ) from None
    if isinstance(error, paramiko.AuthenticationException) or "authentication" in str(error).lower():
        raise UserError(
            f"{at}: it accepts none of the keys of this user",
            hint=f"ssh-copy-id {port_option(port)}{login(connection)}; keys with a passphrase: ssh-add",
        ) from None
    reason = socket_reason(error)
    raise ConnectionLost(f"{at}: cannot be reached: {reason}") from None


def port_option(port: int) -> str:
    """``-p`` for ssh(1), where it is not the usual one."""
    return f"-p {port} " if port != 22 else ""


def login(connection: Connection) -> str:
    """``USER@HOST`` for ssh(1)."""
    return f"{connection.user}@{connection.host}"


def socket_reason(error: Exception) -> str:
    """What the network says, without its class."""
    if isinstance(error, TimeoutError | socket.timeout):
        return "no answer in time"
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


class Link:
    """An open connection to a host."""

    def __init__(self, host: Host, connection: Connection) -> None:
        self.host = host
        self.connection = connection

    def start(self, command: str, *, silent: float = SILENT_SECONDS) -> Pipe:
        """Start ``command`` by the login shell there. Each read waits ``silent`` seconds at most."""
        try:
            channel = self.connection.client.get_transport().open_session(timeout=CONNECT_SECONDS)
            channel.settimeout(silent)
            channel.exec_command(command)
        except Exception as error:
            raise ConnectionLost(f"{self.host.name}: no session: {socket_reason(error)}") from None
        return Pipe(self.host, channel)

    def run(
        self, command: str, *, input: bytes = b"", seconds: float = SILENT_SECONDS, limit: int = SAID_BYTES
    ) -> Said:
        """Run ``command`` to its end; at most ``limit`` bytes of what it says are kept."""
        pipe = self.start(command, silent=seconds)
        with contextlib.closing(pipe):
            pipe.joined()
            pipe.write(input)
            pipe.end_input()
            out = bytearray()
            while data := pipe.some():
                out += data[: limit - len(out)]
            return Said(pipe.status(), bytes(out).decode(errors="replace"))


class Said:
    """How a command there ended, and what it said on both streams."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text


class Pipe:
    """A command that runs there: its input and output as bytes. Every read and write has a deadline."""

    def __init__(self, host: Host, channel: Channel) -> None:
        self.host = host
        self.channel = channel
        self.buffer = bytearray()

    def joined(self) -> None:
        """Standard error comes with standard output."""
        self.channel.set_combine_stderr(True)

    def lost(self, why: str) -> ConnectionLost:
        """The error for a connection that is gone."""
        return ConnectionLost(f"the connection to {self.host.name} broke: {why}")

    def some(self, most: int = 1 << 16) -> bytes:
        """What is there, empty at the end."""
        if self.buffer:
            data = bytes(self.buffer[:most])
            del self.buffer[:most]
            return data
        try:
            return bytes(self.channel.recv(most))
        except TimeoutError:
            raise self.lost("nothing came for a long time") from None
        except Exception as error:
            raise self.lost(socket_reason(error)) from None

    def whenever(self, most: int = 1 << 16) -> bytes:
        """The next bytes, whenever they come; empty at the end, also where it is the connection's."""
        while True:
            try:
                return bytes(self.channel.recv(most))
            except TimeoutError:
                if self.channel.closed or not self.channel.get_transport().is_active():
                    return b""
            except Exception:
                return b""

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        out = bytearray()
        while len(out) < count:
            data = self.some(min(count - len(out), 1 << 18))
            if not data:
                raise self.lost(self.last_words() or "it ended in the middle of an answer")
            out += data
        return bytes(out)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        try:
            self.channel.sendall(data)
        except Exception as error:
            raise self.lost(socket_reason(error)) from None

    def end_input(self) -> None:
        """The command's input ends here."""
        with contextlib.suppress(Exception):
            self.channel.shutdown_write()

    def status(self) -> int:
        """The command's exit status, once its output has ended."""
        if not self.channel.status_event.wait(SILENT_SECONDS):
            raise self.lost("its status did not come")
        return int(self.channel.exit_status)

    def last_words(self) -> str:
        """The last line that came on standard error, for a message."""
        said = b""
        with contextlib.suppress(Exception):
            while self.channel.recv_stderr_ready() and len(said) < 4096:
                said += self.channel.recv_stderr(4096)
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def close(self) -> None:
        """End it: the command there sees the end of its input."""
        with contextlib.suppress(Exception):
            self.channel.close()


def git_ssh(host: Host) -> str:
    """``GIT_SSH_COMMAND`` that reaches ``host`` under the same rules as :func:`connected`."""
    words = ["ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oForwardAgent=no", "-oForwardX11=no"]
    words += ["-oClearAllForwardings=yes", "-oUpdateHostKeys=no", f"-oConnectTimeout={CONNECT_SECONDS:.0f}"]
    words += [f"-oServerAliveInterval={KEEPALIVE_SECONDS}", "-oServerAliveCountMax=3"]
    words += [f"-oUserKnownHostsFile={known_hosts()}"]
    if host.identity:
        words += ["-i", str(Path(host.identity).expanduser())]
    return shlex.join(words + homes_own(os.environ.get("HOME", "")))


def homes_own(home: str) -> list[str]:
    """ssh(1) looks into the home of the password file. Where ``HOME`` is another, its keys and configuration count."""
    import pwd

    if not home or Path(home) == Path(pwd.getpwuid(os.getuid()).pw_dir):
        return []
    folder = Path(home) / ".ssh"
    words = ["-F", str(folder / "config") if (folder / "config").is_file() else "/dev/null"]
    for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
        words += ["-i", str(folder / name)] if (folder / name).is_file() else []
    return words
