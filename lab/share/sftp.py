"""fsspec's SFTP under this lab's rules for SSH: host keys strictly checked, nothing asked for, every wait bounded."""

from __future__ import annotations

import contextlib
from typing import Any

from lab.errors import LabError
from lab.remote.hosts import Host
from lab.share.place import CONNECT_SECONDS, EXTRA, SILENT_SECONDS, Unreachable
from lab.share.where import Where


def filesystem(where: Where) -> Any:
    """The file system at ``where``, on a connection of its own."""
    try:
        from fsspec.implementations.sftp import SFTPFileSystem
    except ImportError:
        raise Unreachable(f"it needs paramiko, which is not installed ({EXTRA})") from None
    from lab.remote.ssh import connected

    class Strict(SFTPFileSystem):  # type: ignore[misc]
        """As fsspec has it, but for who is talked to: left alone, it takes every host key."""

        cachable = False

        def _connect(self) -> None:
            self.stack = contextlib.ExitStack()
            host = Host(where.host, where.host, where.user, where.port)
            link = self.stack.enter_context(connected(host, seconds=CONNECT_SECONDS))
            self.client = link.connection.client
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(SILENT_SECONDS)

        def hang_up(self) -> None:
            self.stack.close()

    try:
        return Strict(where.host)
    except LabError as error:
        raise Unreachable(str(error)) from None
