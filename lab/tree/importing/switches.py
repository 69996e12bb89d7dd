"""The kconfig switches that a series brings: what they guard is off by default, and a boot then proves little."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab.tree.patch import side_name

LIMIT = 200
CONFIG = re.compile(r"[ +-](?:menu)?config[ \t]+([A-Z0-9_]{1,80})[ \t]*$", re.ASCII)
ENDS = re.compile(r"[ +](?:endif|endmenu|endchoice|if|menu|choice|source|comment|mainmenu)\b")
ASKED = re.compile(r"\+[ \t]+(?:(?:bool|tristate)[ \t]+[\"']|prompt[ \t]+[\"'])")
"""Only a symbol with a prompt can be set. Kconfig language: Documentation/kbuild/kconfig-language.rst."""

TEMPLATE = "series.config.j2"
KCONFIG = re.compile(r"(?:^|/)Kconfig[\w.-]*$")


def switches(patches: Iterable[str]) -> tuple[str, ...]:
    """The symbols that patches, given as their texts, add to Kconfig files and that can be switched on, in order; those
    that a patch also takes away are not among them."""
    found: dict[str, None] = {}
    gone: set[str] = set()
    for text in patches:
        inside, symbol = False, ""
        for line in text.split("\n"):
            if line.startswith("+++ "):
                inside, symbol = bool(KCONFIG.search(side_name(line[4:].rstrip("\r")))), ""
            elif line.startswith(("diff --git ", "--- ", "@@ ")):
                inside, symbol = inside and line.startswith("@@ "), ""
            elif inside:
                named = CONFIG.match(line.rstrip("\r"))
                if named and line[0] == "-":
                    gone.add(named[1])
                elif named:
                    symbol = named[1] if line[0] == "+" else ""
                elif ENDS.match(line):
                    symbol = ""
                elif symbol and ASKED.match(line) and len(found) < LIMIT:
                    found[symbol] = None
    return tuple(symbol for symbol in found if symbol not in gone)


def template(symbols: Iterable[str], kconfig: str) -> str:
    """``kconfig`` with the switches on top; each gives way where a tree does not have it yet, or can't have it."""
    return f'{{% include "{kconfig}.config.j2" %}}\n\n{asks(symbols)}'


def asks(symbols: Iterable[str]) -> str:
    """The lines of a fragment that switch on what a series brings; empty where it brings nothing."""
    lines = [f"CONFIG_{symbol}=y  # where it exists\n" for symbol in symbols]
    return "".join(["# What the series brings is switched on.\n", *lines]) if lines else ""
