"""Series with a bug planted in them: from an entry of ``zoo.toml`` to a case folder that `lab bisect` takes."""

from __future__ import annotations

import difflib
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.errors import UserError
from lab.manifest import load

HERE = Path(__file__).parent
FILE = "kernel/planted.c"
MAKEFILE = "kernel/Makefile"
HEADER = "include/linux/mm.h"
START = "init/main.c"
TOUCHED = (MAKEFILE, HEADER, START)
"""Files of the base that patches change."""

Span = tuple[int, int]


class Plant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry, as the head of ``zoo.toml`` tells."""

    kind: str
    code: str
    culprit: int
    title: str = ""
    patches: int = 10
    gone: int = 0
    dice: int = 100
    arms: int = 0
    others: list[Span] = []
    others_dice: int = 100
    broken: list[Span] = []
    storms: list[int] = []
    early: bool = False
    append: str = ""
    timeout: float = 10.0
    answers: list[int] | None = None

    @property
    def right(self) -> frozenset[int]:
        """The patches that may be named."""
        return frozenset([self.culprit] if self.answers is None else self.answers)


def load_zoo(path: Path = HERE / "zoo.toml") -> dict[str, Plant]:
    """All entries; :class:`UserError` for one that can't be."""
    zoo = load(path, dict[str, Plant])
    for name, plant in zoo.items():
        spans = [*plant.others, *plant.broken]
        points = [plant.culprit, *plant.storms, *plant.right, *(end for span in spans for end in span)]
        if not all(1 <= point <= plant.patches for point in points):
            raise UserError(f"{path}: {name}: a point that is not 1 to {plant.patches}")
    return zoo


@dataclass(frozen=True)
class Point:
    """What the files are at one point: their names and text."""

    files: dict[str, str]


def files_at(plant: Plant, point: int, base: dict[str, str]) -> dict[str, str]:
    """The files that the series touches, as they are at ``point``. Pure."""
    files = dict(base)
    if point < 1:
        return files
    files[MAKEFILE] += "obj-y += planted.o\n"
    files[FILE] = planted(plant, point)
    storms = [patch for patch in plant.storms if patch <= point]
    files[HEADER] += "".join(f"/* planted: storm {patch} */\n" for patch in storms)
    if plant.early and point >= plant.culprit:
        files[START] = called_early(files[START])
    return files


def called_early(text: str) -> str:
    """init/main.c with a call before start_kernel() prints anything."""
    head, mark, tail = text.partition("start_kernel(void)\n{\n")
    if not mark:
        raise UserError(f"{START}: start_kernel() does not begin as it is known to")
    body, end, rest = tail.partition("\n\n")
    declaration = "void planted_early(void);\n\n"
    at = head.rindex("\n\n") + 2
    return f"{head[:at]}{declaration}{head[at:]}{mark}{body}\n\n\tplanted_early();{end}{rest}"


def planted(plant: Plant, point: int) -> str:
    """``kernel/planted.c`` at ``point``: what each patch until there brought, and the calls of it."""
    parts, calls = [(HERE / "frame.c").read_text()], []
    there = plant.culprit <= point and not (plant.gone and point >= plant.gone)
    for patch in range(2, point + 1):
        parts.append(step(patch))
        calls.append(f"planted_step_{patch}();")
    if plant.arms and point >= plant.arms:
        calls.append("planted_armed = 1;")
    if inside(plant.others, point):
        parts.append(function("planted_other", "BUG();"))
        calls.append(when("planted_other();", plant.others_dice, armed=False))
    if there:
        parts.append(function("planted_victim", plant.code))
        if not plant.early:
            calls.append(when("planted_victim();", plant.dice, armed=bool(plant.arms)))
    if plant.early and there:
        parts.append("void planted_early(void)\n{\n\tplanted_victim();\n}\n")
    if inside(plant.broken, point):
        parts.append("#error planted: this point does not build\n")
    body = "".join(f"\t{call}\n" for call in calls)
    parts.append(f"static int planted_init(void)\n{{\n{body}\treturn 0;\n}}\nlate_initcall(planted_init);\n")
    return "\n".join(parts)


def step(patch: int) -> str:
    """What an innocent patch brings."""
    return f"static noinline void planted_step_{patch}(void)\n{{\n\tplanted_sum += {patch};\n}}\n"


def function(name: str, code: str) -> str:
    """A function of its own in every trace: it must not die of its first instruction, for a 3.7 looks up the address
    before that one."""
    lines = code.strip().splitlines()
    body = "".join(f"\t\t{line}\n" if line else "\n" for line in lines)
    return f"static noinline void {name}(void)\n{{\n\tPLANTED_ENTER();\n\t{{\n{body}\t}}\n\tPLANTED_STAY();\n}}\n"


def when(call: str, dice: int, *, armed: bool) -> str:
    """``call`` under its conditions."""
    conditions = [*(["planted_armed"] if armed else []), *([f"planted_dice({dice})"] if dice < 100 else [])]
    return f"if ({' && '.join(conditions)})\n\t\t{call}" if conditions else call


def inside(spans: list[Span], point: int) -> bool:
    """Whether ``point`` is in one of ``spans``."""
    return any(first <= point <= last for first, last in spans)


def subject(plant: Plant, patch: int) -> str:
    """A patch's subject, which tells a reader of the table what is in it."""
    if patch == plant.culprit:
        return "planted: the culprit"
    if patch == plant.arms:
        return "planted: arm it"
    return "planted: a place for bugs" if patch == 1 else f"planted: step {patch}"


def diff(old: dict[str, str], new: dict[str, str]) -> str:
    """The difference as git writes it."""
    text = []
    for name in sorted(new):
        before, after = old.get(name, ""), new[name]
        if before == after:
            continue
        text.append(f"diff --git a/{name} b/{name}\n" + ("" if name in old else "new file mode 100644\n"))
        source = f"a/{name}" if name in old else "/dev/null"
        text += difflib.unified_diff(before.splitlines(True), after.splitlines(True), source, f"b/{name}")
    return "".join(text)


def write_case(name: str, plant: Plant, base_name: str, base: dict[str, str], folder: Path) -> Path:
    """The case folder of ``plant`` below ``folder``, made anew; its patches are the same whenever they are made."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    names = []
    before = files_at(plant, 0, base)
    for patch in range(1, plant.patches + 1):
        after = files_at(plant, patch, base)
        changes = diff(before, after)
        head = "From: Planter <planter@localhost>\nDate: Thu, 1 Jan 2015 00:00:00 +0000\n"
        head += f"Subject: [PATCH] {subject(plant, patch)}\n\n---\n"
        names.append(f"{patch:04}-planted.patch")
        (place / names[-1]).write_text(f"{head}{changes}-- \n2.39\n")
        before = after
    shutil.copy(HERE / "planted.config.j2", place)
    quoted = ", ".join(f'"{patch}"' for patch in names)
    expect = f'[expect]\ntitle = "{plant.title}"\n' if plant.title else ""
    (place / "series.toml").write_text(
        f'title = "planted: {plant.kind}"\nbase = "{base_name}"\nkconfig = "planted.config.j2"\n'
        f'machine = "two-nodes"\nappend = "{plant.append}"\npatches = [{quoted}]\n{expect}'
    )
    return place
