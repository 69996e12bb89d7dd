"""What `lab bisect` takes, against `git bisect run` with a good script.

Both begin from nothing built: each has an empty compiler cache and empty object directories of its own, and the base
imported, the series applied. The script is what a careful person writes: the same make variables and environment,
every step built in one hot object directory behind ccache, `panic=-1`, a grep for the crash, a marker for good. It does
not prove its ends, and its tree is checked out before its clock begins; the lab's checkout counts as the lab's.

`cold`: nothing built. `warm`: yesterday's compiler cache and checkout, but no kernel, object, boot or journal. `again`:
the same command once more. The ratios are to the script's time. The floor is one cold build, one link a further
probe, one boot a probe; `over_*` say where the lab's cold time goes beyond that.

Nothing else should compile meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.case import load_case
from lab.errors import InfrastructureError
from lab.guest.command import kernel_command_line, render
from lab.guest.initramfs import build as build_initramfs
from lab.kernel.environment import make_environment, make_variables
from lab.line import Line, Setup, kconfig_of, point_at, prepare
from lab.paths import Paths, data_folder, user_paths
from lab.process import die_with_parent, end_group
from lab.progress import silent
from lab.settings import load_settings

DEADLINE = 4 * 3600.0
KEPT_OVERNIGHT = ("bases", "ccache", "worktrees", "kconfigs", "initramfs", "commands")
"""Of the lab's cache, what is left of yesterday in the warm run."""

CRASH = "kernel BUG at|BUG: |Oops|general protection|Kernel panic"
FOUND = re.compile(r"^([0-9a-f]{40}) is the first bad commit$", re.M)

SCRIPT = """\
#!/bin/sh
# A good script for git bisect run.
cp {config} {objects}/.config || exit 128
{make} olddefconfig >/dev/null </dev/null || exit 125
{make} bzImage >/dev/null 2>{objects}/log || exit 125
timeout 60 {qemu} >{objects}/console 2>&1 </dev/null
echo "boot ends $(date +%s.%N)" >>{objects}/boots
grep -aqE {crash} {objects}/console && exit 1
grep -aq 'lab: userspace' {objects}/console || exit 125
exit 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this bench may be told."""
    parser.add_argument("case", metavar="CASE")
    parser.add_argument("--tree", type=Path, help="A kernel tree of your own to take the base from.")
    parser.add_argument("--cc", help="The compiler of both.")
    parser.add_argument("--work", type=Path, help="Do it here and leave it; default: a folder that is removed.")
    parser.add_argument("--naive", type=float, metavar="SECONDS", help="What the script took before: it is not run.")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The script, then the lab cold, warm and again."""
    with workplace(arguments.work) as work:
        paths = Paths(work / "cache", work / "data", work / "config")
        settings = load_settings(user_paths().config_file)
        setup = Setup(paths, settings, silent, tree=arguments.tree, cc=arguments.cc, accel="tcg")
        tell("importing the base, applying the series")
        line = prepare(load_case(arguments.case, data_folder("patches")), setup)
        naive = Naive(arguments.naive, "", 0, 0.0)
        if arguments.naive is None:
            naive = run_naive(line, setup, work / "naive")
            tell(f"git bisect run: {naive.seconds:.0f} s, {naive.builds} builds, link {naive.link_seconds:.1f} s")
        forget(paths, ("bases",))
        cold = run_lab(arguments, work)
        tell(f"cold: {cold.seconds:.0f} s, {len(cold.probes)} probes")
        forget(paths, KEPT_OVERNIGHT)
        warm = run_lab(arguments, work)
        tell(f"warm: {warm.seconds:.0f} s")
        again = run_lab(arguments, work)
        tell(f"again: {again.seconds:.1f} s")
    return compare(naive, cold, warm, again)


@dataclass(frozen=True)
class Naive:
    """What the script took. ``commit`` is the one it named; ``link_seconds`` a make that only links."""

    seconds: float
    commit: str
    builds: int
    link_seconds: float


@dataclass(frozen=True)
class Ran:
    """One `lab bisect`: its wall time, and what it says of its probes."""

    seconds: float
    document: dict[str, Any]

    @property
    def probes(self) -> list[dict[str, Any]]:
        """Its probes."""
        return list(self.document["probes"])

    def total(self, what: str) -> float:
        """Seconds of all probes together."""
        return float(sum(probe.get(what) or 0.0 for probe in self.probes))


def compare(naive: Naive, cold: Ran, warm: Ran, again: Ran) -> dict[str, Any]:
    """The ratios, and where the cold run's time goes. Pure."""
    named = [ran.document["first_bad"] for ran in (cold, warm, again)]
    commits = {one["commit"] if one else "" for one in named} | ({naive.commit} if naive.commit else set())
    builds = sorted((float(probe.get("build_seconds") or 0.0) for probe in cold.probes), reverse=True)
    probes, boots = len(builds), cold.total("boot_seconds")
    links = naive.link_seconds * max(0, probes - 1)
    floor = builds[0] + links + boots
    return {
        "naive_seconds": naive.seconds,
        "cold_ratio": cold.seconds / naive.seconds,
        "warm_ratio": warm.seconds / naive.seconds,
        "again_seconds": again.seconds,
        "same_answer": len(commits) == 1 and "" not in commits,
        "first_bad": named[0]["index"] if named[0] else None,
        "cold_seconds": cold.seconds,
        "warm_seconds": warm.seconds,
        "naive_builds": naive.builds,
        "probes": probes,
        "floor_seconds": floor,
        "floor_cold_build": builds[0],
        "floor_links": links,
        "floor_boots": boots,
        "over_compiling": sum(builds[1:]) - links,
        "over_the_rest": cold.seconds - sum(builds) - boots,
        "warm_builds": warm.total("build_seconds"),
        "warm_boots": warm.total("boot_seconds"),
        "points": " ".join(f"{probe['point']}:{probe.get('build_seconds') or 0:.0f}s" for probe in cold.probes),
    }


