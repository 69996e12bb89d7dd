"""A board: a labgrid environment (a YAML file), and what the lab has to know of it beside that.

The file is labgrid's own, with the lab's wishes under ``options: lab:`` of the target. What a run is about comes into
it by labgrid's own templates: ``!template "$LG_KERNEL"`` and the like (:data:`VARIABLES`). Which of these the file
names says what the board takes, so that a kernel that it never gets is not judged.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from lab.arch import arches
from lab.errors import InfrastructureError, UserError
from lab.guest.machine import MAX_NODES, Machine, Node
from lab.manifest import LIMIT_BYTES, explain
from lab.paths import Paths, data_folder
from lab.settings import Settings

EXTRA = "pip install 'kernel-boot-lab[boards]'; in a checkout: ci/setup boards"
KERNEL, INITRAMFS, APPEND = "LG_KERNEL", "LG_INITRAMFS", "LG_APPEND"
VARIABLES = (KERNEL, INITRAMFS, APPEND)
"""What an environment can name: the path of the kernel, that of the lab's user space, and the kernel's command line."""
MAIN = "main"
"""The target that is meant where there are several (labgrid's own default)."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``options: lab:`` of a target, as it is written.

    ``nodes`` is how many NUMA nodes user space must see; ``append`` are the words that this board's kernels need (its
    console). ``state`` is the state of the environment's strategy that boots the kernel; without one, power is switched
    on. ``console`` and ``power`` name drivers where there are several. Seconds: ``provision_seconds`` for the
    strategy, ``firmware_seconds`` for what runs before the kernel, which come on top of ``--timeout``.
    """

    title: str = ""
    arch: str = "x86_64"
    nodes: int = 1
    append: str = ""
    state: str = ""
    console: str = ""
    power: str = ""
    provision_seconds: float = 300.0
    firmware_seconds: float = 0.0


@dataclass(frozen=True)
class Board:
    """A board whose file was read and checked. ``takes`` are the variables that it names, ``digest`` changes with the
    file."""

    name: str
    file: Path
    target: str
    options: Options
    takes: frozenset[str]
    digest: str

    @property
    def machine(self) -> Machine:
        """The board as the machine that a verdict is about: its nodes count, and what they consist of is not known."""
        return Machine(
            name=self.name,
            title=self.options.title or f"board {self.name}",
            type="board",
            options=(("environment", self.digest), ("target", self.target)),
            cpu="",
            firmware="",
            nodes=(Node((), 0),) * self.options.nodes,
            distances=(),
            sockets=1,
            cores=1,
            threads=1,
            append=self.options.append,
            visible_nodes=self.options.nodes,
            arch=self.options.arch,
        )


def load_board(name: str, paths: Paths, settings: Settings) -> Board:
    """The board ``name``: a path to an environment, or a name of the configuration's ``[boards]`` or of a folder
    ``boards``.

    Raises :class:`UserError` that names the file and what is wrong in it, and :class:`InfrastructureError` where
    labgrid is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("labgrid") is None:
        raise InfrastructureError("real boards are driven by labgrid, which is not installed", hint=EXTRA)
    path = find_environment(name, paths, settings)
    return read_board(path, dict(os.environ))


def folders(paths: Paths) -> tuple[Path, ...]:
    """Where environments are looked for by name: the user's, then the project's."""
    return (paths.config / "boards", data_folder("boards"))


def find_environment(name: str, paths: Paths, settings: Settings) -> Path:
    """The file of board ``name``; :class:`UserError` with the names there are, where it is none."""
    if name in settings.boards:
        return Path(settings.boards[name]).expanduser()
    for folder in folders(paths) if NAME.fullmatch(name) else ():
        if (path := folder / f"{name}.yaml").is_file():
            return path
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    there = {path.stem for folder in folders(paths) for path in folder.glob("*.yaml")}
    known = ", ".join(sorted(there | set(settings.boards))) or "none"
    raise UserError(f"no board {name!r}; known boards: {known}; or give a path to a labgrid environment (.yaml)")


def read_board(path: Path, environ: Mapping[str, str]) -> Board:
    """The board in file ``path``; nothing of it is run. ``environ`` is where other ``LG_`` variables come from."""
    content = read_bytes(path)
    data = parse(path, content)
    named = {name for template in templates(data) for name in template.get_identifiers()}
    for name in sorted(named - set(VARIABLES) - {"BASE"}):
        if not name.startswith("LG_") or name not in environ:
            known = ", ".join(VARIABLES)
            raise UserError(f"{path}: ${name} is not set; the lab sets {known}, all else that begins with LG_ you do")
    targets = data.get("targets")
    if not isinstance(targets, dict) or not targets:
        raise UserError(f"{path}: targets: there is none; see docs/boards.md")
    target = MAIN if MAIN in targets else str(next(iter(targets)))
    if len(targets) > 1 and target != MAIN:
        raise UserError(f"{path}: targets: there are {len(targets)}, and none is called {MAIN}")
    options = options_in(path, target, targets[target])
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Board(path.stem, path.absolute(), target, options, frozenset(named & set(VARIABLES)), digest)


def read_bytes(path: Path) -> bytes:
    """All of a file that a person wrote."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    if len(content) > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not an environment")
    return content


def parse(path: Path, content: bytes) -> dict[str, Any]:
    """The YAML as labgrid reads it: its templates are not filled in yet."""
    import io
    import warnings

    import yaml
    from labgrid.util.yaml import load

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # labgrid says the same when it reads the file
            data = load(io.BytesIO(content))
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())[:300]
        raise UserError(f"{path}: not valid YAML: {text or type(error).__name__}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: not a labgrid environment: there are no targets in it")
    return data


def templates(data: Any) -> Iterator[Template]:
    """All ``!template`` values in ``data``."""
    if isinstance(data, Template):
        yield data
    elif isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            yield from templates(value)


def options_in(path: Path, target: str, entry: Any) -> Options:
    """The lab's own options of a target, checked."""
    where = f"targets.{target}.options.lab"
    given = entry.get("options") if isinstance(entry, dict) else None
    wanted = given.get("lab", {}) if isinstance(given, dict) else {}
    try:
        options = msgspec.convert(wanted, Options)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {where}: {explain(str(error))}") from None

    def refuse(key: str, text: str) -> UserError:
        return UserError(f"{path}: {where}.{key}: {text}")

    if options.arch not in arches():
        raise refuse("arch", f"{options.arch[:80]!r} is none of {', '.join(sorted(arches()))}")
    if not 1 <= options.nodes <= MAX_NODES:
        raise refuse("nodes", f"{options.nodes} is not 1 to {MAX_NODES}")
    for key in ("append", "title", "state"):
        if not getattr(options, key).isprintable():
            raise refuse(key, "has a line end or another control character")
    for key, least in (("provision_seconds", 1.0), ("firmware_seconds", 0.0)):
        if not least <= getattr(options, key) <= 86400:
            raise refuse(key, f"{getattr(options, key):g} is not {least:g} to 86400")
    return options
