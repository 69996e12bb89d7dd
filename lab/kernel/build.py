"""Building a kernel: out of tree, never the same one twice, with a failure to compile as a result."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from lab.arch import DEFAULT, arch
from lab.errors import InfrastructureError
from lab.files import locked, write_atomic
from lab.kernel.complaint import first_error, warnings, world_fault
from lab.kernel.environment import APT, make_environment, make_variables
from lab.kernel.objects import check_room, empty, heal, interrupted, note_state
from lab.kernel.store import Built, Failed, find, folder_of, keep
from lab.kernel.types import BuildFailure, Compat, Kconfig, Kernel, Toolchain
from lab.paths import Paths
from lab.process import Completed, stream
from lab.progress import Progress, silent
from lab.sandbox import Sandbox, quiet_cache, shut_in

FORMAT = "2"
"""Part of every key: raised when the same inputs would give another kernel because the lab builds differently."""

DEADLINE_SECONDS = 4 * 3600.0
COMPILING = re.compile(rb"^\s+(?:CC|AS|LD|AR|HOSTCC|CC \[M\])\s+(\S+)")
LOG_BYTES = 32 << 20
"""A build that warns in every file prints some 5 MB."""

FILES = {"vmlinux": "vmlinux", "System.map": "System.map", "config": ".config"}
"""Name in the store, and where the build leaves it; the image and what else there is are the architecture's."""
IMAGE = "bzImage"
"""What the image is called in the store, also where the architecture's Makefile calls it otherwise."""


@dataclass(frozen=True)
class Count:
    """How many files the last build from nothing compiled, so that the next one's progress is known."""

    objects: int


