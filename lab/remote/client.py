"""The conversation with the lab on a host. All that comes from there is checked before it is used."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lab.errors import InfrastructureError, UserError
from lab.paths import user_paths
from lab.process import Completed, DeadlinePassed
from lab.progress import Progress
from lab.remote import frames, wire
from lab.remote.frames import (
    Ask,
    BadFrame,
    Beat,
    Begun,
    Cancel,
    Cancelled,
    Console,
    Ended,
    Examine,
    Examined,
    File,
    Get,
    Have,
    Noted,
    Refused,
    Source,
    Taken,
    Welcome,
)
from lab.remote.hosts import Host
from lab.remote.install import UNREADY, serve_command
from lab.remote.ssh import ConnectionLost, Pipe, Strange, connected, git_ssh
from lab.remote.version import this_version
from lab.tree.types import Base

T = TypeVar("T")
BEAT_SECONDS = 10.0
CANCEL_SECONDS = 60.0
PUSH_SECONDS = 4 * 3600.0
REPO = re.compile(r"/[A-Za-z0-9_./+@=,~-]{1,400}/pushed-[A-Za-z0-9_.+-]{1,130}\.git")


class Talk:
    """One conversation."""

    def __init__(self, host: Host, pipe: Pipe) -> None:
        self.host = host
        self.pipe = pipe
        self.welcome: Welcome | None = None

    def begin(self) -> None:
        """Skip what the login shell prints, and see who is there."""
        lead = bytearray()
        while not lead.endswith(frames.MAGIC):
            if len(lead) > frames.LEAD_BYTES:
                raise Strange(f"{self.host.name}: no lab answers there, but something that talks a lot")
            try:
                lead += self.pipe.read(1)
            except ConnectionLost as lost:
                said = (bytes(lead).decode(errors="replace").strip().splitlines() or [lost.message])[-1][:300]
                if said in UNREADY:
                    name = self.host.name
                    raise UserError(f"{name}: {UNREADY[said]}", hint=f"lab hosts setup {name}") from None
                raise Strange(f"{self.host.name}: the lab there does not start: {said}") from None
        self.welcome = self.hear(Welcome)

    def say(self, message: Any, raw: bytes = b"") -> None:
        """Send a document, and bytes after it."""
        self.pipe.write(frames.packed(message) + raw)

    def next(self) -> Any:
        """The next document from there that is more than a sign of life."""
        try:
            return frames.read_frame(self.pipe.read, frames.from_there)
        except BadFrame as bad:
            raise Strange(f"{self.host.name} answered what no lab says: {bad}") from None

    def hear(self, wanted: type[T]) -> T:
        """The next document, which has to be a ``wanted``."""
        message = self.next()
        if isinstance(message, wanted):
            return message
        if isinstance(message, Refused):
            self.refused(message)
        raise Strange(f"{self.host.name} answered out of turn ({type(message).__name__})")

    def refused(self, message: Refused) -> NoReturn:
        """Raise the error that was told there."""
        kind = UserError if message.kind == "user" else InfrastructureError
        raise kind(f"{self.host.name}: {message.message[:2000]}", hint=message.hint[:500])

    def doctor(self) -> Examined:
        """What the doctor says there."""
        self.say(Examine())
        return self.hear(Examined)

    def bring(self, base: Base, progress: Progress) -> None:
        """Have the source of ``base`` there: pushed by git, what is missing alone, where it is not."""
        from lab.tree.series import worktree_key

        self.say(Have(base.commit, worktree_key(base)))
        source = self.hear(Source)
        if source.there:
            return
        if not REPO.fullmatch(source.repo) or "/../" in source.repo:
            raise Strange(f"{self.host.name} named a strange place to push to: {source.repo[:200]!r}")
        progress("push", f"{base.name} to {self.host.name}")
        with keeping_alive(self):
            push(self.host, base, source.repo, source.known)
        self.say(Have(base.commit, worktree_key(base)))
        if not self.hear(Source).there:
            raise Strange(f"{self.host.name}: the source of {base.name} was pushed and is not there")

    def follow(self, request: bytes, key: str, on: Follower) -> bytes:
        """Have ``request`` done, or go on with it, telling ``on`` what comes; the answer's bytes.

        Ctrl-C ends it there, and so the children that it has there, before it passes on.
        """
        self.say(Ask(key, len(request)), request)
        begun = self.hear(Begun)
        on.begun(self.host, begun)
        try:
            return self.wait(on)
        except KeyboardInterrupt:
            self.cancel(on)
            raise
        except ConnectionLost as lost:
            raise ConnectionLost(
                f"{lost.message}; the job goes on there", hint="the same command takes it up again"
            ) from None

    def wait(self, on: Follower) -> bytes:
        """Tell ``on`` what comes until the end."""
        beat = time.monotonic()
        while True:
            message = self.next()
            now = time.monotonic()
            if now - beat > BEAT_SECONDS:
                self.say(Beat())
                beat = now
            match message:
                case Ended() if message.size == 0:
                    raise InfrastructureError(
                        f"the job on {self.host.name} died without a result: {message.why[:300]}",
                        hint="ask again: it begins anew, and what was built is in the store there",
                    )
                case Ended() if message.size <= frames.FRAME_BYTES:
                    return self.pipe.read(message.size)
                case frames.Progress():
                    on.progress(message.step[:40], message.detail[:500], max(0, message.done), max(0, message.total))
                case Console():
                    on.console(message.data)
                case Noted():
                    on.noted(message)
                case Beat():
                    pass
                case Refused():
                    self.refused(message)
                case _:
                    raise Strange(f"{self.host.name} answered out of turn ({type(message).__name__})")

    def cancel(self, on: Follower) -> None:
        """End the job there; say so where that can't be done."""
        try:
            self.say(Cancel())
            limit = time.monotonic() + CANCEL_SECONDS
            while time.monotonic() < limit:
                message = self.next()
                if isinstance(message, Cancelled):
                    if not message.ended:
                        on.told(f"somebody else waits for the same job on {self.host.name}: it goes on")
                    return
                if isinstance(message, Ended):
                    return
        except InfrastructureError as error:
            on.told(f"{self.host.name} could not be told to end the job: {error.message}")

    def taken(self) -> None:
        """The result is safe here. That this can't be told any more does no harm: it is taken again."""
        with contextlib.suppress(InfrastructureError):
            self.say(Taken())
            self.hear(Beat)

    def fetch(self, kind: str, key: str, name: str, blob: wire.Blob, target: Path) -> None:
        """Write that file to ``target``, which has to be new. What is not exactly ``blob`` is refused and removed."""
        self.say(Get("kernel" if kind == "kernel" else "boot", key, name))
        size = self.hear(File).size
        if size != blob.size:
            raise Strange(
                f"{self.host.name}: {name} of {key[:16]} is {size} bytes there, and {blob.size} were announced"
            )
        digest, left = hashlib.sha256(), size
        try:
            with target.open("xb") as file:
                while left:
                    data = self.pipe.read(min(left, frames.PIECE_BYTES))
                    digest.update(data)
                    file.write(data)
                    left -= len(data)
        except OSError as error:
            raise InfrastructureError(f"{target}: cannot be written: {error.strerror or error}") from None
        if digest.hexdigest() != blob.sha256:
            target.unlink()
            raise Strange(f"{self.host.name}: {name} of {key[:16]} is not what was announced: its hash is another")


