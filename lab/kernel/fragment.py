"""Fragments: what is asked of a kernel's configuration, from a template or from a ``.config`` that someone has.

A template is Jinja2 and gives lines as scripts/kconfig writes them (``CONFIG_NUMA=y``, ``# CONFIG_SMP is not set``).
A line ``# base: defconfig`` says what they are added to: ``allnoconfig`` (where there is none), the tree's
``defconfig``, or ``olddefconfig`` for a whole configuration, whose missing symbols get their defaults. A line that ends
in ``# where it exists`` asks for a symbol that not every point of a series has.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UserError

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

SUFFIX = ".config.j2"
LIMIT_BYTES = 4 << 20
"""The largest ``.config`` of a distribution is about 300 kB."""

BASES = ("allnoconfig", "defconfig", "olddefconfig")
BASE = re.compile(r"^# base: (\S+)\s*$", re.MULTILINE)
ASKED = re.compile(r"CONFIG_(?P<set>\w+)=(?P<value>.*)|# CONFIG_(?P<unset>\w+) is not set")
OPTIONAL = "# where it exists"
VALUE = re.compile(r'[ynm]|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*"')
REQUIRED = re.compile(r"(?:CONFIG_)?(?P<symbol>[A-Za-z0-9_]+)(?:=(?P<value>.+))?")
WHOLE = re.compile(
    r"^# (?:Automatically generated file; DO NOT EDIT|Automatically generated make config)", re.MULTILINE
)
"""The first lines of a ``.config`` that scripts/kconfig wrote, of today and of 2.6."""

MARK = "\x01"
"""Stands around the place that a line of a template is given before it is rendered."""
MARKED = re.compile(f"{MARK}([^{MARK}\n]*){MARK}")
REQUIRED_PLACE = "required by the case"


@dataclass(frozen=True)
class Asked:
    """One symbol of a fragment: the value that is wanted (``n`` for "is not set") and where that is written
    (``tiny-numa.config.j2:12``). ``optional``: a tree without the symbol is as good."""

    symbol: str
    value: str
    where: str
    optional: bool = False


@dataclass(frozen=True)
class Fragment:
    """A rendered template: what is asked of a tree, and what it is added to."""

    name: str
    text: str
    asked: tuple[Asked, ...]
    base: str = "allnoconfig"


def render(name: str, version: str, variables: Mapping[str, Any], *, folder: Path) -> Fragment:
    """Render template ``name`` of ``folder``, or the file that ``name`` is a path to, for kernel ``version``.

    A template knows ``version`` as a tuple of numbers, ``variables``, and the other templates of ``folder``, which it
    may include or extend. A file that scripts/kconfig wrote is taken as it is. Raises :class:`UserError` with file and
    line for a template that can't be rendered and a line that asks for nothing.
    """
    import jinja2

    path = find(name, folder)
    if not path.name.endswith(".j2"):
        return import_config(path)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])
    environment = make_environment((path.parent, folder))
    try:
        template = environment.get_template(path.name)
        text = bounded(template.generate({**variables, "version": numbers}), path)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"{error.name or path}:{error.lineno}: {error.message}") from None
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise UserError(f"{path}:{line_of(error)}: {error or type(error).__name__}") from None
    return read_fragment(path.name.removesuffix(SUFFIX), text, path.name)


def import_config(path: Path) -> Fragment:
    """The fragment in file ``path``, written by hand or by scripts/kconfig, plain or gzipped like ``/proc/config.gz``.

    What scripts/kconfig wrote is a whole configuration (base ``olddefconfig``). Raises :class:`UserError`.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a regular file", hint="write what it gives into a file first")
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as unpacked:
                data = unpacked.read(LIMIT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a kconfig")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text") from None
    fragment = read_fragment(path.name.removesuffix(".gz").removesuffix(".config") or "config", text, path.name)
    if not fragment.asked:
        raise UserError(f"{path}: no line of it sets a symbol", hint="give the .config of a kernel")
    return replace(fragment, base="olddefconfig") if WHOLE.search(text) else fragment


def find(name: str, folder: Path) -> Path:
    """The template's file; :class:`UserError` with the known names where there is none."""
    shared = folder / f"{name}{SUFFIX}"
    path = shared if "/" not in name and shared.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.name.removesuffix(SUFFIX) for file in folder.glob(f"*{SUFFIX}")))
        raise UserError(f"no kconfig {name!r}; there are {known}; or give a path to a file")
    return path


