"""A guest to work in: it boots as any other does, and then an agent in it runs commands and moves files.

The agent (``agent.c``, a static program of the initramfs) has a second serial line for itself, which every kernel with
the console's own driver has: nothing has to be configured into the kernel, and nothing that the kernel prints can break
into what it says. Where the guest has PCI, what is large goes through memory that it shares with the host. The console
is watched all the while: a kernel that dies ends the guest as in any boot.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import InfrastructureError
from lab.guest.channel import SHARED_BYTES, Channel, ChannelLost
from lab.guest.programs import make_program
from lab.guest.run import Tether
from lab.paths import Paths

if TYPE_CHECKING:
    from lab.guest.types import Boot

SOURCE = Path(__file__).with_name("agent.c")
DEVICE = "/dev/ttyS1"
AGENT_SECONDS = 60.0
"""From the marker to the agent's first word; on a quiet host it takes a fifth of a second."""
END_SECONDS = 30.0
CONSOLE_BYTES = 2 << 20
RUN = f"#!/bin/sh\nexec /lab/agent {DEVICE}\n"


def agent_files(paths: Paths) -> dict[str, Path | bytes]:
    """What the initramfs needs for the agent, for :func:`lab.guest.initramfs.build`."""
    return {"lab/run": RUN.encode(), "lab/agent": make_program(SOURCE, paths).file}


class Live:
    """A guest that runs in a thread of its own: guards its line, and what became of it."""

    def __init__(self, run: Callable[[Live], Boot], seconds: float) -> None:
        """``run`` boots it, see :func:`living`; ``seconds`` is how long it may be worked in."""
        self.result: Boot | None = None
        self.failure: BaseException | None = None
        self.console = bytearray()
        self.ours, self.theirs = socket.socketpair()
        self.share = os.memfd_create("lab-share")
        os.truncate(self.share, SHARED_BYTES)
        self.memory = mmap(self.share, SHARED_BYTES)
        self.channel = Channel(self.ours.fileno(), self.memory)
        self.stop_read, self.stop_write = os.pipe()
        self.tether = Tether(self.theirs.fileno(), self.stop_read, seconds, self.share, SHARED_BYTES)
        self.thread = threading.Thread(target=self.work, args=(run,), name="lab-guest", daemon=True)

    def work(self, run: Callable[[Live], Boot]) -> None:
        """Run the guest to its end. QEMU dies with the thread that started it, whatever happens to this one."""
        try:
            self.result = run(self)
        except BaseException as failure:
            self.failure = failure
        finally:
            self.running()

    def take(self, chunk: bytes) -> None:
        """Keep the console's last part."""
        self.console += chunk
        if len(self.console) > 2 * CONSOLE_BYTES:
            del self.console[:-CONSOLE_BYTES]

    def running(self) -> None:
        """QEMU has its end of the line: once it is gone, so is the line."""
        self.theirs.close()

    def start(self, deadline: float) -> None:
        """Let it boot and wait for its agent, at most ``deadline`` seconds. Raises what booting raises, and
        :class:`ChannelLost` where the kernel did not come so far; :meth:`end` tells why."""
        self.thread.start()
        try:
            self.channel.greet(deadline)
        except ChannelLost:
            self.end()
            raise

    def end(self) -> Boot:
        """End it, where that is still to be done; what the boot came to."""
        if self.stop_write >= 0:
            os.close(self.stop_write)
            self.stop_write = -1
            if self.thread.ident:
                self.thread.join(END_SECONDS)
            self.channel.line = -1
            self.ours.close()
            self.memory.close()
            if not self.thread.is_alive():
                os.close(self.stop_read)
                os.close(self.share)
        if self.failure:
            raise self.failure
        if self.result is None:
            raise InfrastructureError(f"QEMU could not be ended within {END_SECONDS:g} s")
        return self.result


@contextlib.contextmanager
def living(run: Callable[[Live], Boot], *, deadline: float, seconds: float) -> Iterator[Live]:
    """A guest whose agent answers; it is gone when this is left.

    ``run`` boots it, with :func:`agent_files` in its initramfs, and hands :func:`lab.guest.run.boot` the guest's own
    ``tether``, ``take`` for its console and ``running`` for meanwhile. ``deadline`` is for the way to user space, as
    there; ``seconds`` bounds what comes after it. Entered whether or not the agent came up: then its channel says so,
    and :meth:`Live.end` what the boot came to.
    """
    live = Live(run, seconds)
    try:
        from lab.guest.follow import HOST_DELAY_MOST

        with contextlib.suppress(ChannelLost):
            live.start((1 + HOST_DELAY_MOST) * deadline + AGENT_SECONDS)
        yield live
    finally:
        live.end()
