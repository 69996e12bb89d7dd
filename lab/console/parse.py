"""From the lines of one report to its parts: traces, instruction pointer, registers, code bytes, taint, end. No
judgement.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from lab.console import registers, trace
from lab.console.patterns import compiled
from lab.console.types import Frame


class Numbered(NamedTuple):
    """A cleaned line, its number in the console (from 1) and whether it came torn or from another processor."""

    number: int
    text: str
    mixed: bool = False


class Trace(NamedTuple):
    """A run of frames under a heading (empty for none). ``boundary`` is how many of them belong to the interrupt that
    printed it, ``pointer`` where the processor was when the trace was taken."""

    heading: str
    line: int
    frames: list[Frame]
    pointer: Frame | None


class Parsed(NamedTuple):
    """What the lines of a report hold."""

    pointer: Frame | None
    traces: tuple[Trace, ...]
    registers: tuple[tuple[str, str], ...]
    code: str
    taint: str | None
    last: int
    ended: bool
    machine: str
    caller: Frame | None = None  # by the link register
    leaf: bool = False  # the instruction pointer's function has no frame, so that the trace lacks the caller


_GENERAL = r"GPR(?P<first>\d\d): (?P<values>(?:[0-9a-fA-F]{8,16}\b ?)+)"
"""powerpc's general registers: four of 64 bits a line, eight of 32 (arch/powerpc/kernel/process.c, __show_regs()); in
capitals to 2.6.18."""
_SEGFAULT = r"\[\d+\]: segfault at [0-9a-f]+ ip "
"""A program's own fault, whose code bytes follow (arch/x86/mm/fault.c, show_signal_msg())."""
_TAINT = r"Not tainted|Tainted: (?:\[[^\]]*\]=\S+?,? ?)*(?P<flags>[A-Z](?:[A-Z ]*[A-Z])?(?![\w]))?"
END = (
    r"---\[ end (?:trace|Kernel panic)|Rebooting in \d+ ?seconds|"
    r"System halted|reboot: (?:System halted|Restarting system)"
)
_USER = r"\bR?IP: 00(?:33|23):|\bEIP: 0073:"
"""Registers of user space, which stand at the end of a trace, are not the report's."""
_RULER = r"^={40,}$"
_EARLY = r"early exception \w+ (?:rip|IP) [0-9a-f]+:(?P<address>[0-9a-f]{8,16})\b"
"""In 3.7 the trace under it begins in the handler and has where the exception was as a frame it is unsure of; the
``RIP`` behind the trace is another register's (arch/x86/kernel/head_64.S reads it from where it pushed %rsi)."""
_CODE = r"(?:^|\s)(?:Code|Instruction dump): ?(?P<code>.*)"
_TOP = r"^\s*Stack:(?:\s+(?P<word>[0-9a-f]{8,16})\b)?"
_WORD = r"^\s*(?P<word>[0-9a-f]{8,16})\b"
_HEX = r"^[\s<(]*[0-9a-fX]{2,8}[>)]?(?:\s+[<(]?[0-9a-fX]{2,8}[>)]?)+\s*$"
MACHINES = (
    ("x86_64", ("RIP", "RSP: "), r"\bRIP[: ]|\bRSP: [0-9a-f]{4}:"),
    ("i386", ("EIP", "EAX: "), r"\bEIP[: ]|\bEAX: "),
    ("s390x", ("Krnl PSW",), r"\bKrnl PSW : "),
    ("loongarch64", (", era == ", "era   : ", "ERA: "), r", era == [0-9a-f]|^era   : |^\s*ERA: [0-9a-f]"),
    ("mips", ("epc   : ", "BadVA : ", "$ 0 ", "$0 "), r"\bepc   : |\bBadVA : |^\$ ?0 +: "),
    ("parisc", ("IAOQ", "YZrvWEST"), r"\bIAOQ\b|YZrvWESTHLNXBCVM"),
    ("sparc64", ("TSTATE: ",), r"\bTSTATE: "),
    ("sparc", ("PSR: ",), r"\bPSR: [0-9a-f]{8} PC: "),
    ("ia64", ("ip is at ", " ifs : "), r"\bip is at |\bpsr : [0-9a-f]+ ifs : "),
    ("alpha", ("pc = [<",), r"\bpc = \[<"),
    ("sh", ("PR is at ", "PR  : "), r"\bPR is at |\bPR  : "),
    ("arc", ("[ECR   ]: ",), r"^\[ECR   \]: "),
    ("csky", ("COMM=",), r"^COMM=\S+ PID="),
    ("microblaze", ("Registers dump: mode=",), r"^ Registers dump: mode="),
    ("m68k", ("Frame format=",), r"^Frame format="),
    ("xtensa", (", excvaddr: ",), r"^pc: .*, excvaddr: "),
    ("openrisc", (" SR: ",), r"^ +PC: [0-9a-f]{8} +SR: "),
    ("arm64", ("pstate: ", "x29: ", "ESR = 0x"), r"\bpstate: |\bx29: |\bESR = 0x"),
    ("arm", ("LR is at ", "psr: ", "IRQs o"), r"\bLR is at |\bpsr: [0-9a-f]{8}|\bIRQs o[nf]+ +FIQs"),
    ("riscv64", ("epc", "badaddr: "), r"\bs?epc ?: |\bs?badaddr: "),
    ("ppc", ("NIP: ", "GPR00: "), r"\bNIP: [0-9a-fA-F]{8} |\bGPR00: [0-9a-fA-F]{8} "),
    ("ppc64", ("NIP", "GPR00: ", ": Vector: "), r"\bNIP[: ]|\bGPR00: |^cpu 0x[0-9a-f]+: Vector: "),
)


