"""The files of a bundle, and the tarball: the same, bit for bit, from the same case, kernel and console."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.bundle.script import INITRD, KERNEL, Recipe, script
from lab.errors import UserError
from lab.files import write_atomic
from lab.guest.machine import Machine, show_size
from lab.kernel.environment import make_environment, make_variables
from lab.tree.importing.write import toml

if TYPE_CHECKING:
    from lab.console.types import Finding
    from lab.line import Line, Probe, Setup
    from lab.tree.types import Base

COMMENT = "kernel-boot-lab bundle"
HEADERS = {"bug": "kernel BUG at", "oops": "[#1]", "panic": "Kernel panic", "warning": "WARNING: "}
"""What the kernel prints first for a finding of that kind, without anything that changes from build to build."""

LEAST_SECONDS = 120


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written: its file, its hash, what its console shows."""

    path: Path
    sha256: str
    size: int
    expect: tuple[str, ...]
    verdict: str
    reason: str


def pack(line: Line, probe: Probe, setup: Setup, output: Path) -> Bundle:
    """Write the bundle of one point of a case, as ``probe`` found it.

    Raises :class:`UserError` where there is nothing to repeat: the point did not build, or was not booted.
    """
    if probe.kernel is None or probe.boot is None:
        raise UserError(f"{line.case.name}: point {probe.point.index} has no boot to repeat: {probe.verdict.reason}")
    files = files_of(line, probe, setup)
    expect = expected(probe.verdict.finding)
    name = output.name.removesuffix(".tar.gz") or "bundle"
    data = tarball(name, files)
    write_atomic(output, data)
    return Bundle(output, hashlib.sha256(data).hexdigest(), len(data), expect, probe.verdict.word, probe.verdict.reason)


def expected(finding: Finding | None) -> tuple[str, ...]:
    """The fixed texts that tell the finding; none where user space's marker is what is expected."""
    if finding is None:
        return ()
    texts = [HEADERS[finding.kind]] if finding.kind in HEADERS else []
    texts += [f"{finding.function}+0x"] if finding.function else []
    return tuple(texts) or (finding.title,)


def files_of(line: Line, probe: Probe, setup: Setup) -> dict[str, bytes]:
    """Every file of the bundle by its name in it."""
    assert probe.kernel is not None  # noqa: S101 - pack() looked
    assert probe.boot is not None  # noqa: S101
    index, case = probe.point.index, line.case
    files: dict[str, bytes] = {}
    compat = [(f"compat/{path.name}", path) for path in line.compat.patches]
    patches = [(f"patches/{path.name}", path) for path in case.patches]
    fix = [(f"fix/{path.name}", path) for path in case.fix]
    for name, path in (*compat, *patches, *fix):
        files[name] = path.read_bytes()
    taken = [name for name, _ in (*patches, *fix)[:index]]
    from lab.guest.initramfs import build

    files["initramfs.cpio"] = build(setup.paths).read_bytes()
    files["config"] = probe.kernel.config.read_bytes()
    files["console.txt"] = probe.boot.console.read_bytes()
    files["machine.toml"] = machine_toml(line.machine).encode()
    files["fragment.config"] = f"# base: {line.fragment.base}\n{line.fragment.text}".encode()
    files["series.toml"] = manifest(line, [name for name, _ in patches], [name for name, _ in fix]).encode()
    files["reproduce.sh"] = script(recipe(line, probe, tuple(name for name, _ in compat), tuple(taken), setup)).encode()
    files["README"] = readme(line, probe).encode()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return {**files, "SHA256SUMS": sums.encode()}


@dataclass(frozen=True)
class Source:
    """Where the script looks for the kernel source, from where it fetches it otherwise, and what it tells of it."""

    path: str
    url: str
    sha256: str
    hint: str


def source_of(name: str, base: Base) -> Source:
    """What others can have base ``name`` from: the Debian package and the tarball of the table, or a release of
    kernel.org, with the SHA-256 that it had here. Of a source package they are told how to unpack it."""
    from lab.tree.bases import SOURCES, find_entry, load_table
    from lab.tree.dsc import is_dsc
    from lab.tree.releases import release

    hint = f"Recorded on {base.source}" + (f"; {base.stand_in}" if base.stand_in else "")
    entry, one = find_entry(name, load_table()), release(name)
    if entry is not None:
        package = str(SOURCES / f"{entry.package}.tar.xz") if entry.package else "linux"
        return Source(package, entry.url if entry.sha256 else "", entry.sha256, hint)
    if one is not None:
        digest = re.match(rf"{re.escape(one.file)} of kernel\.org, sha256 ([0-9a-f]{{64}})", base.source)
        return Source(one.file, one.url, digest[1] if digest else "", hint)
    if is_dsc(name):
        return Source("linux", "", "", f"{hint}. Unpack it with: dpkg-source -x {name} linux")
    return Source("linux", "", "", hint)


