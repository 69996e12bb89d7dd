"""HTTP for addresses that strangers may have chosen: bounded, and never from the outside to the inside.

A host that the user names is his business, on a private network too. Where a server only *redirects* to, the lab goes
when it is HTTP(S) and a public address: the address is looked at when the connection stands and before a byte is sent,
so that a name that resolves differently the second time helps nobody. Behind a proxy, which does the resolving,
only literal addresses and ``localhost`` can be told apart. Proxies are those of the environment (``https_proxy``,
``no_proxy``), as with curl(1).
"""

from __future__ import annotations

import ipaddress
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from lab.errors import UserError
from lab.tree.git import printable

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
REDIRECTS = 10
GZIP = b"\x1f\x8b"


class Refused(UserError):
    """An address that must not be asked."""


def is_private(address: str) -> bool:
    """Whether an IP address is of this host or a network that is not the world's (RFC 6890); False for a name."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address.rstrip(".").casefold() in ("localhost", "localhost.localdomain")
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return not mapped.is_global or mapped.is_multicast


def host_of(url: str) -> str:
    """The host of a URL in lower case; empty where it has none."""
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""


def check_url(url: str) -> None:
    """:class:`Refused` for what is no URL of HTTP(S) with a host."""
    if not url.isprintable() or not host_of(url) or urlsplit(url).scheme not in ("http", "https"):
        raise Refused(f"{printable(url)[:200]}: only http: and https: URLs are fetched")


def check_peer(sock: socket.socket, host: str, named: frozenset[str]) -> None:
    """Close ``sock`` and raise :class:`Refused` where it ends in a private network and the user did not name it."""
    peer = sock.getpeername()[0]
    if host.casefold() not in named and is_private(peer):
        sock.close()
        raise Refused(f"{printable(host)}: a redirect to a private address ({peer}) is not followed")


def connections(named: frozenset[str]) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Connection pools that look at who is there."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            check_peer(sock, self.host, named)
            return sock

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            check_peer(sock, self.host, named)
            return sock

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class Guard(requests.adapters.HTTPAdapter):
    """The adapter of a session for which the user named the hosts ``named``."""

    def __init__(self, named: frozenset[str]) -> None:
        self.named = named
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools that check."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = connections(self.named)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """One request, a redirected one too."""
        url = request.url or ""
        check_url(url)
        if host_of(url) not in self.named and is_private(host_of(url)):
            raise Refused(f"{printable(host_of(url))}: a redirect to a private address is not followed")
        return super().send(request, *args, **kwargs)


class Session(requests.Session):
    """A session that goes nowhere but over HTTP(S), and inside only to the hosts that were named."""

    def __init__(self, *urls: str) -> None:
        super().__init__()
        for url in urls:
            check_url(url)
        guard = Guard(frozenset(map(host_of, urls)))
        self.secure = all(urlsplit(url).scheme == "https" for url in urls)
        self.adapters.clear()
        self.mount("http://", guard)
        self.mount("https://", guard)
        self.max_redirects = REDIRECTS
        self.headers["User-Agent"] = "kernel-boot-lab"

    def get_adapter(self, url: str) -> requests.adapters.BaseAdapter:
        """The adapter for ``url``; :class:`Refused` for ``file:`` and whatever else a redirect may name."""
        check_url(url)
        if self.secure and urlsplit(url).scheme != "https":
            raise Refused(f"{printable(url)[:200]}: a redirect from https: to http: is not followed")
        return super().get_adapter(url)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """No password out of ~/.netrc goes where a redirect leads."""
        prepared_request.headers.pop("Authorization", None)


class BoundedSession(Session):
    """A session whose answers are read whole, up to ``limit`` bytes, also after what gzip makes of them."""

    def __init__(self, *urls: str, limit: int) -> None:
        super().__init__(*urls)
        self.limit = limit

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """One request; :class:`UserError` for an answer that is too large."""
        kwargs["stream"] = True
        kwargs["timeout"] = (CONNECT_SECONDS, STALL_SECONDS)
        response = super().send(request, **kwargs)
        url, data = printable(request.url or "")[:200], bytearray()
        for chunk in response.iter_content(1 << 16):
            data += chunk
            if len(data) > self.limit:
                response.close()
                raise UserError(
                    f"{printable(request.url or '')[:200]}: the answer is larger than {self.limit >> 20} MiB"
                )
        if data[:2] == GZIP and gunzipped_size(bytes(data), self.limit) > self.limit:
            raise UserError(f"{url}: unpacks to more than {self.limit >> 20} MiB")
        response._content = bytes(data)
        return response


def gunzipped_size(data: bytes, limit: int) -> int:
    """How large gzipped ``data`` is unpacked; counting stops a little above ``limit``. Damage is not looked at."""
    total = 0
    while data[:2] == GZIP and total <= limit:
        engine = zlib.decompressobj(wbits=31)
        try:
            while not engine.eof and total <= limit:
                piece = engine.decompress(data, 1 << 20)
                if not piece and not engine.unconsumed_tail:
                    break
                total += len(piece)
                data = engine.unconsumed_tail
            data = engine.unused_data
        except zlib.error:
            return total
    return total
