"""Reading patches: which files and hunks they have, and whether they stay where they belong.

What git makes of a patch is checked once more after it was applied (:mod:`lab.tree.series`); what is read here is for
refusing early, and for messages that name the file and the hunk. Format: git-diff(1), "Generating patch text".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SYMLINK = "120000"
FILES = ("100644", "100755")

ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


@dataclass(frozen=True)
class Hunk:
    """``@@ -start,… @@``: the first line in the old file, the header as it stands, and its line in the patch."""

    start: int
    header: str
    line: int


@dataclass
class FileDiff:
    """What a patch says about one file; names have lost their ``a/`` and ``b/``. Filled while it is read."""

    line: int
    names: list[str] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's name after the patch."""
        return self.names[-1] if self.names else ""


def parse(diff: bytes) -> list[FileDiff]:
    """The files of a patch, in order; empty where there is no diff in it."""
    return list(files(diff.decode("utf-8", "surrogateescape").split("\n")))


def files(lines: list[str]) -> Iterator[FileDiff]:
    """See :func:`parse`. Hunk bodies are skipped by the counts in their headers: a line in them may look like
    anything."""
    now: FileDiff | None = None
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        hunk = HUNK.match(line)
        if line.startswith("diff --git "):
            if now is not None:
                yield now
            now = FileDiff(at + 1, names=header_names(line.removeprefix("diff --git ")))
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            if now is None or now.hunks:
                if now is not None:
                    yield now
                now = FileDiff(at + 1)
            pair = (line[4:], lines[at + 1].removesuffix("\r")[4:])
            now.names += [name for name in map(side_name, pair) if name]
            at += 1
        elif now is not None and hunk:
            now.hunks.append(Hunk(int(hunk[1]), line, at + 1))
            at = hunk_end(lines, at + 1, int(hunk[2] or 1), int(hunk[3] or 1))
            continue
        elif now is not None and not now.hunks:
            extended(now, line)
        at += 1
    if now is not None:
        yield now


HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")


def hunk_end(lines: list[str], at: int, old: int, new: int) -> int:
    """The index of the first line after a hunk of ``old`` and ``new`` lines."""
    while at < len(lines) and (old > 0 or new > 0):
        mark = lines[at][:1]
        old -= mark in (" ", "-", "", "\r")
        new -= mark in (" ", "+", "", "\r")
        at += 1
    return at


def extended(now: FileDiff, line: str) -> None:
    """One extended header line: modes, and the names of renames and copies, which have no prefix."""
    for mark in ("rename from ", "rename to ", "copy from ", "copy to "):
        if line.startswith(mark):
            now.names.append(unquoted(line.removeprefix(mark)))
    for mark in ("old mode ", "new mode ", "new file mode ", "deleted file mode "):
        if line.startswith(mark):
            now.modes.append(line.removeprefix(mark).strip())


def header_names(rest: str) -> list[str]:
    """The names in ``diff --git``. Unquoted names with spaces are only clear where both are the same."""
    if '"' in rest:
        words = re.findall(r'"(?:[^"\\]|\\.)*"|[^\s"]+', rest)
        return [side for side in map(side_name, words) if side]
    half = len(rest) // 2
    if len(rest) % 2 and rest[half] == " " and rest[:half].partition("/")[2] == rest[half + 1 :].partition("/")[2]:
        return [side_name(rest[:half])]
    return [side for side in map(side_name, rest.split(" ")) if side]


def side_name(text: str) -> str:
    """A name of ``---``, ``+++`` or ``diff --git`` without its first folder; empty for /dev/null. An absolute name
    stays one, so that it is refused."""
    name = unquoted(text.partition("\t")[0] if not text.startswith('"') else text).rstrip(" ")
    if name == "/dev/null":
        return ""
    return name if name.startswith("/") else name.partition("/")[2]


def unquoted(text: str) -> str:
    """A name out of git's C-style quotes, if it is in them."""
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    if not quoted:
        return text

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code, 8) & 0xFF) if code.isdigit() else chr(ESCAPES.get(code, ord(code)))

    # Octal escapes are bytes of UTF-8.
    text = re.sub(r"\\([0-7]{1,3}|.)", plain, quoted[1])
    return text.encode("latin-1", "ignore").decode("utf-8", "replace") if "\\" in quoted[1] else text


def unsafe_name(name: str) -> str:
    """Why ``name`` must not be written, empty where it may."""
    if name.startswith("/"):
        return "an absolute path"
    parts = name.split("/")
    if ".." in parts:
        return "a path that leaves the tree"
    if any(re.sub(r"[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]", "", part).casefold() in GIT for part in parts):
        return "a path into git's own folder"
    if not name.isprintable():
        return "a path with control characters"
    if any(part in ("", ".") for part in parts):
        return "a path with empty parts"
    return ""


GIT = {".git", "git~1", ".git ", ".git."}
"""git's folder, and what other file systems take for it."""


def unsafe_link(name: str, target: str) -> str:
    """Why a symbolic link ``name`` to ``target`` must not be made, empty where it may.

    ``..`` may only lead upwards from the link's own folder, and not out of the tree: anywhere else it could follow
    another link out.
    """
    parts = [part for part in target.split("/") if part != "."]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    if not target or target.startswith("/") or not target.isprintable():
        return "a symbolic link to an absolute or unprintable path"
    if up > name.count("/") or ".." in parts[up:]:
        return "a symbolic link that leads out of the tree"
    if any(part.casefold() in GIT for part in parts):
        return "a symbolic link into git's own folder"
    return ""


def refusal(files: list[FileDiff]) -> str:
    """Why a patch must not be applied, with the file's name; empty where its names and modes are harmless."""
    for diff in files:
        for name in diff.names:
            why = unsafe_name(name)
            if why:
                return f"{name}: {why}"
        for mode in diff.modes:
            if mode not in (*FILES, SYMLINK):
                return f"{diff.name}: mode {mode} is neither a file nor a symbolic link"
    return ""


def failure(stderr: str, files: list[FileDiff]) -> str:
    """What ``git apply`` could not do, in one line: the file and, where it told, the hunk."""
    by_name = {name: diff for diff in files for name in diff.names}
    for line in stderr.splitlines():
        failed = re.fullmatch(r"error: patch failed: (.*):(\d+)", line)
        if failed:
            diff = by_name.get(failed[1])
            numbered = enumerate(diff.hunks, 1) if diff else ()
            for count, hunk in numbered:
                if hunk.start == int(failed[2]):
                    return f"{failed[1]}, hunk {count} of {len(diff.hunks) if diff else 0} ({hunk.header.strip()})"
            return f"{failed[1]}, the hunk at its line {failed[2]}"
        corrupt = re.fullmatch(r"error: (corrupt patch|git apply: bad git-diff.*|.*) at line (\d+)", line)
        if corrupt:
            return within(int(corrupt[2]), corrupt[1], files)
    rest = [line.removeprefix("error: ") for line in stderr.splitlines() if line.startswith(("error: ", "fatal: "))]
    return rest[0] if rest else "git apply refused it"


def within(line: int, what: str, files: list[FileDiff]) -> str:
    """A fault at a line of the diff, told by the file and hunk that it is in."""
    diffs = [diff for diff in files if diff.line <= line]
    if not diffs:
        return f"{what} (line {line} of the diff)"
    hunks = [count for count, hunk in enumerate(diffs[-1].hunks, 1) if hunk.line <= line]
    where = f", hunk {hunks[-1]} of {len(diffs[-1].hunks)}" if hunks else ""
    return f"{diffs[-1].name}{where}: {what} (line {line} of the diff)"
