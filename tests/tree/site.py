"""A server of files on the loopback, and a key to sign with: for what is fetched and checked."""

import contextlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Site(dict[str, bytes]):
    """Files by path; ``asked`` is what was asked for, ``redirects`` where a path leads, ``breaks`` after how many bytes
    the connection ends the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.redirects: dict[str, str] = {}
        self.breaks: dict[str, int] = {}
        self.url = ""


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """A server that knows ranges."""
    what = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            what.asked.append(self.path)
            leads = what.redirects.get(self.path, "")
            body = what.get(self.path)
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            whole = len(body or b"")
            self.send_response(302 if leads else 404 if body is None else 206 if begin else 200)
            if leads:
                self.send_header("Location", leads)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
            self.send_header("Content-Length", str(whole - begin))
            self.end_headers()
            self.wfile.write((body or b"")[begin : what.breaks.pop(self.path, whole)])

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        what.url = f"http://127.0.0.1:{httpd.server_port}"
        try:
            yield what
        finally:
            httpd.shutdown()
            thread.join()


Sign = Callable[[str], bytes]


@contextlib.contextmanager
def signing(folder: Path) -> Iterator[tuple[Sign, Path]]:
    """A function that clear-signs with a key of its own, and the keyring that has this key."""
    if not shutil.which("gpg") or not shutil.which("gpgv"):
        pytest.skip("no gpg and gpgv here")
    home = folder / "gnupg"
    home.mkdir(mode=0o700)

    def gpg(*args: str, data: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", *args]
        return subprocess.run(argv, input=data, capture_output=True, check=True, timeout=60).stdout

    try:
        gpg("--quick-generate-key", "Test <test@example.org>", "ed25519", "sign", "never")
        (folder / "kernel.gpg").write_bytes(gpg("--export"))
        yield lambda text: gpg("--clearsign", data=text.encode()), folder / "kernel.gpg"
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=60)
