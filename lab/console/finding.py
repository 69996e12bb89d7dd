"""From the parts of a report to its finding: which function is to blame, which title, what is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lab.console.blame import blamed, is_helper, occupied, plain, titled
from lab.console.parse import Numbered, Parsed, Trace, parse
from lab.console.patterns import compiled
from lab.console.rules import Refine, Rule, all_rules
from lab.console.types import Finding, Frame, Kind
from lab.console.unwrap import BROKEN, single_spaced, unwrapped

NOWHERE = "corrupted"
"""What stands in a title for the function where the console does not tell it; the community's word."""

_ENTRY = (
    r"(?:asm_)?(?:sysvec_)?(?:(?:smp_)?(?:trace_)?(?:reschedule|apic_timer|call_function\w*|irq_work)_interrupt"
    r"|sysvec_\w+|common_interrupt|ret_from_intr|nmi|do_nmi|exc_nmi|end_repeat_nmi)|el1h?_(?:irq|64_irq)\w*|__irq_svc"
    r"|hardware_interrupt_common\w*|decrementer_common\w*"
)


class Open(NamedTuple):
    """A report as it was read: its rule, the header's groups, its lines, the header's number."""

    rule: Rule
    groups: dict[str, str]
    lines: list[Numbered]
    start: int
    closed: bool = True
    flags: tuple[str, ...] = ()


class _Title(NamedTuple):
    title: str
    word: str
    kind: Kind
    groups: dict[str, str]
    over: str


def main_trace(rule: Rule, traces: Sequence[Trace]) -> Trace | None:
    """The trace that tells where the report comes from: lockdep's stands under "stack backtrace", others' first."""
    filled = [one for one in traces if one.frames]
    if len(filled) > 1 and not filled[0].heading and not filled[0].frames[0].sure and filled[1].heading:
        filled = filled[1:]  # another processor's, whose report this one broke into
    if not filled:
        return None
    start = next((one.line for one in traces if one.heading.startswith("stack backtrace")), 0)
    named = (one for one in filled if one.heading and not one.heading.startswith(("Allocated", "Freed", "-> #")))
    return next((one for one in filled if start and one.line >= start), None) or (
        next(named, filled[0]) if rule.kind == "lockdep" else filled[0]
    )


def chain_of(
    rule: Rule, groups: dict[str, str], parsed: Parsed, *, inline: bool = False, astray: bool = False
) -> list[Frame]:
    """The frames that may be to blame, in the order they are asked; ``astray``: without the instruction pointer's."""
    chain: list[Frame] = []
    if rule.blame == "header" and groups.get("func"):
        chain.append(Frame(plain(groups["func"]), inlined=inline))
    main = main_trace(rule, parsed.traces)
    if rule.blame in ("trace", "header", "stall") and not astray and (pointer := parsed.pointer):
        if not chain or chain[-1].function != pointer.function:
            chain.append(pointer)
        else:
            chain[-1] = pointer
        if parsed.caller and chain[-1] == pointer and (parsed.leaf or main is None):
            chain.append(parsed.caller)
    if main:
        rest = main.frames
        if parsed.caller and len(chain) > 1 and chain[-1] == parsed.caller:
            rest = _below(rest, chain[-2], parsed.caller)
        if chain and rest and rest[0].function == chain[-1].function and rule.blame == "header":
            chain[-1] = rest[0] if rest[0].sure else chain[-1]  # where the trace begins with the trap's own frames
            rest = rest[1:]
        chain.extend(rest)
    return chain


def _below(frames: list[Frame], leaf: Frame, caller: Frame) -> list[Frame]:
    """A trace's frames without those that the instruction pointer and the link register told already."""
    rest = frames[1:] if frames and frames[0].function == leaf.function else frames
    return rest[1:] if rest and rest[0].function == caller.function else rest


_FETCH = r"^#PF: \w+ instruction fetch|^(?:Oops: )?0*1[0-7] \[#\d+\]"
"""A page fault of the instruction pointer itself (X86_PF_INSTR in arch/x86/include/asm/trap_pf.h), so it is in no code:
who jumped there is to blame."""

