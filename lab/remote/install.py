"""Setting a host up: what is missing there is found out first and told, then done, by nothing but a POSIX shell.

Below ``<folder>`` (the host's own, or ``.local/share/kernel-boot-lab`` in the home folder there) are
``versions/<hash>``, a checkout of the lab each, and ``venvs/<hash>``, the libraries that versions with the same
requirements share. Two people who set the same account up at once wait for each other; other versions stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import InfrastructureError
from lab.remote.hosts import Host
from lab.remote.ssh import Link
from lab.remote.version import Version

PYTHON_MINIMUM = (3, 11)
LOCK_SECONDS = 1800
INSTALL_SECONDS = 1800.0
LINE_BYTES = 2000
NO_LAB, NO_VERSION = "kernel-boot-lab-is-not-here", "kernel-boot-lab-has-not-this-version"
UNREADY = {NO_LAB: "the lab is not set up there", NO_VERSION: "this version of the lab is not on it"}

LOOK = """\
cd {folder} 2>/dev/null || echo fresh=yes
printf 'python=%s\\n' "$(python3 -c 'import sys; print(sys.version.split()[0])' 2>/dev/null)"
[ -e versions/{version}/lab/__init__.py ] && echo version=yes
[ -e venvs/{environment}/.whole ] && echo venv=yes
command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && echo debian=yes
{{ [ "$(id -u)" = 0 ] || {{ command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }}; }} && echo root=yes
for package in {packages}; do
    state=$(dpkg-query -W -f='${{Status}}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || echo "missing=$package"
done
for tool in git gcc make flex bison bc perl xz qemu-system-x86_64 busybox flock tar sha256sum; do
    command -v "$tool" >/dev/null 2>&1 || echo "tool=$tool"
done
echo end=yes
"""

UNPACK = """\
set -eu
mkdir -p {folder}/versions && cd {folder}
exec 9>setup.lock && flock -w {wait} 9
new=versions/.new-{version}
rm -rf "$new" && mkdir "$new"
cat >"$new.tar.gz"
echo "{digest}  $new.tar.gz" | sha256sum -c - >/dev/null
tar -xzf "$new.tar.gz" -C "$new" --no-same-owner
rm -f "$new.tar.gz"
[ -e versions/{version} ] && rm -rf "$new" || mv "$new" versions/{version}
"""

PACKAGES = "cd {folder}/versions/{version} && exec sh ci/setup --packages"

LIBRARIES = """\
set -eu
mkdir -p {folder}/venvs && cd {folder}
exec 9>setup.lock && flock -w {wait} 9
venv=venvs/{environment}
[ -e "$venv/.whole" ] && exit 0
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check {libraries}
touch "$venv/.whole"
"""


@dataclass(frozen=True)
class Found:
    """What is there. ``python`` is empty where there is none; ``missing`` are Debian packages, ``tools`` commands."""

    python: str
    version: bool
    libraries: bool
    debian: bool
    root: bool
    missing: tuple[str, ...]
    tools: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One thing that has to be done there: in words, and how."""

    what: str
    command: str
    input: bytes = b""


def folder_of(host: Host) -> str:
    """Where the lab is there, quoted for a shell. Relative: a session begins in the home folder."""
    return shlex.quote(host.folder or ".local/share/kernel-boot-lab")


def shell(script: str) -> str:
    """A command line for whatever login shell there is that has sh(1) run ``script``."""
    return f"exec sh -c {shlex.quote(script)}"


def serve_command(host: Host, version: Version, module: str = "lab.remote.serve", *words: str) -> str:
    """What starts a module of this version of the lab there; where it can't, one of :data:`UNREADY` is said."""
    cache = f"LAB_CACHE={shlex.quote(host.folder + '/cache')} " if host.folder else ""
    python, source = f"venvs/{version.environment}/bin/python", f"versions/{version.name}"
    return shell(
        f"cd {folder_of(host)} 2>/dev/null && [ -e venvs/{version.environment}/.whole ] || "
        f"{{ echo {NO_LAB}; exit 1; }}; "
        f"[ -e {source}/lab ] || {{ echo {NO_VERSION}; exit 1; }}; "
        f'here=$(pwd) && cd && {cache}PYTHONPATH="$here/{source}" PYTHONDONTWRITEBYTECODE= PYTHONUNBUFFERED=1 '
        f'PYTHONSAFEPATH=1 exec "$here/{python}" -m {module} {shlex.join(words)}'
    )


def look(link: Link, version: Version) -> Found:
    """What is there and what is missing."""
    packages = shlex.join(wanted_packages(version))
    names = {"version": version.name, "environment": version.environment, "packages": packages}
    said = link.run(shell(LOOK.format(folder=folder_of(link.host), **names)))
    pairs = [line.partition("=")[::2] for line in said.text.splitlines() if "=" in line]
    facts = {name: value[:200] for name, value in pairs}
    if facts.get("end") != "yes":
        last = said.text.strip().splitlines()[-1:] or [f"status {said.status}"]
        raise InfrastructureError(f"{link.host.name}: no shell that can be worked with: {last[0][:300]}")
    debian = facts.get("debian") == "yes"
    return Found(
        python=facts.get("python", ""),
        version=facts.get("version") == "yes",
        libraries=facts.get("venv") == "yes",
        debian=debian,
        root=facts.get("root") == "yes",
        missing=tuple(value for name, value in pairs if name == "missing") if debian else (),
        tools=tuple(value for name, value in pairs if name == "tool"),
    )


def wanted_packages(version: Version) -> list[str]:
    """The Debian packages of ``ci/debian-packages``."""
    from lab.remote.version import source_files

    lines = source_files()["ci/debian-packages"].decode().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def plan(found: Found, host: Host, version: Version) -> list[Step]:
    """What has to be done there, in this order; nothing where nothing is missing.

    Raises :class:`InfrastructureError` with the command for an administrator where packages are missing and nobody
    there may install them.
    """
    names = {"folder": folder_of(host), "version": version.name, "wait": LOCK_SECONDS}
    steps = []
    if found.missing and not found.root:
        names_of = " ".join(found.missing)
        raise InfrastructureError(
            f"{host.name}: Debian packages are missing there, and this user may not install any: {names_of}",
            hint=f"there, as root: apt-get install --no-install-recommends {names_of}",
        )
    if not found.debian and found.tools:
        raise InfrastructureError(
            f"{host.name}: it is no Debian, and these tools are missing there: {' '.join(found.tools)}",
            hint="install them by its own package manager; ci/setup names the packages for Fedora and Arch",
        )
    if not found.version:
        digest = hashlib.sha256(version.archive).hexdigest()
        where = host.folder or "~/.local/share/kernel-boot-lab"
        what = f"send this version of the lab ({len(version.archive) / 1e6:.1f} MB) to {where}"
        steps.append(Step(what, shell(UNPACK.format(digest=digest, **names)), version.archive))
    if found.missing:
        steps.append(Step(f"install Debian packages: {' '.join(found.missing)}", shell(PACKAGES.format(**names))))
    if not found.libraries:
        libraries = shlex.join(version.libraries)
        script = LIBRARIES.format(environment=version.environment, libraries=libraries, **names)
        steps.append(Step(f"install Python libraries by pip: {', '.join(version.libraries)}", shell(script)))
    return steps


def check_python(found: Found, host: Host) -> None:
    """Refuse a host whose Python is too old for the lab."""
    numbers = tuple(int(part) for part in found.python.split(".")[:2] if part.isdecimal())
    if found.python and numbers < PYTHON_MINIMUM:
        wanted = ".".join(map(str, PYTHON_MINIMUM))
        raise InfrastructureError(f"{host.name}: python3 is {found.python} there; the lab needs {wanted} or newer")


def do(step: Step, link: Link, say: Callable[[str], None]) -> None:
    """Do one step; what is said there is told line by line. :class:`InfrastructureError` where it fails."""
    pipe = link.start(step.command, silent=INSTALL_SECONDS)
    with contextlib.closing(pipe):
        pipe.joined()
        pipe.write(step.input)
        pipe.end_input()
        rest, last = b"", ""
        while data := pipe.some():
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-LINE_BYTES:]
            for line in lines:
                last = line[:LINE_BYTES].decode(errors="replace").strip() or last
                say(last)
        status = pipe.status()
        last = rest.decode(errors="replace").strip() or last
    if status:
        raise InfrastructureError(f"{link.host.name}: could not {step.what}: {last or f'status {status}'}")