def machine_of(text: str) -> str:
    """The architecture whose registers a line has, or empty. ``in`` is looked for first: a pattern that may begin
    anywhere costs ten times that."""
    for name, signs, pattern in MACHINES:
        for sign in signs:
            if sign in text and compiled(pattern).search(text):
                return name
    return ""


def is_end(text: str) -> bool:
    """Whether a line ends a report (``END``); the words are looked for first, which costs a tenth of the pattern."""
    if "---[ end " in text or "Rebooting in " in text or "alted" in text or "Restarting system" in text:
        return compiled(END).search(text) is not None
    return False


class _Parser:
    """Goes over the lines once, keeping what it saw."""

    def __init__(self) -> None:
        self.pointer: Frame | None = None
        self.pending: Frame | None = None
        self.late: Frame | None = None  # as it is said once more behind the trace (x86)
        self.traces: list[Trace] = []
        self.registers: dict[str, str] = {}
        self.code: list[str] = []
        self.taint: str | None = None
        self.ended = False
        self.machine = ""
        self.running = False
        self.framed = False
        self.in_code = False
        self.in_stack = False
        self.top = 0  # the word that the stack pointer points to
        self.early = 0  # where an early exception was
        self.user = False
        self.split = False  # where the processor was stands on the next line: x86_64 before 2.6.25
        self.caller: Frame | None = None
        self.leaf = False
        self.linked = False  # the link register may be told next
        self.lost = False  # at an address with no name: who jumped there is in the link register

    def line(self, number: int, text: str) -> bool:  # noqa: PLR0911 -- one return a kind of line
        """Take a line; true where it is of a report's kind."""
        in_code, self.in_code = self.in_code, False
        split, self.split = self.split, text.endswith(("RIP: ", "RIP:"))
        crowded = ">{" in text or "TPC[" in text or ("]" in text and "+" in text and "0x" not in text)
        crowded = crowded or text.count("+0x") > 1
        if (split or crowded) and self._old(number, text, split=split):
            return True
        if found := trace.frame(text):
            return self._frame(found, number)
        if self.in_stack or (not self.framed and "Stack:" in text):
            self._stack(text)
        if (found := trace.pointer(text)) or ((self.lost or self.linked) and self._link(text)):
            return self._pointed(found, text) if found else True
        self.lost = self.pointer is None and trace.is_nowhere(text)
        if trace.is_heading(text):
            self._begin(text.strip()[:80], number)
            return True
        if ("IP: 00" in text and compiled(_USER).search(text)) or (
            "segfault at" in text and compiled(_SEGFAULT).search(text)
        ):
            self.user = True
        if ("Code:" in text or "dump:" in text) and (code := compiled(_CODE).search(text)):
            if not self.code and not self.user:
                self.code.append(code["code"].strip())
                self.in_code = True
            return True
        if in_code and compiled(_HEX).match(text):
            self.code.append(text.strip())
            self.in_code = len(self.code) < 8
            return True
        if not text.strip():
            self.running = False
            return False
        return self._note(text)

    def _pointed(self, found: Frame, text: str) -> bool:
        """A line that tells where the processor was; a register of the link may come next."""
        if trace.is_outside(found):
            self.lost = self.pointer is None
            return self._note(text) or True
        if self.pointer is None:
            self.linked = not self.framed and text.lstrip()[:2] in ("pc", "PC", "ep")
            self.leaf = trace.is_leaf(found, text)
        self._point(found, text)
        return True

    def _link(self, text: str) -> bool:
        """A line that tells the link register: who jumped where nothing is, or called a function without a frame."""
        found = trace.link(text)
        if found and self.lost:
            self._point(found, text)
        elif found:
            self.caller = found
            self._note(text)
        self.lost = self.lost and not found
        self.linked = self.linked and not found
        return found is not None

    def _frame(self, found: Frame, number: int) -> bool:
        """A frame. The first one's function is sure where the stack pointer points to its address: there a function
        returns to that has not made its own frame yet."""
        if not self.framed and found.address and found.address == self.top:
            found = replace(found, sure=True)
        if self.early and found.address == self.early and self.pointer is None:
            self.pointer = replace(found, sure=True)
        self.framed = True
        if not self.running:
            self._begin("", number)
        self.traces[-1].frames.append(found)
        return True

    def _stack(self, text: str) -> None:
        """The words of the stack, of which the first is kept; they stand in the heading's line or in the next."""
        found = compiled(_WORD if self.in_stack else _TOP).match(text)
        self.in_stack = found is not None and not found["word"]
        self.top = int(found["word"], 16) if found and found["word"] and not self.top else self.top

    def _old(self, number: int, text: str, *, split: bool) -> bool:
        """A line as x86_64 wrote it before 2.6.25: a pointer on a line of its own, several frames in one."""
        some = trace.several(text)
        if split and (found := some[0] if some else trace.frame(text)):
            self._point(found, text)
            return True
        if not some or trace.pointer(text):
            return False
        self.framed = True
        if not self.running or "race:" in text:
            self._begin("Call Trace:" if "race:" in text else "", number)
        self.traces[-1].frames.extend(some)
        return True

    def _point(self, found: Frame, text: str) -> None:
        """A line that tells where the processor was: the report's own, where no frame came before it."""
        self.user = False
        again = found == self.pointer
        if not self.framed and (self.pointer is None or self.pointer.inlined):
            self.pointer = found
        if self.framed and (text.startswith("RIP ") or " SS:ESP " in text or " RSP: " in text):
            self.late = found
        if again:
            pass
        elif self.running and self.traces[-1].frames and "<" not in text:
            self.traces[-1].frames.append(found)
        elif self.pending is None or self.pending.inlined:
            self.pending = found
        self._note(text)

    def _begin(self, heading: str, number: int) -> None:
        self.traces.append(Trace(heading, number, [], self.pending))
        self.pending = None
        self.running = True

    def _note(self, text: str) -> bool:
        """Registers, taint and the end; also of a line that was something else too."""
        seen = False
        if not self.machine:
            self.machine = machine_of(text)
        if not self.user and (pairs := registers.listed(text) or registers.named(text)):
            for name, value in pairs:
                self.registers.setdefault(name, value)
            seen = True
        if "early exception" in text and (found := compiled(_EARLY).search(text)):
            self.early = int(found["address"], 16)
        if "GPR" in text and not self.user and (found := compiled(_GENERAL).search(text)):
            for at, value in enumerate(found["values"].lower().split()):
                self.registers.setdefault(f"GPR{int(found['first']) + at:02d}", value)
            seen = True
        if "ainted" in text and (found := compiled(_TAINT).search(text)):
            if self.taint is None or (not self.taint and found["flags"]):
                self.taint = (found["flags"] or "").removesuffix(" VLI").replace(" ", "")
            seen = True
        if ", at: " in text:  # a lock that is held or wanted
            seen = True
        if is_end(text) or (self.traces and text.startswith("====") and compiled(_RULER).match(text)):
            self.ended = seen = True
        return seen


def parse(lines: list[Numbered]) -> Parsed:
    """Sort a report's lines into their parts."""
    parser = _Parser()
    last = lines[0].number
    for number, text, _ in lines:
        if parser.line(number, text):
            last = number
    return Parsed(
        parser.pointer or parser.late,
        tuple(one for one in parser.traces),
        tuple(parser.registers.items()),
        " ".join(parser.code),
        parser.taint,
        last,
        parser.ended,
        parser.machine,
        parser.caller,
        parser.leaf,
    )
