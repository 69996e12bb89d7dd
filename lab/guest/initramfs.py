"""The guest's user space: one static busybox and an init script, as an uncompressed cpio archive.

The archive is written here, in the "newc" format of the kernel's Documentation/driver-api/early-userspace/
buffer-format.rst, so that it can hold device nodes without root and is the same, bit for bit, from the same input.
Uncompressed it boots quickest, and kernels of every age can read it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.arch import DEFAULT
from lab.errors import InfrastructureError, UserError
from lab.files import write_atomic
from lab.paths import Paths

INIT = Path(__file__).with_name("init.sh")
BUSYBOX_HINT = "sudo apt-get install --no-install-recommends busybox-static"
FORMAT = "1"
"""Part of every key: raise it when what is written for the same input changes."""
LIMIT_BYTES = 256 << 20
"""No initramfs of the lab's is larger; it has to fit into a node beside the kernel."""

FSTAB = b"proc /proc proc\nsysfs /sys sysfs\n"
FOLDERS = ("bin", "dev", "etc", "lab", "proc", "sys")
DEVICES = (("dev/console", 5, 1), ("dev/kmsg", 1, 11), ("dev/null", 1, 3))
"""Character devices (Documentation/admin-guide/devices.txt), for kernels that don't mount devtmpfs by themselves; the
serial console's is the architecture's."""

PT_INTERP = 3


@dataclass(frozen=True)
class Entry:
    """A member of the archive: ``mode`` with its type bits, as in stat(2)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(paths: Paths, *, extra: Mapping[str, Path | bytes] | None = None, arch: str = DEFAULT) -> Path:
    """The initramfs with ``extra`` files in it (name in the guest → file or content; all are made executable).

    A program ``lab/run`` is started after the marker was printed. The archive is kept by what went in, so that
    asking again costs nothing. Raises :class:`InfrastructureError` where there is no static busybox, and
    :class:`UserError` for an extra file that is not there or a name that leaves the guest's root.
    """
    busybox = find_busybox(paths, arch)
    init = INIT.read_bytes()
    files = {name: content(name, value) for name, value in sorted((extra or {}).items())}
    status = busybox.stat()
    parts = [FORMAT.encode(), init, f"{busybox} {status.st_size} {status.st_mtime_ns}".encode()]
    parts += [piece for name, data in files.items() for piece in (name.encode(), data)]
    path = paths.initramfs / f"{digest(parts)}.cpio"
    if path.is_file():
        return path
    program = busybox.read_bytes()
    if not is_static(program):
        raise InfrastructureError(f"{busybox} is not statically linked, so no guest could run it", hint=BUSYBOX_HINT)
    entries = [*skeleton(program, init, arch), *extra_entries(files)]
    if sum(len(entry.data) for entry in entries) > LIMIT_BYTES:
        raise UserError(f"the files for the guest are larger than {LIMIT_BYTES >> 20} MiB")
    write_atomic(path, archive(entries))
    return path


def find_busybox(paths: Paths, arch: str = DEFAULT) -> Path:
    """The busybox on PATH, or the one that ``ci/cross`` has put into the cache for another architecture than the
    host's; :class:`InfrastructureError` with what gets it where there is none."""
    from lab.arch import host

    if arch not in (DEFAULT, host()):
        place = paths.cache / "busybox" / arch
        if not place.is_file():
            raise InfrastructureError(f"{place}: no busybox for guests of {arch}", hint=f"ci/cross {arch}")
        return place
    found = shutil.which("busybox")
    if not found:
        raise InfrastructureError("busybox: no such program; it is the guest's user space", hint=BUSYBOX_HINT)
    return Path(found).resolve()


def content(name: str, value: Path | bytes) -> bytes:
    """An extra file's bytes, its name checked."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or not name.isprintable():
        raise UserError(f"{name!r} is not a name below the guest's root")
    if isinstance(value, bytes):
        return value
    try:
        if value.stat().st_size > LIMIT_BYTES:
            raise UserError(f"{value}: larger than {LIMIT_BYTES >> 20} MiB")
        return value.read_bytes()
    except OSError as error:
        raise UserError(f"{value}: {error.strerror}") from None


def digest(parts: Iterable[bytes]) -> str:
    """A key for ``parts``, each kept apart from the next by its length."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(struct.pack("<Q", len(part)) + part)
    return sha.hexdigest()[:24]


def is_static(program: bytes) -> bool:
    """Whether ``program`` is a 64-bit ELF executable without an interpreter (elf(5), ``PT_INTERP``)."""
    if program[:5] != b"\x7fELF\x02" or len(program) < 64:
        return False
    start, size, count = struct.unpack_from("<Q", program, 32)[0], *struct.unpack_from("<HH", program, 54)
    headers = (program[start + i * size : start + i * size + 4] for i in range(count))
    return not any(header == struct.pack("<I", PT_INTERP) for header in headers)


def skeleton(busybox: bytes, init: bytes, arch: str = DEFAULT) -> list[Entry]:
    """What every guest has."""
    from lab.arch import arch as about

    name, major, minor = about(arch).console
    devices = (*DEVICES, (f"dev/{name}", major, minor))
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in FOLDERS]
    entries += [Entry(name, stat.S_IFCHR | 0o600, device=(major, minor)) for name, major, minor in devices]
    entries += [Entry("bin/busybox", stat.S_IFREG | 0o755, busybox), Entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox")]
    entries += [Entry("etc/fstab", stat.S_IFREG | 0o644, FSTAB), Entry("init", stat.S_IFREG | 0o755, init)]
    return entries


def extra_entries(files: Mapping[str, bytes]) -> list[Entry]:
    """The extra files and the folders they need."""
    folders: list[str] = []
    for name in files:
        parents = [str(parent) for parent in reversed(PurePosixPath(name).parents) if str(parent) != "."]
        folders += [parent for parent in parents if parent not in (*FOLDERS, *folders)]
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in folders]
    return entries + [Entry(str(PurePosixPath(name)), stat.S_IFREG | 0o755, data) for name, data in files.items()]


def archive(entries: Iterable[Entry]) -> bytes:
    """``entries`` as a "newc" cpio archive that carries no time, owner or inode of this host."""
    out = bytearray()
    for number, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), start=1):
        name = os.fsencode(entry.name) + b"\0"
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + entry.data
        out += bytes(-len(out) % 4)
    return bytes(out)