def recipe(line: Line, probe: Probe, compat: tuple[str, ...], patches: tuple[str, ...], setup: Setup) -> Recipe:
    """What the script does."""
    from lab.guest.command import TEMPLATE, kernel_command_line, render
    from lab.paths import data_folder

    base = line.tree.base
    found = source_of(line.case.base, base)
    variables = make_variables(line.toolchain, line.compat, ("$(srctree)",))
    variables = [re.sub(r"^((?:HOST)?CC=)ccache ", r"\1", one) for one in variables]
    environment = {name: value for name, value in make_environment(setup.paths).items() if name.startswith("KBUILD_")}
    argv = render(
        line.machine,
        image=Path(KERNEL),
        initrd=Path(INITRD),
        append=kernel_command_line(line.machine, line.case.append),
        accel="tcg",
        template=data_folder("qemu") / TEMPLATE,
    )
    return Recipe(
        title=f"{line.case.title}: point {probe.point.index} of {line.series_end}",
        base=f"{base.version} ({line.case.base})",
        base_hint=found.hint,
        source=found.path,
        url=found.url,
        sha256=found.sha256,
        compat=compat,
        patches=patches,
        make=tuple(variables),
        environment=(("LC_ALL", "C"), *sorted(environment.items())),
        qemu=tuple(argv),
        expect=expected(probe.verdict.finding),
        seconds=max(LEAST_SECONDS, int(setup.timeout)),
    )


def machine_toml(machine: Machine) -> str:
    """The machine as a file of its own."""
    lines = [f"title = {toml(machine.title)}", f"arch = {toml(machine.arch)}", f"type = {toml(machine.type)}"]
    options = ", ".join(f"{key} = {toml(value)}" for key, value in machine.options)
    lines += [f"options = {{ {options} }}"] if options else []
    lines += [f"cpu = {toml(machine.cpu)}"] if machine.cpu else []
    lines += [f"firmware = {toml(machine.firmware)}"]
    lines += [f"append = {toml(machine.append)}"] if machine.append else []
    lines += [f"visible_nodes = {machine.visible_nodes}"]
    lines += ["", "[topology]", f"sockets = {machine.sockets}", f"cores = {machine.cores}",
              f"threads = {machine.threads}"]  # fmt: skip
    for number, node in enumerate(machine.nodes):
        cpus = ",".join(map(str, node.cpus))
        lines += ["", "[[node]]", f"cpus = {toml(cpus)}", f"memory = {toml(show_size(node.memory) or '0')}"]
        if machine.distances:
            lines.append(f"distances = [{', '.join(map(str, machine.distances[number]))}]")
    return "\n".join(lines) + "\n"


def manifest(line: Line, patches: list[str], fix: list[str]) -> str:
    """``series.toml``, so that ``lab repro BUNDLE`` takes it back."""
    case = line.case
    lines = [f"title = {toml(case.title)}", f"base = {toml(case.base)}", 'kconfig = "fragment.config"']
    lines += ['machine = "machine.toml"', f"require = {toml(case.require)}"]
    lines += [f"patches = {toml(patches)}"] if patches else []
    lines += [f"fix = {toml(fix)}"] if fix else []
    lines += [f"append = {toml(case.append)}"] if case.append else []
    expect = case.expect
    lines += ["", "[expect]", f"signature = {toml(expect.signature)}", f"title = {toml(expect.title)}"]
    lines += [f"first_bad = {expect.first_bad}"] if expect.first_bad else []
    origin = case.origin.source if case.origin else "a bundle"
    return "\n".join([*lines, "", "[origin]", f"source = {toml(origin)}"]) + "\n"


def readme(line: Line, probe: Probe) -> str:
    """What it is, for who has never heard of the lab."""
    base, found = line.tree.base, probe.verdict
    stand_in = f"\nThat is a stand-in: {base.stand_in}." if base.stand_in else ""
    return f"""{line.case.title}

./reproduce.sh [SOURCE]     builds Linux {base.version} with patches 1 to {probe.point.index} and boots it under QEMU

SOURCE is the kernel source: a folder, a git tree or a tarball. Recorded on: {base.source}.{stand_in}
Found: {found.word}: {found.reason}
Machine: {line.machine.title}. Compiler: {line.toolchain.cc} {".".join(map(str, line.toolchain.cc_version))}.

config         the kernel's .config               console.txt      what was recorded
patches/, fix/ the series, and its fix            compat/          what lets this kernel build with new tools
initramfs.cpio a static busybox and an init script; it says "lab: userspace" when the kernel came up

reproduce.sh runs the Makefiles of the kernel with these patches on your machine. Read the patches first.
With the kernel boot lab: lab repro THIS-FILE.tar.gz
"""


def tarball(name: str, files: dict[str, bytes]) -> bytes:
    """A gzipped tarball with one top folder; nothing of today or of this user is in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, (path, data) in enumerate(sorted(files.items())):
            info = tarfile.TarInfo(f"{name}/{path}")
            info.size, info.mode, info.mtime = len(data), 0o755 if path.endswith(".sh") else 0o644, 0
            info.pax_headers = {"comment": COMMENT} if number == 0 else {}
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 9, mtime=0)