_WAITING = r"rcu_gp_kthread|rcu_gp_fqs_loop"
_NOTICED = "watchdog_buddy_check_hardlockup"
"""On the stack of the processor that sees another stuck (kernel/watchdog_buddy.c)."""


_GATES = r"do_(?:syscall_64|int80_\w+|fast_syscall_32)|arch_do_signal\w*"
"""A task that comes or goes; they are somebody's business only where nothing else is."""


def _stalled(parsed: Parsed, *, whole: bool) -> str:
    """What a stuck processor was doing: under the first interrupt's entry, the innermost function that is somebody's
    business. ``whole``: where that is nobody's, what the interrupt itself was doing, for the trace is not of one that
    only came to look."""
    stacks: list[list[Frame]] = []
    for one in parsed.traces:
        if not one.frames:
            continue
        if stacks and not one.heading:
            stacks[-1].extend(one.frames)
        else:
            stacks.append([*([one.pointer] if one.pointer else []), *one.frames])
    stacks = [stack for stack in stacks if all(frame.function != _NOTICED for frame in stack)]
    cut = [(at, stack) for stack in stacks for at in [_entry(stack)]]
    busy = [stack for _, stack in cut if not any(compiled(_WAITING).fullmatch(frame.function) for frame in stack)]
    fallback = gate = ""
    under = [stack[at:] for at, stack in cut if at > 0]
    for frames in [*under[:1], *busy[:1], *under[1:], *busy[1:]] if whole else [*under, *busy]:
        rest = list(frames)
        while rest and is_helper(rest[0].function, "interrupt"):
            rest.pop(0)
        if (found := occupied(rest)) and not (whole and compiled(_GATES).fullmatch(found)):
            return found
        gate = gate or found
        fallback = fallback or blamed(rest, "interrupt")
    if not fallback and (pointer := parsed.pointer):
        fallback = blamed([pointer], "interrupt")
    return gate or fallback


def _entry(stack: Sequence[Frame]) -> int:
    """Where, behind the first interrupt's entry, the work begins that was interrupted; 0 where none was."""
    return 1 + next((at for at, frame in enumerate(stack) if compiled(_ENTRY).fullmatch(frame.function)), -1)


def _found(rule: Rule, lines: Sequence[Numbered]) -> str:
    """The first function that the rule's own patterns name and that does not only carry the blow: where a helper takes
    the lock, that is who holds the other."""
    began = compiled(rule.since).search if rule.since else None
    start = next((at for at, line in enumerate(lines) if began and began(line.text)), 0)
    for pattern in rule.find:
        search = compiled(pattern).search
        for line in lines[start + 1 :]:
            text = line.text
            if "[inline]" in text:
                continue
            if (" at" in text or "+0x" in text or "function" in text or "caller" in text) and (found := search(text)):
                name = plain(found["func"])
                if not is_helper(name, "locker"):
                    return name
    return ""


_SCHEDULERS = r"_*schedule\w*|context_switch|__switch_to\w*"
"""Where all that waits is, which is no answer."""

_FAMILY = {"hung": "waiter", "undying": "sleeper"}


def function_of(rule: Rule, parsed: Parsed, lines: Sequence[Numbered], chain: Sequence[Frame], over: str = "") -> str:
    """The function to blame, or empty."""
    if rule.blame == "none":
        return ""
    if rule.find and (named := _found(rule, lines)):
        return named
    if rule.blame == "stall":
        return _stalled(parsed, whole=rule.word == "soft-lockup")
    if found := blamed(chain, _FAMILY.get(rule.blame, "helper"), over=over):
        return found
    if not main_trace(rule, parsed.traces) and rule.blame == "header":
        return ""  # a helper at the head, and nobody below it
    return blamed(chain, "bare", over=_SCHEDULERS if rule.blame in _FAMILY else "")


def _refined(rule: Rule, groups: dict[str, str], lines: Sequence[Numbered]) -> _Title:
    """Title, word, kind and groups after the rule's refinements."""
    for refine in rule.refine:
        search = compiled(refine.pattern).search
        for line in lines:
            if found := search(line.text):
                more = {key.rstrip("0123456789"): value for key, value in found.groupdict().items() if value}
                return _apply(rule, refine, {**groups, **more})
    return _Title(rule.title, rule.word, rule.kind, groups, rule.over)


