"""Why a kconfig symbol did not get the value that was asked for.

kconfiglib reads the tree's Kconfig files; it takes its inputs from the environment, and the files may run commands, so
that is done in a process of its own: ``python -m lab.kernel.explain``.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lab.kernel.environment import source_arch
from lab.kernel.types import Toolchain, Unmet
from lab.process import run
from lab.sandbox import shut_in

SECONDS = 120.0
TRISTATE = ("n", "m", "y")
GUESSES = 20
"""For a fragment with a slip in it, what is meant is guessed; a whole ``.config`` of another kernel has thousands of
unknown symbols, and each guess looks at all that there are."""


def explain(asked: Mapping[str, str], source: Path, config: Path, toolchain: Toolchain) -> dict[str, Unmet]:
    """For each symbol of ``asked`` what became of it in the resolved ``config`` and why.

    ``Unmet.where`` (the Kconfig file and line of its definition) is empty for a symbol that the tree does not have.
    """
    request = {"asked": dict(asked), "config": str(config)}
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "srctree": str(source),
        "ARCH": toolchain.arch,
        "SRCARCH": source_arch(toolchain.arch),
        "CC": toolchain.cc,
        "HOSTCC": toolchain.cc,
        "LD": "ld",
        "NM": "nm",
        "PAHOLE": "pahole",
        "RUSTC": "rustc",
        "BINDGEN": "bindgen",
        "KERNELVERSION": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    argv = [sys.executable, "-m", "lab.kernel.explain"]
    argv = shut_in(argv, source=source, writable=(config.parent,), env=environment, sandbox=toolchain.sandbox)
    done = run(argv, deadline=SECONDS, cwd=source, env=environment, input=json.dumps(request).encode())
    if done.ok:
        return {name: Unmet(**fields) for name, fields in json.loads(done.stdout).items()}
    return {name: plainly(name, value, source) for name, value in asked.items()}


def plainly(symbol: str, asked: str, source: Path) -> Unmet:
    """What can be said without reading the Kconfig language: whether any file defines the symbol at all."""
    for path in sorted(source.rglob("Kconfig*")):
        for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if text.split() in (["config", symbol], ["menuconfig", symbol]):
                where = f"{path.relative_to(source)}:{number}"
                return Unmet(symbol, asked, "n", f"a dependency of it is not met; see {where}", where)
    return Unmet(symbol, asked, "n", f"this tree has no symbol {symbol}")


def why(kconf: Any, name: str, asked: str, *, guess: bool = True) -> Unmet:
    """What became of symbol ``name`` by kconfiglib's reading; ``guess`` what was meant where there is none."""
    import kconfiglib

    symbol = kconf.syms.get(name)
    if symbol is None or not symbol.nodes:
        known = [sym.name for sym in kconf.unique_defined_syms] if guess else []
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; is {close[0]} meant?" if close else ""
        return Unmet(name, asked, "n", f"this tree has no symbol {name}{hint}")
    node = symbol.nodes[0]
    where = f"{node.filename}:{node.linenr}"
    got = symbol.str_value or "n"

    def missing(expression: Any) -> list[str]:
        parts = kconfiglib.split_expr(expression, kconfiglib.AND)
        return [kconfiglib.expr_str(part) for part in parts if kconfiglib.expr_value(part) == 0]

    depends = missing(symbol.direct_dep)
    if symbol.type in (kconfiglib.BOOL, kconfiglib.TRISTATE) and asked in TRISTATE[: TRISTATE.index(got)]:
        forced = [  # the first of "NUMA && SMP && PCI" selects it, and the others are what that depends on
            kconfiglib.expr_str(kconfiglib.split_expr(part, kconfiglib.AND)[0])
            for part in kconfiglib.split_expr(symbol.rev_dep, kconfiglib.OR)
            if kconfiglib.expr_value(part)
        ]
        reason = f"selected by {', '.join(forced)}" if forced else "it has no prompt here, and its default is on"
    elif depends:
        reason = f"it depends on {' and '.join(f'{text} (which is n)' for text in depends)}"
    elif symbol.choice is not None and symbol.choice.selection is not None:
        reason = f"its choice went to {symbol.choice.selection.name}"
    elif symbol.visibility == 0:
        prompts = [node.prompt[1] for node in symbol.nodes if node.prompt]
        hidden = [text for prompt in prompts for text in missing(prompt)]
        reason = (
            f"its prompt needs {' and '.join(hidden)}" if hidden else "it has no prompt: only another symbol sets it"
        )
    else:
        ranges = [f"{low.str_value} to {high.str_value}" for low, high, _ in symbol.ranges]
        reason = f"it takes {ranges[0]}" if ranges else f"{asked!r} is not a value of it"
    return Unmet(name, asked, got, reason, where)


def open_kconfig(_kconf: Any, filename: str, mode: str) -> IO[str]:
    """Open a Kconfig file with newer words said in the older ones that kconfiglib 14.1 knows: since Linux 6.1 (commit
    6dd85ff178cd) MODULES is marked by ``modules`` and no longer by ``option modules``; ``transitional`` (6.18) means
    nothing to a reader."""
    if mode != "r":
        raise OSError(f"{filename}: nothing is written here")
    text = Path(filename).read_text(encoding="utf-8", errors="replace")
    text = NEWER.sub(lambda found: "\toption modules" if found[1] == "modules" else "", text)
    return io.StringIO(STRAY.sub(lambda found: " " * len(found[0]), text))


NEWER = re.compile(r"^[ \t]+(modules|transitional)[ \t]*$", re.MULTILINE)
STRAY = re.compile(r"^[.,;:+*-]+(?!-*help)", re.MULTILINE)
"""Punctuation at the start of a line, which old kernels have by mistake (3.7: ``+config`` in sound/soc/ux500) and whose
parser only warns of. Spaces of the same width keep a help text as deep as it was."""


def main() -> None:
    """Read a request from standard input, answer as JSON on standard output."""
    import dataclasses

    import kconfiglib

    kconfiglib.Kconfig._open = open_kconfig  # this process does nothing else
    request = json.load(sys.stdin)
    kconf = kconfiglib.Kconfig("Kconfig", warn=False, warn_to_stderr=False)
    kconf.load_config(request["config"])
    asked = request["asked"]
    guess = sum(1 for name in asked if name not in kconf.syms) <= GUESSES
    answer = {name: dataclasses.asdict(why(kconf, name, value, guess=guess)) for name, value in asked.items()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
