"""What a failed build complains of: the first real error, and whether it is the kernel's fault or the world's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.kernel.environment import APT

MESSAGE_LENGTH = 500

ERRORS = tuple(
    re.compile(pattern)
    for pattern in (
        # gcc: mm/slub.c:12:3: error: …
        r"(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<message>.+)",
        # gas: arch/x86/kernel/head_64.S:12: Error: …
        r"(?P<file>[^\s:]+):(?P<line>\d+): (?:Fatal )?[Ee]rror: (?P<message>.+)",
        # scripts/kconfig, old and new: mm/Kconfig:12: syntax error, mm/Kconfig:12:error: recursive …
        r"(?:\S+\.py: )?(?P<file>[^\s:]*Kconfig[^\s:]*):(?P<line>\d+):\s*(?:error: ?)?(?P<message>(?!\s*warning).+)",
        # ld, with debug information, without, and where it knows no place in the file
        r"(?:\S*ld: )?(?P<file>[^\s:()]+):(?P<line>\d+): (?P<message>(?:undefined ref|multiple def)\w+ .+)",
        r"(?:\S*ld: )?(?P<file>[^\s:()]+):\(\S+\): (?P<message>(?:undefined ref|multiple def|relocation).+)",
        r"(?:\S*ld: )?(?P<file>\S+\.[oa]): (?P<message>file (?:not recognized|truncated|format).*)",
        r"\S*ld: (?!warning:)(?P<file>[^\s:]+): (?P<message>(?!warning|in function|skipping)(?!.*: in function).+)",
        # modpost, objtool, and the scripts of a build
        r"(?:ERROR|FATAL): (?P<message>modpost: .+)",
        r"(?P<message>\S+: (?:error|warning): objtool: .+)",
        r"(?P<message>.+ at (?P<file>\S+\.pl) line (?P<line>\d+)\.)",
        r"(?P<file>[^\s:]+\.(?:pl|sh|py|awk)): (?:line )?(?P<line>\d+): (?P<message>.+)",
        r"(?P<message>Inconsistent kallsyms data.*)",
        # make itself: mm/Makefile:12: *** missing separator.  Stop.
        r"(?P<file>[^\s:]+):(?P<line>\d+): \*\*\* (?P<message>(?!\[).+?)(?:\s+Stop\.)?",
        r"(?:g?make)(?:\[\d+\])?: \*\*\* (?P<message>No rule to make target .+?)(?:\s+Stop\.)?",
    )
)
IN_FUNCTION = re.compile(r"(?:\S*ld: )?(?:\S*\((?P<member>[^\s:()]+)\)|(?P<object>[^\s:()]+)): in function ")
LAST = re.compile(r"(?:g?make)(?:\[\d+\])?: \*\*\* \[(?P<message>.+)\] Error \d+")
WARNING = re.compile(r"(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? warning: (?P<message>.+)")
ECHO = re.compile(r"\s*\d* \|")
"""Lines of the source that gcc shows under its messages; what stands in them is not said by any tool."""

HEADERS = {
    "libelf.h": "libelf-dev",
    "gelf.h": "libelf-dev",
    "elfutils/": "libelf-dev",
    "openssl/": "libssl-dev",
    "zlib.h": "zlib1g-dev",
    "gmp.h": "libgmp-dev",
    "mpc.h": "libmpc-dev",
    "curses.h": "libncurses-dev",
    "ncurses.h": "libncurses-dev",
    "gcc-plugin.h": "gcc-12-plugin-dev",
    "stdio.h": "libc6-dev",
    "stdlib.h": "libc6-dev",
    "sys/types.h": "libc6-dev",
}
"""Headers that host programs of a build include, and Debian's packages of them. No kernel has a file of such a name."""

TOOLS = {
    "awk": "gawk", "gawk": "gawk", "bc": "bc", "bison": "bison", "bzip2": "bzip2", "ccache": "ccache", "cpio": "cpio",
    "find": "findutils", "flex": "flex", "gzip": "gzip", "hexdump": "bsdextrautils", "hostname": "hostname",
    "kmod": "kmod", "depmod": "kmod", "lz4": "lz4", "lz4c": "lz4", "lzma": "xz-utils", "lzop": "lzop",
    "nm": "binutils", "objcopy": "binutils", "objdump": "binutils", "openssl": "openssl", "pahole": "dwarves",
    "perl": "perl", "python3": "python3", "rsync": "rsync", "sed": "sed", "tar": "tar", "xz": "xz-utils",
    "zstd": "zstd",
}  # fmt: skip
"""Tools that builds call, and Debian's packages of them. What else is not found is a file of the tree's own."""

