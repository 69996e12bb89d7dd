"""What a worker of a cluster does: one build or one boot of a point of a case, with its own cache and tools.

The case comes along whole (see :mod:`lab.remote.wire`), so a worker knows nothing but this lab; once for a machine, and
by its hash from then on. Where several workers share a cache, each probe takes a worktree and an object directory that
no other one is in.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from lab.bisect.prober import LineProber
from lab.bisect.records import Boot, Build
from lab.bisect.target import Target
from lab.errors import InfrastructureError, LabError, UserError
from lab.files import write_atomic
from lab.line import Line, Setup, prepare
from lab.paths import Paths, user_paths
from lab.remote import wire
from lab.remote.unpacked import cases_folder, unpacked, use
from lab.tree.types import Base

SLOTS = 256
CONSOLE_BYTES = 65 << 20
WHERE_LENGTH = 200
LINES = 32
"""So many cases with a kconfig each a worker has ready at once."""


class Lacking(Exception):
    """The case that is wanted was not sent to this machine yet, or is not kept here any more."""


class Made(msgspec.Struct, frozen=True):
    """What a worker made of one probe: the record as JSON, and the console of a boot. ``problem`` is there instead
    where the worker could not do its work; ``where`` names it. ``lacks``: it has to be asked again, with the case."""

    record: bytes = b""
    console: bytes = b""
    problem: wire.Problem | None = None
    where: str = ""
    lacks: bool = False


@dataclass(frozen=True)
class Wanted:
    """One probe: the request's hash (``key``) and, for a worker that lacks it, its bytes; what is to be done, and the
    bug that is looked for."""

    request: bytes
    what: Literal["build", "boot"]
    point: int
    target: Target
    version: str
    key: str


def do(wanted: Wanted) -> Made:
    """Do one probe on this worker. What goes wrong is part of the answer."""
    from lab.remote.job import answered

    name = worker_name()
    try:
        record = probed(wanted)
    except Lacking:
        return Made(where=name, lacks=True)
    except LabError as error:
        kind: Literal["user", "infrastructure"] = "user" if isinstance(error, UserError) else "infrastructure"
        return Made(problem=wire.Problem(kind, error.message, error.hint), where=name)
    except Exception as error:
        problem = answered(functools.partial(again, error)).problem
        return Made(problem=problem, where=name)
    console = b""
    if isinstance(record, Boot) and record.document.get("console"):
        with contextlib.suppress(OSError), Path(str(record.document["console"])).open("rb") as file:
            console = file.read(CONSOLE_BYTES)
    return Made(msgspec.json.encode(record, enc_hook=str), console, where=name)


def worker_name() -> str:
    """This machine, and which of its workers this is."""
    name = os.uname().nodename
    with contextlib.suppress(ImportError, ValueError):  # no worker: it is done in the process that asks
        from distributed import get_worker

        own = str(get_worker().name).rpartition("//")[2]
        return f"{name}/{own}"[:WHERE_LENGTH]
    return name


def again(error: Exception) -> wire.Answer:
    """Raise ``error``."""
    raise error


def probed(wanted: Wanted) -> Build | Boot:
    """The build or boot itself."""
    from lab.remote.version import this_version

    if wanted.version != this_version().name:
        raise UserError("this worker runs another version of the lab", hint="lab hosts setup NAME, and start it again")
    line, setup = prepared(kept(wanted.key, wanted.request, user_paths()))
    with slot(line, setup.paths) as number:
        prober = LineProber(line, setup, ())
        prober.target = wanted.target
        return prober.build(wanted.point, number) if wanted.what == "build" else prober.boot(wanted.point, number)


def kept(key: str, request: bytes, paths: Paths) -> str:
    """Keep ``request``, whose hash is ``key``, for all workers of this cache, where it came along; the key."""
    if request:
        if hashlib.sha256(request).hexdigest() != key:
            raise InfrastructureError("the case was damaged on its way")
        place = place_of(key, paths)
        if not place.is_file():
            write_atomic(place, request)
    return key


def place_of(key: str, paths: Paths) -> Path:
    """Where a case is kept."""
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise UserError(f"{key[:80]!r} is no hash of a case")
    return cases_folder(paths) / f"{key}.json"


def request_kept(key: str, paths: Paths) -> bytes:
    """The request of that hash; :class:`Lacking` where it is not here, or not what it was."""
    try:
        data = place_of(key, paths).read_bytes()
    except OSError:
        raise Lacking from None
    if hashlib.sha256(data).hexdigest() != key:
        with contextlib.suppress(OSError):
            place_of(key, paths).unlink()
        raise Lacking
    return data


def prepared(key: str) -> tuple[Line, Setup]:
    """The line of a request on this worker, made once, and again where its case was removed meanwhile."""
    if not use(key, user_paths()):
        line_of.cache_clear()
    return line_of(key)


@functools.lru_cache(maxsize=LINES)
def line_of(key: str) -> tuple[Line, Setup]:
    """The line of a request on this worker."""
    from lab.progress import silent
    from lab.settings import load_settings
    from lab.share.where import share_of

    paths = user_paths()
    request = wire.request.decode(request_kept(key, paths))
    settings = load_settings(paths.config_file)
    setup = Setup(
        paths=paths,
        settings=settings,
        progress=silent,
        cc=request.cc or settings.cc or None,
        jobs=request.jobs or settings.jobs or None,
        accel=request.accel or settings.accel,
        timeout=request.timeout,
        share=share_of(request.share or None, settings, lambda text: print(f"lab: {text}", file=sys.stderr)),
    )
    case = unpacked(key, request, paths)
    return prepare(case, replace(setup, base=base_here(request.base, setup))), setup


def base_here(base: wire.BaseWire, setup: Setup) -> Base:
    """The base on this worker: what was pushed or imported, else imported now, if that gives the same commit."""
    from lab.remote.sources import find_source
    from lab.tree.bases import resolve_base

    repo = find_source(base.commit, setup.paths)
    if repo is not None:
        return wire.unwired(base, repo)
    hint = f"lab hosts setup, then --on or --cluster ssh: push it; or install its package on {os.uname().nodename}"
    try:
        own = resolve_base(
            base.name,
            paths=setup.paths,
            configured=setup.settings.bases,
            keyring=setup.settings.kernel_org_keyring,
            dsc_keyrings=setup.settings.dsc_keyrings,
        )
    except LabError as error:
        raise InfrastructureError(f"the source of base {base.name} is not here: {error.message}", hint=hint) from None
    if own.commit != base.commit:
        raise InfrastructureError(f"base {base.name} is another one here ({own.source})", hint=hint)
    return wire.unwired(base, own.repo)


@contextlib.contextmanager
def slot(line: Line, paths: Paths) -> Iterator[int]:
    """The number of a worktree that no other worker on this cache is in, for as long as the context lasts."""
    folder = paths.worktrees
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(SLOTS):
        fd = os.open(folder / f"{line.tree.key}.slot{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        try:
            yield number
        finally:
            os.close(fd)
        return
    raise InfrastructureError(f"{folder}: more than {SLOTS} workers share this cache")