def kernel_key(tree_id: str, kconfig: Kconfig, toolchain: Toolchain, compat: Compat) -> str:
    """The store's key of a kernel: all that went into it. ``tree_id`` is git's id of the content,
    compat's patches among it."""
    parts = (FORMAT, tree_id, kconfig.key, toolchain.identity, toolchain.arch, repr(compat.flags))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def build(
    source: Path,
    *,
    tree_id: str,
    kconfig: Kconfig,
    toolchain: Toolchain,
    compat: Compat,
    paths: Paths,
    objects_key: str,
    version: str,
    jobs: int | None = None,
    deadline: float = DEADLINE_SECONDS,
    progress: Progress = silent,
) -> Kernel | BuildFailure:
    """Build the tree in ``source``, whose content is ``tree_id``, and put the kernel into the store.

    ``objects_key`` names the object directory, which stays and makes the next point of the same line an incremental
    build. Raises :class:`InfrastructureError` for what is not the kernel's fault: a full disk, a missing header.
    """
    key = kernel_key(tree_id, kconfig, toolchain, compat)
    place = objects_folder(objects_key, kconfig.name, toolchain, compat, paths)
    place.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock"), deadline=deadline):
        known = find(key, paths)  # another process may have built it while this one waited
        if known is not None:
            return known
        inputs = {
            "tree": tree_id,
            "version": version,
            "kconfig": {"name": kconfig.name, "key": kconfig.key},
            "toolchain": toolchain,
            "compat": compat.reasons,
            "flags": compat.flags,
            "objects": place.name,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        argv = build_command(source, place, toolchain, compat, jobs)
        check_room(place)
        argv = shut_in(argv, source=source, writable=(place,), env=make_environment(paths), sandbox=toolchain.sandbox)
        job = Job(
            key,
            source,
            place,
            tuple(argv),
            kconfig,
            {**inputs, "argv": argv},
            paths,
            deadline,
            progress,
            toolchain.sandbox,
            toolchain.arch,
        )
        doubted = interrupted(place)
        if doubted:
            heal(place)
        made = make(job)
        if doubted and not made.done.ok and not world_fault(made.lines):
            empty(place)  # the failure may be of what the interrupted build left behind: only a clean one counts
            made = make(job)
        result = conclude(job, made)
        note_state(place, "built" if isinstance(result, Kernel) else "failed", key, job.inputs)
        return result


def build_command(
    source: Path, place: Path, toolchain: Toolchain, compat: Compat, jobs: int | None = None
) -> list[str]:
    """The make that builds the tree in ``source`` in object directory ``place``."""
    argv = ["make", "-C", str(source), f"O={place}", f"-j{jobs or len(os.sched_getaffinity(0))}"]
    return [*argv, *make_variables(toolchain, compat, prefixes(source, place)), arch(toolchain.arch).image]


def objects_folder(objects_key: str, kconfig: str, toolchain: Toolchain, compat: Compat, paths: Paths) -> Path:
    """The object directory of all points of a line that are built with the kconfig of that name and these tools; of a
    stranger's series, its own."""
    same = (kconfig, toolchain.identity, repr(compat.flags))
    own = f"-foreign-{toolchain.sandbox.key}" if toolchain.sandbox else ""
    return paths.objects / f"{objects_key}{own}-{hashlib.sha256(chr(0).join(same).encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Job:
    """One build: what is built, in which object directory, by which command. ``inputs`` is what the store keeps of it;
    ``deadline`` is in seconds."""

    key: str
    source: Path
    place: Path
    argv: tuple[str, ...]
    kconfig: Kconfig
    inputs: dict[str, Any]
    paths: Paths
    deadline: float
    progress: Progress
    sandbox: Sandbox | None = None
    arch: str = DEFAULT


def prefixes(source: Path, place: Path) -> tuple[str, str]:
    """What file names in the kernel may begin with: the tree's path, and the one that ccache makes of it, which is
    relative to where the compiler runs."""
    return "$(srctree)", os.path.relpath(source, place)


def configure(place: Path, kconfig: Kconfig) -> None:
    """Put the kconfig into the object directory; one that is the same keeps its time, and so all that hangs on it."""
    config = place / ".config"
    if not config.exists() or config.read_text() != kconfig.text:
        write_atomic(config, kconfig.text)


@dataclass(frozen=True)
class Made:
    """What make came to: how it ended, the last lines of its output, and how many files it compiled."""

    done: Completed
    lines: tuple[str, ...]
    compiled: int


def make(job: Job) -> Made:
    """Run make; its output is in the object directory's ``build.log``, line by line as it comes.

    Until the end of it is understood, the object directory says that it is being built in.
    """
    place = job.place
    note_state(place, "building", job.key, job.inputs)
    configure(place, job.kconfig)
    fresh = not (place / "vmlinux").exists()
    counter = Counter(job.progress, expected(place, job.kconfig) if fresh else 0)
    with (place / "build.log").open("wb", buffering=0) as log:
        room = LOG_BYTES

        def line(text: bytes) -> None:
            nonlocal room
            if room > 0:
                room -= log.write(text[:room] + b"\n")
            counter.line(text)

        environment = quiet_cache(make_environment(job.paths), place, job.sandbox)
        done = stream(job.argv, line, deadline=job.deadline, env=environment, limit=LOG_BYTES, hint=f"{APT} make")
    if done.ok and fresh:
        write_atomic(place / "lab-count.json", msgspec.json.encode(Count(counter.done)))
    return Made(done, tuple(done.stdout.decode(errors="replace").splitlines()), counter.done)


def conclude(job: Job, made: Made) -> Kernel | BuildFailure:
    """Keep what make left: a kernel, or a failure that is the kernel's own."""
    key, paths, log = job.key, job.paths, job.place / "build.log"
    seconds, inputs = made.done.seconds, {**job.inputs, "compiled": made.compiled}
    if made.done.ok:
        release = (job.place / "include/config/kernel.release").read_text().strip()
        about = arch(job.arch)
        left = {**FILES, IMAGE: about.image_path, **about.extra}
        files = {name: job.place / file for name, file in left.items() if (job.place / file).exists()}
        record = Built(release, seconds, warnings(made.lines, job.source), inputs)
        keep(key, {**files, "build.log": log}, record, paths)
        return replace(stored(key, paths), from_store=False)
    fault = world_fault(made.lines)
    if fault:
        raise InfrastructureError(f"the build stopped: {fault[0]}", hint=fault[1])
    if made.done.returncode < 0:
        raise InfrastructureError(f"make was ended by signal {-made.done.returncode}", hint=f"log: {log}")
    error = first_error(made.lines, job.source)
    keep(key, {"build.log": log}, Failed(error.message, error.file, error.line, seconds, inputs), paths)
    return BuildFailure(key, error.message, error.file, error.line, folder_of(key, paths) / "build.log", seconds)


def stored(key: str, paths: Paths) -> Kernel:
    """The kernel that was just put into the store."""
    kernel = find(key, paths)
    if not isinstance(kernel, Kernel):
        raise InfrastructureError(f"{key}: the store does not hold what was just put into it")
    return kernel


def expected(place: Path, kconfig: Kconfig) -> int:
    """How many steps a build from nothing in ``place`` takes: as many as last time, else a guess.

    In a small 6.1 some three steps are taken for each symbol that is on (1265 for 429).
    """
    try:
        return msgspec.json.decode((place / "lab-count.json").read_bytes(), type=Count).objects
    except (FileNotFoundError, msgspec.DecodeError):
        return 3 * kconfig.text.count("=y\n")


class Counter:
    """Counts what make says it compiles."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self.total = total
        self.done = 0

    def line(self, text: bytes) -> None:
        """Take one line of make's output."""
        found = COMPILING.match(text)
        if found:
            self.done += 1
            name = found.group(1).decode(errors="replace")
            self.progress("build", name, min(self.done, self.total) if self.total else self.done, self.total)