NOT_FOUND = re.compile(r"(?:/bin/)?(?:ba|da)?sh: (?:line )?\d+: (?P<tool>\S+?): not found")
NO_COMMAND = re.compile(
    r"(?:\S+: )?(?:line \d+: )?(?P<tool>[\w.+-]+): (?:[Cc]ommand not found|No such file or directory)"
)
NO_HEADER = re.compile(r".*fatal error: (?P<header>\S+): No such file or directory")
WORLD = tuple(
    (re.compile(pattern), what, hint)
    for pattern, what, hint in (
        (r"No space left on device$", "the disk is full", "free some, or set LAB_CACHE to another disk"),
        (r"Disk quota exceeded$", "the disk quota is used up", "free some, or set LAB_CACHE to another disk"),
        (r"Read-only file system$", "the disk is read-only", "set LAB_CACHE to another disk"),
        (r"Input/output error$", "the disk reports an error", "look at dmesg"),
        (r"Too many open files$", "there are too many open files", "try --jobs 1"),
        (
            r"(?:Killed signal terminated program|terminated with signal 9\b|\] (?:Killed|Error 137)$|^Killed$)",
            "a program was killed, most likely for want of memory",
            "try --jobs 1",
        ),
        (
            r"(?:virtual memory exhausted|out of memory allocating|memory exhausted$|: Cannot allocate memory$)",
            "the compiler ran out of memory",
            "try --jobs 1",
        ),
        (r"[Rr]esource temporarily unavailable$", "no more processes can be started", "try --jobs 1"),
    )
)


@dataclass(frozen=True)
class Complaint:
    """The first real error: its text, and its file (relative to the tree) and line where it has them."""

    message: str
    file: str = ""
    line: int = 0


def first_error(lines: Iterable[str], source: Path) -> Complaint:
    """The first line of a build's output that names a cause, else the target that failed."""
    last = culprit = ""
    for text in said(lines):
        found = IN_FUNCTION.match(text)
        culprit = (found["member"] or found["object"]) if found else culprit
        for pattern in ERRORS:
            found = pattern.fullmatch(text)
            if found:
                fields = found.groupdict()
                file = fields.get("file") or ""
                if "undefined reference" in fields["message"] and not fields.get("line"):
                    file = linked_from(culprit or file, source)
                return Complaint(printable(fields["message"]), inside(file, source), int(fields.get("line") or 0))
        found = LAST.fullmatch(text)
        last = last or (found["message"] if found else "")
    return Complaint(f"make failed at {printable(last)}" if last else "make failed and did not say why")


def world_fault(lines: Iterable[str]) -> tuple[str, str] | None:
    """What is wrong with this machine, and what mends it, where the failure is not the kernel's."""
    for text in said(lines):
        if "#error" in text:
            continue
        found = NO_HEADER.fullmatch(text)
        if found:
            package = next((HEADERS[name] for name in HEADERS if starts(found["header"], name)), "")
            if package:
                return f"the header {found['header']} is missing", f"{APT} {package}"
        found = NOT_FOUND.fullmatch(text) or NO_COMMAND.fullmatch(text)
        if found and found["tool"] in TOOLS:
            return f"{found['tool']} is not installed", f"{APT} {TOOLS[found['tool']]}"
        for pattern, what, hint in WORLD:
            if pattern.search(text):
                return what, hint
    return None


def warnings(lines: Iterable[str], source: Path) -> tuple[str, ...]:
    """The compiler's warnings as ``file:line: text``, each once, in the order they came."""
    found = (WARNING.fullmatch(text) for text in said(lines))
    told = (f"{inside(m['file'], source)}:{m['line']}: {printable(m['message'])}" for m in found if m)
    return tuple(dict.fromkeys(told))


def said(lines: Iterable[str]) -> Iterator[str]:
    """The lines that tools wrote, without the source that they show."""
    return (text.rstrip() for text in lines if not ECHO.match(text))


def starts(header: str, name: str) -> bool:
    """Whether ``header`` is the one of that name, or in the folder of that name."""
    return header.startswith(name) if name.endswith("/") else header == name


def linked_from(name: str, source: Path) -> str:
    """The source of an object file, where it has one in the tree."""
    stem = name.removesuffix(".o")
    return next((f"{stem}{end}" for end in (".c", ".S") if (source / f"{stem}{end}").is_file()), name)


def inside(name: str, source: Path) -> str:
    """A file name as the compiler prints it, relative to the tree where it is in it."""
    if not name:
        return ""
    plain = os.path.normpath(name)
    root = f"{source}{os.sep}"
    if plain.startswith(root):
        return printable(plain.removeprefix(root))
    # ccache shows ../../worktrees/NAME/mm/slub.c, which says where it is only as seen from the object directory.
    parts = Path(plain).parts
    if ".." in parts and source.name in parts:
        rest = Path(*parts[parts.index(source.name) + 1 :])
        if (source / rest).exists():
            return printable(str(rest))
    return printable(re.sub(r"^(?:\.\./)+", "", plain))


def printable(text: str) -> str:
    """``text`` in bounds and without what a terminal would obey: it is a stranger's."""
    return "".join(char if char.isprintable() else "�" for char in text.strip()[:MESSAGE_LENGTH])
