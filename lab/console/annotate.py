"""A report with what a ``vmlinux`` adds: files, lines and inlined functions of its frames, the place of a BUG()
that the console lost, names for bare addresses, and whether console and vmlinux are of one build.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lab.console.builds import other_build
from lab.console.dwarf import Lines
from lab.console.finding import in_tree
from lab.console.kaslr import guess
from lab.console.symbols import Symbols, load
from lab.console.types import Finding, Frame, Report
from lab.errors import UserError


def annotate(report: Report, vmlinux: Path, modules: Mapping[str, Path] | None = None) -> Report:
    """``report`` with its findings' frames resolved. ``modules`` are ELF files by module name. Raises
    :class:`lab.errors.UserError` where a file can't be read."""
    images = {"": Image(vmlinux), **{name.replace("-", "_"): Image(path) for name, path in (modules or {}).items()}}
    offset, unknown = _offset(report, images[""].symbols)
    told = [
        replace(one, frames=tuple(_named(frame, images[""].symbols, offset) for frame in one.frames))
        for one in report.findings
    ]
    for one in told:
        for at, frame in enumerate(one.frames):
            if image := _image(images, frame):
                image.want(frame, exact=at == 0)
    findings = tuple(_annotated(one, images) for one in told)
    for image in images.values():
        image.lines.save()
    notes = [
        f"the console is of another build than {image.path.name}: {why}"
        for name, image in images.items()
        if (why := other_build(report, told, image.symbols, name))
    ]
    return replace(report, findings=findings, notes=(*report.notes, *unknown, *notes))


def named(report: Report, vmlinux: Path) -> Report:
    """``report`` with the names that its kernel's vmlinux tells, as it is where that can't be read."""
    with contextlib.suppress(UserError):
        return annotate(report, vmlinux)
    return report


class Image:
    """An ELF file's symbols and lines, and which addresses are to be looked up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.symbols: Symbols = load(path)
        self.lines = Lines(path, sections=self.symbols.index.sections)
        self._wanted: dict[tuple[str, int, int, bool], int] = {}

    def want(self, frame: Frame, *, exact: bool) -> None:
        """Note a frame for the look-up."""
        places = self.symbols.addresses(frame.function, frame.offset, frame.size)
        if places:
            self._wanted[frame.function, frame.offset, frame.size, exact] = places[0]

    def frames(self, frame: Frame, *, exact: bool) -> list[Frame]:
        """The frame with its file and line, the functions inlined there before it."""
        address = self._wanted.get((frame.function, frame.offset, frame.size, exact))
        if address is None or not self.symbols.index.dwarf:
            return [frame]
        back = 0 if exact else 1
        found = self.lines.look_up([place - (0 if key[3] else 1) for key, place in self._wanted.items()])
        chain = found.get(address - back, [])
        if not chain:
            return [frame]
        inner = [
            Frame(one.function, 0, 0, frame.sure, frame.module, in_tree(one.file), one.line, inlined=True)
            for one in chain[:-1]
            if one.function
        ]
        return [*inner, replace(frame, file=in_tree(chain[-1].file), line=chain[-1].line)]


def _image(images: Mapping[str, Image], frame: Frame) -> Image | None:
    return images.get(frame.module.replace("-", "_"))


def _offset(report: Report, symbols: Symbols) -> tuple[int | None, tuple[str, ...]]:
    """KASLR's offset: as the console says, from a frame that has both its name and its address, or where the code says
    that it must be; and, in words, that it is not known though it is needed."""
    if report.kernel_offset is not None:
        return report.kernel_offset, ()
    frames = [frame for one in report.findings for frame in one.frames]
    for frame in frames:
        if frame.address and frame.function and not frame.module:
            places = symbols.addresses(frame.function, frame.offset, frame.size)
            if len(places) == 1:
                return frame.address - places[0], ()
    if not any(frame.bare for frame in frames):
        return 0, ()
    if report.findings[0].machine not in ("x86_64", ""):
        return 0, ()
    found = guess(report.findings, symbols)
    if found is None:
        return None, (f"no place fits at which {symbols.path.name} can have run: addresses have no names",)
    return found, ()


def _named(frame: Frame, symbols: Symbols, offset: int | None) -> Frame:
    """A bare address with its function's name."""
    if offset is None or not frame.bare:
        return frame
    found = symbols.at(frame.address - offset)
    return replace(frame, function=found[0], offset=found[1], size=found[2]) if found else frame


def _annotated(finding: Finding, images: Mapping[str, Image]) -> Finding:
    frames: list[Frame] = []
    for at, frame in enumerate(finding.frames):
        image = _image(images, frame)
        frames.extend(image.frames(frame, exact=at == 0) if image else [frame])
    found = replace(finding, frames=tuple(frames))
    if not finding.file and finding.kind in ("bug", "warning", "corruption"):
        found = _placed(found, finding, images)
    if not finding.function and (first := _blame(frames)):
        title = (
            finding.title.removesuffix("corrupted") + first
            if finding.title.endswith(" in corrupted")
            else finding.title
        )
        functions = tuple(dict.fromkeys(("" if one.sure else "? ") + one.function for one in frames if one.function))
        found = replace(
            found, function=first, title=title, signature=f"{finding.signature}:{first}", functions=functions
        )
    return found


def _blame(frames: list[Frame]) -> str:
    from lab.console.blame import blamed

    return blamed(frame for frame in frames if not frame.inlined) if any(frame.address for frame in frames) else ""


def _placed(found: Finding, finding: Finding, images: Mapping[str, Image]) -> Finding:
    """File and line of a BUG() from the bug table, by the instruction that trapped."""
    for frame in finding.frames[:8]:
        if image := _image(images, frame):
            for address in image.symbols.addresses(frame.function, frame.offset, frame.size):
                if place := image.symbols.bug(address):
                    return replace(found, file=in_tree(place[0]), file_line=place[1])
    return found