def _apply(rule: Rule, refine: Refine, groups: dict[str, str]) -> _Title:
    return _Title(refine.title, refine.word or rule.word, refine.kind or rule.kind, groups, refine.over or rule.over)


_VARIABLE = (
    (r"0x[0-9a-fA-F]+|\(_+ptrval_+\)|\b(?=[0-9a-f]*\d)[0-9a-f]{8,16}\b", "ADDR"),
    (r"(?<=\.[chS]:)\d+", "LINE"),
    (r"\bkworker/(u?)\d+:\d+", r"kworker/\1NUM:NUM"),  # the processor or the pool, and the worker
    (r"(?<![A-Za-z_\d])\d+(?![A-Za-z_\d])|(?<=CPU)\d+|(?<=CPU#)\d+", "NUM"),
    (r"\s+", " "),
)


def steady(text: str) -> str:
    """Free text for a title: nothing in it that changes from run to run."""
    for pattern, word in _VARIABLE:
        text = compiled(pattern).sub(word, text[:300])
    return compiled(r"[\s,:;-]+$").sub("", text.strip())


def build(report: Open, time: float | None = None) -> Finding:
    """The finding of a report whose header came at kernel time ``time``."""
    report, lines = _rejoined(report, unwrapped(single_spaced(report.lines)))
    rule = report.rule
    header, known = _header_of(report, lines)
    parsed = parse(lines)
    astray = main_trace(rule, parsed.traces) is not None and any(compiled(_FETCH).search(line.text) for line in lines)
    chain = chain_of(rule, known, parsed, inline="[inline]" in header, astray=astray)
    title, word, kind, groups, over = _refined(rule, known, lines)
    function = function_of(rule, parsed, lines, chain, over)
    if not function and rule.kind == "oops" and parsed.pointer:
        function = parsed.pointer.function  # all that is told is where a helper was
    if rule.role == "after":
        function = plain(groups.get("func", "")) or (function if "{func}" in title else "")
    values = {key: steady(value) if key == "text" else plain(value) for key, value in groups.items()}
    values["func"] = function or (groups.get("func", "") if rule.blame == "none" else "") or NOWHERE
    if rule.blame not in ("stall", "none"):
        values["func"] = titled(values["func"])
    if values.get("func2"):
        values["func"], values["func2"] = sorted((values["func"], values["func2"]))
    values["caller"] = blamed(chain, after=function) or NOWHERE
    values.setdefault("access", "")
    place = groups.get("where", "").rpartition(":")
    values["place"] = f"{in_tree(place[0])}:LINE" if place[2].rstrip("!").isdigit() else ""
    made = " ".join(title.format_map(values).split())
    parts = [values["func"], values["func2"]] if values.get("func2") else [function]
    shown = values.get("text", "").rstrip(" .") or " ".join(filter(None, (values.get("what"), values.get("access"))))
    where = groups.get("where", "") or groups.get("where2", "")
    file, _, number = where.rpartition(":")
    last = max(parsed.last, report.start)
    return Finding(
        kind=kind,
        title=made,
        signature=_signature(word, parts, shown),
        function=function,
        line=report.start,
        last_line=last,
        fatal=rule.fatal,
        functions=tuple(dict.fromkeys(("" if one.sure else "? ") + one.function for one in chain if one.function)),
        frames=tuple(chain),
        alternatives=_alternatives(rule, values, made, title if astray else "", parsed.pointer),
        registers=parsed.registers,
        code=parsed.code,
        file=in_tree(file) if number.isdigit() else "",
        file_line=int(number) if number.isdigit() and len(number) < 8 else 0,
        taint=parsed.taint,
        damaged=_damage(report, parsed),
        text=tuple(line.text for line in lines if line.number <= last),
        machine=parsed.machine,
        time=time,
    )


