"""What the workers' commands say while the work goes on: read to the end, so that none waits for a reader, and the last
of it kept, for when one ends before its time."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence

from lab.errors import InfrastructureError
from lab.remote.ssh import Pipe
from lab.remote.worker import AGAIN
from lab.tree.git import printable

KEPT_BYTES = 32 << 10
RAISED = re.compile(r"[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*")
"""An exception as Python prints it. Of several that led to one another the first is what went wrong."""
LINE = 300
END_SECONDS = 5.0


class Listener:
    """Reads a command's output in a thread of its own; ``gone`` is called with it where the command, or the connection
    to it, ends before :meth:`close`."""

    def __init__(self, pipe: Pipe, gone: Callable[[Listener], None]) -> None:
        self.pipe = pipe
        self.gone = gone
        self.kept = bytearray()
        self.closing = False
        self.ended = False
        self.thread = threading.Thread(target=self.read, name=f"listen-{pipe.host.name}", daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Until the command's end."""
        while data := self.pipe.whenever():
            self.kept += data
            del self.kept[:-KEPT_BYTES]
        if not self.closing:
            self.ended = True
            self.gone(self)

    @property
    def trouble(self) -> str:
        """The host, and what the last worker that ended said there: the exception, or else its last line, fit to be
        shown. Empty where none ended."""
        lines = [line.strip() for line in bytes(self.kept).decode(errors="replace").splitlines() if line.strip()]
        again = [number for number, line in enumerate(lines) if line.startswith(AGAIN)]
        if not self.ended and not again:
            return ""
        over = self.ended and len(lines) - 1 not in again
        end = len(lines) if over else again[-1]
        begin = max((number + 1 for number in again if number < end), default=0)
        said = lines[begin:end] or ["it said nothing"]
        why = next((line for line in said if RAISED.fullmatch(line)), said[-1])
        return f"{self.pipe.host.name}: {printable(why)[:LINE]}"

    def close(self) -> None:
        """End the command and its reader."""
        self.closing = True
        self.pipe.close()
        self.thread.join(END_SECONDS)


@contextlib.contextmanager
def heard(pipes: Sequence[Pipe], tell: Callable[[str], None]) -> Iterator[None]:
    """Listen to the workers of ``pipes``, and end them. ``tell`` gets a line for each whose command ends before. An
    error of the work is raised with what the workers said that ended."""
    with contextlib.ExitStack() as stack:
        listeners = [Listener(pipe, lambda one: tell(f"a worker ended: {one.trouble}")) for pipe in pipes]
        for one in listeners:
            stack.callback(one.close)
        try:
            yield
        except InfrastructureError as error:
            said = "; ".join(filter(None, (one.trouble for one in listeners)))
            if not said:
                raise
            raise InfrastructureError(f"{error.message}; of its workers ended {said}", hint=error.hint) from None
