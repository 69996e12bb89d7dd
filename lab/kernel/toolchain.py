"""The compiler and the tools beside it, with the versions that they really have."""

from __future__ import annotations

import hashlib
import re
import shutil

from lab.arch import arches
from lab.errors import UserError
from lab.kernel.types import Toolchain
from lab.process import ToolMissing, run

APT = "sudo apt-get install --no-install-recommends"
PACKAGES = {
    "ld": "binutils",
    "as": "binutils",
    "perl": "perl",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
}
"""Debian's packages of the tools that every kernel build calls."""

NAME = re.compile(r"[A-Za-z0-9_./+-]+")
SECONDS = 20.0


def detect_toolchain(cc: str | None = None, arch: str = "x86_64") -> Toolchain:
    """The toolchain whose C compiler is ``cc`` (where None is given, ``gcc`` or the cross compiler for ``arch``).

    Raises :class:`UserError` for a name that can't be a compiler's and :class:`ToolMissing` with the command that
    installs what is not there.
    """
    about_arch = arches().get(arch)
    prefix = about_arch.prefix if about_arch else ""
    compiler = cc or f"{prefix}gcc"
    if not NAME.fullmatch(compiler) or compiler.startswith("-"):
        raise UserError(f"compiler {compiler!r} is not the name of a program", hint="such as --cc gcc-11")
    if not shutil.which(compiler):
        package = about_arch.package if about_arch and prefix and not cc else compiler.rpartition("/")[2]
        raise ToolMissing(f"the compiler {compiler} is not installed", hint=f"{APT} {package}")
    for tool, package in PACKAGES.items():
        if not shutil.which(tool):
            raise ToolMissing(f"{tool} is not installed; kernels are built with it", hint=f"{APT} {package}")
    about = said(compiler, "-v")
    target = re.search(r"^Target: ([^-\s]+)", about, re.MULTILINE)
    if target and target[1] not in (about_arch.targets if about_arch else (arch,)):
        raise UserError(f"the compiler {compiler} is for {target[1]}, not for {arch}")
    tools = {"ld": f"{prefix}ld", "as": f"{prefix}as", "make": "make"}
    versions = {tool: said(program, "--version").partition("\n")[0] for tool, program in tools.items()}
    perl = said("perl", "-e", "print $^V")
    parts = (arch, compiler_identity(about), versions["ld"], versions["as"])
    return Toolchain(
        cc=compiler,
        cc_version=numbers(re.search(r"^gcc version (\S+)", about, re.MULTILINE), about, compiler),
        ld_version=numbers(re.search(r"(\d+(?:\.\d+)+)\s*$", versions["ld"]), versions["ld"], "ld"),
        perl_version=numbers(re.search(r"v(\d+(?:\.\d+)+)", perl), perl, "perl"),
        make_version=numbers(re.search(r"(\d+(?:\.\d+)+)", versions["make"]), versions["make"], "make"),
        identity=hashlib.sha256("\0".join(parts).encode()).hexdigest(),
        arch=arch,
    )


def said(*argv: str) -> str:
    """What a tool says of itself, on either stream."""
    done = run(argv, deadline=SECONDS, env={"PATH": os_path(), "LC_ALL": "C"}, guard=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def os_path() -> str:
    """The search path of this process."""
    import os

    return os.environ.get("PATH", os.defpath)


def compiler_identity(about: str) -> str:
    """Of ``gcc -v`` what makes another compiler: its target and its full version."""
    lines = about.splitlines()
    return "\n".join(line for line in lines if line.startswith(("Target:", "gcc version", "clang version")))


def numbers(found: re.Match[str] | None, text: str, tool: str) -> tuple[int, ...]:
    """The version that was found as numbers; :class:`UserError` where a tool says none."""
    if found is None:
        raise UserError(f"{tool} does not say its version: {text[:80]!r}", hint="the lab builds with gcc")
    return tuple(int(part) for part in found.group(1).split(".") if part.isdecimal())
