"""Reading a console as it comes: the cheap search everywhere, the careful parser only where a header was hit.

Memory is bounded whatever comes: a line is cut at ``lines.LIMIT`` bytes, what is kept of an unfinished one at
``CARRY``; :mod:`lab.console.collect` has the bounds of reports and findings. Nothing heavy is imported before it is
needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from lab.console import lines
from lab.console.collect import Collector
from lab.console.parse import Numbered
from lab.console.progress import Progress
from lab.console.rules import Rule
from lab.console.search import Hit, Search, table
from lab.console.types import LAST_LINES, Finding, Marker, Report

BLOCK = 1 << 18
CARRY = 1 << 16
TAIL = 1 << 14


class Scanner:
    """Reads a console in pieces of any size; ``fatal``, ``complete`` and ``marker`` may be asked at any time."""

    def __init__(self) -> None:
        self._search = Search()
        self._carry = bytearray()
        self._lines = 0
        self._reports = Collector()
        self._boot = Progress()
        self._tail = b""

    @property
    def marker(self) -> Marker | None:
        """What the lab's init printed, once it did."""
        return self._boot.marker

    @property
    def fatal(self) -> Finding | None:
        """The first finding after which no kernel lives on, as far as it was read (the last third of a report that is
        still coming may be missing); nothing before its header came."""
        return self._reports.fatal

    @property
    def complete(self) -> bool:
        """Whether the end of the fatal report was seen (end trace, end of panic, reboot). One that has addresses for
        names says nothing before KASLR's offset, which comes last of all."""
        return self._reports.complete and not (self._boot.offset is None and self._nameless())

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the console."""
        for at in range(0, len(chunk), BLOCK):
            piece = chunk[at : at + BLOCK]
            self._carry += piece
            if b"\n" in piece or len(self._carry) >= CARRY:
                end = self._take(self._carry, len(self._carry))
                del self._carry[:end]

    def read(self, descriptor: int) -> None:
        """Take all that a file descriptor gives until its end, without copying it. ``OSError`` where it can't be
        read.
        """
        buffer = bytearray(CARRY + BLOCK)
        kept = len(self._carry)
        buffer[:kept] = self._carry
        with memoryview(buffer) as view:
            while got := os.readv(descriptor, [view[kept : kept + BLOCK]]):
                size = kept + got
                end = self._take(buffer, size)
                kept = size - end
                view[:kept] = view[end:size]
            self._carry = bytearray(view[:kept])

    def _take(self, data: bytes | bytearray, size: int) -> int:
        """Read the whole lines of ``data[:size]``; how many bytes that were. A line that grows too long is cut."""
        end = data.rfind(b"\n", 0, size) + 1
        if size - end >= CARRY:
            end = size
        if end:
            self._block(data, end)
            tail = bytes(data[max(0, end - TAIL) : end])
            self._tail = tail if len(tail) == TAIL else (self._tail + tail)[-TAIL:]
        return end

    def close(self, *, disassemble: bool = True) -> Report:
        """End of the console: everything that was found. ``disassemble`` turns code bytes into instructions, for which
        a library is loaded (some 50 ms)."""
        if self._carry:
            self._block(self._carry, len(self._carry))
            self._tail = bytes(self._tail + self._carry)[-TAIL:]
            self._lines += 1
            self._carry.clear()
        found = self._reports.close()
        tail = self._tail.splitlines()
        last = _last_lines(tail)
        dropped = self._reports.dropped
        notes = [f"{dropped} more findings were not kept"] if dropped else []
        if shortened := self._reports.shortened:
            notes.append(f"{shortened} findings are kept in short")
        if not found and not self._boot.stages and is_binary(self._tail):
            notes.append("this is a binary file, not the text of a console")
        explained = tuple(_explained(one) if disassemble else one for one in found)
        if disassemble and any(one.code and not one.disassembly for one in explained) and _no_disassembler():
            notes.append("code bytes are not disassembled: the Python package capstone is missing")
        return Report(
            findings=explained,
            stages=self._boot.stages,
            marker=self.marker,
            lines=self._lines,
            last_sign_of_life=last[-1] if last else "",
            last_lines=last,
            kernel_release=self._boot.release,
            banner=self._boot.banner,
            notes=tuple(notes),
            last_initcall=self._boot.last_initcall,
            kernel_offset=self._boot.offset,
        )

    def _block(self, block: bytes | bytearray, size: int) -> None:
        """Whole lines (or a piece of one that is too long): from hit to hit, line by line inside a report."""
        counted = position = index = 0
        hits = self._search.hits(block, size)
        while position < size:
            while index < len(hits) and hits[index].at < position:
                index += 1
            if not self._reports.open:
                while index < len(hits) and self._known(hits[index].needle):
                    index += 1
                if index == len(hits):
                    break
                position = block.rfind(b"\n", position, hits[index].at) + 1 or position
            end = block.find(b"\n", position, size) + 1 or size
            upto = index
            while upto < len(hits) and hits[upto].at < end:
                upto += 1
            ended = block[end - 1] == 10
            self._lines += int(ended) if counted == position else lines.count(block, counted, end)
            counted = end
            number = self._lines + (not ended)
            self._raw(number, bytes(block[position : min(end, position + lines.LIMIT)]), hits[index:upto])
            index = upto
            position = end
        self._lines += lines.count(block, counted, size)

    def _known(self, needle: int) -> bool:
        """Whether a needle says nothing new, so that its line need not be looked at: one more boot, after one that
        ended as it should."""
        if not self._boot.booted(table().coarse[needle]) or not self._told():
            return False
        self._search.muted.add(needle)
        return True

    def _raw(self, number: int, raw: bytes, hits: list[Hit]) -> None:
        """One line as it came, with the needles that stand in it."""
        pieces = lines.split(raw)
        needles = {hit.needle for hit in hits} if hits else ()
        for piece in pieces:
            text, time, caller = lines.clean(piece)
            rules: dict[int, Rule] = {}
            for coarse in needles:
                for needle in table().covered[coarse]:
                    if needle.text in piece:
                        rules.update(needle.rules)
                        if needle.extra and (needle.text == table().coarse[coarse]):
                            self._sign(number, needle.text, text, time)
            self._reports.line(Numbered(number, text, len(pieces) > 1), time, caller, rules)

    def _told(self) -> bool:
        """Whether something said why the machine would begin anew."""
        return self._reports.dead or self._boot.shut_down

    def _nameless(self) -> bool:
        """Whether the fatal report is of a kernel without kallsyms."""
        found = self._reports.fatal
        return found is not None and bool(found.frames) and all(frame.bare for frame in found.frames)

    def _sign(self, number: int, needle: bytes, text: str, time: float | None) -> None:
        """A line that tells how far the boot came."""
        if found := self._boot.line(number, needle, text, time, told=self._told()):
            self._reports.add_fatal(found)
        self._search.muted.update(number for number, one in enumerate(table().coarse) if one in self._boot.known)


def _no_disassembler() -> bool:
    from lab.console.code import is_missing

    return is_missing()


def _last_lines(tail: list[bytes]) -> tuple[str, ...]:
    """The text of the last lines that hold any."""
    found: list[str] = []
    for raw in reversed(tail):
        if text := lines.clean(raw).text.strip()[:400]:
            found.append(text)
        if len(found) == LAST_LINES:
            break
    return tuple(reversed(found))


def _explained(found: Finding) -> Finding:
    """``found`` with its code bytes disassembled."""
    if not found.code:
        return found
    from lab.console.code import disassemble

    return replace(found, disassembly=disassemble(found.code, found.machine))


def is_binary(sample: bytes) -> bool:
    """Whether a tenth of ``sample`` or more are control characters that no console prints."""
    odd = sum(sample.count(code) for code in (*range(7), *range(14, 27), *range(28, 32)))
    return odd * 10 > len(sample) > 0


def scan_file(source: str | os.PathLike[str] | int) -> Report:
    """Read a whole console from a path or a file descriptor, whatever form it was kept in (:mod:`lab.console.sources`);
    of mails, the first part that says anything. ``OSError`` where it can't be read, :class:`lab.errors.UserError` where
    that form is none that can be."""
    first: Report | None = None
    for _, report in scan_parts(source):
        if report.findings:
            return report
        first = first or report
    return first or Report()


def scan_parts(source: str | os.PathLike[str] | int) -> Iterator[tuple[str, Report]]:
    """The same for each part of each mail, with its name; one without a name where it is no mail."""
    from lab.console.mail import is_mail
    from lab.console.sources import chunks, is_plain

    descriptor = source if isinstance(source, int) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stream = chunks(descriptor)
        first = next(stream)
        if is_plain(first) and not is_mail(first):
            scanner = Scanner()
            scanner.feed(first)
            scanner.read(descriptor)
            yield "", scanner.close()
            return
        yield from scan_stream(chain([first], stream))
    finally:
        if not isinstance(source, int):
            os.close(descriptor)


def scan_stream(stream: Iterator[bytes]) -> Iterator[tuple[str, Report]]:
    """The same of a file's bytes in pieces, the first of them large enough to tell what it is."""
    from lab.console.mail import consoles
    from lab.console.sources import Damaged

    for name, pieces in consoles(stream):
        scanner, incomplete = Scanner(), ""
        try:
            for piece in pieces:
                scanner.feed(piece)
        except Damaged as damaged:
            incomplete = damaged.message
        yield name, replace(scanner.close(), incomplete=incomplete)
