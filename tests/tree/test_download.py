"""A download survives a bad network, and never gives another file than the one that was asked for."""

import hashlib
import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.tree.bases import Entry, resolve_base
from lab.tree.download import download

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does: how many bytes of a body it sends before it hangs up, once for each entry of ``cuts``."""

    url: str = ""
    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"one"'
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    redirect: str = ""


def handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            span = self.headers.get("Range", "")
            server.asked.append(span)
            if server.redirect:
                self.send_response(302)
                self.send_header("Location", server.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if server.statuses:
                self.send_error(server.statuses.pop(0))
                return
            start = 0
            if span and server.ranges and self.headers.get("If-Range", server.etag) == server.etag:
                start = int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = server.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
            self.send_header("Content-Length", str(len(body)))
            if server.etag:
                self.send_header("ETag", server.etag)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on the loopback, as unreliable as a test wants it."""
    what = Server()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(what)) as httpd:
        what.url = f"http://127.0.0.1:{httpd.server_port}/linux-6.1.tar.xz"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield what
        httpd.shutdown()
        thread.join()


Get = Callable[..., Path]


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Get:
    """``get()`` downloads from the server, without its long pauses."""

    def run(**options: str) -> Path:
        target = tmp_path / "downloads" / "file"
        download(server.url, target, pause=0.01, deadline=30, **options)
        assert [path.name for path in target.parent.iterdir()] == ["file"]
        return target

    return run


