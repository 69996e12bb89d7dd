"""Backtraces: from cleaned lines to frames, for every era and architecture.

Formats: arch/x86/kernel/dumpstack.c (``[<addr>] ? func+0x1/0x2 [module]``, later without addresses),
arch/arm/kernel/traps.c (``[<addr>] (func) from [<addr>] (caller+0x1/0x2)``), arch/arm64, arch/riscv (``[<addr>]
func+0x1/0x2``), arch/powerpc (``[sp] [addr] func+0x1/0x2 (unreliable)``), and what scripts/decode_stacktrace.sh
makes of them.
"""

from __future__ import annotations

import re
from functools import cache

from lab.console.blame import plain
from lab.console.types import Frame

NAME = r"\.?[A-Za-z_$][\w$]*(?:\.[\w.]*\w)?"
_AT = r"[+-](?:0x)?(?P<offset>[0-9a-f]+)(?:/(?:0x)?(?P<size>[0-9a-f]+))?"
_MODULE = r"(?:\s+\[(?P<module>[\w-]+)(?:\([A-Z+]+\))?(?: [0-9a-f]{16,40})?\])?"
_FILE = r"(?:\s+(?P<file>[\w./+-]+\.[chSs]):(?P<line>\d+)(?P<inline>\s+\[inline\])?)?"


@cache
def _frame() -> re.Pattern[str]:
    return re.compile(
        r"\s*(?:Call Trace:\s*)?(?:<{1,2}/?[#A-Z]{2,8}\d?>{1,2}\s*)*"
        r"(?:\(?\[<?\s*(?:[0-9a-fA-F]{4,16}|inline|\(_+ptrval_+\))?\s*>?\]\)?\s*|<[0-9a-f]{8,16}>\s*|[0-9a-f]{16}\s+(?=[A-Za-z_.]))*"
        r"(?P<unsure>\? )?(?P<open>[({])?(?::\w+:)?(?P<function>"
        + NAME
        + r")(?:"
        + _AT
        + r"[)}]?(?P<tail>[)}]?"
        + _MODULE
        + _FILE
        + r")"
        r"|\s+\(?(?P<file2>[\w./+-]+\.[chSs]):(?P<line2>\d+)"
        r"(?:(?P<inline2>\s+\[inline\])?\s*$|(?: \(\w+ \d+\)| [\w./+-]+\.[chSs]:\d+)*\)(?: [\w \[\]()]*)?$))"
    )


@cache
def _bare() -> re.Pattern[str]:
    """A frame of a kernel without kallsyms: its address alone."""
    return re.compile(
        r"\s+(?:\[<(?P<old>[0-9a-f]{8,16})>\]\s*)?(?P<unsure>\? )?0x(?P<address>[0-9a-f]{8,16})(?:/0x[0-9a-f]+)?\s*$"
    )


@cache
def _address() -> re.Pattern[str]:
    return re.compile(r"\[<([0-9a-f]{8,16})>\]|\[([0-9a-f]{16})\](?= [A-Za-z_])")


@cache
def _arm() -> re.Pattern[str]:
    return re.compile(
        r"\s*(?:\[<[0-9a-f]*>\]\s*)?\(?(?P<function>"
        + NAME
        + r")(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[[\w-]+\])?\)?\s*(?:\[[\w-]+\] )?from (?:\[<?[0-9a-f]*>?\] )?\(?"
        + NAME
    )


@cache
def _pointer() -> re.Pattern[str]:
    """The line that tells where the processor was."""
    return re.compile(
        r"\s*(?:(?:RIP|EIP|IP|ip)(?:: {1,4}| is at |\s++)(?:[0-9a-f]{4}:)?|(?:PC|pc) (?:is at |: )"
        r"|pc: [0-9a-f]{8,16}: |IAOQ\[0\]: "
        r"|epc\s*: |NIP(?::| ) ?|Krnl PSW : [0-9a-f]{8,16} [0-9a-f]{8,16} |T?PC: |\[ERET  \]: |era   : |ERA: )"
        r"\s*+(?:\[<?(?:0x)?[0-9a-f]*>?\]\s*+|<[0-9a-f]{8,16}>|[0-9a-f]{8,16} )*\s*[(<{\[]?(?::\w+:)?(?P<function>"
        + NAME
        + r")(?:"
        + _AT
        + ")?"
        + _MODULE
        + _FILE
    )


