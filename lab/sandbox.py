"""Shutting builds in: a kernel's Makefiles, scripts and Kconfig files are programs that run on this host.

Where the series is a stranger's (its case has an ``[origin]``), ``make`` and what reads Kconfig files run under
bubblewrap (bwrap(1)): in namespaces of their own without any network, with all of the file system read-only, the home
folder, ``/run`` and ``/tmp`` empty, and nothing writable but the object directory. It has an object directory to
itself, so that nothing that it left there runs later in another build; the compiler cache is only read. What is *not*
held back: the tree can still use CPU and memory, read what every user may read outside the home folder, and make the
kernel itself whatever it wants; that one only ever runs in a guest without a network.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.errors import InfrastructureError, LabError
from lab.process import run

HINT = "sudo apt-get install --no-install-recommends bubblewrap"
Wish = Literal["auto", "require", "off"]


@dataclass(frozen=True)
class Sandbox:
    """How a stranger's tree is built. ``key`` names its own object directories; ``open_because`` is empty where it is
    shut in, else why it is not."""

    key: str
    open_because: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.open_because:
            return f"NOT shut in: {self.open_because}; scripts of this series run with your rights"
        return "shut in by bubblewrap: no network, nothing writable but its object directory"


def choose_sandbox(key: str, wish: Wish) -> Sandbox:
    """The sandbox for the tree that ``key`` names, as the user wishes it.

    Raises :class:`InfrastructureError` where it is required and can't be had.
    """
    why = 'the configuration says sandbox = "off"' if wish == "off" else unusable()
    if why and wish == "require":
        raise InfrastructureError(f"builds of this series can't be shut in: {why}", hint=HINT)
    return Sandbox(key, why)


@functools.cache
def unusable() -> str:
    """Why bubblewrap can't be used here, empty where it can. Kernels and containers may forbid user namespaces."""
    if shutil.which("bwrap") is None:
        return f"bubblewrap is not installed ({HINT})"
    argv = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "--dev", "/dev", "--proc", "/proc",
            "true"]  # fmt: skip
    try:
        done = run(argv, deadline=20, env={"PATH": os.environ.get("PATH", os.defpath)})
    except LabError as error:
        return f"bubblewrap does not run here: {error.message}"
    if done.ok:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
    return f"bubblewrap does not run here: {said[0][:200]}"


def shut_in(
    argv: Sequence[str], *, source: Path, writable: Sequence[Path], env: Mapping[str, str], sandbox: Sandbox | None
) -> list[str]:
    """``argv`` so that it can write to ``writable`` alone and reach no network; as it is without a sandbox."""
    if sandbox is None or sandbox.open_because:
        return list(argv)
    out = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    out += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    empty = [Path("/tmp"), Path("/var/tmp"), Path("/run"), Path(os.environ.get("HOME", "/")), Path.home()]  # noqa: S108
    for folder in dict.fromkeys(folder.resolve() for folder in empty):
        if folder != Path("/") and folder.is_dir():
            out += ["--tmpfs", str(folder)]
    for folder in readable(source, env):
        out += ["--ro-bind", str(folder), str(folder)]
    for folder in writable:
        out += ["--bind", str(folder), str(folder)]
    return [*out, "--chdir", str(source), "--", *argv]


def readable(source: Path, env: Mapping[str, str]) -> list[Path]:
    """What has to be seen though it may lie below the home folder: the tree, the tools on PATH, Python, the compiler
    cache."""
    found = [source, Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parent]
    found += [Path(folder).parent if Path(folder).name == "bin" else Path(folder)
              for folder in env.get("PATH", "").split(os.pathsep) if folder.startswith("/")]  # fmt: skip
    found += [Path(env["CCACHE_DIR"])] if "CCACHE_DIR" in env else []
    home = Path.home().resolve()
    return [folder for folder in dict.fromkeys(path for path in found if path.exists())
            if folder == source or (folder.resolve().is_relative_to(home) and folder.resolve() != home)
            or folder.resolve().is_relative_to("/tmp")]  # noqa: S108  # fmt: skip


def quiet_cache(env: Mapping[str, str], place: Path, sandbox: Sandbox | None) -> dict[str, str]:
    """``env`` with a compiler cache that is read and never written: what a stranger's build puts there would be taken
    by others."""
    if sandbox is None or sandbox.open_because:
        return dict(env)
    temporary = place / "ccache-tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {**env, "CCACHE_READONLY": "1", "CCACHE_TEMPDIR": str(temporary), "CCACHE_NOSTATS": "1", "TMPDIR": "/tmp"}  # noqa: S108