def make_environment(folders: Sequence[Path]) -> Environment:
    """Jinja2 for templates that may be a stranger's: sandboxed, no file outside ``folders``, little to count with."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if isinstance(left, int) and isinstance(right, int) and operator != "**":
                return super().call_binop(context, operator, left, right)
            raise TypeError(f"{operator} is for two integers here")

    environment = Sandbox(  # a kconfig is no HTML, so nothing is escaped
        loader=marking_loader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals = {}
    environment.filters = {name: environment.filters[name] for name in ("default", "join", "lower", "upper")}
    return environment


def marking_loader(folders: Sequence[Path]) -> BaseLoader:
    """Loads templates with each line that asks for something marked with its place: rendering moves lines about."""
    from jinja2 import FunctionLoader

    def load(name: str) -> str | None:
        for folder in folders:
            path = folder / name
            if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                with path.open("rb") as file:
                    data = file.read(LIMIT_BYTES + 1)
                if len(data) > LIMIT_BYTES:
                    raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a kconfig")
                return mark(data.decode(errors="replace").replace(MARK, "�"), name)
        return None

    return FunctionLoader(load)


def mark(text: str, name: str) -> str:
    """``text`` with its place after each line with a symbol."""
    place = re.sub(r"[{}%#\s]", "_", name)
    return "\n".join(
        f"{line}{MARK}{place}:{number}{MARK}"
        if "CONFIG_" in line and not line.rstrip().endswith(("%}", "#}"))
        else line
        for number, line in enumerate(text.split("\n"), 1)
    )


def bounded(pieces: Iterator[str], path: Path) -> str:
    """The joined pieces; :class:`UserError` when a template does not come to an end."""
    text = io.StringIO()
    for piece in pieces:
        text.write(piece)
        if text.tell() > LIMIT_BYTES:
            raise UserError(f"{path}: gives more than {LIMIT_BYTES >> 20} MiB")
    return text.getvalue()


def line_of(error: BaseException) -> int:
    """The template's line in which ``error`` came up: Jinja2 rewrites tracebacks so that they say it."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def read_fragment(name: str, text: str, file: str) -> Fragment:
    """What ``text`` asks for, line by line; a symbol's last line counts. Marks are taken out again.

    Raises :class:`UserError` naming file and line for a line that is none of a ``.config``.
    """
    asked: dict[str, Asked] = {}
    plain = []
    for number, marked in enumerate(text.splitlines(), 1):
        place = MARKED.search(marked)
        where = place[1] if place else f"{file}:{number}"
        line = MARKED.sub("", marked).rstrip()
        plain.append(line)
        asks = line.strip()
        found = ASKED.fullmatch(asks.removesuffix(OPTIONAL).rstrip())
        if found:
            symbol, value = found["set"] or found["unset"], found["value"] if found["set"] else "n"
            if not VALUE.fullmatch(value):
                raise UserError(f"{where}: CONFIG_{symbol}: {value[:60]!r} is no y, n, m, number or quoted text")
            asked[symbol] = Asked(symbol, value, where, asks.endswith(OPTIONAL))
        elif line.strip() and not line.lstrip().startswith("#"):
            raise UserError(f"{where}: {line.strip()[:60]!r} is not CONFIG_NAME=value")
    plain_text = "".join(f"{line}\n" for line in plain)
    base = BASE.search(plain_text)
    kind = base[1] if base else BASES[0]
    if kind not in BASES:
        raise UserError(f"{file}: base {kind!r}: there are {', '.join(BASES)}")
    return Fragment(name, plain_text, tuple(asked.values()), kind)


def with_required(fragment: Fragment, require: Sequence[str]) -> Fragment:
    """``fragment`` asking also for what a case requires: ``NUMA``, ``CONFIG_NUMA=y`` or ``NODES_SHIFT=6``."""
    asked = {ask.symbol: ask for ask in fragment.asked}
    for entry in require:
        found = REQUIRED.fullmatch(entry.strip())
        if found is None or not VALUE.fullmatch(found["value"] or "y"):
            raise UserError(f"require: {entry!r} is no symbol", hint='for example "NUMA" or "NODES_SHIFT=6"')
        symbol, value = found["symbol"], found["value"]
        known = asked.get(symbol)
        if known is None or (known.value == "n" if value is None else known.value != value):
            asked[symbol] = Asked(symbol, value or "y", REQUIRED_PLACE)
    return replace(fragment, asked=tuple(asked.values()))


def required_values(require: Sequence[str]) -> dict[str, str]:
    """Symbol to the value that is required of it; empty where anything but ``n`` will do."""
    found = (REQUIRED.fullmatch(entry.strip()) for entry in require)
    return {match["symbol"]: match["value"] or "" for match in found if match}
