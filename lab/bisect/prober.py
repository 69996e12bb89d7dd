"""Building and booting the points of a case for a bisect."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from lab.bisect.records import Boot, Build, Event
from lab.bisect.target import Target, adopted, expected, judged, sights
from lab.guest.types import Boot as Run
from lab.kernel.store import KERNEL, Built
from lab.kernel.types import BuildFailure, Kernel
from lab.line import Line, Setup, boot_target, kernel_of, target_of
from lab.tree.types import Point
from lab.verdict import Verdict

TEXT_LINES = 60


class LineProber:
    """Builds and boots the points of ``line`` and points beside it (``extra``), and judges them by what the case looks
    for, or else by what the bad end showed. Each worker beyond the first has a worktree and objects of its own."""

    def __init__(self, line: Line, setup: Setup, events: Sequence[Event], extra: Iterable[Point] = ()) -> None:
        self.line = line
        self.setup = setup
        self.points = {point.index: point for point in (*line.tree.points[: line.series_end + 1], *extra)}
        self.target = adopted(expected(line.case.expect), events, line.series_end)
        self.kernels: dict[int, Kernel] = {}

    def build(self, point: int, worker: int) -> Build:
        """Build ``point``, or take it from the store."""
        started = time.monotonic()
        built = self.kernel(point, worker)
        seconds = time.monotonic() - started
        if isinstance(built, BuildFailure):
            place = f"{built.file}:{built.line}: " if built.file else ""
            reason = f"does not build: {place}{built.message}"
            error = {"message": built.message, "file": built.file, "line": built.line, "log": str(built.log)}
            return Build(point, reason=reason, seconds=seconds, fresh=True, document={"error": error})
        compiled = compiled_files(built.folder)
        return Build(point, image_digest(built.image), seconds, fresh=not built.from_store, compiled=compiled)

    def kernel(self, point: int, worker: int) -> Kernel | BuildFailure:
        """The kernel of ``point``, built where it has to be."""
        known = self.kernels.get(point)
        if known is not None and known.image.exists():
            return known
        tree = self.line.tree
        line = self.line if worker == 0 else replace(self.line, tree=replace(tree, key=f"{tree.key}-w{worker}"))
        built = kernel_of(line, self.points[point], self.setup)
        if isinstance(built, Kernel):
            self.kernels[point] = built
        return built

    def boot(self, point: int, worker: int) -> Boot:
        """Boot ``point`` once."""
        kernel = self.kernel(point, worker)
        if isinstance(kernel, BuildFailure):  # it built once: what is missing now is something else
            return Boot(point, "fault", f"does not build any more: {kernel.message}")
        at = self.points[point]
        self.setup.progress("boot", f"{at.index} {at.subject}")
        run = boot_target(target_of(self.line, kernel), self.setup)
        boot = observed(point, run, self.target, image_digest(kernel.image))
        if not self.target and point == self.line.series_end:
            self.target = adopted(self.target, [boot], point)
        return boot


def observed(point: int, run: Run, target: Target, image: str = "") -> Boot:
    """A boot as it is written down."""
    from lab.report.documents import boot_document

    word, reason = judged(run, target)
    seen = sights(run)
    shown = next((one for one in seen if target.is_it(one)), next(iter(seen), None))
    if word not in ("bad", "other"):
        shown = None
    finding = next((one for one in run.report.findings if shown and one.signature == shown.signature), None)
    verdict = Verdict(word if word in {"good", "bad"} else "skip", reason, finding)
    return Boot(
        point=point,
        word=word,
        reason=reason,
        image=image,
        seconds=run.seconds,
        title=shown.titles[0] if shown else "",
        signature=shown.signature if shown else "",
        seen=seen,
        text=finding.text[:TEXT_LINES] if finding else (),
        document=boot_document(run, verdict),
    )


def compiled_files(folder: Path) -> int:
    """How many files were compiled for a kernel of the store; 0 where nobody knows."""
    try:
        inputs = msgspec.json.decode((folder / KERNEL).read_bytes(), type=Built).inputs
    except (OSError, msgspec.DecodeError):
        return 0
    return inputs.get("compiled", 0) if isinstance(inputs.get("compiled", 0), int) else 0


def image_digest(image: Path) -> str:
    """What tells whether two images are bit for bit the same."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
