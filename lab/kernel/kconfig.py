"""Kconfigs: a template to a fragment, a fragment to a resolved and checked ``.config``.

A fragment's first line may say what it stands on: ``# base: allnoconfig`` (the default) or ``# base: defconfig``,
the tree's own. A line that ends in ``# where it exists`` asks for a symbol that not every point of a series has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lab.errors import InfrastructureError, UserError
from lab.files import write_atomic
from lab.kernel.environment import make_environment, make_variables
from lab.kernel.types import Compat, Kconfig, Toolchain, Unmet
from lab.paths import Paths
from lab.process import run

LIMIT_BYTES = 4 << 20
"""The largest ``.config`` of a distribution is about 300 kB."""

SUFFIX = ".config.j2"
ASKED = re.compile(
    r"(?:CONFIG_(?P<set>\w+)=(?P<value>.*?)|# CONFIG_(?P<unset>\w+) is not set)\s*(?P<optional># where it exists)?\s*"
)
BASE = re.compile(r"^# base: (\w+)\s*$", re.MULTILINE)
SECONDS = 300.0


@dataclass(frozen=True)
class Asked:
    """One symbol of a fragment: the value that is wanted (``n`` for "is not set") and its line, from 1."""

    symbol: str
    value: str
    line: int
    optional: bool = False


@dataclass(frozen=True)
class Fragment:
    """A rendered template: what is asked of a tree, and what it is added to (``allnoconfig`` or ``defconfig``)."""

    name: str
    text: str
    asked: tuple[Asked, ...]
    base: str = "allnoconfig"


def render(name: str, version: str, variables: Mapping[str, Any], *, folder: Path) -> Fragment:
    """Render template ``name`` of ``folder``, or the file that ``name`` is a path to, for a kernel ``version``.

    A template knows ``version`` as a tuple of numbers and may include others of ``folder``. Raises
    :class:`UserError` with file and line for a template that can't be rendered and a line that asks for nothing.
    """
    import jinja2

    path = find(name, folder)
    loader = jinja2.FileSystemLoader([path.parent, folder])
    environment = jinja2.Environment(  # noqa: S701 - a kconfig is no HTML, so nothing is to be escaped
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    try:
        text = environment.get_template(path.name).render({**variables, "version": numbers})
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: {error.message}") from None
    except (jinja2.TemplateError, TypeError, ArithmeticError) as error:
        raise UserError(f"{path}: {error}") from None
    return read_fragment(name if name != str(path) else path.name.removesuffix(SUFFIX), text, path)


def find(name: str, folder: Path) -> Path:
    """The template's file; :class:`UserError` with the known names where there is none."""
    shared = folder / f"{name}{SUFFIX}"
    path = shared if "/" not in name and shared.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.name.removesuffix(SUFFIX) for file in folder.glob(f"*{SUFFIX}")))
        raise UserError(f"no kconfig {name!r}; there are {known}; or give a path to a file")
    if path.stat().st_size > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a kconfig")
    return path


def read_fragment(name: str, text: str, path: Path) -> Fragment:
    """What ``text`` asks for, line by line."""
    asked: dict[str, Asked] = {}
    base = BASE.search(text)
    for number, line in enumerate(text.splitlines(), 1):
        found = ASKED.fullmatch(line.strip())
        if found:
            symbol = found["set"] or found["unset"]
            value = found["value"] if found["set"] else "n"
            asked[symbol] = Asked(symbol, value or "n", number, bool(found["optional"]))
        elif line.strip() and not line.lstrip().startswith("#"):
            raise UserError(f"{path}: rendered line {number}: {line.strip()[:60]!r} is not CONFIG_NAME=value")
    kind = base.group(1) if base else "allnoconfig"
    if kind not in ("allnoconfig", "defconfig"):
        raise UserError(f"{path}: base {kind!r}: there are allnoconfig and defconfig")
    return Fragment(name, text, tuple(asked.values()), kind)


def cache_file(
    fragment: Fragment, *, tree_id: str, toolchain: Toolchain, compat: Compat, require: Sequence[str], paths: Paths
) -> Path:
    """Where the resolution of these inputs is kept."""
    parts = (tree_id, fragment.base, fragment.text, toolchain.identity, repr(compat.flags), *sorted(require))
    return paths.kconfigs / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}.json"


