"""Who is at a run: every run that goes on is claimed in the history, so that nobody else goes on with it.

A claim names the process that holds it, in words that only this boot of this machine understands. Where it is from
another boot, or from another process namespace, a number in the history tells: the holder counts it up every few
seconds, and one that does not grow for long is of a holder that is gone. No clock is compared with another.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import LabError

BEAT_SECONDS = 5.0
"""So often a holder counts up."""

PATIENCE_SECONDS = 30.0
"""A claim that nobody counted up for so long is given up, where its process can't be looked for."""


@dataclass(frozen=True)
class Claim:
    """A claim: ``token`` is of the process that holds it (empty: of none), ``who`` says so to people, ``beats`` is what
    it counted to."""

    token: str = ""
    who: str = ""
    beats: int = 0


NOBODY = Claim()


class Book(Protocol):
    """Where claims stand: :class:`lab.history.store.History`."""

    def claim(self, run: str) -> Claim:
        """Who is at ``run``."""

    def beat(self, run: str, token: str) -> bool:
        """Count up; whether the claim is that holder's still."""


def own_claim() -> Claim:
    """A claim of this process."""
    pid = os.getpid()
    token = f"{realm()}/{pid}/{started(pid)}/{os.urandom(4).hex()}"
    return Claim(token, f"{user()} on {platform.node()} (process {pid})")


def user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the password file does not have the user
        return f"user {os.getuid()}"


def realm() -> str:
    """This boot of this machine, and the namespace that its process numbers are of; ``/`` where that can't be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return "/"


def started(pid: int) -> str:
    """When process ``pid`` began, in ticks since the machine's boot, which no other one of that number did; empty where
    it can't be looked at. A dead one that nobody has waited for has never begun."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "never" if fields[0] in "ZX" else fields[19]


def lives(claim: Claim) -> bool | None:
    """Whether the holder lives; ``None`` where that can't be told from here."""
    if not claim.token:
        return False
    boot, namespace, number, ticks, *_ = [*claim.token.split("/"), "", "", "", ""]
    if not boot or f"{boot}/{namespace}" != realm() or not number.isdecimal():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return started(int(number)) in ("", ticks)


def abandoned(
    book: Book,
    run: str,
    claim: Claim,
    *,
    patience: float | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> bool:
    """Whether nobody is at ``run`` any more, whose ``claim`` was read just now: its holder is dead, or is not heard of
    for ``patience`` seconds (default: :data:`PATIENCE_SECONDS`), which are waited for."""
    alive = lives(claim)
    if alive is not None:
        return not alive
    patience = PATIENCE_SECONDS if patience is None else patience
    say(f"run {run} was begun by {claim.who}: looking for {patience:g} s whether that still goes on")
    limit = time.monotonic() + patience
    while time.monotonic() < limit:
        time.sleep(min(BEAT_SECONDS / 5, patience / 5))
        if book.claim(run) != claim:
            return False
    return True


@contextlib.contextmanager
def beating(book: Book, run: str, claim: Claim, seconds: float = BEAT_SECONDS) -> Iterator[None]:
    """Count up for as long as the context lasts. A history that can't be reached now is not the end: what is recorded
    later is only taken where nobody else went on meanwhile."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(seconds):
            with contextlib.suppress(LabError):
                if not book.beat(run, claim.token):
                    return

    thread = threading.Thread(target=beat, name="claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(seconds)
