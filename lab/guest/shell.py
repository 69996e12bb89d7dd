"""A shell in the guest, for a person: pexpect between the terminal and the serial line."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.errors import InfrastructureError, UserError
from lab.guest.accel import choose
from lab.guest.command import TEMPLATE, kernel_command_line, render
from lab.guest.image import check_image
from lab.guest.initramfs import build
from lab.guest.machine import Machine, available_memory, check_host_memory
from lab.guest.qemu import QEMU_HINT
from lab.paths import Paths, data_folder

ESCAPE = "\x1d"
"""Ctrl-], as telnet has it."""
SHELL_WORD = "lab.shell"
PROMPT = rb"lab: userspace [^\r\n]* end"


def interact(
    image: Path,
    machine: Machine,
    *,
    paths: Paths,
    requested: str = "auto",
    append: str = "",
    deadline: float = 60.0,
) -> int:
    """Boot ``image`` and hand the terminal to a shell in it until Ctrl-] or its end; 0, or 1 where it did not come up.

    ``deadline`` bounds the way to the shell, in seconds; after that it is the person's.
    """
    import pexpect

    from lab.process import die_with_parent

    if machine.arch != "x86_64":
        raise UserError(f"a shell in a guest of {machine.arch} is not there yet", hint="--program runs programs in it")
    check_image(image)
    check_host_memory(machine, available_memory())
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("a shell in the guest needs a terminal", hint="leave --shell out, or run it in one")
    initramfs = build(paths)
    accel = choose(requested, paths=paths, image=image, initramfs=initramfs)
    argv = render(
        machine,
        image=image,
        initrd=initramfs,
        append=kernel_command_line(machine, f"{append} {SHELL_WORD}", accel.name),
        accel=accel.name,
        template=data_folder("qemu") / TEMPLATE,
    )
    if accel.note:
        print(accel.note, file=sys.stderr)
    try:
        guest = pexpect.spawn(
            argv[0], argv[1:], timeout=deadline, echo=False, preexec_fn=die_with_parent(), maxread=1 << 16
        )
    except pexpect.ExceptionPexpect as error:
        raise InfrastructureError(str(error).splitlines()[0], hint=QEMU_HINT) from None
    try:
        guest.logfile_read = Harmless()
        if guest.expect([PROMPT, pexpect.EOF, pexpect.TIMEOUT], searchwindowsize=4096) != 0:
            print("lab: the guest did not come to user space", file=sys.stderr)
            return 1
        guest.logfile_read = None
        print("\r\nlab: a shell in the guest; Ctrl-] ends it", file=sys.stderr)
        guest.interact(escape_character=ESCAPE)
        return 0
    finally:
        guest.close(force=True)


class Harmless:
    """Where the boot's messages go: the terminal, without what would steer it."""

    def write(self, data: bytes) -> None:
        """Show ``data``."""
        from lab.report.plain import harmless

        sys.stdout.write(harmless(data.decode(errors="replace").replace("\r", "")))

    def flush(self) -> None:
        """Show it now."""
        sys.stdout.flush()
