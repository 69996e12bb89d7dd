"""A machine and a kernel to QEMU's argument list: ``qemu/command.j2``, one argument a line, never a shell string."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.guest.machine import Machine

QEMU = "qemu-system-x86_64"
TEMPLATE = "command.j2"
BASE_APPEND = "console=ttyS0,115200 earlyprintk=ttyS0,115200 panic=-1 no_timer_check"
"""Without ``earlyprintk`` an early crash prints nothing, without ``panic=-1`` a dead guest burns a core for ever.

``no_timer_check``: the kernel counts timer interrupts in a busy loop while it sets the IO-APIC up, and panics ("IO-APIC
+ timer doesn't work!") where an overloaded host delivers them late (arch/x86/kernel/apic/io_apic.c): seen once in
seven boots with fifteen processes on two cores.
"""
COMMAND_LINE_BYTES = 2047
"""x86's COMMAND_LINE_SIZE less the final zero (arch/x86/include/asm/setup.h); what is longer is cut by the kernel."""


def kernel_command_line(machine: Machine, append: str) -> str:
    """What the kernel gets: the lab's own words, the machine's, then ``append``, so that the last word is the user's.

    Raises :class:`UserError` for line ends and for more than the kernel takes.
    """
    line = " ".join(part for part in (BASE_APPEND, machine.append, append.strip()) if part)
    if not line.isprintable():
        raise UserError("append: the kernel command line has a line end or another control character")
    if len(line.encode()) > COMMAND_LINE_BYTES:
        raise UserError(f"append: the kernel command line is longer than the kernel's {COMMAND_LINE_BYTES} bytes")
    return line


def render(
    machine: Machine,
    *,
    image: Path,
    initrd: Path | None,
    append: str,
    accel: str,
    template: Path,
    console: str = "stdio,signal=off",
    qmp: str = "",
    trace: Sequence[str] = (),
    qemu: str = QEMU,
) -> list[str]:
    """The arguments, the program first.

    ``append`` is the whole kernel command line; ``console`` and ``qmp`` are QEMU character devices without their id
    (``stdio``, ``socket,fd=5``); with ``qmp`` the guest is started stopped. ``trace`` are further arguments.
    Raises :class:`UserError` where a value cannot be an argument.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=one_line,
        autoescape=False,  # noqa: S701 - what is rendered is an argument list for execve(), not HTML
    )
    environment.filters["q"] = double_commas
    try:
        text = environment.from_string(template.read_text(encoding="utf-8")).render(
            machine=machine,
            qemu=qemu,
            accel=accel,
            image=absolute(image),
            initrd=absolute(initrd) if initrd else "",
            append=append,
            console=console,
            qmp=qmp,
            trace=tuple(trace),
            mib=1 << 20,
        )
    except OSError as error:
        raise UserError(f"{template}: {error.strerror}") from None
    except jinja2.TemplateError as error:
        raise UserError(f"{template}: {error}") from None
    return [line for line in text.split("\n") if line.strip()]


def one_line(value: Any) -> Any:
    """``value`` as it is; :class:`UserError` where it would become two arguments, or none that execve() takes."""
    if isinstance(value, str) and any(character in value for character in "\n\0"):
        raise UserError(f"{value!r} has a line end in it and cannot be an argument of QEMU")
    return value


def double_commas(value: str) -> str:
    """A value inside an option: QEMU reads two commas as one (qemu(1), "-drive")."""
    return value.replace(",", ",,")


def absolute(path: Path) -> str:
    """``path`` from the root on, so that no name is taken for an option."""
    return str(path.absolute())
