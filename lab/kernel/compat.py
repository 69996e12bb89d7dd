"""What lets a kernel of one age build with the tools of another, chosen from a table by versions alone.

The table is ``patches/compat/compat.toml``. Each entry names the kernels and the tools that do not fit together, what
then helps, and in a sentence why; all entries that apply are used together, in the order of the table::

    [[entry]]
    name = "fcommon"
    why = "gcc 10 and later refuse a variable that two host programs' objects both define"
    kernel = [">=2.6.30 <5.6"]
    tools = { gcc = ">=10" }
    flags = { HOSTCFLAGS = "-O2 -fcommon" }
    patches = ["3.7-something.patch"]

A range is bounds that must all hold (``>=``, ``>``, ``<=``, ``<``); a list of ranges holds when one of them does. Flags
of one make variable are joined with spaces. Make expands them, so ``$(srctree)`` may stand in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lab.case import member
from lab.errors import UserError
from lab.kernel.types import Compat, Toolchain
from lab.manifest import load
from lab.paths import data_folder

TABLE = "compat.toml"

BOUND = re.compile(r"(>=|<=|>|<)(\d+(?:\.\d+)*)")
KERNEL_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:-rc\d+)?")
MAKE_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
RESERVED = frozenset({"O", "CC", "HOSTCC", "LD", "MAKEFLAGS", "SHELL", "KCONFIG_ALLCONFIG", "LOCALVERSION"})
"""Make variables that the build itself sets."""

Version = tuple[int, ...]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the table, as it is written."""

    name: str
    why: str
    kernel: list[str]
    tools: dict[str, str] = {}
    flags: dict[str, str] = {}
    patches: list[str] = []


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    entry: list[Entry]


def choose_compat(version: str, toolchain: Toolchain, *, folder: Path | None = None) -> Compat:
    """The compat for kernel ``version`` (``3.7.2``, ``v3.7-rc4``) with ``toolchain``; empty where none is needed.

    ``folder`` holds the table and its patches (the project's own when None). Raises :class:`UserError` for a version
    that is none and for a mistake in the table.
    """
    where = data_folder("patches") / "compat" if folder is None else folder
    entries = load(where / TABLE, Table).entry
    for index, entry in enumerate(entries):
        check(entry, f"{where / TABLE}: entry[{index}]")
    chosen = choose(entries, kernel_version(version), tool_versions(toolchain))
    patches = {
        file: member(where, file, where / TABLE, f"patches of {entry.name!r}")
        for entry in chosen
        for file in entry.patches
    }
    return Compat(
        flags=tuple(join_flags(chosen).items()),
        patches=tuple(patches.values()),
        reasons=tuple(entry.why for entry in chosen),
    )


def choose(entries: Sequence[Entry], kernel: Version, tools: Mapping[str, Version]) -> list[Entry]:
    """The entries that apply to a kernel and the tools, in the table's order."""
    return [
        entry
        for entry in entries
        if any(inside(kernel, bounds) for bounds in entry.kernel)
        and all(inside(tools[tool], bounds) for tool, bounds in entry.tools.items())
    ]


def join_flags(entries: Sequence[Entry]) -> dict[str, str]:
    """The make variables of the entries, each word of a variable once, in order."""
    words: dict[str, dict[str, None]] = {}
    for entry in entries:
        for variable, value in entry.flags.items():
            words.setdefault(variable, {}).update(dict.fromkeys(value.split()))
    return {variable: " ".join(values) for variable, values in words.items()}


def inside(version: Version, bounds: str) -> bool:
    """Whether ``version`` keeps all of ``bounds``, missing numbers counting as 0."""
    for operator, text in BOUND.findall(bounds):
        limit = tuple(int(part) for part in text.split("."))
        length = max(len(limit), len(version))
        mine, other = (value + (0,) * (length - len(value)) for value in (version, limit))
        if not {">=": mine >= other, ">": mine > other, "<=": mine <= other, "<": mine < other}[operator]:
            return False
    return True


def kernel_version(text: str) -> Version:
    """``v3.7-rc4`` → (3, 7, 0): a release candidate is of the age of its release."""
    match = KERNEL_VERSION.match(text)
    if match is None:
        raise UserError(f"{text!r} is no kernel version", hint="for example 6.1.55 or v3.7-rc4")
    return tuple(int(part or 0) for part in match.groups())


def tool_versions(toolchain: Toolchain) -> dict[str, Version]:
    """The versions that an entry can ask for, by the names that it uses."""
    return {
        "gcc": toolchain.cc_version,
        "binutils": toolchain.ld_version,
        "perl": toolchain.perl_version,
        "make": toolchain.make_version,
    }


def check(entry: Entry, where: str) -> None:
    """Raise :class:`UserError` for what a type cannot tell."""
    known = ("gcc", "binutils", "perl", "make")
    ranges = [("kernel", bounds) for bounds in entry.kernel]
    ranges += [(f"tools.{tool}", bounds) for tool, bounds in entry.tools.items()]
    for key, bounds in ranges:
        if not bounds.split() or not all(BOUND.fullmatch(part) for part in bounds.split()):
            raise UserError(f"{where}.{key}: {bounds!r} is no range", hint="for example '>=3.7 <3.19'")
    for tool in entry.tools:
        if tool not in known:
            raise UserError(f"{where}.tools: no tool {tool!r}; there are {', '.join(known)}")
    for variable in entry.flags:
        if variable in RESERVED or not MAKE_VARIABLE.fullmatch(variable):
            raise UserError(f"{where}.flags: {variable!r} is no make variable that a compat can set")
    if not entry.why.strip():
        raise UserError(f"{where}.why: say why in one sentence")
    if not (entry.flags or entry.patches):
        raise UserError(f"{where}: {entry.name!r} has neither flags nor patches")
