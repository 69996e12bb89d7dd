"""When a running guest has shown enough: pure decisions on what was seen so far."""

from __future__ import annotations

from dataclasses import dataclass

from lab.guest.types import Outcome

QUIET_SECONDS = 0.3
"""How long a console must be silent after a fatal finding whose end was not seen: a report comes in one go."""
COMPLETE_SECONDS = 0.02
"""The same where the report's end was seen: what QEMU has sent already is still read."""
FATAL_SECONDS = 2.0
"""A guest that goes on printing after a fatal finding is ended after this."""
LATE_SECONDS = 20.0
"""A host that keeps a guest from running makes both longer, by this at most."""


@dataclass(frozen=True)
class Sight:
    """What was seen so far; all times in seconds since QEMU was started.

    ``fatal`` is when the first fatal finding was seen, ``complete`` whether its end was; ``wait_for_exit`` asks for
    the guest's own end and not only the marker; ``shutdown`` is the reason in QMP's SHUTDOWN event; ``broken`` says
    that QEMU stopped the guest with an internal error; ``exited`` that QEMU has ended. ``hold`` is how much longer than
    the deadline the guest has once the marker came; ``stopped`` that its user is done with it. ``late`` is how
    long the guest has waited for a core of an overloaded host since the fatal finding, ``late_quiet`` since the last
    byte.
    """

    now: float
    deadline: float
    last_byte: float | None = None
    fatal: float | None = None
    complete: bool = False
    marker: bool = False
    wait_for_exit: bool = False
    shutdown: str = ""
    broken: bool = False
    exited: bool = False
    hold: float = 0.0
    stopped: bool = False
    late: float = 0.0
    late_quiet: float = 0.0


@dataclass(frozen=True)
class Decision:
    """End it now (with ``outcome``), or look again after ``wait`` seconds at the latest."""

    outcome: Outcome | None
    wait: float = 0.0


def decide(sight: Sight) -> Decision:
    """Whether the verdict is sure. What the guest did counts before the clock."""
    if sight.broken:
        return Decision("accelerator")
    if sight.marker and not sight.wait_for_exit:
        return Decision("userspace")
    if sight.exited or sight.shutdown or sight.stopped:
        return Decision(ended(sight))
    wait = sight.deadline - sight.now + (sight.hold if sight.marker else 0.0)
    if sight.fatal is not None:
        quiet = COMPLETE_SECONDS if sight.complete else QUIET_SECONDS
        still = max(sight.last_byte or 0.0, sight.fatal) + quiet + min(sight.late_quiet, LATE_SECONDS)
        until = min(still, sight.fatal + FATAL_SECONDS + min(sight.late, LATE_SECONDS))
        wait = min(wait, until - sight.now)
        if until <= sight.now:
            return Decision("userspace" if sight.marker else "died")
    if wait <= 0:
        return Decision("hang")
    return Decision(None, wait)


def ended(sight: Sight) -> Outcome:
    """What it means that the guest or QEMU has ended, or is to end (QAPI: ``ShutdownCause`` in qapi/run-state.json)."""
    if sight.shutdown in ("host-signal", "host-ui", "host-qmp-quit", "host-qmp-system-reset"):
        return "interrupted"
    if sight.marker:
        return "userspace"
    if sight.shutdown or sight.fatal is not None:
        return "died"
    return "interrupted" if sight.stopped else "qemu"
