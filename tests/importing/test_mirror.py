"""A base from a git mirror that speaks smart HTTP, as git.kernel.org does: git http-backend on loopback."""

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import InfrastructureError
from lab.tree.bases import resolve_base

EXEC = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
pytestmark = pytest.mark.skipif(not (EXEC / "git-http-backend").exists(), reason="git has no http-backend here")

IDENTITY = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
            {"NAME": "Dev", "EMAIL": "dev@x", "DATE": "2012-11-06T09:14:36+0000"}.items()}  # fmt: skip


def handler(root: Path) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length", "0"))
            env = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_GLOBAL": "/dev/null",
            }  # fmt: skip
            done = subprocess.run(
                [EXEC / "git-http-backend"], input=self.rfile.read(length), env=env, capture_output=True, check=True
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in {**fields, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def mirror(kernel_tree, tmp_path, monkeypatch) -> Iterator[str]:
    """The URL of a mirror with a tag in it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", **IDENTITY}
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "base"], ["tag", "v3.7.2"]):
        subprocess.run(["git", *argv], cwd=kernel_tree, env=env, check=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/linux/.git"
        server.shutdown()
        thread.join()


def test_a_tag_is_fetched_once_and_then_used_offline(mirror, paths, monkeypatch):
    first = resolve_base("v3.7.2", paths=paths, configured={"v3.7.2": mirror})
    assert (first.version, mirror in first.source) == ("3.7.2", True)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nothing answers there
    monkeypatch.setenv("no_proxy", "")
    assert resolve_base("v3.7.2", paths=paths, configured={"v3.7.2": mirror}).commit == first.commit


def test_a_tag_that_the_mirror_does_not_have(mirror, paths):
    with pytest.raises(InfrastructureError, match=r"v9\.9 could not be fetched") as caught:
        resolve_base("v9.9", paths=paths, configured={"v9.9": mirror})
    assert "\n" not in str(caught.value)
