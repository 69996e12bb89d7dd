"""A report with what a ``vmlinux`` adds: files, lines and inlined functions of its frames, the place of a BUG()
that the console lost, names for bare addresses, and whether console and vmlinux are of one build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lab.console.builds import other_build
from lab.console.dwarf import Lines
from lab.console.finding import in_tree
from lab.console.symbols import Symbols, load
from lab.console.types import Finding, Frame, Report


def annotate(report: Report, vmlinux: Path, modules: Mapping[str, Path] | None = None) -> Report:
    """``report`` with its findings' frames resolved. ``modules`` are ELF files by module name. Raises
    :class:`lab.errors.UserError` where a file can't be read."""
    images = {"": Image(vmlinux), **{name.replace("-", "_"): Image(path) for name, path in (modules or {}).items()}}
    offset = report.kernel_offset if report.kernel_offset is not None else _offset(report, images[""].symbols)
    named = [
        replace(one, frames=tuple(_named(frame, images[""].symbols, offset) for frame in one.frames))
        for one in report.findings
    ]
    for one in named:
        for at, frame in enumerate(one.frames):
            if image := _image(images, frame):
                image.want(frame, exact=at == 0)
    findings = tuple(_annotated(one, images) for one in named)
    for image in images.values():
        image.lines.save()
    notes = [
        f"the console is of another build than {image.path.name}: {why}"
        for name, image in images.items()
        if (why := other_build(report, named, image.symbols, name))
    ]
    return replace(report, findings=findings, notes=(*report.notes, *notes))


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


def _offset(report: Report, symbols: Symbols) -> int:
    """KASLR's offset from a frame that has both its name and its address."""
    for frame in (frame for one in report.findings for frame in one.frames):
        if frame.address and frame.function and not frame.module:
            places = symbols.addresses(frame.function, frame.offset, frame.size)
            if len(places) == 1:
                return frame.address - places[0]
    return 0


def _named(frame: Frame, symbols: Symbols, offset: int) -> Frame:
    """A bare address with its function's name."""
    if frame.function or not frame.address:
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
