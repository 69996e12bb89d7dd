"""A bug report taken apart: a console, a mail with one in it, or a thread; and what it proves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.console.scanner import scan_file
from lab.console.sources import FIRST, Chunks, Damaged, chunks, undone
from lab.console.types import Finding
from lab.draft.cpu import Cpus, read_cpus
from lab.draft.hints import Hint, read_hints
from lab.draft.memory import Fact, Memory, read_memory
from lab.errors import UserError

LIMIT_BYTES = 32 << 20
VERSION = re.compile(
    r"Linux version (\d+\.\d+\S*)|(?:tainted|Tainted: [A-Z ()\[\]=_,]{1,80}?) (\d+\.\d+\.?\d*\S*) #\d+"
    r"|BOOT_IMAGE=\S*?vmlinuz-(\d+\.\d+\S*)"
)
COMMAND_LINE = re.compile(r"(?:Kernel c|\bC)ommand line: ([^\n]{1,4096})")
DROPPED = re.compile(r"(?:BOOT_IMAGE|root|rootfstype|resume|initrd|crashkernel|rootflags)=\S*")
"""Words that name what is not here: disks, files of the boot loader, memory set aside for a second kernel."""

QUOTED = re.compile(r"^(?:> ?)+", re.MULTILINE)
DIRECT_MAP_OLD, DIRECT_MAP = 0xFFFF880000000000, 0xFFFF888000000000
"""Where all memory is mapped, before 4.20 and since (d52888aa2753, "x86/mm: Move LDT remap out of KASLR region")."""


@dataclass(frozen=True)
class Evidence:
    """What a report proves. ``version`` is the kernel's release as it is written there (``3.7.0-rc4+``)."""

    source: str
    text: str
    version: str
    command_line: str
    memory: Memory
    cpus: Cpus
    hints: tuple[Hint, ...]
    finding: Finding | None
    facts: tuple[Fact, ...]


def read_report(path: Path) -> Evidence:
    """The evidence in a file: a console log, a mail or a mailbox. :class:`UserError` where there is none."""
    from lab.console.mail import consoles, is_mail

    data = contents(path)
    found = texts(data, path.name)
    if is_mail(data[:FIRST]):
        found += [_begin_of(pieces) for _, pieces in consoles(iter([data]))]  # attachments, and what is HTML alone
    return of_texts(str(path), found)


def _begin_of(pieces: Chunks) -> str:
    """What of a mail's part can be read, and is not too much."""
    data = bytearray()
    try:
        while len(data) <= LIMIT_BYTES and (piece := next(pieces, b"")):
            data += piece
    except Damaged:
        pass
    return data[:LIMIT_BYTES].decode("utf-8", "replace")


def contents(path: Path) -> bytes:
    """The text of a report in any form that ``lab scan`` reads; of mails as they are."""
    data = bytearray()
    try:
        with path.open("rb") as file:
            for piece in undone(chunks(file.fileno())):
                data += piece
                if len(data) > LIMIT_BYTES:
                    break
    except UserError as error:
        raise UserError(f"{path}: {error.message}", hint=error.hint) from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    if len(data) > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a bug report")
    return bytes(data)


def of_thread(source: str, data: list[bytes]) -> Evidence:
    """The evidence in the mails of a thread."""
    found = [text for one in data for text in texts(one, source)]
    return of_texts(source, found)


def texts(data: bytes, name: str) -> list[str]:
    """The texts to look at: each mail of a mailbox, else the whole file."""
    from lab.tree.importing.letter import read_letters
    from lab.tree.importing.mime import Unreadable
    from lab.tree.importing.sources import split

    if not re.match(rb"From |[A-Za-z][A-Za-z-]{1,40}: [^\n]*\n[A-Za-z][A-Za-z-]{1,40}:", data):
        return [data.decode("utf-8", "replace")]
    out = []
    for raw in split(data, name):
        try:
            out += [letter.text for letter in read_letters(raw)]
        except Unreadable:
            continue
    return out


def of_texts(source: str, found: list[str]) -> Evidence:
    """The evidence of the first text that shows a crash or a boot."""
    for text in found:
        for plain in dict.fromkeys((text, QUOTED.sub("", text))):
            evidence = judge(source, plain)
            if evidence.finding is not None and (evidence.version or evidence.memory.nodes):
                return evidence
    for text in found:
        evidence = judge(source, QUOTED.sub("", text))
        if evidence.version:
            return evidence
    raise UserError(f"{source}: no kernel console in it: neither a crash nor a kernel's version")


def judge(source: str, text: str) -> Evidence:
    """What one text proves."""
    text = text.replace("\r", "")
    facts = []
    version = VERSION.search(text)
    release = next((part for part in version.groups() if part), "") if version else ""
    if version:
        facts.append(Fact(f"Linux {release}", version[0]))
    numbers = tuple(int(part) for part in re.findall(r"\d+", release.partition("-")[0])[:2])
    line = COMMAND_LINE.search(text)
    memory = read_memory(text, DIRECT_MAP if numbers >= (4, 20) else DIRECT_MAP_OLD)
    cpus = read_cpus(text, len(memory.nodes) or 2)
    return Evidence(
        source=source,
        text=text,
        version=release,
        command_line=" ".join(line[1].split()) if line else "",
        memory=memory,
        cpus=cpus,
        hints=tuple(read_hints(text, numbers)),
        finding=first_finding(text),
        facts=(*facts, *memory.facts, *cpus.facts),
    )


def first_finding(text: str) -> Finding | None:
    """The crash, by the lab's own console analysis."""
    import os
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="lab-report-") as file:
        file.write(text.encode("utf-8", "replace"))
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return scan_file(file.name).first


def append_of(command_line: str) -> str:
    """The reporter's command line without the words that name what only he has."""
    words = [word for word in command_line.split() if not DROPPED.fullmatch(word)]
    return "".join(char if char.isprintable() else "?" for char in " ".join(words))[:1500]


def base_of(release: str) -> str:
    """The base for a release: ``v3.7-rc4`` for ``3.7.0-rc4+``, Debian's for ``6.1.0-13-amd64``, else the tag."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(-rc\d+)?", release)
    if not found:
        return ""
    major, minor, patch, candidate = found.groups()
    if re.search(r"-(?:\d+-)?(?:cloud-)?amd64", release) and patch in (None, "0"):
        return f"debian-{major}.{minor}"
    point = f".{patch}" if patch and patch != "0" else ""
    if (major, minor) == ("2", "6"):
        point = f".{patch}" if patch else ""
    return f"v{major}.{minor}{point}{candidate or ''}"