@cache
def _link() -> re.Pattern[str]:
    """The line that tells where the processor came from."""
    return re.compile(
        r"\s*(?:lr : |LR is at |ra : |LR \[[0-9a-f]*\] |RP\(r2\): |PR is at |ra is at |ra    : )"
        r"(?:\[<?(?:0x)?[0-9a-f]*>?\] |[0-9a-f]{8,16} )?(?P<function>" + NAME + ")" + _AT + _MODULE + _FILE
    )


_HEADINGS = (
    r"Call [Tt]race:",
    r"[Bb]acktrace(?: \(crc \w+\))?:",
    r"stack backtrace:",
    r"Stack ?[Tt]race:",
    r"Trace:",
    r"Allocated(?: by task.*)?:",
    r"Freed(?: by task.*)?:",
    r"Last (?:potentially related work creation|call_rcu\(\)).*:",
    r"Second to last.*:",
    r"(?:INFO: )?(?:Allocated|Freed) in .*",
    r"Uninit was (?:stored to memory|created) at:",
    r"Local variable .*",
    r"Memory state around.*",
    r"kfence-#\d+.*",
    r"NMI backtrace for cpu \d+.*",
    r"Send(?:ing)? NMI.*",
    r"Showing (?:all locks held|busy workqueues).*",
    r"-> #\d+ .*",
    r"the existing dependency chain.*",
    r"the shortest dependencies.*",
    r"(?:.* |(?<= ))(?:allocated|freed|deallocated) by task .*:",
    r"(?:write|read) to .* of \d+ bytes by .*:",
    r".*irq event stamp.*",
)


@cache
def _heading() -> re.Pattern[str]:
    return re.compile(r"\s*+(?:" + "|".join(_HEADINGS) + r")\s*$")


def frame(text: str) -> Frame | None:
    """The frame that a cleaned line is, or nothing."""
    if "+" not in text and "-0x" not in text and ".c:" not in text and ".h:" not in text and " from " not in text:
        bare = _bare().match(text) if " 0x" in text else None
        return Frame("", 0, 0, not bare["unsure"], address=int(bare["address"], 16)) if bare else None
    if " from " in text and ("+0x" in text or "[<" in text) and (found := _arm().match(text)):
        return Frame(plain(found["function"]), address=_address_in(text))
    found = _frame().match(text)
    if found is None:
        return None
    if found["file2"]:
        inlined = bool(found["inline2"]) or "inline >" in text
        return Frame(
            plain(found["function"]),
            0,
            0,
            not found["unsure"],
            "",
            found["file2"],
            int(found["line2"][:9]),
            inlined=inlined,
        )
    if found["size"] is None and not found["open"]:
        return None
    return _made(found, not found["unsure"], text)


@cache
def _several() -> re.Pattern[str]:
    """Frames of which several stand in a line: of x86_64 before 2.6.18 (``<addr>{func+12}``, a module's as
    ``{:mod:func+12}``), of ksymoops and klogd (``[func+12/34]``), of sparc's processors (``TPC[func+0x1/0x2]``)."""
    return re.compile(
        r"(?:(?:<[0-9a-f]{8,16}>|\[<[0-9a-f]+>\])?(?:\{(?::(?P<module>\w+):)?|(?<![\w\]>])\[)(?=[\w.$]+\+\d+[/}])"
        r"|\b(?:TPC|I7|RPC)\[)"
        r"(?P<function>" + NAME + r")\+(?:0x)?(?P<offset>(?P<number>\d+(?=[/}]))?[0-9a-f]*)(?:/(?:0x)?[0-9a-f]+)?[}\]]"
    )


_COLUMN = (
    rf"(?:\[?<[0-9a-f]{{8,16}}>\]?\s+)?(?P<unsure>\? )?(?P<function>{NAME})"
    r"\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)(?: \[(?P<module>[\w-]+)\])?"
)


@cache
def _columns() -> re.Pattern[str]:
    """Frames of which several stand in a line: of i386 in 2.6.17 and 2.6.18 (CONFIG_STACK_BACKTRACE_COLS), or where a
    mail program filled the lines anew, so that the last one's name may be in the next."""
    column = re.sub(r"\?P<\w+>", "?:", _COLUMN)
    return re.compile(rf"\s*{column}(?:\s+{column})*(?:\s+\[?<[0-9a-f]{{8,16}}>\]?)?\s*")


