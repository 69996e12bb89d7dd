"""What comes back from a host: kernels, consoles and results, each checked against what it has to be."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from lab.errors import InfrastructureError
from lab.files import write_atomic
from lab.guest.follow import LOG_BYTES
from lab.guest.types import Boot
from lab.kernel.build import kernel_key
from lab.kernel.store import KERNEL, Built, find, incoming, keep
from lab.kernel.types import BuildFailure, Kconfig, Kernel
from lab.line import Line, Probe, point_at
from lab.paths import Paths
from lab.remote import wire
from lab.remote.client import Talk
from lab.remote.frames import KERNEL_FILES
from lab.remote.ssh import Strange
from lab.tree.types import Point

NEEDED = frozenset({"bzImage", "vmlinux", "config", KERNEL})
CONSOLE_BYTES = LOG_BYTES + (1 << 20)


def bring_probe(talk: Talk, line: Line, probe: wire.ProbeWire, paths: Paths) -> Probe:
    """A probe with its kernel and console here. The verdict is this lab's own."""
    from lab.verdict import Verdict, judge_boot, judge_build

    point = point_at(line, probe.point)
    if probe.failure is not None:
        failure = failure_here(probe.failure, paths)
        return Probe(point, judge_build(failure), probe.build_seconds, 0.0, failure=failure)
    if probe.kernel is None:
        raise Strange(f"{talk.host.name} sent neither a kernel nor why there is none for point {point.index}")
    kernel = bring_kernel(talk, line, point, probe.kernel, paths)
    if probe.boot is None:
        return Probe(point, Verdict("skip", "not booted"), probe.build_seconds, 0.0, kernel=kernel)
    boot = bring_boot(talk, probe.boot, paths)
    return Probe(
        point,
        judge_boot(boot, line.case.expect),
        probe.build_seconds,
        probe.boot_seconds,
        kernel=kernel,
        boot=boot,
    )


def expected_key(line: Line, point: Point, kconfig: str) -> str:
    """The store's key of the kernel of ``point`` with that kconfig: by our own tree, and the tools of the line."""
    known = Kconfig(line.fragment.name, kconfig, hashlib.sha256(kconfig.encode()).hexdigest())
    return kernel_key(point.tree, known, line.toolchain, line.compat)


def bring_kernel(talk: Talk, line: Line, point: Point, sent: wire.KernelWire, paths: Paths) -> Kernel:
    """The kernel of ``point`` in the store here. A host can't name a key that its kconfig and tools don't lead to, and
    what is in the store already is not replaced."""
    if sent.key != expected_key(line, point, sent.kconfig):
        raise Strange(f"{talk.host.name}: the kernel of point {point.index} is not under the key that it should be")
    known = find(sent.key, paths)
    if not isinstance(known, Kernel):
        if not NEEDED <= sent.files.keys() <= set(KERNEL_FILES):
            raise Strange(f"{talk.host.name}: the kernel of point {point.index} is not whole there")
        with incoming(paths) as folder:
            for name, blob in sent.files.items():
                talk.fetch("kernel", sent.key, name, blob, folder / name)
            try:
                record = msgspec.json.decode((folder / KERNEL).read_bytes(), type=Built)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise Strange(
                    f"{talk.host.name}: what it says of the kernel of point {point.index} can't be read"
                ) from None
            record = replace(record, inputs={**record.inputs, "host": talk.host.name})
            keep(sent.key, {name: folder / name for name in sent.files if name != KERNEL}, record, paths)
        known = find(sent.key, paths)
    if not isinstance(known, Kernel):
        raise InfrastructureError(f"{sent.key}: the store does not hold what was just put into it")
    return replace(known, from_store=sent.from_store, seconds=sent.seconds)


def failure_here(sent: wire.FailureWire, paths: Paths) -> BuildFailure:
    """A failure with its log here."""
    data = sent.log.encode()
    log = paths.cache / "remote-logs" / f"{hashlib.sha256(data).hexdigest()[:32]}.log"
    write_atomic(log, data)
    return BuildFailure(sent.key, sent.message, sent.file, sent.line, log, sent.seconds)


def bring_boot(talk: Talk, sent: wire.BootWire, paths: Paths) -> Boot:
    """The boot with its console here, and ``boot.json`` beside it."""
    from lab.guest.run import save

    folder, new = bring_console(talk, sent.id, sent.console, paths)
    boot = wire.boot_here(sent, folder)
    boot = replace(boot, notes=(*boot.notes, f"booted on {talk.host.name}"))
    if new:
        save(boot)
    return boot


def bring_console(talk: Talk, boot: str, blob: wire.Blob, paths: Paths) -> tuple[Path, bool]:
    """The folder here with that console, and whether it is new."""
    if blob.size > CONSOLE_BYTES:
        raise Strange(f"{talk.host.name}: a console of {blob.size >> 20} MiB")
    folder = paths.boots / boot
    if (folder / "console.log").is_file() and wire.blob(folder / "console.log") == blob:
        return folder, False
    with incoming(paths) as work:
        talk.fetch("boot", boot, "console.log", blob, work / "console.log")
        (work / "console.log").chmod(0o644)
        work.chmod(0o755)
        while folder.exists():  # another boot that began in the same second
            folder = paths.boots / f"{boot[:-8]}{os.urandom(4).hex()}"
        try:
            paths.boots.mkdir(parents=True, exist_ok=True)
            work.rename(folder)
        except OSError as error:
            raise InfrastructureError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder, True


def with_consoles(value: Any, consoles: dict[str, Path], host: str) -> Any:
    """A document with the consoles that are here; paths of the host that lead nowhere here are marked with its name."""
    if isinstance(value, dict):
        out = {}
        for key, one in value.items():
            if key == "console" and isinstance(one, str):
                here = consoles.get(Path(one).parent.name)
                out[key] = str(here) if here else None
            elif key == "log" and isinstance(one, str) and one:
                out[key] = f"{host}:{one}"
            else:
                out[key] = with_consoles(one, consoles, host)
        return out
    if isinstance(value, list | tuple):
        return [with_consoles(one, consoles, host) for one in value]
    return value
