"""Registers in a report, as show_regs() of each architecture prints them: each with its name, or several in a row."""

from __future__ import annotations

import re
from functools import cache, lru_cache

_X86 = (
    r"[RE]?(?:AX|BX|CX|DX|SI|DI|BP|SP|IP)|R(?:0?8|0?9|1[0-5])|CR[0-8]|DR[0-7]|EFLAGS|FS|GS|knlGS|[CDES]S"
    r"|e(?:[abcd]x|[sd]i|[bs]p)"
)
_ARM = r"[xwr]\d{1,2}|sp|lr|pstate|psr|fp|ip|pc|far|esr"
_RISCV = r"ra|gp|tp|t[0-6]|s\d{1,2}|a[0-7]|s?epc|s?status|s?badaddr|s?cause"
_POWERPC = r"MSR|CTR|XER|CFAR|DE?AR|ESR|DSISR|NIP|LR|IRQMASK|msr|dar|dsisr"
_SPARC = r"[gloi][0-7]|TSTATE|T?N?PC|PSR"
_OTHERS = r"PR|SR|R\d{1,2}|IIR|ISR|IOR|CR3\d|Hi|Lo|Status|Cause|BadVA|b[0-7]|unat|rnat|bsps|pfs"


@cache
def _named() -> re.Pattern[str]:
    return re.compile(
        r"\b([A-Za-z]\w{0,6})\s{0,4}: {0,2}(?:[0-9a-f]{4}:)?\[?<?([0-9a-fA-F]{4,16})\b(?!:(?! \.?[A-Za-z_]))"
    )


@lru_cache(maxsize=512)
def is_register(name: str) -> bool:
    """Whether a register of any of the architectures is called so."""
    return re.fullmatch("|".join((_X86, _ARM, _RISCV, _POWERPC, _SPARC, _OTHERS)), name) is not None


@cache
def _row() -> re.Pattern[str]:
    return re.compile(
        r"^\s*(?:(?P<name>\$ ?|r)(?P<first>\d{1,2})(?:-\d\d)?|Krnl GPRS)\s*:?\s+"
        r"(?P<values>(?:[0-9a-fA-F]{8,16}\s*){2,8})$"
    )


@cache
def _assigned() -> re.Pattern[str]:
    return re.compile(r"\b(v0|[tsa]\d{1,2}|gp|sp|ra|pv|at|pc|R\d\d) *= \[?<?([0-9a-f]{16})\b")


def named(text: str) -> list[tuple[str, str]]:
    """The registers of a line that names each (``RAX: 0000000000000001 RBX: ...``)."""
    if ":" not in text:
        return []
    return [(name, value.lower()) for name, value in _named().findall(text) if is_register(name)]


def listed(text: str) -> list[tuple[str, str]]:
    """The registers of a line that names the first of several (mips' ``$ 0   :``, parisc's
    ``r00-03``, s390's ``Krnl GPRS:``), or gives each with an equals sign (alpha's ``v0 = 0000000000000001``,
    xmon's ``R00 = c0000000000a47a0``)."""
    if " = " in text:
        return _assigned().findall(text)
    found = _row().match(text) if text.startswith(("$", "r", "Krnl GPRS")) else None
    if found is None:
        return []
    name = (found["name"] or "GPR").strip()
    width = "" if name == "$" else "02"
    values = found["values"].lower().split()
    return [(f"{name}{int(found['first'] or 0) + at:{width}d}", value) for at, value in enumerate(values)]
