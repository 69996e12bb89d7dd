"""What the lab adds to a boot: `lab boot` against the bare QEMU command that it rendered.

Both are run by turns on one kernel and one machine. `ratio` is wall time to wall time, exec to exit, and
`added_to_exit_seconds` their difference. But the bare command is not ended at the marker, as the lab's guest is: it
goes on to power itself off. So `ratio_to_marker` and `added_seconds` take its time only up to its marker, which is all
that the lab has to wait for, and so are all that the lab adds, Python's start and end included. These are medians (of
the differences run by run); `_min` is the least of the runs less the least of the runs, which tells more where the
machine has other work to do.

The lab notes which QEMU a command line came to, and starts that one at once the next time (lab/guest/ahead.py).
`first_seconds` and `first_added_seconds` are of a command line that was never run before.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import InfrastructureError, UserError
from lab.process import die_with_parent, end_group, run

MARKER = b"lab: userspace"
DEADLINE = 120.0
BUILD_SECONDS = 3600.0


@dataclass(frozen=True)
class Times:
    """One run: seconds from exec to the first console byte, to the marker, to the end."""

    first_byte: float
    marker: float
    end: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this bench may be told."""
    parser.add_argument("--kernel", type=Path, help="The image; default: LAB_TEST_KERNEL, or early-policy's base.")
    parser.add_argument("--machine", default="two-nodes")
    parser.add_argument("--repeat", type=int, default=9, help="Runs of each; the medians are compared.")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The lab and the bare command, by turns."""
    if arguments.repeat < 1:
        raise UserError("--repeat: at least one run is needed")
    kernel = find_kernel(arguments.kernel)
    lab = [str(Path(sys.executable).with_name("lab")), "boot", "--kernel", str(kernel)]
    lab += ["--machine", arguments.machine, "--accel", "tcg", "--json"]
    _, warm = run_lab(lab)  # the first run builds the initramfs and fills the page cache
    bare = [str(word) for word in warm["argv"]]
    ours, theirs, first = [], [], []
    for _ in range(arguments.repeat):
        ours.append(run_lab(lab)[0])
        theirs.append(run_bare(bare))
        first.append(run_lab([*lab, "--timeout", f"60.{time.time_ns()}"])[0])
    return compare(ours, theirs, first) | {
        "repeat": arguments.repeat,
        "kernel": str(kernel),
        "machine": arguments.machine,
    }


def compare(ours: list[Times], theirs: list[Times], first: list[Times]) -> dict[str, Any]:
    """The medians and least times, and what follows from them. Pure."""

    def middle(runs: list[Times], what: str) -> float:
        return statistics.median(getattr(run, what) for run in runs)

    def least(runs: list[Times], what: str) -> float:
        return min(getattr(run, what) for run in runs)

    lab, bare = middle(ours, "end"), middle(theirs, "end")
    to_marker = middle(theirs, "marker")
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "ratio": lab / bare,
        "ratio_to_marker": lab / to_marker,
        "added_seconds": statistics.median(a.end - b.marker for a, b in pairs),
        "added_seconds_min": least(ours, "end") - least(theirs, "marker"),
        "added_to_exit_seconds": statistics.median(a.end - b.end for a, b in pairs),
        "added_to_exit_seconds_min": least(ours, "end") - least(theirs, "end"),
        "first_added_seconds": statistics.median(a.end - b.marker for a, b in zip(first, theirs, strict=True)),
        "first_added_seconds_min": least(first, "end") - least(theirs, "marker"),
        "lab_seconds": lab,
        "lab_seconds_min": least(ours, "end"),
        "first_seconds": middle(first, "end"),
        "bare_seconds": bare,
        "bare_seconds_min": least(theirs, "end"),
        "first_byte_seconds": middle(ours, "first_byte"),
        "marker_seconds": middle(ours, "marker"),
        "marker_seconds_min": least(ours, "marker"),
        "bare_first_byte_seconds": middle(theirs, "first_byte"),
        "bare_marker_seconds": to_marker,
        "bare_marker_seconds_min": least(theirs, "marker"),
    }


def find_kernel(named: Path | None) -> Path:
    """The kernel to boot."""
    if named:
        return named
    if os.environ.get("LAB_TEST_KERNEL"):
        return Path(os.environ["LAB_TEST_KERNEL"])
    lab = str(Path(sys.executable).with_name("lab"))
    done = run([lab, "build", "early-policy", "--at", "0", "--json"], deadline=BUILD_SECONDS)
    if not done.ok:
        raise InfrastructureError("the base of early-policy could not be built", hint="lab build early-policy --at 0")
    return Path(json.loads(done.stdout)["kernel"]["image"])


def run_lab(argv: list[str]) -> tuple[Times, dict[str, Any]]:
    """One `lab boot`; its wall time from outside, and what it says of the guest."""
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, timeout=DEADLINE, check=False)
    end = time.perf_counter() - began
    try:
        document: dict[str, Any] = json.loads(done.stdout)
        times = Times(float(document["first_byte_seconds"]), float(document["marker_seconds"]), end)
    except (ValueError, KeyError, TypeError):
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[:400]
        raise InfrastructureError(f"the kernel does not boot under the lab: {said}") from None
    return times, document


def run_bare(argv: list[str]) -> Times:
    """The bare command, its console read as it comes."""
    began = time.perf_counter()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - nothing in it takes a lock
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    seen: dict[str, float] = {}
    tail = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, began + DEADLINE - time.perf_counter())):
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                now = time.perf_counter() - began
                if not chunk:
                    break
                seen.setdefault("first_byte", now)
                tail = (tail + chunk)[-(1 << 17) :]
                if MARKER in tail:
                    seen.setdefault("marker", now)
        process.wait(timeout=10)
    finally:
        end_group(process, 0.0)
        process.stdout.close()
    if "marker" not in seen:
        raise InfrastructureError("the bare QEMU command does not come to user space")
    return Times(seen["first_byte"], seen["marker"], time.perf_counter() - began)
