"""How quick the console analysis is: a clean console streamed, a report read, the memory a long stream takes.

`clean_mb_per_s`: a clean boot's console (recorded by the lab), repeated to 512 MB on a pipe's reading end or in a
file, on one core, decimal megabytes. `ms_per_report`: a console with one report in it, mean of many. `peak_mb`:
resident memory at the end of a stream (`--stream-gb`, 10 by default), measured in a process of its own.
`header_ms`: from the header's last byte to knowing that the console is of a dead kernel.

With `--guests N` a kernel that dies (`--kernel`; default: early-policy's end) is booted so often, and of each run the
times of its console are taken where the lab reads it: `live_ms`, from the read that brought the header of the first
fatal finding to the end of the QEMU process, is what the guest needs to print its report and die
(`live_report_ms`, to the read of the last byte) and what comes after that. Medians.

With `--vmlinux FILE`: `symbols_s`, wall seconds of `lab scan --vmlinux FILE` on a console with 100 frames that were
never looked up before, all over the kernel, once its index is there; the median of five. `symbols_frames` of them got
a file and a line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lab.console.scanner import Scanner, scan_file
from lab.console.symbols import load
from lab.errors import UserError

CONSOLES = Path(__file__).resolve().parents[2] / "tests" / "data" / "consoles"
CLEAN = CONSOLES / "clean-6.1.txt"
REPORT = CONSOLES / "reporter-3.7-rc4.txt"
SIZE = 512_000_000
ROUNDS = 3

STREAM = """
import resource, sys
from lab.console.scanner import scan_file
report = scan_file(0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, report.lines, len(report.findings))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the bench can be told."""
    parser.add_argument("--clean", type=Path, default=CLEAN, help="A clean console to repeat.")
    parser.add_argument("--stream-gb", type=float, default=10.0, help="Length of the stream for the memory.")
    parser.add_argument("--guests", type=int, default=0, help="Boots of a kernel that dies.")
    parser.add_argument("--vmlinux", type=Path, help="A kernel with debug information, to look frames up in.")
    parser.add_argument("--kernel", type=Path, help="Its image; default: early-policy's end, built if need be.")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the measurements, one after the other."""
    try:
        clean = arguments.clean.read_bytes()
    except OSError as error:
        raise UserError(f"{arguments.clean}: {error.strerror}") from None
    peak, lines = memory(clean, arguments.stream_gb)
    return {
        "clean_mb_per_s": speed(clean),
        "ms_per_report": per_report(),
        "peak_mb": peak,
        "header_ms": header(),
        "stream_gb": arguments.stream_gb,
        "stream_lines": lines,
        **(live(arguments.kernel, arguments.guests) if arguments.guests > 0 else {}),
        **(symbols(arguments.vmlinux) if arguments.vmlinux else {}),
    }


def speed(clean: bytes) -> float:
    """Megabytes a second of processor time over a clean console in a file, best of some rounds."""
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(SIZE // len(clean)):
            file.write(clean)
        file.flush()
        best = 0.0
        for _ in range(ROUNDS):
            began = time.process_time()
            report = scan_file(file.name)
            best = max(best, SIZE // len(clean) * len(clean) / 1e6 / (time.process_time() - began))
            if report.findings:
                raise UserError(f"the clean console gives a finding: {report.findings[0].title}")
    return best


def per_report(count: int = 300) -> float:
    """Milliseconds of processor time for a console with one report, its library loaded."""
    data = REPORT.read_bytes()
    consoles = [data.replace(b"policy_zonelist", b"policy_zonelist_%d" % number) for number in range(count)]
    scan_file(REPORT)
    began = time.process_time()
    for console in consoles:
        scanner = Scanner()
        scanner.feed(console)
        scanner.close()
    return (time.process_time() - began) * 1000 / count


def header(count: int = 50) -> float:
    """Milliseconds from the header's arrival to `Scanner.fatal`, the median; the first time in a process left out."""
    before, mark, _ = REPORT.read_bytes().partition(b"kernel BUG at")
    line = mark + b" mm/mempolicy.c:1785!\n"
    times = []
    for _ in range(count + 1):
        scanner = Scanner()
        scanner.feed(before)
        began = time.perf_counter()
        scanner.feed(line)
        if scanner.fatal is None:
            raise UserError("the header was not recognised")
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) * 1000


def live(kernel: Path | None, count: int) -> dict[str, float]:
    """Milliseconds from the header on a real guest's console to the guest's end, medians of ``count`` boots."""
    lab = str(Path(sys.executable).with_name("lab"))
    if kernel is None:
        built = subprocess.run([lab, "build", "early-policy", "--json"], stdout=subprocess.PIPE, check=True)
        kernel = Path(json.loads(built.stdout)["kernel"]["image"])
    argv = [lab, "boot", "--kernel", str(kernel), "--machine", "two-nodes", "--accel", "tcg", "--json"]
    reports, ends = [], []
    for _ in range(count):
        boot = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=False).stdout)
        if boot.get("fatal_seconds") is None or boot.get("ended_seconds") is None:
            raise UserError(f"{kernel}: no fatal finding came of it, but {boot.get('outcome')}")
        reports.append((boot["last_byte_seconds"] - boot["fatal_seconds"]) * 1000)
        ends.append((boot["ended_seconds"] - boot["fatal_seconds"]) * 1000)
    return {"live_ms": statistics.median(ends), "live_report_ms": statistics.median(reports), "guests": count}


def symbols(vmlinux: Path, count: int = 100, rounds: int = 5) -> dict[str, float]:
    """Wall seconds for the files and lines of ``count`` frames, each round's others."""
    index = load(vmlinux).index
    inside = [at for at, size in enumerate(index.sizes) if size > 16 and index.names[at].isidentifier()]
    step = len(inside) // (count * rounds)
    times, found = [], 0
    for turn in range(rounds):
        places = inside[turn :: step * rounds][:count] if step else inside[:count]
        frames = "".join(f" {index.names[at]}+0x9/{index.sizes[at]:#x}\n" for at in places)
        with tempfile.NamedTemporaryFile("w") as console:
            console.write(f"BUG: kernel NULL pointer dereference, address: 0000000000000000\nCall Trace:\n{frames}")
            console.flush()
            argv = [
                str(Path(sys.executable).with_name("lab")),
                "scan",
                "--json",
                "--vmlinux",
                str(vmlinux),
                console.name,
            ]
            began = time.perf_counter()
            done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
            times.append(time.perf_counter() - began)
        told = json.loads(done.stdout)["findings"][0]["frames"]
        found = sum(bool(frame.get("line")) and not frame.get("inlined") for frame in told)
    return {"symbols_s": statistics.median(times), "symbols_frames": found}


def memory(clean: bytes, gigabytes: float) -> tuple[float, int]:
    """Resident megabytes of a process at the end of a stream of that length, and the lines it read."""
    block = clean * max(1, (8 << 20) // len(clean))
    child = subprocess.Popen([sys.executable, "-c", STREAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout  # noqa: S101
    with child:
        for _ in range(max(1, int(gigabytes * 1e9) // len(block))):
            child.stdin.write(block)
        child.stdin.close()
        peak, lines, _ = child.stdout.read().split()
    return round(float(peak), 1), json.loads(lines)
