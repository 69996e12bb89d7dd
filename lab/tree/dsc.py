"""Source packages of Debian and Ubuntu: what a ``.dsc`` says, and what vouches for it.

Format: deb-src-control(5), inside clear-signed text; the files of each format: dpkg-source(1), "SOURCE PACKAGE
FORMATS". Nothing here touches a network.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InfrastructureError
from lab.tree.git import printable
from lab.tree.signed import BEGIN, UnknownKey, clear_text, verified_text

DSC_LIMIT = 4 << 20
"""The kernel's have a few hundred kilobytes, as they name every binary package."""

TOTAL_LIMIT = 4 << 30
"""Bytes of all files of a source package."""

KEYRINGS = (
    "debian-keyring.gpg", "debian-keyring.pgp", "debian-nonupload.gpg", "debian-nonupload.pgp",
    "debian-maintainers.gpg", "debian-maintainers.pgp", "debian-tag2upload.pgp",
    "ubuntu-archive-keyring.gpg", "ubuntu-archive-keyring.pgp",
)  # fmt: skip
"""Of Debian's and Ubuntu's keyring packages, in /usr/share/keyrings: those that dpkg-source(1) checks a ``.dsc`` by."""

SETTING = "dsc_keyrings"
PREFIX = "dsc-"
"""Of the repositories that source packages are imported as."""

SOURCE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
VERSION = re.compile(r"(?:\d{1,9}:)?([A-Za-z0-9][A-Za-z0-9.+~-]{0,119})")
NAME = re.compile(rf"{SOURCE.pattern}_{VERSION.pattern}\.dsc", re.ASCII)
CHECKSUM = re.compile(r" ([0-9a-f]{64}) (\d{1,12}) ([A-Za-z0-9][A-Za-z0-9.+~_-]{0,199})", re.ASCII)
PACKED = r"\.(?:gz|bz2|xz)"


@dataclass(frozen=True)
class Part:
    """A file of a source package: its name, which has no folder, its size in bytes and its SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SourcePackage:
    """What a ``.dsc`` says. ``upstream`` is unpacked first, ``components`` into folders of their names, then
    ``debian`` replaces the folder of that name or ``diff`` is applied; ``quilt``: ``debian/patches/series`` too."""

    source: str
    version: str
    upstream: Part
    components: tuple[tuple[str, Part], ...] = ()
    debian: Part | None = None
    diff: Part | None = None
    quilt: bool = False

    @property
    def file(self) -> str:
        """The ``.dsc``'s own name; the epoch is no part of it."""
        return f"{self.source}_{self.version}.dsc"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every file that is unpacked."""
        found = (self.upstream, *(part for _, part in self.components), self.debian, self.diff)
        return tuple(part for part in found if part is not None)


def is_dsc(place: str) -> bool:
    """Whether a path or URL names a source package."""
    return place.partition("#")[0].endswith(".dsc")


def vouched(data: bytes, where: str, keyrings: Sequence[str], sha256: str, *, safe: bool) -> tuple[str, str]:
    """The text of a ``.dsc``, and a sentence on what vouches for it; ``where`` stands in messages.

    ``sha256`` is what the user said, or empty. Else its signature must be good by one of ``keyrings``, files for gpgv;
    where the user names none, Debian's and Ubuntu's that are here are asked, and a key that they don't have counts as
    no signature. Then only a ``safe`` way is believed: TLS, or a file of the user's. Raises
    :class:`InfrastructureError` for another hash, a signature that is not good, and where nothing vouches for it.
    """
    signed = data.lstrip()[: len(BEGIN)] == BEGIN.encode()
    text = clear_text(data, where) if signed else data.decode("utf-8", "replace")
    if sha256:
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise InfrastructureError(f"{where}: SHA-256 is {digest}, not {sha256}: not the file that was asked for")
        return text, "checked by the SHA-256 that was given for it"
    files = [Path(one) for one in keyrings] or default_keyrings()
    why = "it has no signature"
    if signed and files:
        try:
            text = verified_text(data, where, files, SETTING)
        except UnknownKey:
            if keyrings:
                raise
            why = "its signature is by a key that is in no keyring here"
        else:
            return text, f"its signature is good by {', '.join(file.name for file in files)}"
    elif signed:
        why = f"its signature was not checked, as {SETTING} names no keyring and no package with one is installed"
    elif keyrings:
        raise InfrastructureError(f"{where}: not signed, and {SETTING} is configured")
    if not safe:
        raise InfrastructureError(
            f"{where}: came without TLS, and {why}",
            hint=f"give its SHA-256, name a keyring with {SETTING}, or apt-get install debian-keyring",
        )
    return text, f"checked by TLS alone: {why}" if "://" in where else f"a file of yours; {why}"


def default_keyrings(folder: Path = Path("/usr/share/keyrings")) -> list[Path]:
    """Those of :data:`KEYRINGS` that are installed."""
    return [folder / name for name in KEYRINGS if (folder / name).is_file()]


def parse(text: str, where: str) -> SourcePackage:
    """The source package that a ``.dsc`` describes. Raises :class:`InfrastructureError` for what can't be one."""
    fields = paragraph(text, where)
    source, version = fields.get("source", "").strip(), VERSION.fullmatch(fields.get("version", "").strip())
    if not SOURCE.fullmatch(source) or version is None:
        raise InfrastructureError(f"{where}: names no source package and version")
    parts: dict[str, Part] = {}
    for line in fields.get("checksums-sha256", "").split("\n")[1:]:
        found = CHECKSUM.fullmatch(line)
        if found is None or found[3] in parts:
            raise InfrastructureError(f"{where}: not a line of Checksums-Sha256: {printable(line.strip()[:80])!r}")
        parts[found[3]] = Part(found[3], int(found[2]), found[1])
    if sum(part.size for part in parts.values()) > TOTAL_LIMIT:
        raise InfrastructureError(f"{where}: its files are larger than {TOTAL_LIMIT >> 30} GiB")
    return arranged(source, version[1], fields.get("format", "").strip(), parts, where)