def cached(
    fragment: Fragment, *, tree_id: str, toolchain: Toolchain, compat: Compat, require: Sequence[str], paths: Paths
) -> Kconfig | None:
    """What an earlier :func:`resolve` of the same inputs came to, or ``None``."""
    path = cache_file(fragment, tree_id=tree_id, toolchain=toolchain, compat=compat, require=require, paths=paths)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kconfig)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def resolve(
    fragment: Fragment,
    source: Path,
    *,
    tree_id: str,
    toolchain: Toolchain,
    compat: Compat,
    paths: Paths,
    require: Sequence[str] = (),
) -> Kconfig:
    """Resolve ``fragment`` with the tree's own scripts/kconfig, and check that what was asked for came.

    Raises :class:`UserError` for a symbol that the tree does not have, and for one of ``require`` that did not come,
    with what took it away.
    """
    place = paths.objects / f"kconfig-{hashlib.sha256(str(source).encode()).hexdigest()[:16]}"
    text = configure(fragment, source, place, make_variables(toolchain, compat), make_environment(paths))
    values = read_config(text)
    wanted = [ask for ask in fragment.asked if not same(ask.value, values.get(ask.symbol, "n"))]
    lost = [symbol for symbol in require if values.get(symbol, "n") == "n"]
    why: dict[str, Unmet] = {}
    if wanted or lost:
        from lab.kernel.explain import explain

        asked = {ask.symbol: ask.value for ask in wanted} | dict.fromkeys(lost, "y")
        why = explain(asked, source, place / ".config", toolchain)
    for symbol in lost:
        raise UserError(f"the case requires CONFIG_{symbol}, and it did not come: {why[symbol].why}")
    for ask in wanted:
        if not why[ask.symbol].where and not ask.optional:
            raise UserError(f"kconfig {fragment.name}: line {ask.line}: {why[ask.symbol].why}")
    kconfig = Kconfig(
        name=fragment.name,
        text=text,
        key=hashlib.sha256(text.encode()).hexdigest(),
        asked=tuple((ask.symbol, ask.value) for ask in fragment.asked),
        unmet=tuple(why[ask.symbol] for ask in wanted if why[ask.symbol].where),
    )
    path = cache_file(fragment, tree_id=tree_id, toolchain=toolchain, compat=compat, require=require, paths=paths)
    write_atomic(path, msgspec.json.encode(kconfig))
    return kconfig


def configure(fragment: Fragment, source: Path, place: Path, variables: list[str], environment: dict[str, str]) -> str:
    """Run the tree's kconfig on ``fragment`` in ``place``; the resolved ``.config`` without what changes by itself."""
    from lab.files import locked

    place.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock"), deadline=SECONDS):
        asked = place / "fragment.config"
        write_atomic(asked, "".join(f"{line(ask)}\n" for ask in fragment.asked))
        common = ["make", "-s", "-C", str(source), f"O={place}", *variables]
        if fragment.base == "allnoconfig":
            steps = [[*common, f"KCONFIG_ALLCONFIG={asked}", "allnoconfig"]]
        else:
            steps = [[*common, "defconfig"], [*common, "olddefconfig"]]
        for number, step in enumerate(steps):
            if number:
                config = place / ".config"
                config.write_text(config.read_text() + asked.read_text())
            done = run(step, deadline=SECONDS, env=environment)
            if not done.ok:
                said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
                raise InfrastructureError(f"make {step[-1]} failed in {source}: {said[-1] if said else 'no message'}")
        return "".join(
            text
            for text in (place / ".config").read_text(errors="replace").splitlines(keepends=True)
            if not dated(text)
        )


def line(ask: Asked) -> str:
    """An asked symbol as a line of a ``.config``."""
    return f"# CONFIG_{ask.symbol} is not set" if ask.value == "n" else f"CONFIG_{ask.symbol}={ask.value}"


def dated(text: str) -> bool:
    """Whether a line of a ``.config`` says when it was made: kernels until 2.6.39 wrote the time there."""
    return bool(re.match(r"# (Mon|Tue|Wed|Thu|Fri|Sat|Sun) ", text))


def read_config(text: str) -> dict[str, str]:
    """Symbol to value of a ``.config``; what is not set is not in it."""
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE))


def same(asked: str, got: str) -> bool:
    """Whether the value is the one that was asked for; an empty string is as good as one that is not set."""
    return asked == got or (asked in ("n", '""') and got in ("n", '""'))
