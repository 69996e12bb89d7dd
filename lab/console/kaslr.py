"""How far KASLR moved a kernel, where its console does not say: an early crash comes before ``Kernel Offset:`` can be
printed (arch/x86/kernel/setup.c, an initcall), and a kernel without kallsyms prints addresses alone.

x86 moves its text by a multiple of 2 MiB within 1 GiB (arch/x86/boot/compressed/kaslr.c). At the right place each
return address of a trace stands behind a call, and the bytes at the fault are the console's.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.console import code
from lab.console.symbols import Symbols
from lab.console.types import Finding, Frame

STEP = 2 << 20
RANGE = 1 << 30
ENOUGH = 3
"""Addresses that must agree."""


def guess(findings: Sequence[Finding], symbols: Symbols) -> int | None:
    """The one offset at which what the findings' bare addresses say of the text is so, 0 included; nothing where there
    is too little to tell, or two would do."""
    text = _Text(symbols)
    returns = {frame.address for one in findings for frame in _trace(one) if frame.sure}
    faults = [(one.frames[0].address, read) for one in findings if one.frames and (read := _bytes(one))]
    most = len(returns) + len(faults)
    if most < ENOUGH or not text.data:
        return None
    scores = {
        offset: sum(text.follows_a_call(address - offset) for address in returns)
        + sum(text.holds(address - offset, read) for address, read in faults)
        for offset in range(0, RANGE, STEP)
    }
    best = max(scores, key=lambda offset: scores[offset])
    rivals = sum(score == scores[best] for score in scores.values())
    return best if scores[best] >= max(ENOUGH, (most * 2 + 2) // 3) and rivals == 1 else None


def _trace(finding: Finding) -> list[Frame]:
    """The bare frames that are return addresses: not the first where the fault is."""
    return [frame for frame in finding.frames[1 if finding.code else 0 :] if frame.bare]


def _bytes(finding: Finding) -> code.Code | None:
    read = code.read(finding.code, finding.machine) if finding.frames[0].bare else None
    return read if read and read.fault >= 0 and read.unit == 1 else None


class _Text:
    """A vmlinux's executable sections in memory."""

    def __init__(self, symbols: Symbols) -> None:
        parts = ((start, symbols.code(start, size)) for start, size, _ in symbols.index.parts)
        self.data = [(start, data) for start, data in parts if data]

    def _at(self, address: int, before: int, size: int) -> bytes:
        for start, data in self.data:
            at = address - start - before
            if 0 <= at <= len(data) - size:
                return data[at : at + size]
        return b""

    def follows_a_call(self, address: int) -> bool:
        """Whether the instruction before ``address`` may be a call: ``e8`` and a displacement, or ``ff`` with two to
        seven bytes."""
        held = self._at(address, 7, 7)
        return bool(held) and (
            held[2] == 0xE8 or any(held[at] == 0xFF and held[at + 1] >> 3 & 7 == 2 for at in range(6))
        )

    def holds(self, address: int, read: code.Code) -> bool:
        """Whether three quarters of the console's bytes are there."""
        held = self._at(address, read.fault, len(read.data))
        same = sum(one == other for one, other in zip(held, read.data, strict=False))
        return bool(held) and same * 4 >= len(read.data) * 3
