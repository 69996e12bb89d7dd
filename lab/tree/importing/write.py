"""A series that was chosen, as a case: ``series.toml`` and a patch file for each mail, in UTF-8 and 8bit."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.case import MANIFEST
from lab.errors import UserError
from lab.files import sync_folder
from lab.tree.importing.choose import Chosen
from lab.tree.importing.letter import Letter
from lab.tree.importing.switches import TEMPLATE, template

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class Plan:
    """What a manifest says beside its patches."""

    base: str
    kconfig: str = "tiny-numa"
    machine: str = "two-nodes"
    source: str = ""
    patch_ids: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    """Kconfig symbols that the series brings, to be switched on beside what ``kconfig`` asks for."""


def slug(title: str, limit: int = 52) -> str:
    """A file name for a title, as git-format-patch(1) makes it."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", title).strip("-.").replace("..", ".")[:limit].strip("-.") or "patch"


def names(letters: Sequence[Letter]) -> list[str]:
    """The file of each letter."""
    return [f"{number:04}-{slug(letter.subject.title)}.patch" for number, letter in enumerate(letters, 1)]


def write_case(folder: Path, chosen: Chosen, plan: Plan) -> None:
    """Make ``folder``, which must not exist, with the series in it. It appears when it is whole."""
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: is there already", hint="choose another --name or --output, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        work.chmod(0o755)
        for letter, name in zip(chosen.patches, names(chosen.patches), strict=True):
            (work / name).write_bytes(patch_file(letter))
        if chosen.fixes:
            (work / "fix").mkdir()
        for letter, name in zip(chosen.fixes, names(chosen.fixes), strict=True):
            (work / "fix" / name).write_bytes(patch_file(letter))
        if chosen.cover:
            (work / "cover.txt").write_bytes(patch_file(chosen.cover))
        if plan.switches:
            (work / TEMPLATE).write_text(template(plan.switches, plan.kconfig), encoding="utf-8")
        (work / MANIFEST).write_text(manifest(chosen, plan), encoding="utf-8")
        work.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def patch_file(letter: Letter) -> bytes:
    """``letter`` as a file that ``git am`` takes."""
    body = letter.text.encode("utf-8", "surrogateescape")
    if letter.plain:
        return body
    subject = letter.subject
    bracket = f"[PATCH {subject.counter}/{subject.total}] " if subject.counter and subject.total > 1 else "[PATCH] "
    head = [f"From: {address(letter.name, letter.email)}"]
    head += [f"Date: {letter.date}"] if letter.date else []
    given = bracket + (subject.title or "a patch without a subject")
    if subject.patch and not subject.reply and subject.title and subject.text.endswith(subject.title):
        given = subject.text  # as it was sent, revision and all: git am takes the brackets away
    head += [f"Subject: {encoded(given)}"]
    head += [f"Message-ID: <{letter.msgid}>"] if not letter.msgid.endswith("@no-message-id") else []
    head += [f"In-Reply-To: <{letter.parent}>"] if letter.parent else []
    head += [f"References: {' '.join(f'<{one}>' for one in letter.references[-20:])}"] if letter.references else []
    head += [f"{name}: {encoded(value)}" for name, value in (("To", letter.to), ("Cc", letter.cc)) if value]
    head += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: 8bit"]
    return "\n".join(head).encode("ascii", "replace") + b"\n\n" + body.rstrip(b"\n") + b"\n"


def address(name: str, mail: str) -> str:
    """A sender for a header line."""
    mail = mail if mail.isascii() and re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", mail) else "unknown@localhost"
    if not name:
        return mail
    plain = re.fullmatch(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+", name)
    text = name if plain else encoded(name) if not name.isascii() else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return f"{text} <{mail}>"


def encoded(text: str) -> str:
    """``text`` for a header (RFC 2047 where it is not ASCII), in one line.

    Not by the standard library: b4 changes its table of charsets for the whole process.
    """
    if text.isascii():
        return text
    words = [text[at : at + 10] for at in range(0, len(text), 10)]  # ten characters are at most 40 bytes: 54 of base64
    return " ".join(f"=?utf-8?b?{base64.b64encode(word.encode()).decode()}?=" for word in words)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        out = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}"
                            if ord(found[0]) < 0x80 else "\ufffd", out) + '"'  # fmt: skip
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        return "[\n" + "".join(f"    {toml(one)},\n" for one in value) + "]"
    return str(value)


def manifest(chosen: Chosen, plan: Plan) -> str:
    """``series.toml``."""
    title = chosen.title or "a series without a title"
    comment = ""
    if not plan.base:
        comment = "# Nothing in the mails says what they apply to: name a base, or one with --tree.\n"
    lines = [
        f"title = {toml(title)}\n{comment}base = {toml(plan.base or 'HEAD')}",
        f"kconfig = {toml(TEMPLATE if plan.switches else plan.kconfig)}\nmachine = {toml(plan.machine)}",
        f"patches = {toml(names(chosen.patches))}",
    ]
    fixes = [f"fix/{name}" for name in names(chosen.fixes)]
    if fixes:
        lines.append(f"fix = {toml(fixes[:1])}")
    first = chosen.cover or chosen.patches[0]
    origin: list[tuple[str, object]] = [
        ("source", plan.source),
        ("message_id", "" if first.msgid.endswith("@no-message-id") else first.msgid),
        ("revision", chosen.revision),
        ("base_commit", chosen.base_commit),
        ("prerequisite_patch_ids", chosen.prerequisites),
        ("prerequisite_change_ids", chosen.prerequisite_changes),
        ("change_id", chosen.change_id),
        ("patch_ids", plan.patch_ids),
        ("other_fixes", fixes[1:]),
    ]
    kept = [f"{key} = {toml(value)}" for key, value in origin if value]
    return (
        "\n".join(lines)
        + "\n\n# Where it came from. A case with this table is foreign: its builds are shut in.\n[origin]\n"
        + "\n".join(kept)
        + "\n"
    )