def _rejoined(report: Open, lines: list[Numbered]) -> tuple[Open, list[Numbered]]:
    """A header of no kind of its own that is one with the next line, where a mail program broke it in two."""
    at = next((at for at, line in enumerate(lines) if line.number == report.start), 0)
    if report.rule.word != "kernel-bug-text" or at + 1 >= len(lines):
        return report, lines
    head = lines[at].text.rstrip()
    whole = f"{head} {lines[at + 1].text.lstrip()}"
    joined = [*lines[:at], lines[at]._replace(text=whole), *lines[at + 2 :]]
    for rule in all_rules():
        if rule.role != "start" or rule == report.rule:
            continue
        found = compiled(rule.pattern).search(whole)
        if found and found.start() < len(head):
            groups = {key: value or "" for key, value in found.groupdict().items()}
            broken = len(head) < found.end() - 1
            return report._replace(rule=rule, groups=groups), joined if broken else lines
    return report, lines


_TOPS = frozenset(
    (
        *("arch", "block", "certs", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc", "kernel", "lib"),
        *("mm", "net", "rust", "samples", "scripts", "security", "sound", "tools", "usr", "virt"),
    )
)


def in_tree(path: str) -> str:
    """A source file's name as the kernel's tree has it: without ``./`` and without the place it was built in."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for at, part in enumerate(parts[:-1]):
        if part in _TOPS and not (part == "kernel" and parts[at + 1] in _TOPS):
            return "/".join(parts[at:])
    return path


def _header_of(report: Open, lines: Sequence[Numbered]) -> tuple[str, dict[str, str]]:
    """The report's header with what its rule reads from it; the last of several that name functions inlined there."""
    at = next((at for at, line in enumerate(lines) if line.number == report.start), 0)
    text, groups = lines[at].text.rstrip(), report.groups
    for line, after in zip(lines[at : at + 12], [*lines[at + 1 : at + 12], None], strict=False):
        found = compiled(report.rule.pattern).search(line.text)
        if found is None:
            break
        text = line.text.rstrip()
        groups = {**groups, **{key: value for key, value in found.groupdict().items() if value}}
        if "[inline]" not in text:
            if not groups.get("func") and (broken := compiled(BROKEN).match(after.text if after else "")):
                groups = {**groups, "func": broken["func"]}
            break
    return text, groups


def _signature(word: str, functions: Sequence[str], shown: str) -> str:
    """``word:function``; the report's own words stand in where there is no function."""
    names = "/".join(name for name in functions if name)
    if names:
        return f"{word}:{names}"
    return f"{word}:{shown}" if shown else word


def _alternatives(
    rule: Rule, values: dict[str, str], title: str, landed: str, pointer: Frame | None
) -> tuple[str, ...]:
    """Other titles, one with where it ``landed`` that was led astray among them."""
    told = (one for one in rule.alternatives if values["place"] or "{place}" not in one)
    made = [" ".join(one.format_map(values).split()) for one in told]
    if landed and pointer:
        made.append(" ".join(landed.format_map({**values, "func": pointer.function}).split()))
    return tuple(dict.fromkeys(one for one in made if one != title))


_BOTTOM = (
    r"ret_from_\w+|ret_fast_syscall|entry_\w+|start_kernel|secondary_startup\w*|el0t?_\w+|system_call\w*|sys(?:tem)?_?call_?\w*"
    r"|sysenter_\w+|work_\w+|cpu_startup_entry|kthread|kernel_thread\w*|start_parisc|syscall_\w+|linux_sparc_syscall\w*|rest_init|child_rip"
)


def _whole(parsed: Parsed) -> bool:
    """Whether a trace goes down to where a stack begins."""
    last = [trace.frames[-1].function for trace in parsed.traces if trace.frames]
    return any(compiled(_BOTTOM).fullmatch(name) for name in last)


def _damage(report: Open, parsed: Parsed) -> tuple[str, ...]:
    """In words, what is wrong with the report itself."""
    rule = report.rule
    found = list(report.flags)
    if rule.blame != "none" and rule.kind != "panic" and not any(trace.frames for trace in parsed.traces):
        found.append("no backtrace")
    if rule.fatal and rule.kind in ("bug", "oops") and not parsed.ended and not report.closed and not _whole(parsed):
        found.append("cut off")
    if any(line.mixed for line in report.lines):
        found.append("mixed")
    return tuple(dict.fromkeys(found))
