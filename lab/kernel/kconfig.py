"""Kconfigs: a fragment resolved by the tree's own scripts/kconfig, and checked.

What was asked for either came, or it is said which dependency took it away.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from lab.errors import InfrastructureError, LabError, UserError
from lab.files import locked, write_atomic
from lab.kernel.complaint import Complaint, first_error, world_fault
from lab.kernel.environment import APT, make_environment, make_variables, source_arch
from lab.kernel.fragment import Asked, Fragment, import_config, render, required_values, with_required
from lab.kernel.types import Compat, Kconfig, Toolchain, Unmet
from lab.paths import Paths
from lab.process import run
from lab.sandbox import Sandbox, quiet_cache, shut_in

__all__ = ["BrokenKconfig", "Fragment", "cached", "import_config", "render", "resolve", "settle"]

SECONDS = 300.0
FORMAT = 2
"""Part of what a resolution is kept under: raised when the same inputs would be resolved in another way."""

LINE = re.compile(r"CONFIG_(\w+)=|# CONFIG_(\w+) is not set")
DATED = re.compile(r"# (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ")
"""The line with which kernels until 2.6.39 said when the file was made."""


class BrokenKconfig(LabError):
    """The tree's Kconfig files can't be read, so this point of the tree does not build. That is a result; whoever
    builds points makes it one."""

    def __init__(self, complaint: Complaint, log: Path) -> None:
        super().__init__(f"{complaint.file}:{complaint.line}: {complaint.message}")
        self.complaint = complaint
        self.log = log


def cached(
    fragment: Fragment,
    *,
    tree_id: str,
    toolchain: Toolchain,
    compat: Compat,
    paths: Paths,
    require: Sequence[str] = (),
    early: bool = False,
) -> Kconfig | None:
    """What an earlier :func:`resolve` of the same inputs came to, or ``None``."""
    given = (fragment, toolchain.identity, toolchain.arch, compat.flags, sorted(require), early)
    return read_cached(cache_file(paths, tree_id, *given))


def read_cached(path: Path) -> Kconfig | None:
    """The kconfig in a file of the cache, if there is one."""
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
    early: bool = False,
) -> Kconfig:
    """Resolve ``fragment`` with the tree's own scripts/kconfig, and check that what was asked for came.

    ``require`` are symbols (``NUMA``, ``NODES_SHIFT=6``) that are asked for too and must come. ``early`` is for a point
    before the series' end: a required symbol that the tree does not know yet is no error there.

    Raises :class:`UserError` for a symbol that the tree does not have, with the place that asks for it, and for a
    required one that did not come, with what took it away; :class:`BrokenKconfig` for a tree whose Kconfig can't be
    read.
    """
    from lab.kernel.inputs import kconfig_inputs

    whole = with_required(fragment, require)
    given = (fragment, toolchain.identity, toolchain.arch, compat.flags, sorted(require), early)
    # Most points of a series have the same Kconfig files, and so the same result.
    inputs = kconfig_inputs(source, source_arch(toolchain.arch))
    keys = (tree_id, inputs) if inputs else (tree_id,)
    if inputs:
        known = read_cached(cache_file(paths, inputs, *given))
        if known is not None:
            write_atomic(cache_file(paths, tree_id, *given), msgspec.json.encode(known))
            return known
    own = f"-foreign-{toolchain.sandbox.key}" if toolchain.sandbox else ""
    place = paths.objects / f"kconfig-{hashlib.sha256(str(source).encode()).hexdigest()[:16]}{own}"
    place.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock"), deadline=SECONDS):
        environment = quiet_cache(make_environment(paths), place, toolchain.sandbox)
        variables, sandbox = make_variables(toolchain, compat), toolchain.sandbox
        text = configure(whole, source, place, variables=variables, environment=environment, sandbox=sandbox)
        lost = not_come(whole, read_config(text), require)
        why: dict[str, Unmet] = {}
        if lost:
            from lab.kernel.explain import explain

            why = explain({ask.symbol: ask.value for ask in lost}, source, place / ".config", toolchain)
    kconfig = Kconfig(
        name=fragment.name,
        text=text,
        key=hashlib.sha256(text.encode()).hexdigest(),
        asked=tuple((ask.symbol, ask.value) for ask in whole.asked),
        unmet=tuple(judged(lost, why, whole, required_values(require), early=early)),
    )
    for kept_under in keys:
        write_atomic(cache_file(paths, kept_under, *given), msgspec.json.encode(kconfig))
    return kconfig


def settle(
    name: str, lines: Sequence[str], source: Path, *, tree_id: str, toolchain: Toolchain, compat: Compat, paths: Paths
) -> Kconfig:
    """What the tree makes of a whole configuration, given in the lines of a ``.config`` of which the last for a symbol
    counts. Nothing of it is demanded: what does not fit together is gone."""
    given = ("settled", tuple(lines), toolchain.identity, toolchain.arch, compat.flags)
    known = read_cached(cache_file(paths, tree_id, *given))
    if known is not None:
        return replace(known, name=name)
    asked = {text: Asked(symbol_of(text), value_of(text), "mix") for text in lines if symbol_of(text)}
    fragment = Fragment(name, "", tuple(asked.values()), "olddefconfig")
    own = f"-foreign-{toolchain.sandbox.key}" if toolchain.sandbox else ""
    place = paths.objects / f"kconfig-{hashlib.sha256(str(source).encode()).hexdigest()[:16]}{own}"
    place.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock"), deadline=SECONDS):
        environment = quiet_cache(make_environment(paths), place, toolchain.sandbox)
        variables, sandbox = make_variables(toolchain, compat), toolchain.sandbox
        text = configure(fragment, source, place, variables=variables, environment=environment, sandbox=sandbox)
    kconfig = Kconfig(name, text, hashlib.sha256(text.encode()).hexdigest())
    write_atomic(cache_file(paths, tree_id, *given), msgspec.json.encode(kconfig))
    return kconfig


def value_of(text: str) -> str:
    """The value that a line of a ``.config`` gives its symbol."""
    return text.partition("=")[2].rstrip("\n") if text.startswith("CONFIG_") else "n"


def cache_file(paths: Paths, *given: object) -> Path:
    """Where the resolution of what is ``given`` is kept."""
    return paths.kconfigs / f"{hashlib.sha256(repr((FORMAT, *given)).encode()).hexdigest()}.json"


def not_come(fragment: Fragment, values: Mapping[str, str], require: Sequence[str]) -> list[Asked]:
    """What was asked for and has another value; where any value but ``n`` is required, one such is enough."""
    any_will_do = {symbol for symbol, value in required_values(require).items() if not value}
    return [
        ask
        for ask in fragment.asked
        if not same(ask.value, values.get(ask.symbol, "n"))
        and not (ask.symbol in any_will_do and values.get(ask.symbol, "n") != "n")
    ]


def judged(
    lost: Sequence[Asked], why: Mapping[str, Unmet], fragment: Fragment, required: Mapping[str, str], *, early: bool
) -> list[Unmet]:
    """Of what did not come, what is told of; raises for what can't be let go.

    Whoever brings a whole ``.config`` of another kernel brings symbols that this one does not have; whoever writes a
    fragment means each line of it.
    """
    told = []
    for ask in lost:
        unmet = why[ask.symbol]
        known = bool(unmet.where)
        if ask.symbol in required and (known or not early):
            raise UserError(
                f"the case requires CONFIG_{ask.symbol}={ask.value}, and {unmet.got} came: {unmet.why}",
                hint="change the kconfig, or what series.toml requires",
            )
        if not known and not ask.optional and ask.symbol not in required and fragment.base != "olddefconfig":
            raise UserError(f"{ask.where}: CONFIG_{ask.symbol}: {unmet.why}")
        if known or not (ask.optional or ask.symbol in required):
            told.append(unmet)
    return told


def configure(
    fragment: Fragment,
    source: Path,
    place: Path,
    *,
    variables: list[str],
    environment: dict[str, str],
    sandbox: Sandbox | None = None,
) -> str:
    """Run the tree's kconfig on ``fragment`` in ``place``; the resolved ``.config`` without what changes by itself."""
    config, wanted = place / ".config", place / "fragment.config"

    def make_target(argv: list[str]) -> None:
        shut = shut_in(argv, source=source, writable=(place,), env=environment, sandbox=sandbox)
        make(shut, source, place, environment)

    write_atomic(wanted, "".join(f"{line(ask)}\n" for ask in fragment.asked))
    common = ["make", "-s", "-C", str(source), f"O={place}", *variables]
    if fragment.base == "allnoconfig":
        make_target([*common, f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig"])
    else:
        config.unlink(missing_ok=True)
        if fragment.base == "defconfig":
            make_target([*common, "defconfig"])
        names = {ask.symbol for ask in fragment.asked}
        kept = [text for text in read_lines(config) if symbol_of(text) not in names]
        write_atomic(config, "".join(kept) + wanted.read_text())
        make_target([*common, "olddefconfig"])
    return "".join(text for text in read_lines(config) if not DATED.match(text))


def make(argv: list[str], source: Path, place: Path, environment: dict[str, str]) -> None:
    """One target of the tree's kconfig."""
    done = run(argv, deadline=SECONDS, env=environment, hint=f"{APT} make")
    if done.ok:
        return
    said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    log = place / "kconfig.log"
    write_atomic(log, "\n".join(said) + "\n")
    fault = world_fault(said)
    if fault:
        raise InfrastructureError(f"make {argv[-1]} stopped: {fault[0]}", hint=fault[1])
    complaint = first_error(said, source)
    if not complaint.file:
        raise InfrastructureError(f"make {argv[-1]} failed in {source}: {complaint.message}", hint=f"log: {log}")
    raise BrokenKconfig(complaint, log)


def read_lines(config: Path) -> list[str]:
    """The lines of a ``.config``, none where there is no file."""
    return config.read_text(errors="replace").splitlines(keepends=True) if config.exists() else []


def symbol_of(text: str) -> str:
    """The symbol that a line of a ``.config`` is about, or nothing."""
    found = LINE.match(text)
    return (found[1] or found[2]) if found else ""


def line(ask: Asked) -> str:
    """An asked symbol as a line of a ``.config``."""
    return f"# CONFIG_{ask.symbol} is not set" if ask.value == "n" else f"CONFIG_{ask.symbol}={ask.value}"


def read_config(text: str) -> dict[str, str]:
    """Symbol to value of a ``.config``; what is not set is not in it."""
    return dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE))


def same(asked: str, got: str) -> bool:
    """Whether the value is the one that was asked for; an empty string is as good as one that is not set."""
    return asked == got or (asked in ("n", '""') and got in ("n", '""'))
