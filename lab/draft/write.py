"""The draft as files: ``series.toml``, ``machine.toml``, ``report.config.j2`` and the report itself."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.case import MANIFEST
from lab.draft.memory import GIB, MIB, Fact, shown
from lab.draft.read import Evidence, append_of, base_of
from lab.errors import UserError
from lab.tree.git import printable
from lab.tree.importing.switches import asks, switches
from lab.tree.importing.write import toml

if TYPE_CHECKING:
    from lab.case import Case

CPUS_LIMIT = 16
"""More would only make an emulated guest slow; how many there are is told."""
LEAST = 128 * MIB


@dataclass(frozen=True)
class Sketch:
    """A machine before it is written: bytes of memory and CPUs of each node, and what was changed to make it run
    here."""

    memory: tuple[int, ...]
    cpus: tuple[tuple[int, ...], ...]
    hole: int
    model: str
    sockets: int
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A draft that was written."""

    folder: Path
    evidence: Evidence
    machine: Sketch
    base: str
    notes: tuple[str, ...]


def sketch(evidence: Evidence, room: int) -> Sketch:
    """The machine of the report, made smaller where it needs more than ``room`` bytes or very many CPUs."""
    memory, hole = evidence.memory.nodes or (256 * MIB, 256 * MIB), evidence.memory.hole
    cpus, sockets, changed = evidence.cpus.nodes, evidence.cpus.sockets, []
    if not evidence.memory.nodes:
        changed.append("the report does not show its memory: two nodes of 256M are the lab's default")
    if len(cpus) != len(memory):
        cpus = tuple((2 * node, 2 * node + 1) for node in range(len(memory)))
    total = sum(memory)
    if total > room:
        scaled = tuple(max(LEAST, int(size * room / total) // LEAST * LEAST) for size in memory)
        changed.append(f"memory: {' + '.join(map(shown, memory))} in the report, more than this host has to spare")
        memory = scaled
        hole = hole if hole and sum(scaled) > hole else 0
    count = sum(map(len, cpus))
    if count > CPUS_LIMIT:
        each = max(1, CPUS_LIMIT // len(cpus))
        changed.append(f"CPUs: {count} in the report")
        cpus, at = (), 0
        for _ in memory:
            cpus, at = (*cpus, tuple(range(at, at + each))), at + each
        sockets = 0
    return Sketch(memory, cpus, hole, evidence.cpus.model, sockets, tuple(changed))


def machine_toml(machine: Sketch, title: str, append: str, facts: tuple[Fact, ...]) -> str:
    """``machine.toml``, with the evidence as comments."""
    lines = ["# Drafted from a bug report. What its console shows:"]
    lines += [f"#   {comment(fact.what)}  <- {comment(fact.evidence)}" for fact in facts]
    lines += [f"# Not as in the report: {comment(text)}" for text in machine.changed]
    lines.append(f"title = {toml(title)}")
    if machine.hole:
        # q35 leaves its own hole; the old PC takes the border as an option (hw/i386/pc.c, max-ram-below-4g).
        size = min(machine.hole, 3 * GIB)
        lines += ['type = "pc"', f'options = {{ max-ram-below-4g = "{shown(size)}" }}']
        if size != machine.hole:
            lines.append(f"# The hole begins at {shown(machine.hole)} in the report; QEMU's PC has it at 3G at most.")
    lines += [f"cpu = {toml(machine.model)}"] if machine.model else []
    lines += [f"memory = {toml(shown(sum(machine.memory)))}", f"cpus = {sum(map(len, machine.cpus))}"]
    lines += [f"append = {toml(append)}"] if append else []
    count, sockets = sum(map(len, machine.cpus)), machine.sockets
    if sockets and count % sockets == 0:
        lines += ["", "[topology]", f"sockets = {sockets}", f"cores = {count // sockets}"]
    for size, cpus in zip(machine.memory, machine.cpus, strict=True):
        lines += ["", "[[node]]"]
        lines += [f"cpus = {toml(cpu_list(cpus))}", f"memory = {toml(shown(size))}"]
    return "\n".join(lines) + "\n"


def cpu_list(cpus: tuple[int, ...]) -> str:
    """CPUs as the kernel lists them: ``0-3,8``."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def config_template(evidence: Evidence, brought: tuple[str, ...] = ()) -> str:
    """``report.config.j2``: the smallest kernel that comes up, what the report proves beyond it, and the switches that
    the series has ``brought``: with them off it would boot as if it were not there."""
    lines = ['{% include "tiny-numa.config.j2" %}', "", "# What the report proves, each with its evidence."]
    for hint in evidence.hints:
        lines.append(f"# {hint.evidence}")
        line = f"# CONFIG_{hint.symbol} is not set" if hint.value == "n" else f"CONFIG_{hint.symbol}={hint.value}"
        lines.append(f"{line} # where it exists")
    text = "\n".join(lines) + "\n"
    return f"{text}\n{asks(brought)}" if brought else text


def manifest(
    evidence: Evidence, base: str, title: str, *, patches: tuple[str, ...], fix: tuple[str, ...], foreign: str
) -> str:
    """``series.toml``; ``foreign`` is where a stranger's series came from."""
    finding = evidence.finding
    lines = [f"title = {toml(title)}", f"base = {toml(base)}", 'kconfig = "report.config.j2"']
    lines.append('machine = "machine.toml"')
    lines += [f"patches = {toml(patches)}"] if patches else []
    lines += [f"fix = {toml(fix)}"] if fix else []
    if finding is not None:
        lines += ["", "[expect]", f"signature = {toml(printable(finding.signature))}"]
        lines += [f"title = {toml(printable(finding.title))}"]
    lines += ["", "[origin]", f"source = {toml(foreign)}"] if foreign else []
    return "\n".join(lines) + "\n"


def write_draft(folder: Path, evidence: Evidence, *, room: int, series: Case | None = None) -> Draft:
    """Write the draft into ``folder``, which must not exist; with ``series``, its patches and base.

    ``room`` is how many bytes a guest may have. Raises :class:`UserError`, and leaves nothing then.
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: is there already", hint="choose another --output, or remove it")
    notes = []
    base = series.base if series else base_of(evidence.version)
    if not base:
        raise UserError(f"{evidence.source}: it does not name its kernel's version", hint="name a case with --series")
    machine = sketch(evidence, room)
    finding = evidence.finding
    title = printable(finding.title if finding else f"a report from Linux {evidence.version}")
    hardware = next((fact.evidence for fact in evidence.cpus.facts if "sockets" in fact.what), "")
    name = comment(hardware) or f"{len(machine.memory)} node(s) of a bug report"
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name[:60]}.", suffix=".tmp", dir=folder.parent))
    try:
        work.chmod(0o755)
        patches = copied(series.patches, work, "") if series else ()
        fix = copied(series.fix, work, "fix/") if series else ()
        brought = switches((work / name).read_text(encoding="utf-8", errors="replace") for name in patches)
        foreign = (series.origin.source or "mails") if series and series.origin else ""
        text = manifest(evidence, base, title, patches=patches, fix=fix, foreign=foreign)
        (work / MANIFEST).write_text(text, encoding="utf-8")
        (work / "machine.toml").write_text(
            machine_toml(machine, name, append_of(evidence.command_line), evidence.facts), encoding="utf-8"
        )
        (work / "report.config.j2").write_text(config_template(evidence, brought), encoding="utf-8")
        (work / "console.txt").write_text(evidence.text, encoding="utf-8", errors="replace")
        check(work)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    if not patches:
        notes.append("no series is named: the case is its base alone; give the series with --series")
    if finding is None:
        notes.append("there is no crash in it, so nothing is looked for")
    return Draft(folder, evidence, machine, base, (*machine.changed, *notes))


def copied(files: tuple[Path, ...], work: Path, below: str) -> tuple[str, ...]:
    """Copy ``files`` into the draft; their names in it."""
    for file in files:
        (work / below).mkdir(exist_ok=True)
        shutil.copyfile(file, work / below / file.name)
    return tuple(f"{below}{file.name}" for file in files)


def check(work: Path) -> None:
    """Read the draft as the lab will: what it can't read is a fault of the draft's."""
    from lab.case import load_case
    from lab.guest.machine import load_machine

    case = load_case(str(work), work.parent)
    load_machine(case.machine, work)


def comment(text: str) -> str:
    """Text for a comment: one printable line."""
    return re.sub(r"\s+", " ", printable(text)).strip()[:200]
