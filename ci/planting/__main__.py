"""``ci/planted``: plant bugs, run `lab bisect` on each, compare what it names with what is known."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from lab.errors import LabError, UserError
from lab.files import write_atomic
from lab.paths import user_paths
from lab.process import die_with_parent, end_group
from lab.settings import load_settings
from lab.tree.bases import resolve_base
from lab.tree.git import git
from planting.series import TOUCHED, Plant, load_zoo, write_case

DEADLINE = 1800.0
"""Seconds for one bisect, a header storm's or a flaky bug's included."""


@dataclass(frozen=True)
class Row:
    """What one bisect came to. ``judgement``: ``right``, ``range`` (honest, and the culprit is in it), ``none`` (it
    named nobody, though it could have), ``wrong``, ``failed`` (the lab could not do its work)."""

    name: str
    kind: str
    right: tuple[int, ...]
    named: tuple[int, ...]
    judgement: str
    probes: int
    seconds: float
    reason: str


def judge(right: frozenset[int], named: tuple[int, ...]) -> str:
    """What an answer is worth. Pure."""
    if not named:
        return "none" if right else "right"
    if len(named) == 1:
        return "right" if named[0] in right else "wrong"
    return "range" if right & set(named) else "wrong"


def row_of(name: str, plant: Plant, status: int, output: bytes, errors: bytes, *, seconds: float) -> Row:
    """The row that a finished `lab bisect --json` makes. Pure."""
    try:
        document = json.loads(output)
        named = tuple(sorted(candidate["index"] for candidate in document["candidates"]))
        probes, reason = len(document["probes"]), str(document["reason"])
        judgement = judge(plant.right, named) if status in (0, 1) else "failed"
    except (ValueError, KeyError, TypeError):
        lines = errors.decode(errors="replace").strip().splitlines()
        named, probes, judgement = (), 0, "failed"
        reason = f"exit status {status}: {lines[-1] if lines else 'no word'}"
    return Row(name, plant.kind, tuple(sorted(plant.right)), named, judgement, probes, seconds, reason)


def answer(name: str, plant: Plant, case: Path, arguments: argparse.Namespace) -> Row:
    """Bisect ``case`` and judge what comes."""
    status, output, errors, seconds = bisect(case, plant, arguments.tree, arguments.more)
    return row_of(name, plant, status, output, errors, seconds=seconds)


def bisect(case: Path, plant: Plant, tree: Path | None, more: list[str]) -> tuple[int, bytes, bytes, float]:
    """Run the command as a person would."""
    argv = [str(Path(sys.executable).with_name("lab")), "bisect", str(case), "--json", "--timeout", str(plant.timeout)]
    argv += ["--tree", str(tree)] if tree else []
    began = time.monotonic()
    process = subprocess.Popen(
        [*argv, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - nothing in it takes a lock
    )
    try:
        output, errors = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        return 128, b"", f"not done after {DEADLINE:.0f} s".encode(), time.monotonic() - began
    finally:
        end_group(process, 0.0)
    return process.returncode, output, errors, time.monotonic() - began


def base_files(name: str, tree: Path | None) -> dict[str, str]:
    """The base's files that patches change."""
    paths = user_paths()
    settings = load_settings(paths.config_file)
    base = resolve_base(name, paths=paths, tree=tree, configured=settings.bases)
    shown = {file: git(base.repo, "cat-file", "blob", f"{base.commit}:{file}") for file in TOUCHED}
    return {file: done.stdout.decode() for file, done in shown.items()}


def known(results: Path) -> dict[str, Row]:
    """The rows of an earlier run."""
    try:
        rows = msgspec.json.decode(results.read_bytes(), type=list[Row])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
    return {row.name: row for row in rows}


def show(row: Row) -> None:
    """One line of the table."""
    right = "|".join(map(str, row.right)) or "-"
    named = str(row.named[0]) if len(row.named) == 1 else f"{row.named[0]}-{row.named[-1]}" if row.named else "-"
    head = f"{row.name:22} {row.kind[:44]:44} {right:>5} {named:>6}  {row.judgement:6}"
    print(f"{head} {row.probes:3} probes {row.seconds:6.1f} s  {row.reason[:100]}", flush=True)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ci/planted",
        description="Plant bugs in series, bisect each, compare with the known culprit. Exits 0 when no wrong patch "
        "was named and none failed.",
        epilog="example: ci/planted --tree ~/src/linux-3.7 --only flaky-10 --only hang",
    )
    parser.add_argument("--base", help="Default: v3.7-rc4 with --tree, else debian-6.1.")
    parser.add_argument("--tree", type=Path, help="A kernel tree of your own to take the base from.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="Of the zoo, this one alone.")
    parser.add_argument("--list", action="store_true", help="Tell what there is.")
    parser.add_argument("--work", type=Path, help="Cases and results; default: in the lab's cache.")
    parser.add_argument("--again", action="store_true", help="Also what an earlier run has answered.")
    parser.add_argument("--minutes", type=float, default=0.0, help="Begin no further one after so long.")
    parser.add_argument("--json", action="store_true", dest="as_json", help="One JSON document on standard output.")
    parser.add_argument("more", nargs="*", help="After --: more options for 'lab bisect'.")
    return parser.parse_args()


def main() -> int:
    """Plant, bisect, compare; 0 when nothing is wrong, 1 otherwise."""
    arguments = parsed()
    try:
        return run(arguments)
    except LabError as error:
        print(f"ci/planted: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ci/planted: interrupted; the same command goes on", file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace) -> int:
    """The work of :func:`main`."""
    zoo = load_zoo()
    for name in arguments.only:
        if name not in zoo:
            raise UserError(f"nothing called {name!r} is planted; there are {', '.join(zoo)}")
    chosen = {name: plant for name, plant in zoo.items() if not arguments.only or name in arguments.only}
    if arguments.list:
        for name, plant in chosen.items():
            print(f"{name:22} {plant.kind}")
        return 0
    base_name = arguments.base or ("v3.7-rc4" if arguments.tree else "debian-6.1")
    base = base_files(base_name, arguments.tree)
    work = arguments.work or user_paths().cache / "planted" / base_name
    results = work / "results.json"
    rows = {} if arguments.again else known(results)
    began = time.monotonic()
    for name, plant in chosen.items():
        if name not in rows or rows[name].judgement == "failed":
            if arguments.minutes and time.monotonic() - began > arguments.minutes * 60:
                break
            case = write_case(name, plant, base_name, base, work / "cases")
            rows[name] = answer(name, plant, case, arguments)
            write_atomic(results, msgspec.json.encode(list(rows.values())))
        if not arguments.as_json:
            show(rows[name])
    told = [rows[name] for name in chosen if name in rows]
    count = {word: sum(row.judgement == word for row in told) for word in ("right", "range", "none", "wrong", "failed")}
    if arguments.as_json:
        print(json.dumps({"rows": [asdict(row) for row in told], **count, "left": len(chosen) - len(told)}))
    else:
        seconds = sum(row.seconds for row in told)
        print(f"{', '.join(f'{number} {word}' for word, number in count.items())}; {seconds / 60:.1f} minutes")
        if len(told) < len(chosen):
            print(f"{len(chosen) - len(told)} are left: the same command goes on")
    return 1 if count["wrong"] or count["failed"] or len(told) < len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