def paragraph(text: str, where: str) -> dict[str, str]:
    """The fields of the one paragraph, by their names in lower case; lines that go on keep their first space."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.strip("\n").split("\n"):
        found = re.match(r"([!-9;-~]{1,60}):[ \t]*", line)
        if line[:1] in (" ", "\t") and name and line.strip():
            fields[name] += f"\n{line.rstrip()}"
        elif found and found[1].lower() not in fields:
            name = found[1].lower()
            fields[name] = line[found.end() :].rstrip()
        else:
            raise InfrastructureError(f"{where}: not a .dsc: {printable(line[:80])!r}")
    return fields


def arranged(source: str, version: str, kind: str, parts: dict[str, Part], where: str) -> SourcePackage:
    """The parts in their places, by what their names end in."""
    taken: dict[str, list[tuple[str, Part]]] = {"orig": [], "component": [], "debian": [], "diff": [], "native": []}
    for name, part in parts.items():
        if name.endswith(".asc"):
            continue  # upstream's own signature
        place, component = role(name)
        if not place or not name.startswith(f"{source}_"):
            raise InfrastructureError(f"{where}: {name}: a file that no source package has")
        taken[place].append((component, part))
    count = {place: len(found) for place, found in taken.items()}
    component_names = [name for name, _ in taken["component"]]
    quilt, native = kind == "3.0 (quilt)", kind == "3.0 (native)" or (kind == "1.0" and count["native"])
    shape = (count["orig"], count["debian"], count["diff"], count["native"])
    wanted = (0, 0, 0, 1) if native else (1, 1, 0, 0) if quilt else (1, 0, 1, 0)
    if kind not in ("1.0", "3.0 (quilt)", "3.0 (native)"):
        raise InfrastructureError(
            f"{where}: source format {printable(kind)[:40]!r}; the lab unpacks 1.0, 3.0 (quilt) and 3.0 (native)"
        )
    if shape != wanted or (component_names and not quilt) or len(set(component_names)) != len(component_names):
        raise InfrastructureError(f"{where}: its files are not those of format {kind}")
    first = (taken["native"] or taken["orig"])[0][1]
    debian, diff = (next((part for _, part in taken[place]), None) for place in ("debian", "diff"))
    return SourcePackage(source, version, first, tuple(taken["component"]), debian, diff, quilt)


def role(name: str) -> tuple[str, str]:
    """What a file of a source package is, and of which component."""
    component = re.fullmatch(rf".*\.orig-([A-Za-z0-9-]+)\.tar{PACKED}", name)
    if component:
        return ("component", component[1]) if component[1].casefold() not in ("debian", "-") else ("", "")
    for place, pattern in (("orig", rf"\.orig\.tar{PACKED}"), ("debian", rf"\.debian\.tar{PACKED}"),
                           ("diff", r"\.diff\.gz"), ("native", rf"\.tar{PACKED}")):  # fmt: skip
        if re.search(rf"{pattern}$", name):
            return place, ""
    return "", ""
