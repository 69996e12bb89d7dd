"""The stages of a boot: which words on the console show that one was reached.

Sources: SeaBIOS, arch/x86/boot/compressed/misc.c, init/main.c, mm/page_alloc.c and arch/x86/mm/init_64.c
(``Memory:``), kernel/smp.c and arch/x86/kernel/smpboot.c, net/socket.c, kernel/reboot.c; the marker is the lab's
own init's (lab/guest/initramfs.py).
"""

from __future__ import annotations

from lab.console.types import Marker, StageName

STAGES: dict[bytes, StageName] = {
    b"SeaBIOS (version": "firmware",
    b"Booting from ROM": "firmware",
    b"Booting from Hard": "firmware",
    b"GNU GRUB": "firmware",
    b"U-Boot 20": "firmware",
    b"OpenSBI v": "firmware",
    b"Decompressing Linux": "decompress",
    b"Uncompressing Linux": "decompress",
    b"early console in ": "decompress",
    b"Linux version ": "early",
    b"Booting Linux on physical CPU": "early",
    b"Memory: ": "memory",
    b"SLUB: ": "memory",
    b"Booting Node": "smp",
    b"Brought up ": "smp",
    b"smp: Bring": "smp",
    b"NET: Registered ": "initcalls",
    b"devtmpfs: initialized": "initcalls",
    b"Freeing unused kernel": "init",
    b"Freeing init memory": "init",
    b"as init process": "init",
    b"reboot: Power down": "shutdown",
    b"Power down.": "shutdown",
    b"reboot: Restarting system": "shutdown",
    b"Restarting system.": "shutdown",
    b"reboot: System halted": "shutdown",
}
BOOT_SIGNS = (b"Linux version ", b"SeaBIOS (version")
"""What a machine says once a boot: said again, it began anew."""

MARKER = b"lab: userspace"

OFFSET = b"Kernel Offset: 0x"
"""KASLR's offset, which arch/x86/kernel/setup.c's dump_kernel_offset() prints at a panic."""


def offset(text: str) -> int | None:
    """The offset in ``Kernel Offset: 0x1a000000 from 0xffffffff81000000``."""
    digits = text.partition("Kernel Offset: 0x")[2].split(" ")[0]
    try:
        return int(digits[:16], 16)
    except ValueError:
        return None


def marker(text: str, number: int) -> Marker | None:
    """The marker line's fields: ``lab: userspace key=value … end``; nothing where the line was cut before its end."""
    at = text.find("lab: userspace")
    words = text[at:].split()[2:] if at >= 0 else []
    if "end" not in words:
        return None
    pairs = (word.partition("=") for word in words[: min(words.index("end"), 64)])
    return Marker(number, tuple((key[:64], value[:256]) for key, found, value in pairs if found))


def release(text: str) -> str:
    """The release in ``Linux version 6.1.0-lab (…)``, or empty."""
    return (text.partition("Linux version ")[2].split() or [""])[0][:100]


INITCALLS = (b"calling  ", b"initcall ")
"""What ``initcall_debug`` prints before each and after it (init/main.c, trace_initcall_start_cb())."""


def initcall(text: str) -> tuple[str, bool] | None:
    """The initcall that a line is about, and whether it has returned."""
    returned = text.startswith("initcall ") and " returned " in text
    if not returned and not text.startswith("calling  "):
        return None
    return text[9:].split("+", maxsplit=1)[0].split(" ", maxsplit=1)[0][:128], returned
