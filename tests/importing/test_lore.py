"""Threads from an archive: a server on loopback that speaks as public-inbox does, slow, broken and hostile ones."""

import gzip
import html
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from lab.errors import InfrastructureError, LabError, UserError
from lab.tree.importing import lore
from lab.tree.importing.ingest import ingest
from lab.tree.network import BoundedSession, Session, check_peer, gunzipped_size, is_private
from tests.importing.conftest import mbox, series

pytest.importorskip("liblore")


@dataclass
class Inbox:
    """What the server has: threads by each Message-Id in them, and what it does before it answers."""

    url: str = ""
    threads: dict[str, bytes] = field(default_factory=dict)
    newer: list[tuple[str, str]] = field(default_factory=list)
    answers: list[Callable[[http.server.BaseHTTPRequestHandler], bool]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def handler(inbox: Inbox) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            inbox.asked.append(self.path)
            if inbox.answers and inbox.answers.pop(0)(self):
                return
            parts = urlsplit(self.path)
            words = [unquote(word) for word in parts.path.strip("/").split("/")]
            if parse_qs(parts.query).get("x") == ["A"]:
                self.send(200, "application/atom+xml", self.atom())
            elif words[-1] == "t.mbox.gz" and words[-2] in inbox.threads:
                self.send(200, "application/gzip", gzip.compress(inbox.threads[words[-2]]))
            else:
                self.send(404, "text/html", b"<html>not found</html>")

        do_HEAD = do_GET

        def atom(self) -> bytes:
            rows = "".join(
                f'<entry><author><name>Dev</name></author><title type="html">{html.escape(title)}</title>'
                f'<link\nhref="{inbox.url}/{msgid}/"/><id>urn:uuid:1</id></entry>'
                for msgid, title in inbox.newer
            )
            return (
                f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>q</title>{rows}</feed>'.encode()
            )

        def send(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def inbox(monkeypatch) -> Iterator[Inbox]:
    state = Inbox()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    state.url = f"http://127.0.0.1:{server.server_address[1]}/all"
    state.threads = {f"v1-{n}@x": mbox(*series(3)) for n in range(4)}
    monkeypatch.setenv("LAB_LORE", state.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()


def redirect(to: str) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> bool:
        request.send_response(302)
        request.send_header("Location", to)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True

    return answer


def hang_up(request: http.server.BaseHTTPRequestHandler) -> bool:
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"\x1f\x8b")
    return True


def status(code: int) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> bool:
        request.send_error(code)
        return True

    return answer


def body(data: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
        return True

    return answer


def test_a_message_id_gives_its_series(inbox, paths):
    done = ingest("<v1-2@x>", paths=paths)
    assert [letter.subject.title for letter in done.chosen.patches] == ["mm: part 1", "mm: part 2", "mm: part 3"]


def test_a_url_gives_its_series(inbox, paths):
    assert len(ingest(f"{inbox.url}/v1-0%40x/", paths=paths).chosen.patches) == 3
    assert len(ingest(f"{inbox.url}/v1-0@x/T/#u", paths=paths).chosen.patches) == 3


def test_addresses():
    assert lore.address("https://lore.kernel.org/r/1@x") == ("https://lore.kernel.org/all", "1@x")
    assert lore.address("https://lore.kernel.org/linux-mm/1@x/raw") == ("https://lore.kernel.org/linux-mm", "1@x")
    with pytest.raises(UserError, match="no Message-Id in this URL"):
        lore.address("https://lore.kernel.org/linux-mm/")
    for url in ("file:///etc/passwd", "ftp://x/1@x", "https:///1@x", "gopher://x/1@x"):
        with pytest.raises(UserError, match=r"only http: and https: URLs"):
            lore.address(url)


def test_a_newer_revision_in_a_thread_of_its_own_is_found(inbox, paths):
    inbox.threads["v2-0@x"] = mbox(*series(2, version=" v2", key="v2"))
    inbox.newer = [("v2-0@x", "[PATCH v2 0/2] mm: a series"), ("zz@x", "Re: [PATCH v3 0/2] mm: a series")]
    done = ingest("v1-0@x", paths=paths)
    assert done.chosen.revision == 2
    assert ingest("v1-0@x", paths=paths, revision=1).chosen.revision == 1


def test_a_broken_connection_is_tried_again(inbox, paths):
    inbox.answers = [status(503), hang_up]
    assert len(ingest("v1-0@x", paths=paths).chosen.patches) == 3


def test_what_was_fetched_is_used_again_without_the_network(inbox, paths):
    ingest("v1-0@x", paths=paths)
    inbox.answers = [status(503)] * 10
    done = ingest("v1-0@x", paths=paths)
    assert len(done.chosen.patches) == 3
    assert "as it was fetched before" in done.source


def test_an_archive_that_is_not_there(inbox, paths, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("LAB_LORE", f"http://127.0.0.1:{port}/all")
    with pytest.raises(InfrastructureError, match="could not be fetched") as caught:
        ingest("v1-0@x", paths=paths)
    assert "\n" not in str(caught.value)


def test_a_mail_that_is_not_there(inbox, paths):
    with pytest.raises(LabError) as caught:
        ingest("nobody@x", paths=paths)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::1]:1/x", "http://10.0.0.1/x",
                                    "http://localhost:1/x", "http://169.254.169.254/latest/meta-data/"])  # fmt: skip
def test_a_redirect_to_a_file_or_a_private_address(inbox, paths, target):
    inbox.answers = [redirect(target)] * 9
    with pytest.raises(UserError, match=r"only http: and https: URLs|redirect to a private address") as caught:
        ingest("v1-0@x", paths=paths)
    assert "\n" not in str(caught.value)


def test_a_redirect_on_the_named_host_is_followed(inbox, paths):
    inbox.answers = [redirect(f"{inbox.url}/v1-1@x/t.mbox.gz")]
    assert len(ingest("v1-0@x", paths=paths).chosen.patches) == 3


def test_a_name_that_resolves_to_the_inside_is_found_out_when_it_is_connected():
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        with pytest.raises(UserError, match="a redirect to a private address"):
            check_peer(client, "innocent.example.org", frozenset({"lore.kernel.org"}))
        assert client.fileno() == -1
    ours.close()
    theirs.close()
    assert is_private("::ffff:10.0.0.1")
    assert is_private("fd00::1")
    assert not is_private("93.184.216.34")


def test_redirects_without_end(inbox, paths):
    inbox.answers = [redirect(f"{inbox.url}/v1-0@x/t.mbox.gz")] * 100
    with pytest.raises(InfrastructureError, match="could not be fetched"):
        ingest("v1-0@x", paths=paths)


def test_an_answer_that_is_a_bomb_or_too_large(inbox, paths, monkeypatch):
    monkeypatch.setattr(lore, "LIMIT_BYTES", 1 << 20)
    inbox.answers = [body(gzip.compress(bytes(2 << 20)))]
    with pytest.raises(UserError, match="unpacks to more than 1 MiB"):
        ingest("v1-0@x", paths=paths)
    inbox.answers = [body(bytes(2 << 20))]
    with pytest.raises(UserError, match="larger than 1 MiB"):
        ingest("v1-0@x", paths=paths)
    assert gunzipped_size(gzip.compress(bytes(1000)) * 2, 10_000) == 2000


def test_an_answer_that_is_no_mailbox(inbox, paths):
    inbox.answers = [body(b"<html>")] * 9
    with pytest.raises(LabError) as caught:
        ingest("v1-0@x", paths=paths)
    assert "\n" not in str(caught.value)


def test_a_slow_server_ends_with_the_deadline(inbox, monkeypatch):
    from lab.tree import network

    gate = threading.Event()
    monkeypatch.setattr(network, "STALL_SECONDS", 0.2)
    inbox.answers = [lambda _request: gate.wait(10)]
    with pytest.raises(OSError, match=r"[Tt]imed out"):
        BoundedSession(inbox.url, limit=1000).get(f"{inbox.url}/x")
    gate.set()


def test_a_session_takes_no_password_along():
    with pytest.raises(UserError, match="only http"):
        Session("file:///etc/passwd")
