"""What the server answers, and what it does not."""

import socket
import threading
import time
from contextlib import contextmanager, nullcontext

import pytest

from lab.cli import nights
from lab.errors import InfrastructureError
from lab.report.html import folder as writer
from lab.report.serve import HOST, Server, path_parts


@contextmanager
def serving(folder, **more):
    server = Server(folder, 0, **more)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "report"
    (folder / "nights" / "a").mkdir(parents=True)
    (folder / "index.html").write_text("<p>front")
    (folder / "nights" / "a" / "index.html").write_text("<p>night")
    (folder / "log.txt").write_bytes(b"<script>\x1b")
    (folder / ".hidden").write_text("no")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    return folder


def ask(server, request, host=None):
    """What comes back for the bytes of a request line, with a Host header unless that is empty."""
    host = f"127.0.0.1:{server.port}" if host is None else host
    head = request + b" HTTP/1.1\r\n" + (f"Host: {host}\r\n".encode() if host else b"") + b"\r\n"
    with socket.create_connection((HOST, server.port), timeout=5) as connection:
        connection.sendall(head)
        parts = []
        while piece := connection.recv(65536):
            parts.append(piece)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def test_pages_and_folders_are_served_and_nothing_is_sniffed(site):
    with serving(site) as server:
        assert ask(server, b"GET /")[::2] == (200, b"<p>front")
        assert ask(server, b"GET /index.html?x=1#y")[::2] == (200, b"<p>front")
        assert ask(server, b"GET /nights/a/")[::2] == (200, b"<p>night")
        status, head, body = ask(server, b"GET /log.txt")
        assert (status, body) == (200, b"<script>\x1b")
        assert "Content-Type: text/plain" in head
        assert "X-Content-Type-Options: nosniff" in head
        assert "Content-Security-Policy: default-src 'none'" in head
        assert ask(server, b"HEAD /log.txt")[::2] == (200, b"")
        assert ask(server, b"POST /")[0] == 501


@pytest.mark.parametrize(
    "path",
    [b"/../secret", b"/%2e%2e/secret", b"/nights/../../secret", b"/link", b"/up/secret", b"//secret", b"/.hidden",
     b"/nights/a", b"/no", b"/a%00b", b"/..%2fsecret", b"/%ff", b"/nights\\a", b"secret", b"http://x/../secret",
     b"/%c0%ae%c0%ae/secret", b"/" + b"a" * 3000],
)  # fmt: skip
def test_nothing_but_the_reports_own_files_is_served(site, path):
    with serving(site) as server:
        status, _, body = ask(server, b"GET " + path)
        assert status in (400, 404)
        assert b"secret" not in body


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "[::1]"])
def test_a_name_that_was_made_to_point_here_gets_nothing(site, host):
    with serving(site) as server:
        status, _, body = ask(server, b"GET /", host=host)
        assert status == 421
        assert b"front" not in body


def test_its_own_names_are_answered(site):
    with serving(site) as server:
        assert ask(server, b"GET /", host=f"LocalHost:{server.port}")[0] == 200


def test_it_listens_on_the_loopback_alone(site):
    with serving(site) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_one_who_says_nothing_or_says_it_slowly_is_cut_off(site):
    with serving(site, deadline=0.3) as server:
        begin = time.monotonic()
        with socket.create_connection((HOST, server.port), timeout=10) as connection:
            connection.settimeout(0.05)
            connection.sendall(b"GET / HT")
            ended = False
            while not ended and time.monotonic() - begin < 8:
                try:
                    connection.sendall(b"x")  # each byte would begin a timeout for a single read anew
                    ended = connection.recv(10) == b""
                except TimeoutError:
                    continue
                except OSError:
                    ended = True
        assert ended
        assert time.monotonic() - begin > 0.25
        assert ask(server, b"GET /")[0] == 200


def test_a_page_is_made_anew_before_it_is_read_and_a_failure_leaves_the_old_one(site, capfd):
    asked = []

    def refresh():
        asked.append(1)
        if len(asked) > 1:
            raise InfrastructureError("the history is gone\x1b")
        (site / "index.html").write_text("<p>new")

    with serving(site, refresh=refresh) as server:
        assert ask(server, b"GET /")[2] == b"<p>new"
        assert ask(server, b"GET /log.txt")[0] == 200
        assert len(asked) == 1
        assert ask(server, b"GET /")[2] == b"<p>new"
    error = capfd.readouterr().err
    assert "the history is gone\\x1b" in error
    assert "Traceback" not in error


def test_nobody_waits_long_for_a_report_that_takes_long_to_make(monkeypatch):
    """A night of 10,000 cells takes longer to write than a request may last."""
    begun, go_on, stamps = threading.Event(), threading.Event(), iter("abc")
    made = []

    def write(_pages, _folder):
        if made:
            begun.set()
            assert go_on.wait(30)
        made.append(1)

    monkeypatch.setattr(nights.Refresher, "now", lambda _self, _stamp: next(stamps))
    monkeypatch.setattr(nights.Refresher, "PAUSE", 0.0)
    monkeypatch.setattr(nights.Refresher, "PATIENCE", 0.01)
    monkeypatch.setattr(nights, "written_pages", lambda _run, _runs: nullcontext())
    monkeypatch.setattr(writer, "write_folder", write)
    refresh = nights.Refresher(1)
    refresh()
    assert made == [1], "the first report is waited for"
    refresh()
    assert begun.wait(30)
    refresh()
    assert made == [1], "meanwhile there is the old one"
    go_on.set()
    limit = time.monotonic() + 30
    while len(made) < 2 and time.monotonic() < limit:
        time.sleep(0.001)
    assert len(made) == 2


def test_a_report_that_could_not_be_made_is_told_of_and_tried_again(monkeypatch):
    monkeypatch.setattr(nights.Refresher, "now", lambda _self, _stamp: 1 / 0)
    refresh = nights.Refresher(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            refresh()


def test_a_port_that_is_taken_is_told_in_a_line(site):
    with serving(site) as server, pytest.raises(InfrastructureError, match="cannot be had"):
        Server(site, server.port)


def test_paths_are_taken_apart_strictly():
    assert path_parts("/a/b%20c.html?q#f") == ["a", "b c.html"]
    assert path_parts("/a/") == ["a", ""]
    assert path_parts("/") == [""]
    assert path_parts("/a//b") is None
