"""What a failed build complains of: the first real error, and whether it is the kernel's fault or the world's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

APT = "sudo apt-get install --no-install-recommends"

ERRORS = tuple(
    re.compile(pattern)
    for pattern in (
        r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<message>.+)$",  # gcc, clang
        r"^(?P<file>[^\s:]+):(?P<line>\d+): Error: (?P<message>.+)$",  # gas
        r"^(?P<file>[^\s:]+): (?P<message>(?:unknown option|syntax error|no such).*)$",
        r"^(?:\S*ld: )?(?:\S+\.o: in function `[^']+': ?)?"
        r"(?P<file>[^\s:()]+)?:?\(\S+\): (?P<message>undefined reference to .+)$",
        r"^\S*ld: (?P<file>[^\s:]+)(?::\S+)?: (?P<message>(?:multiple definition|undefined reference|relocation).+)$",
        r"^ERROR: (?P<message>modpost: .+)$",
        r"^(?P<message>\S+: .*(?:objtool|warning treated as error).*)$",
        r"^make(?:\[\d+\])?: \*\*\* (?P<message>No rule to make target .+)$",
        r"^(?P<message>[^:]+\.(?:pl|sh|py|awk):? .*(?:error|failed|aborted).*)$",
        r"^(?P<message>Can't use 'defined\(@array\)'.*)$",
    )
)
LAST = re.compile(r"^make(?:\[\d+\])?: \*\*\* \[(?P<message>.+)\] Error \d+")
WARNING = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? warning: (?P<message>.+)$")

WORLD: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), what, hint)
    for pattern, what, hint in (
        (r"No space left on device", "the disk is full", "free some, or set LAB_CACHE to another disk"),
        (
            r"Killed signal terminated program",
            "the compiler was killed, most likely for want of memory",
            "try --jobs 1",
        ),
        (r"(?:virtual memory exhausted|Cannot allocate memory)", "the compiler ran out of memory", "try --jobs 1"),
        (r"fatal error: (?:libelf|gelf)\.h: No such file", "the header gelf.h is missing", f"{APT} libelf-dev"),
        (r"fatal error: openssl/\S+\.h: No such file", "OpenSSL's headers are missing", f"{APT} libssl-dev"),
        (r"fatal error: gmp\.h: No such file", "the header gmp.h is missing", f"{APT} libgmp-dev"),
        (r"fatal error: gcc-plugin\.h: No such file", "gcc's plugin headers are missing", f"{APT} gcc-12-plugin-dev"),
        (r"sh: \d+: (\S+): not found", "a tool is missing: {0}", f"{APT} {{0}}"),
        (r"(\S+): (?:command not found|No such file or directory)$", "a tool is missing: {0}", f"{APT} {{0}}"),
    )
)
TOOLS = frozenset(
    {"bc", "flex", "bison", "perl", "awk", "gawk", "xz", "lz4", "zstd", "cpio", "rsync", "python3", "kmod"}
)
"""Missing tools that are the world's fault; anything else that is not found is a file of the tree's own."""


@dataclass(frozen=True)
class Complaint:
    """The first real error: its text, and its file (relative to the tree) and line where it has them."""

    message: str
    file: str = ""
    line: int = 0


def first_error(lines: Iterable[str], source: Path) -> Complaint:
    """The first line of a build's output that names a cause, else the target that failed."""
    last = ""
    for text in lines:
        for pattern in ERRORS:
            found = pattern.match(text)
            if found:
                fields = found.groupdict()
                return Complaint(
                    fields["message"].strip(), inside(fields.get("file") or "", source), int(fields.get("line") or 0)
                )
        found = LAST.match(text)
        last = last or (found["message"] if found else "")
    return Complaint(f"make failed at {last}" if last else "make failed and said nothing")


def world_fault(lines: Iterable[str]) -> tuple[str, str] | None:
    """What is wrong with this machine, and what mends it, where the failure is not the kernel's."""
    for text in lines:
        for pattern, what, hint in WORLD:
            found = pattern.search(text)
            if found and (not found.groups() or found.group(1) in TOOLS):
                return what.format(*found.groups()), hint.format(*found.groups())
    return None


def warnings(lines: Iterable[str], source: Path) -> tuple[str, ...]:
    """The compiler's warnings as ``file:line: text``, each once."""
    found = (WARNING.match(text) for text in lines)
    return tuple(dict.fromkeys(f"{inside(m['file'], source)}:{m['line']}: {m['message']}" for m in found if m))


def inside(name: str, source: Path) -> str:
    """A file name as the compiler prints it, relative to the tree where it is in it."""
    if not name:
        return ""
    plain = os.path.normpath(name)
    root = f"{source}{os.sep}"
    return plain.removeprefix(root) if plain.startswith(root) else re.sub(r"^(?:\.\./)+", "", plain)
