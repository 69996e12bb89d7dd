"""A report's folder over HTTP, on this machine's loopback alone.

Only files below the folder are read, each component without following a link; only requests for this very server are
answered (a web page that makes its own name point here gets nothing); each request has a deadline, and there are only
so many at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from lab.errors import InfrastructureError

HOST = "127.0.0.1"
DEADLINE = 20.0
"""Seconds for a request, from its connection to its last byte."""
AT_ONCE = 32
PIECE = 1 << 16
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/xml",
}
NOTHING = ("default-src", "base-uri", "form-action", "frame-ancestors")
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (*(f"{name} 'none'" for name in NOTHING), "style-src 'self'", "img-src data:")
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Server(ThreadingHTTPServer):
    """Serves ``folder``. ``refresh`` is called before a page is read, and sees to it that the folder is up to date."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = AT_ONCE

    def __init__(
        self, folder: Path, port: int, *, refresh: Callable[[], None] | None = None, deadline: float = DEADLINE
    ) -> None:
        self.folder = folder
        self.refresh = refresh
        self.deadline = deadline
        self.slots = threading.BoundedSemaphore(AT_ONCE)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise InfrastructureError(
                f"port {port} of {HOST} cannot be had: {error.strerror}", hint="another --port, or 0 for any"
            ) from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def names(self) -> frozenset[str]:
        """The ``Host`` headers that mean this server."""
        hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        return frozenset(hosts | ({HOST, "localhost"} if self.port == 80 else set()))

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Answer a connection, no longer than the deadline, and not while too many others are answered."""
        connection = request if isinstance(request, socket.socket) else request[1]
        if not self.slots.acquire(timeout=self.deadline):
            self.shutdown_request(request)
            return
        timer = threading.Timer(self.deadline, cut, (connection,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self.slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is nothing to tell."""


def cut(connection: socket.socket) -> None:
    """End a connection whose time is up."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """One request; a connection has no second one."""

    protocol_version = "HTTP/1.0"
    server_version = "kernel-boot-lab"
    sys_version = ""
    server: Server

    def do_GET(self) -> None:
        """Send a file."""
        self.answer(body=True)

    def do_HEAD(self) -> None:
        """Send a file's headers."""
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        """Send the file that the path names, or say why not."""
        if self.headers.get("Host", "").lower() not in self.server.names:
            return self.refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own name alone")
        parts = path_parts(self.path)
        if parts is None:
            return self.refuse(HTTPStatus.BAD_REQUEST, "not a path of a report")
        if parts and parts[-1] == "":
            parts = [*parts[:-1], "index.html"]
        if self.server.refresh is not None and (parts or ["index.html"])[-1].endswith(".html"):
            try:
                self.server.refresh()
            except Exception as error:
                self.log_error("the report could not be made anew: %s", error)
        with opened(self.server.folder, parts or ["index.html"]) as file:
            if file is None:
                return self.refuse(HTTPStatus.NOT_FOUND, "no such page")
            size = os.fstat(file.fileno()).st_size
            self.begin(HTTPStatus.OK, TYPES.get(Path(parts[-1] if parts else "index.html").suffix, "text/plain"), size)
            while body and size > 0 and (piece := file.read(min(PIECE, size))):
                self.wfile.write(piece)
                size -= len(piece)
        return None

    def begin(self, code: HTTPStatus, kind: str, size: int) -> None:
        """Send the status and the headers."""
        self.send_response(code)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()

    def refuse(self, code: HTTPStatus, why: str) -> None:
        """Say no in a line."""
        body = f"{code.value} {code.phrase}: {why}\n".encode()
        self.begin(code, TYPES[".txt"], len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def log_error(self, format: str, *args: object) -> None:
        """Errors go to standard error, harmless."""
        import sys

        from lab.report.plain import one_line

        sys.stderr.write(one_line(format % args) + "\n")


def path_parts(path: str) -> list[str] | None:
    """The components of a request's path, an empty last one for a folder; ``None`` for what no report can hold."""
    try:
        text = unquote(urlsplit(path).path, errors="strict")
    except (UnicodeDecodeError, ValueError):
        return None
    if not text.startswith("/") or "\0" in text or "\\" in text or len(text) > 2000:
        return None
    parts = text[1:].split("/")
    if any(part in (".", "..") or part.startswith(".") for part in parts) or "" in parts[:-1]:
        return None
    return parts


@contextlib.contextmanager
def opened(folder: Path, parts: list[str]) -> Iterator[BinaryIO | None]:
    """The regular file below ``folder``, no component of whose path is a link; ``None`` where there is none."""
    try:
        fd = open_below(folder, parts)
    except OSError:
        yield None
        return
    with os.fdopen(fd, "rb") as file:
        yield file


def open_below(folder: Path, parts: list[str]) -> int:
    """Open a file component by component: whatever is exchanged meanwhile, nothing outside is reached."""
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = inner
        fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(parts[-1])
    return fd