@contextlib.contextmanager
def fetching() -> Iterator[None]:
    """Inside, what a job that is done came to is brought: a connection that breaks then takes nothing of it."""
    try:
        yield
    except ConnectionLost as lost:
        raise ConnectionLost(
            f"{lost.message}; what the job came to is kept there", hint="the same command takes it"
        ) from None


class Follower:
    """Who sees what goes on there; each does nothing here."""

    def begun(self, host: Host, begun: Begun) -> None:
        """The job was begun, or found."""

    def progress(self, step: str, detail: str, done: int, total: int) -> None:
        """What it is doing."""

    def console(self, data: bytes) -> None:
        """What the guest printed."""

    def noted(self, noted: Noted) -> None:
        """What a bisect wrote down."""

    def told(self, text: str) -> None:
        """Something that a person should know."""


@contextlib.contextmanager
def talking(host: Host) -> Iterator[Talk]:
    """A conversation with the lab on ``host``. :class:`UserError` where this version of it is not there."""
    with connected(host) as link:
        pipe = link.start(serve_command(host, this_version()))
        with contextlib.closing(pipe):
            talk = Talk(host, pipe)
            talk.begin()
            yield talk


@contextlib.contextmanager
def keeping_alive(talk: Talk) -> Iterator[None]:
    """Signs of life while something else takes long."""
    import threading

    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            with contextlib.suppress(InfrastructureError):
                talk.say(Beat())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def push(host: Host, base: Base, repo: str, known: tuple[str, ...] = ()) -> None:
    """Push the base's commit, without its history, into ``repo`` there. What is there already is not sent again, nor is
    what a commit of ``known`` has that is here too: these are there, they say."""
    from lab.remote.sources import COMMIT, KNOWN_COMMITS, holding
    from lab.tree.git import git, make_repo, reason

    ref = f"refs/lab/{base.commit}"
    port = f":{host.port}" if host.port else ""
    name = f"[{host.host}]" if ":" in host.host else host.host
    url = f"ssh://{host.user + '@' if host.user else ''}{name}{port}{repo}"
    scratch = Path(tempfile.mkdtemp(prefix="lab-push-"))
    try:
        # A repository of its own in which the base has no parents: only its files are wanted. Nor have the others, for
        # there they came without theirs.
        alike = tuple(one for one in known[:KNOWN_COMMITS] if COMMIT.fullmatch(one) and len(one) == len(base.commit))
        others = holding(alike, user_paths())
        here = scratch / "push.git"
        make_repo(here, "sha256" if len(base.commit) == 64 else "sha1")
        (here / "objects" / "info").mkdir(exist_ok=True)
        objects = dict.fromkeys((one / "objects").resolve() for one in (base.repo, *others))
        (here / "objects" / "info" / "alternates").write_text("".join(f"{one}\n" for one in objects))
        orphans = {base.commit}.union(*others.values())
        (here / "shallow").write_text("".join(f"{one}\n" for one in sorted(orphans)))
        env = {"GIT_SSH_COMMAND": git_ssh(host), "GIT_ALLOW_PROTOCOL": "ssh"}
        words = ("-c", "pack.threads=2", "push", "--quiet", "--no-verify", "--", url, f"{base.commit}:{ref}")
        done = git(here, *words, deadline=PUSH_SECONDS, check=False, guard=True, env=env, user_config=True)
    except DeadlinePassed:
        raise ConnectionLost(
            f"{host.name}: the push of {base.name} did not end in {PUSH_SECONDS / 3600:g} hours"
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not done.ok:
        raise InfrastructureError(f"{host.name}: git could not push {base.name}: {said_there(done) or reason(done)}")


def said_there(done: Completed) -> str:
    """Why a push was refused, by what git said over there; empty where it said nothing."""
    from lab.tree.git import printable

    lines = [line.rstrip() for line in done.stderr.decode("utf-8", "replace").splitlines()]
    told = [line.removeprefix("remote: fatal: ") for line in lines if line.startswith("remote: fatal: ")]
    return printable(told[0])[:300] if told else ""