def run_naive(line: Line, setup: Setup, place: Path) -> Naive:
    """`git bisect run` from the series' end and its base, in a repository with one commit a patch."""
    objects, tree, caches = place / "objects", place / "tree", Paths(place, place, place)
    objects.mkdir(parents=True)
    end, base = point_at(line, line.series_end), point_at(line, 0)
    config = place / "config"
    config.write_text(kconfig_of(line, end, setup).text)
    environment = make_environment(caches) | {"HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1"}
    git = ["git", "-c", "advice.detachedHead=false", "-C", str(tree)]
    subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", str(line.tree.repo), str(tree)], check=True)
    subprocess.run([*git, "checkout", "-q", end.commit], check=True, env=environment)
    script = place / "script"
    script.write_text(script_text(line, setup, tree, objects, config))
    script.chmod(0o755)
    (objects / "boots").touch()
    began = time.monotonic()
    subprocess.run([*git, "bisect", "start", end.commit, base.commit], check=True, env=environment, capture_output=True)
    said = bounded([*git, "bisect", "run", str(script)], environment)
    seconds = time.monotonic() - began
    found = FOUND.search(said)
    if not found:
        raise InfrastructureError(f"git bisect run named nobody: {said[-400:]}")
    builds = (objects / "boots").read_text().count("\n")
    (objects / "vmlinux").unlink(missing_ok=True)
    began = time.monotonic()
    bounded(["sh", "-c", f"{make_words(line, tree, objects)} bzImage"], environment)
    return Naive(seconds, found[1], builds, time.monotonic() - began)


def make_words(line: Line, tree: Path, objects: Path) -> str:
    """The script's make, quoted for a shell."""
    words = ["make", "-s", "-C", str(tree), f"O={objects}", f"-j{len(os.sched_getaffinity(0))}"]
    return shlex.join([*words, *make_variables(line.toolchain, line.compat)])


def script_text(line: Line, setup: Setup, tree: Path, objects: Path, config: Path) -> str:
    """The script for git bisect run. Pure but for the initramfs."""
    qemu = render(
        line.machine,
        image=objects / "arch/x86/boot/bzImage",
        initrd=build_initramfs(setup.paths),
        append=kernel_command_line(line.machine, line.case.append),
        accel="tcg",
        template=data_folder("qemu") / "command.j2",
    )
    return SCRIPT.format(
        config=shlex.quote(str(config)),
        objects=shlex.quote(str(objects)),
        make=make_words(line, tree, objects),
        qemu=shlex.join(qemu),
        crash=shlex.quote(CRASH),
    )


def run_lab(arguments: argparse.Namespace, work: Path) -> Ran:
    """One `lab bisect`, as a person calls it."""
    argv = [str(Path(sys.executable).with_name("lab")), "bisect", arguments.case, "--accel", "tcg", "--json"]
    argv += ["--no-revert"]  # it is beyond what is to be proven here
    argv += ["--tree", str(arguments.tree)] if arguments.tree else []
    argv += ["--cc", arguments.cc] if arguments.cc else []
    folders = {"LAB_CACHE": work / "cache", "LAB_DATA": work / "data"}
    environment = {**os.environ, **{name: str(folder) for name, folder in folders.items()}}
    environment.pop("CCACHE_DIR", None)
    began = time.monotonic()
    output = bounded(argv, environment, errors=False)
    seconds = time.monotonic() - began
    try:
        return Ran(seconds, json.loads(output))
    except ValueError:
        raise InfrastructureError(f"lab bisect printed no document: {output[:400]}") from None


def bounded(argv: list[str], environment: dict[str, str], *, errors: bool = True) -> str:
    """What ``argv`` prints; its children end with it."""
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if errors else None,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - nothing in it takes a lock
    )
    try:
        return process.communicate(timeout=DEADLINE)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        raise InfrastructureError(f"{argv[0]} was not done after {DEADLINE:.0f} s") from None
    finally:
        end_group(process, 0.0)


def forget(paths: Paths, kept: tuple[str, ...]) -> None:
    """Remove all that the lab keeps but ``kept``."""
    shutil.rmtree(paths.data, ignore_errors=True)
    for place in paths.cache.iterdir() if paths.cache.is_dir() else ():
        if place.name in kept:
            continue
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()


@contextmanager
def workplace(named: Path | None) -> Iterator[Path]:
    """An empty folder to work in."""
    if named is None:
        with tempfile.TemporaryDirectory(prefix="lab-bench-") as folder:
            yield Path(folder)
        return
    if named.exists() and any(named.iterdir()):
        raise InfrastructureError(f"{named}: is not empty", hint="the bench begins from nothing")
    named.mkdir(parents=True, exist_ok=True)
    yield named.absolute()


def tell(text: str) -> None:
    """Say on standard error how far it is."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
