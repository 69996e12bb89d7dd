"""The zoo's kernels and modules: built from a tree, or from Debian's source and kept in the lab's store."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from crashes.triggers import ARCHES, ZOO
from lab.case import Case, Expect
from lab.kernel.compat import choose_compat
from lab.kernel.environment import make_environment, make_variables
from lab.kernel.toolchain import detect_toolchain
from lab.kernel.types import Kernel
from lab.line import Setup, base_for, kernel_of, line_with, point_at
from lab.paths import user_paths
from lab.progress import silent
from lab.settings import Settings
from lab.tree.git import git

MACHINE = "one-node"
LINES = {
    "drivers/misc/Makefile": (
        "obj-y += lab_zoo.o",
        "UBSAN_SANITIZE_lab_zoo.o := y",  # without UBSAN_SANITIZE_ALL only who asks for it is watched
    ),
    "drivers/misc/lkdtm/Makefile": ("UBSAN_SANITIZE := y",),
}
"""What is added to files of the tree."""


def is_old(source: Path) -> bool:
    """Whether a tree is of a kernel before 4.0."""
    return (source / "Makefile").read_text().lstrip().startswith("VERSION = 3")


def version(tree: Path) -> list[str]:
    """VERSION and PATCHLEVEL of a tree, or of headers."""
    return re.findall(r"^(?:VERSION|PATCHLEVEL) = (\d+)", (tree / "Makefile").read_text(), re.M)


def asked(variant: str, *, old: bool = False) -> str:
    """The kconfig of a variant or an architecture, as lines of which the last for a symbol counts; ``old`` for 3.7."""
    parts = ["zoo", "plain", variant] if variant in ARCHES else ["zoo", variant]
    parts += ["old"] if old else []
    return "".join(path.read_text() for name in parts if (path := ZOO / f"{name}.config").exists())


def stored(variant: str) -> Path:
    """The image of the zoo's kernel on Debian's 6.1, from the lab's store; built where it is not there."""

    setup = Setup(paths=user_paths(), settings=Settings(), progress=silent)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patch, kconfig = folder / "zoo.patch", folder / f"zoo-{variant}.config.j2"
        case = Case(
            name="zoo",
            folder=folder,
            title="A crash zoo",
            base="debian-6.1",
            patches=(patch,),
            fix=(),
            kconfig="tiny-numa" if variant == "tiny" else str(kconfig),
            machine=MACHINE,
            append="",
            require=(),
            expect=Expect(),
        )
        kconfig.write_text(asked(variant))
        base = base_for(case, setup)
        parts = []
        for file, lines in LINES.items():
            old = git(base.repo, "show", f"{base.commit}:{file}").stdout.decode().splitlines(keepends=True)
            parts.append(difference(file, old, [*old, *(f"{line}\n" for line in lines)]))
        zoo = (ZOO / "lab_zoo.c").read_text().splitlines(keepends=True)
        parts.append(difference("drivers/misc/lab_zoo.c", [], zoo))
        patch.write_text("".join(parts))
        line = line_with(case, base, detect_toolchain(), setup)
        built = kernel_of(line, point_at(line, 1), setup)
    if not isinstance(built, Kernel):
        raise SystemExit(f"{built.file}:{built.line}: {built.message}")
    return built.image


def difference(file: str, old: list[str], new: list[str]) -> str:
    """What makes ``new`` of ``old``, a file that is not there where that is empty, as git writes it."""
    head = f"diff --git a/{file} b/{file}\n" + ("" if old else "new file mode 100644\n")
    return head + "".join(difflib.unified_diff(old, new, f"a/{file}" if old else "/dev/null", f"b/{file}"))


def build(source: Path, work: Path, variant: str) -> Path:
    """The zoo's kernel image of a variant or an architecture; what is already built is not built again."""

    environment = make_environment(user_paths(os.environ))
    tree, objects = work / "tree", work / variant
    if not tree.is_dir():
        subprocess.run(["git", "clone", "-q", "--shared", str(source), str(tree)], check=True)
    misc = tree / "drivers" / "misc"
    if not (misc / "lab_zoo.c").exists() or (ZOO / "lab_zoo.c").read_bytes() != (misc / "lab_zoo.c").read_bytes():
        shutil.copy(ZOO / "lab_zoo.c", misc)
    for file, lines in LINES.items():
        path = tree / file
        missing = [line for line in lines if path.exists() and line not in path.read_text().splitlines()]
        if missing:
            path.write_text("\n".join([path.read_text().rstrip("\n"), *missing, ""]))
    objects.mkdir(parents=True, exist_ok=True)
    make = ["make", "-s", f"O={objects}", f"-j{os.cpu_count()}", *tools(tree, variant)]
    cross = ARCHES.get(variant)
    wanted = asked(variant, old=is_old(tree))
    if not (objects / "wanted").exists() or (objects / "wanted").read_text() != wanted:
        (objects / "small").write_text(wanted)
        subprocess.run(
            [*make, f"KCONFIG_ALLCONFIG={objects / 'small'}", "allnoconfig"],
            cwd=tree, check=True, stdout=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        (objects / "wanted").write_text(wanted)
    name = cross.image if cross else "bzImage"
    subprocess.run([*make, name.rpartition("/")[2]], cwd=tree, check=True, env=environment)
    return (objects / "arch" / (cross.make if cross else "x86") / "boot" / name).resolve()


def tools(tree: Path, variant: str) -> list[str]:
    """make's variables for the compiler; for an old kernel also its patches and flags (lab.kernel.compat)."""
    if variant == "kmsan":
        return ["ARCH=x86_64", "LLVM=1", "LLVM_IAS=1"]
    if cross := ARCHES.get(variant):
        return [f"ARCH={cross.make}", f"CROSS_COMPILE={cross.prefix}", f"CC={cross.prefix}gcc"]

    toolchain = detect_toolchain()
    compat = choose_compat(".".join(version(tree)), toolchain)
    for path in compat.patches:
        applied = ["git", "apply", "--reverse", "--check", str(path)]
        if subprocess.run(applied, cwd=tree, capture_output=True, check=False).returncode:
            subprocess.run(["git", "apply", str(path)], cwd=tree, check=True)
    return make_variables(toolchain, compat, (str(tree),) if is_old(tree) else ())


def modules(source: Path, work: Path, headers: Path, variables: Sequence[str]) -> list[Path]:
    """The zoo and LKDTM as modules for the kernel of those headers."""
    made = []
    sources = {"lab_zoo": [ZOO / "lab_zoo.c"]}
    if version(source) == version(Path((headers / "Makefile").read_text().split()[-1]).parent):
        sources["lkdtm"] = sorted((source / "drivers/misc/lkdtm").glob("*"))
    for name, files in sources.items():
        folder = work / f"{name}-module"
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            # the one function that modules may not use; its trigger only looks at it
            text = re.sub(r"\bnative_write_cr4\b(?! *\()", "NULL", file.read_text())
            (folder / file.name).write_text(re.sub(r"\bnative_write_cr4 *\(.*\);", ";", text))
        makefile = "obj-m := lab_zoo.o\n" if name == "lab_zoo" else (folder / "Makefile").read_text()
        (folder / "Makefile").write_text(f"{makefile}\nccflags-y += -fmacro-prefix-map=$(src)/=\n")
        make = ["make", "-s", "-C", str(headers), f"M={folder}", "CONFIG_LKDTM=m", *variables, "modules"]
        subprocess.run(make, check=True)
        made.append(folder / f"{name}.ko")
    return made
