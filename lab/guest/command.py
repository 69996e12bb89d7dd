"""A machine and a kernel to QEMU's argument list: ``qemu/command.j2``, one argument a line, never a shell string."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from lab.arch import arch
from lab.errors import UserError
from lab.guest.ahead import QEMU
from lab.guest.machine import Machine

T = TypeVar("T")

TOKENS = ("qemu", "image", "initrd", "append", "qmp", "channel", "share")
TOKEN = re.compile(f"@({'|'.join(TOKENS)})@")
TEMPLATE = "command.j2"
COMMAND_LINE_BYTES = 2047
"""COMMAND_LINE_SIZE of x86 (arch/x86/include/asm/setup.h) and arm64 less the final zero; what is longer is cut by the
kernel."""


def kernel_command_line(machine: Machine, append: str, accel: str = "tcg") -> str:
    """What the kernel gets: the lab's own words, the machine's, then ``append``, so that the last word is the user's.

    With an ``accel`` other than TCG the guest's time is real, and is left for it to measure.

    Raises :class:`UserError` for line ends and for more than the kernel takes.
    """
    always = arch(machine.arch)
    own = (always.append, always.tcg_append if accel.startswith("tcg") else "")
    line = " ".join(part for part in (*own, machine.append, append.strip()) if part)
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
    qmp: str = "",
    channel: str = "",
    share: str = "",
    trace: Sequence[str] = (),
    qemu: str = QEMU,
    kept: Path | None = None,
) -> list[str]:
    """The arguments, the program first.

    ``append`` is the whole kernel command line. ``qmp`` is a QEMU character device without its id (``socket,fd=5``) for
    a monitor; with it the guest is started stopped. ``channel`` is another one for a second serial line, ``share`` the
    size and file of memory that guest and host share. The console is QEMU's standard output. ``trace`` are further
    arguments. What the template makes of the machine is kept in the folder ``kept``: importing jinja2 takes as long as
    QEMU's own start. Raises :class:`UserError` where a value cannot be an argument.
    """
    given = {
        "qemu": qemu,
        "image": absolute(image),
        "initrd": absolute(initrd) if initrd else "",
        "append": append,
        "qmp": qmp,
        "channel": channel,
        "share": share,
    }
    present = tuple(name for name, value in given.items() if value)
    arguments = outline(machine, template=template, accel=accel, present=present, kept=kept)
    return [fill(argument, given) for argument in arguments] + [one_line(argument) for argument in trace]


def outline(
    machine: Machine, *, template: Path, accel: str, present: tuple[str, ...], kept: Path | None = None
) -> list[str]:
    """The arguments with a token (``@image@``) for each value in ``present``: the template gets no more than that."""
    try:
        text = template.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{template}: {error.strerror}") from None
    if kept is None:
        return apply(text, machine, str(template), accel, present)
    import hashlib
    import json

    key = hashlib.sha256(repr((text, machine, accel, present)).encode()).hexdigest()[:24]
    path = kept / f"{key}.json"
    try:
        return list(map(str, json.loads(path.read_bytes())))
    except (OSError, ValueError, TypeError):
        pass
    from lab.files import write_atomic

    arguments = apply(text, machine, str(template), accel, present)
    write_atomic(path, json.dumps(arguments))
    return arguments


def apply(text: str, machine: Machine, name: str, accel: str, present: tuple[str, ...]) -> list[str]:
    """``text`` as the template it is; ``name`` stands in messages for its file."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=one_line,
        autoescape=False,  # noqa: S701 - what is rendered is an argument list for execve(), not HTML
    )
    environment.filters["q"] = double_commas
    tokens = {token: f"@{token}@" if token in present else "" for token in TOKENS}
    try:
        lines = environment.from_string(text).render(machine=machine, accel=accel, mib=1 << 20, **tokens).split("\n")
    except jinja2.TemplateError as error:
        raise UserError(f"{name}: {error}") from None
    return [line for line in lines if line.strip()]


def fill(argument: str, given: dict[str, str]) -> str:
    """``argument`` with the values for its tokens; no value is looked at for tokens again."""
    return TOKEN.sub(lambda found: one_line(given[found[1]]), argument)


def one_line(value: T) -> T:
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
