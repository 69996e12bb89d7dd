"""Test programs for the guest: small static C programs, built here, put into the initramfs, run, and their KTAP read.

Each line that a program prints goes through ``/dev/kmsg``, so that nothing the kernel says can break into it, and each
program stands between two marks of the lab's (see :mod:`lab.console.ktap`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.console.ktap import Tap
from lab.errors import InfrastructureError, UserError
from lab.guest.initramfs import is_static
from lab.paths import Paths
from lab.process import run

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wno-unused-function", "-static", "-pthread")
COMPILE_SECONDS = 120.0
SOURCE_BYTES = 16 << 20
HINT = "sudo apt-get install --no-install-recommends gcc libc6-dev"
ERROR = re.compile(r"^(?P<place>[^\s:][^:]*:\d+)(?::\d+)?: (?:fatal )?error: (?P<text>.*)$", re.M)

FOLDER = "lab/programs"
SCRIPT = """#!/bin/sh
# Since 4.9 a kernel drops all but ten lines of a program's in five seconds
[ -w /proc/sys/kernel/printk_devkmsg ] && echo on >/proc/sys/kernel/printk_devkmsg
say() {
    [ -n "$1" ] || return 0
    echo "<0>$1" 2>/dev/null >/dev/kmsg || echo "$1"
}
run() {
    name=$1
    shift
    say "lab: program $name begin"
    {
        "/%(folder)s/$name" "$@" 2>&1 </dev/null
        status=$?
        echo
        echo "lab: program $name status=$status end"
    } | while IFS= read -r line; do say "$line"; done
}
%(calls)s
"""


@dataclass(frozen=True)
class Program:
    """A static executable for the guest, and the words it is started with."""

    name: str
    file: Path
    arguments: tuple[str, ...] = ()

    @property
    def script_line(self) -> str:
        """Its call in the guest's script."""
        return shlex.join(("run", self.name, *self.arguments))


def read_wish(text: str, paths: Paths) -> Program:
    """A program as it is named on a command line: ``FILE [WORD…]``, quoted as in a shell."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"program {text!r}: {error}") from None
    if not words:
        raise UserError("a program without a name")
    return make_program(Path(words[0]), paths, tuple(words[1:]))


def make_program(source: Path, paths: Paths, arguments: tuple[str, ...] = ()) -> Program:
    """A C file, compiled, or a static executable as it is.

    Raises :class:`UserError` where it is neither or does not compile (with the compiler's first error), and
    :class:`InfrastructureError` where there is no compiler.
    """
    name = source.stem
    if not NAME.fullmatch(name):
        raise UserError(f"{source}: {name!r} cannot be a program's name in the guest")
    if any("\n" in word or "\0" in word for word in arguments):
        raise UserError(f"{source}: an argument with a line end in it")
    return Program(name, compiled(source, paths), arguments)


def compiled(source: Path, paths: Paths) -> Path:
    """The executable of ``source``, from the cache where neither it nor a header beside it has changed."""
    text = content(source)
    if source.suffix != ".c":
        if not is_static(text):
            raise UserError(f"{source}: neither a C file (.c) nor a static 64-bit executable")
        return source
    compiler = shutil.which("gcc")
    if compiler is None:
        raise InfrastructureError("gcc: no such program; it builds the guest's programs", hint=HINT)
    headers = [(path.name, content(path)) for path in sorted(source.parent.glob("*.h"))]
    built = paths.programs / f"{source.stem}-{key(compiler, text, headers)}"
    if not built.is_file():
        compile_to(built, source, compiler)
    return built


def key(compiler: str, text: bytes, headers: Iterable[tuple[str, bytes]]) -> str:
    """What an executable is kept by: source, headers, flags, compiler."""
    status = Path(compiler).resolve().stat()
    parts = [repr((FLAGS, compiler, status.st_size, status.st_mtime_ns)).encode(), text]
    for name, header in headers:
        parts += [name.encode(), header]
    sha = hashlib.sha256()
    for part in parts:
        sha.update(b"%d:" % len(part) + part)
    return sha.hexdigest()[:24]


def compile_to(built: Path, source: Path, compiler: str) -> None:
    """Compile ``source``; the executable is there whole, or not at all."""
    try:
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=built.parent, prefix=".compiling.") as folder:
            out = Path(folder) / built.name
            argv = [compiler, *FLAGS, "-o", str(out), str(source.absolute())]
            done = run(argv, deadline=COMPILE_SECONDS, env={**os.environ, "LC_ALL": "C"}, hint=HINT)
            if not done.ok:
                raise refused(source, done.stderr.decode(errors="replace"))
            out.replace(built)
    except OSError as error:
        raise InfrastructureError(f"{built.parent}: cannot be written: {error.strerror}") from None


def refused(source: Path, said: str) -> Exception:
    """The compiler's first error, as one line."""
    if found := ERROR.search(said):
        return UserError(f"{found['place']}: {found['text']}")
    if "cannot find -lc" in said or "No such file or directory" in said:
        return InfrastructureError(f"{source}: cannot be linked statically", hint=HINT)
    lines = [line for line in said.splitlines() if line.strip()]
    return UserError(f"{source}: does not compile: {lines[0][:400] if lines else 'the compiler says nothing'}")


def content(path: Path) -> bytes:
    """A file's bytes; :class:`UserError` where it cannot be read or is too large to be a test program."""
    try:
        if path.stat().st_size > SOURCE_BYTES:
            raise UserError(f"{path}: larger than {SOURCE_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def extra_files(programs: Sequence[Program]) -> Mapping[str, Path | bytes]:
    """What the initramfs needs to run ``programs`` one after the other, for :func:`lab.guest.initramfs.build`."""
    names = [program.name for program in programs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"two programs are called {twice}")
    calls = "\n".join(program.script_line for program in programs)
    script = SCRIPT % {"folder": FOLDER, "calls": calls}
    return {"lab/run": script.encode(), **{f"{FOLDER}/{program.name}": program.file for program in programs}}


def complete(seen: Sequence[Tap], names: Sequence[str]) -> tuple[Tap, ...]:
    """One :class:`Tap` for each program that was to be run, also for those that never began."""
    by_name = {tap.name: tap for tap in seen}
    return tuple(by_name.get(name, Tap(name)) for name in names)