@cache
def _column() -> re.Pattern[str]:
    return re.compile(_COLUMN)


def several(text: str) -> list[Frame]:
    """The frames of a line that holds more than one, as old kernels wrote them; else nothing."""
    if text.count("+0x") > 1:
        return _in_columns(text)
    return [
        Frame(plain(one["function"]), int(one["offset"][:16], 10 if one["number"] else 16), module=one["module"] or "")
        for one in _several().finditer(text)
    ]


def _in_columns(text: str) -> list[Frame]:
    if not _columns().fullmatch(text):
        return []
    return [
        Frame(
            plain(one["function"]),
            int(one["offset"][:16], 16),
            int(one["size"][:16], 16),
            not one["unsure"],
            one["module"] or "",
            address=_address_in(one[0]),
        )
        for one in _column().finditer(text)
    ]


def _made(found: re.Match[str], sure: bool, text: str) -> Frame:
    offset, size = (int((found[name] or "0")[:16], 16) for name in ("offset", "size"))
    return Frame(
        plain(found["function"]),
        offset,
        size,
        sure and not 0 < size < offset,
        found["module"] or "",
        found["file"] or "",
        int((found["line"] or "0")[:9]),
        _address_in(text),
        "[inline]" in text,
    )


def _address_in(text: str) -> int:
    found = _address().search(text) if "[" in text else None
    return int(found[1] or found[2], 16) if found else 0


@cache
def _bare_pointer() -> re.Pattern[str]:
    """x86's instruction pointer in the kernel's half, without a name."""
    return re.compile(r"\s*RIP: 0010:(?:\[<[0-9a-f]*>\]  \[<[0-9a-f]*>\] )?0x(?P<address>[89a-f][0-9a-f]{15})\s*$")


def pointer(text: str) -> Frame | None:
    """The frame of a line that tells the instruction pointer (``RIP: 0010:func+0x1/0x2``), or nothing."""
    if "RIP: 0010:" in text and (bare := _bare_pointer().match(text)):
        return Frame("", address=int(bare["address"], 16))
    found = _pointer().match(text)
    if found is None or (found["offset"] is None and not found["file"] and not compiled_source(text)):
        return None
    return _made(found, True, text)


def compiled_source(text: str) -> bool:
    """Whether a line names a source file in brackets, as scripts/decode_stacktrace.sh writes."""
    return _source().search(text) is not None


@cache
def _source() -> re.Pattern[str]:
    return re.compile(r" \([\w./+-]+\.[chSs]:\d+")


def is_nowhere(text: str) -> bool:
    """Whether a line tells that the processor was at an address with no name (``pc : 0x0``): it jumped there."""
    return (
        " 0x" in text
        and re.match(r"\s*(?:pc : (?:\[0x[0-9a-f]+\] )?|PC is at |epc : |NIP \[[0-9a-f]*\] )0x[0-9a-f]+\s*$", text)
        is not None
    )


def is_outside(frame: Frame) -> bool:
    """Whether the address is behind the end of the function that it is told by: of data, or of nothing."""
    return 0 < frame.size < frame.offset


_LEAF = (
    r"(?:__pi_)?_*(?:mem(?:cpy|set|move|cmp|chr)|str(?:n?len|n?cmp|r?chr)|(?:copy|clear)_page|raw_(?:read|write)[bwlq])"
    r"|__arch_(?:copy_(?:from|to|in)_user|clear_user)|fallback_scalar_usercopy\w*|__asm_copy_(?:from|to)_user"
)


def is_leaf(frame: Frame, text: str) -> bool:
    """Whether the processor was, by a line of arm64 or riscv, in a function that has no frame of its own (yet), so that
    the trace below lacks its caller, which is in the link register."""
    name = frame.function
    if not text.lstrip().startswith(("pc : ", "epc : ")):
        return False
    if frame.offset == 0 and frame.size > 0:
        return not name.startswith("el")  # which the processor enters by itself
    return name[:1] in "_mscf" and re.fullmatch(_LEAF, name) is not None


def link(text: str) -> Frame | None:
    """The frame of a line that tells the link register (``lr : func+0x1/0x2``), or nothing."""
    found = _link().match(text)
    return _made(found, True, text) if found else None


def is_heading(text: str) -> bool:
    """Whether a line is a heading under which frames follow."""
    return _heading().match(text) is not None
