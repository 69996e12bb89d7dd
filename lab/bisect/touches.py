"""What each patch touches: files with their contents before and after, functions, words. Read from ``git log -p``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.console.blame import plain
from lab.tree.git import git

LIMIT_BYTES = 256 << 20
FUNCTION = re.compile(r"([A-Za-z_]\w+)\s*\(")
WORD = re.compile(r"[A-Za-z_]\w{2,}")
HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@ ?(.*)")


@dataclass
class Touch:
    """``files`` maps each file to the git blob it is after the patch (empty: it is gone); ``functions`` are those with
    changed lines, as far as git's hunk headers and the lines around tell; ``words`` are what the changed lines say;
    ``lines`` counts them."""

    files: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    lines: int = 0


def read(repo: Path, commits: Sequence[str]) -> dict[str, Touch]:
    """What each of ``commits`` changes against its first parent."""
    if not commits:
        return {}
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    words = ("-r", "-p", "--stdin", "--no-renames", "--full-index", "--no-ext-diff", "--no-textconv", "--root")
    done = git(repo, "diff-tree", *words, "-m", "--first-parent", input=asked, limit=LIMIT_BYTES, deadline=300)
    return parse(done.stdout.decode("utf-8", "surrogateescape"), commits)


def parse(text: str, commits: Sequence[str]) -> dict[str, Touch]:
    """The output of ``git diff-tree -p --stdin``: a commit's id on a line, then its diff."""
    known = set(commits)
    found = {commit: Touch() for commit in commits}
    now = Touch()
    name, blobs, inside = "", ("", ""), ""
    for line in text.split("\n"):
        head = line[:1]
        if line[:40] in known:
            now, name = found[line[:40]], ""
        elif line.startswith("diff --git "):
            name = ""
        elif line.startswith("index ") and not name:
            old, _, new = line.split(" ")[1].partition("..")
            blobs = (old.strip("0"), new.strip("0"))
            blobs = (old if blobs[0] else "", new if blobs[1] else "")
        elif line.startswith(("--- a/", "+++ b/")) and not name:
            name = line[6:].rstrip("\t")
            now.files[name], now.before[name] = blobs[1], blobs[0]
        elif hunk := HUNK.match(line):
            name = name or "?"
            inside = begun(hunk[1], "")
        elif head in ("+", "-", " ") and not line.startswith(("+++ ", "--- ")):
            inside = begun(line[1:], inside)
            if head != " ":
                now.lines += 1
                now.words.update(WORD.findall(line))
                if inside:
                    now.functions.add(inside)
            if line[1:2] == "}":
                inside = ""
    return found


def begun(line: str, inside: str) -> str:
    """The C function that ``line`` is in: the one that it begins, or else the one before it."""
    if not (line[:1].isalpha() or line[:1] == "_") or line.rstrip().endswith((";", ":")):
        return inside
    called = FUNCTION.search(line)
    return called[1] if called else inside


def contents(touches: Sequence[Touch]) -> list[dict[str, str]]:
    """For the points of a line, the first of which is the base: the blob of each file that any patch touches."""
    start: dict[str, str] = {}
    for touch in touches:
        for name, blob in touch.before.items():
            start.setdefault(name, blob)
    points = [start]
    for touch in touches:
        points.append({**points[-1], **touch.files})
    return points


@dataclass(frozen=True)
class Crash:
    """What is known of the bug: the functions of its trace, innermost first, and the file it names."""

    functions: tuple[str, ...] = ()
    file: str = ""


CHANGES, NAMES, IN_FILE = 40.0, 8.0, 3.0
"""What it counts that a patch changes, or names, the innermost function of a crash, or else changes its file."""


def named(crash: Crash) -> list[str]:
    """The functions of the trace, innermost first, each once, without the compiler's suffixes."""
    return list(dict.fromkeys(plain(name.removeprefix("? ").strip()) for name in crash.functions))


def suspicion(touch: Touch, crash: Crash) -> tuple[float, tuple[str, ...]]:
    """How much a patch has to do with the crash, 0 for nothing, and in what: one and this number is how many times
    likelier that makes it to have brought the bug.

    Few patches of a series change the very function that a crash is in, and of the culprits many do. What is farther
    from it in the trace is common to more bugs, so of several functions the one that counts most counts. Other changes
    in the file are common in a series about one subject.
    """
    nearest, why = 0.0, []
    for depth, name in enumerate(named(crash)):
        near = 1.0 / (1 + 0.5 * depth) ** 2
        if name in touch.functions:
            nearest = max(nearest, CHANGES * near)
            why.append(f"changes {name}()")
        elif name in touch.words:
            nearest = max(nearest, NAMES * near)
            why.append(f"names {name}()")
    if crash.file and crash.file in touch.files:
        nearest += IN_FILE
        why.append(f"touches {crash.file}")
    return nearest, tuple(why)


def likelihood(touch: Touch, crash: Crash, compiled: Mapping[str, int] | None) -> float:
    """How likely a patch is to have brought the bug, against others: by its size, by what it has to do with the
    crash, and next to nothing where no object hangs on what it touches. Never 0: it only says where to look first."""
    weight = (1.0 + min(touch.lines, 400) / 200) * (1.0 + suspicion(touch, crash)[0])
    if compiled is not None and touch.files and not any(counts(name, compiled) for name in touch.files):
        weight *= 0.05
    return weight


def counts(name: str, compiled: Mapping[str, int]) -> bool:
    """Whether a change of the file can change the kernel."""
    base = name.rpartition("/")[2]
    makes = base.startswith(("Kconfig", "Makefile", "Kbuild")) or name.endswith((".S", ".lds"))
    return makes or compiled.get(name, 0) > 0
