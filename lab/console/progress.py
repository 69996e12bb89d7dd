"""How far a boot came, as its console goes by: stages, the marker, the kernel's release and KASLR's offset, and whether
it began anew.
"""

from __future__ import annotations

from lab.console.stages import BOOT_SIGNS, INITCALLS, MARKER, OFFSET, STAGES, initcall, marker, offset, release
from lab.console.types import STAGES as ORDER
from lab.console.types import Finding, Marker, Stage, StageName

CALLS = 64
"""Initcalls at most that run at once: each of a module's is of a process of its own."""


class Progress:
    """What was seen of a boot so far; ``known`` are the needles that say nothing new any more."""

    def __init__(self) -> None:
        self.marker: Marker | None = None
        self.release = ""
        self.banner = ""
        self.offset: int | None = None
        self.known: set[bytes] = set()
        self._stages: dict[StageName, Stage] = {}
        self._boots: dict[bytes, int] = {}
        self._calls: dict[str, None] = {}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that were reached, in their order."""
        return tuple(sorted(self._stages.values(), key=lambda stage: ORDER.index(stage.name)))

    @property
    def last_initcall(self) -> str:
        """With ``initcall_debug``: the initcall that was called last and did not return."""
        return next(reversed(self._calls), "")

    @property
    def shut_down(self) -> bool:
        """Whether the machine said that it ends, or begins anew."""
        return "shutdown" in self._stages

    def booted(self, sign: bytes) -> bool:
        """Whether ``sign`` is a sign of a boot that was seen already."""
        return sign in BOOT_SIGNS and self._boots.get(sign, 0) > 0

    def line(self, number: int, needle: bytes, text: str, time: float | None, *, told: bool) -> Finding | None:
        """Take a line with a stage's needle, the marker's or the offset's. A finding where the boot began anew and
        nothing before it said why (``told``)."""
        if needle == MARKER:
            self.marker = self.marker or marker(text, number)
            if self.marker:
                self.known.add(MARKER)
                self._stages.setdefault("userspace", Stage("userspace", number, time))
        elif needle == OFFSET:
            self.offset = offset(text)
        elif needle in INITCALLS:
            self._initcall(text)
        found = None
        if needle in BOOT_SIGNS:
            self._boots[needle] = self._boots.get(needle, 0) + 1
            if self._boots[needle] > 1 and not told:
                found = self._again(number, needle, text, time)
            self.release = self.release or release(text)
            if needle == b"Linux version ":
                self.banner = self.banner or text[text.find("Linux version ") :][:400].strip()
        if name := STAGES.get(needle):
            self._stages.setdefault(name, Stage(name, number, time))
            self.known.update(one for one in STAGES if STAGES[one] == name and one not in BOOT_SIGNS)
        return found

    def _initcall(self, text: str) -> None:
        name, returned = initcall(text) or ("", True)
        self._calls.pop(name, None)
        if not returned and len(self._calls) < CALLS:
            self._calls[name] = None

    def _again(self, number: int, needle: bytes, text: str, time: float | None) -> Finding | None:
        lived = "init" in self._stages or "userspace" in self._stages
        if not (lived or self._boots[needle] > 2 or needle != b"Linux version "):
            return None
        return Finding(
            kind="silent",
            title="unexpected kernel reboot",
            signature="reboot",
            function="",
            line=number,
            last_line=number,
            fatal=True,
            text=(text,),
            time=time,
        )