def test_a_file_comes_whole(get: Get, server: Server) -> None:
    assert get(sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == [""]


def test_a_broken_connection_is_resumed_where_it_broke(get: Get, server: Server) -> None:
    server.cuts = [300_000, 200_000]
    assert get(sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-", "bytes=500000-"]


def test_without_a_hash_the_server_must_vouch_for_the_rest(get: Get, server: Server) -> None:
    server.cuts = [300_000]
    assert get().read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-"]


def test_without_hash_and_validator_it_begins_again(get: Get, server: Server) -> None:
    server.cuts, server.etag = [300_000], ""
    assert get().read_bytes() == CONTENT
    assert server.asked == ["", ""]


def test_a_server_without_ranges_sends_all_again(get: Get, server: Server) -> None:
    server.cuts, server.ranges = [300_000], False
    assert get(sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-"]


def test_a_file_that_changed_in_between_is_not_mixed(get: Get, server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000] * 10
    server.cuts[1:] = [0] * 9
    with pytest.raises(InfrastructureError, match="the connection"):
        get()
    server.cuts, server.content, server.etag = [], CONTENT[::-1], '"two"'
    assert get().read_bytes() == CONTENT[::-1]


def test_another_process_goes_on_with_what_is_there(get: Get, server: Server, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "file.part").write_bytes(CONTENT[:1000])
    assert get(sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_part_that_is_whole_needs_no_more_bytes(get: Get, server: Server, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "file.part").write_bytes(CONTENT)
    assert get(sha256=SHA256).read_bytes() == CONTENT


def test_a_damaged_part_is_thrown_away(get: Get, server: Server, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "file.part").write_bytes(b"x" * 1000)
    assert get(sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", ""]


def test_a_file_with_another_hash_is_refused_and_not_kept(get: Get, server: Server, tmp_path: Path) -> None:
    server.content = b"<html>are you human?</html>"
    with pytest.raises(InfrastructureError, match=f"SHA-256 is [0-9a-f]{{64}}, not {SHA256}"):
        get(sha256=SHA256)
    assert not list((tmp_path / "downloads").iterdir())


def test_a_busy_server_is_asked_again_a_missing_file_is_not(get: Get, server: Server) -> None:
    server.statuses = [503, 429]
    assert get(sha256=SHA256).read_bytes() == CONTENT
    server.statuses = [404]
    asked = len(server.asked)
    with pytest.raises(InfrastructureError, match="HTTP status 404"):
        get(sha256=SHA256)
    assert len(server.asked) == asked + 1


def test_it_gives_up_when_nothing_comes(get: Get, server: Server) -> None:
    server.statuses = [503] * 100
    with pytest.raises(InfrastructureError, match=r"HTTP status 503 \(check the network"):
        get()
    assert len(server.asked) == 4


def test_bytes_are_kept_as_sent_whatever_their_label(get: Get, server: Server) -> None:
    import gzip

    server.content = gzip.compress(b"a tarball")
    server.headers = {"Content-Encoding": "gzip"}
    assert get().read_bytes() == server.content


def test_the_deadline_holds_for_a_trickle(server: Server, tmp_path: Path) -> None:
    server.cuts = [1000] * 1000
    with pytest.raises(InfrastructureError):
        download(server.url, tmp_path / "file", pause=0.2, deadline=1.0, sha256=SHA256)
    assert len(server.asked) < 10


def test_kernel_orgs_tarball_is_the_base_where_the_package_is_missing(
    server: Server, tarball, paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.tree.bases.installed_version", lambda package: "")
    server.content = tarball("6.1.0").read_bytes()
    server.cuts = [100]
    digest = hashlib.sha256(server.content).hexdigest()
    table = {"debian-6.1": Entry(version="6.1", package="linux-source-6.1", url=server.url, sha256=digest)}
    base = resolve_base("debian-6.1", paths=paths, table=table)
    assert (base.version, base.source) == ("6.1.0", f"linux-6.1.tar.xz of kernel.org, sha256 {digest}")
    asked = len(server.asked)
    assert resolve_base("debian-6.1", paths=paths, table=table) == base
    assert len(server.asked) == asked
    assert [path.name for path in (paths.cache / "downloads").iterdir()] == ["linux-6.1.tar.xz.lock"]


def test_a_snapshot_is_the_real_one_by_the_commit_id_inside(server: Server, tarball, paths) -> None:
    server.content = tarball("3.7.0-rc4", "linux-3.7-rc4.tar.gz", comment="7" * 40).read_bytes()
    table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit="7" * 40, url=server.url)}
    assert resolve_base("v3.7-rc4", paths=paths, table=table).stand_in == ""


def test_a_snapshot_whose_connection_breaks_is_resumed(
    server: Server, tarball, paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.tree.download.time.sleep", lambda seconds: None)
    server.content = tarball("3.7.0-rc4", "linux-3.7-rc4.tar.gz", comment="7" * 40).read_bytes()
    server.etag, server.cuts, server.statuses = '"one"', [100, 50], [503]
    table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit="7" * 40, url=server.url)}
    base = resolve_base("v3.7-rc4", paths=paths, table=table)
    assert (base.version, base.stand_in) == ("3.7.0-rc4", "")
    assert server.asked == ["", "", "bytes=100-", "bytes=150-"]


def test_a_snapshot_of_another_commit_is_only_a_stand_in(server: Server, tarball, paths) -> None:
    server.content = tarball("3.7.0-rc4", "linux-3.7-rc4.tar.gz", comment="8" * 40).read_bytes()
    table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit="7" * 40, url=server.url)}
    assert resolve_base("v3.7-rc4", paths=paths, table=table).stand_in == "stand-in base 3.7.0-rc4 for v3.7-rc4"


def test_kernel_org_is_asked_last(server: Server, tarball, kernel, paths) -> None:
    server.content = tarball("3.7.0-rc4", "linux-3.7-rc4.tar.gz", comment="7" * 40).read_bytes()
    table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit="7" * 40, url=server.url)}
    named, configured = kernel("3.7.2"), kernel("3.7.9", "other")
    given = {"paths": paths, "table": table}
    lines = {"v3.7-rc4": str(configured)}
    assert resolve_base("v3.7-rc4", tree=named, configured=lines, **given).version == "3.7.2"
    assert resolve_base("v3.7-rc4", configured=lines, **given).version == "3.7.9"
    mirror = {"v3.7-rc4": f"file://{configured}"}
    subprocess.run(["git", "tag", "v3.7-rc4"], cwd=configured, check=True)
    assert resolve_base("v3.7-rc4", configured=mirror, **given).source.endswith(f"of file://{configured}")
    assert server.asked == []
    assert resolve_base("v3.7-rc4", **given).version == "3.7.0-rc4"
    assert server.asked == [""]


def test_a_page_instead_of_a_snapshot_is_told_with_the_way_out(server: Server, paths) -> None:
    server.content = b"<html>are you human?</html>"
    table = {"v3.7-rc4": Entry(version="3.7.0-rc4", commit="7" * 40, url=server.url)}
    with pytest.raises(Exception, match="--tree PATH") as caught:
        resolve_base("v3.7-rc4", paths=paths, table=table)
    assert "damaged archive" in str(caught.value)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://10.0.0.1/x", "http://localhost:1/x"])
def test_a_redirect_to_a_file_or_a_private_address_is_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.redirect = target
    with pytest.raises(UserError, match=r"only http: and https: URLs|redirect to a private address"):
        download(server.url, tmp_path / "x", pause=0.01)
    assert list(tmp_path.iterdir()) == []
