"""Whether a console is of the build that a ``vmlinux`` is of: what its functions' sizes, its banner, its addresses and
its code bytes say. Each can be silent; none is believed where the kernel changes it at run time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from lab.console import code
from lab.console.patterns import compiled
from lab.console.symbols import Symbols
from lab.console.types import Finding, Frame, Report

PAGE = 4096
BANNER = 40
"""So many letters of a banner must have come to say anything."""


def other_build(report: Report, findings: list[Finding], symbols: Symbols, module: str = "") -> str:
    """What shows that the console is of another build than the file, in words, or empty."""
    told = sizes(findings, symbols, module)
    if len(told) == 1 and not _only(findings, module):
        told = []  # one of many may be another function of the same name
    if not module:
        told += banner(report.banner, symbols.index.banner) or release(findings, symbols.index.banner)
        told += [*addresses(findings, symbols), *codes(findings, symbols)]
    return "; ".join(told[:3])


def sizes(findings: list[Finding], symbols: Symbols, module: str = "") -> list[str]:
    """Functions whose size in the console is not this file's, each once."""
    found: dict[str, str] = {}
    for frame in _frames(findings):
        known = symbols.sizes(frame.function)
        if frame.size and known and frame.size not in known and 0 not in known and _module(frame) == module:
            found[frame.function] = f"{frame.function} has {frame.size:#x} bytes there, {known[0]:#x} here"
    return list(found.values())


def _module(frame: Frame) -> str:
    return frame.module.replace("-", "_")


def _frames(findings: Iterable[Finding]) -> Iterator[Frame]:
    return (frame for one in findings for frame in one.frames)


def _only(findings: list[Finding], module: str) -> bool:
    """Whether so few functions can be compared that a single one tells."""
    return len({one.function for one in _frames(findings) if one.size and _module(one) == module}) <= 2


def banner(there: str, here: str) -> list[str]:
    """The banner that a kernel prints first (``linux_banner``, init/version.c) beside the file's; what a log cut off at
    its end does not count."""
    one, other = " ".join(there.split()), " ".join(here.split())
    length = min(len(one), len(other))
    if length < BANNER or one[:length] == other[:length]:
        return []
    return [f'it began with "{one}", the file has "{other}"']


def addresses(findings: list[Finding], symbols: Symbols) -> list[str]:
    """Whether functions that came with their addresses are all as far from where the file has them: KASLR moves all of
    them alike, and not at all where the console's addresses are the file's."""
    shifts: Counter[int] = Counter()
    for frame in set(_frames(findings)):
        if frame.address and frame.function and frame.size and not frame.module:
            places = symbols.addresses(frame.function, frame.offset, frame.size)
            if len(places) == 1:
                shifts[frame.address - places[0]] += 1
    usual = max(shifts, key=lambda shift: (shift % PAGE == 0, shifts[shift]), default=0)
    odd = sum(count for shift, count in shifts.items() if shift != usual or shift % PAGE)
    if odd > 1 or any(shift % PAGE for shift in shifts):
        return [f"{odd} of {sum(shifts.values())} functions stand at other addresses there"]
    return []


def codes(findings: list[Finding], symbols: Symbols) -> list[str]:
    """Whether the code bytes around a fault are the file's. Half may differ: the kernel patches its code when it boots
    (alternatives, static calls, ftrace) and relocates it. Calls of functions lead to a function's begin all the same.
    """
    for finding in findings:
        frame = next(iter(finding.frames), None)
        read = code.read(finding.code, finding.machine) if frame and not frame.module else None
        if frame is None or read is None or read.fault < 0:
            continue
        places = symbols.addresses(frame.function, frame.offset, frame.size)
        if len(places) != 1 or not frame.size:
            continue
        begin = places[0] - read.fault
        here = symbols.code(begin, len(read.data))
        if len(here) != len(read.data) or here == read.data:
            continue
        if finding.machine == "x86_64" and (stray := _stray_calls(read.data, here, begin, symbols)):
            return [f"{frame.function} calls {stray:#x} there, where no function begins here"]
        units = range(0, len(here) - read.unit + 1, read.unit)
        same = sum(here[at : at + read.unit] == read.data[at : at + read.unit] for at in units)
        if same * 2 < len(units):
            return [f"{frame.function} has other code there: {len(units) - same} of {len(units)} differ"]
    return []


def _stray_calls(there: bytes, here: bytes, begin: int, symbols: Symbols) -> int:
    """Where a call leads (e8 with a displacement), at which both have one, when no function of the file is there."""
    low, high = symbols.text()
    at = 0
    while (at := here.find(b"\xe8", at)) >= 0:
        end = at + 5
        if end <= len(there) and there[at] == 0xE8 and there[at:end] != here[at:end]:
            was, leads = (
                begin + end + int.from_bytes(data[at + 1 : end], "little", signed=True) for data in (here, there)
            )
            if symbols.begins(was) and low <= leads < high and not symbols.begins(leads):
                return leads
        at += 1
    return 0


_RELEASE = r"(?:\bNot tainted|\bTainted: [A-Z ]*[A-Z]) +(?P<release>\d\S*) #"


def release(findings: list[Finding], here: str) -> list[str]:
    """The kernel's release as each report has it beside its process, where the banner is lost (lib/dump_stack.c,
    dump_stack_print_info())."""
    ours = here.split()[2:3]
    for line in (line for one in findings for line in one.text[:40] if "ainted" in line):
        found = compiled(_RELEASE).search(line)
        if found and ours and found["release"] != ours[0]:
            return [f"it is of {found['release']}, the file of {ours[0]}"]
    return []
