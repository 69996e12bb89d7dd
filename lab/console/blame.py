"""Which function to blame: helpers that only carry the blow are passed over, compilers' suffixes dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from lab.console.types import Frame


@cache
def _names(family: str) -> re.Pattern[str]:
    """One pattern for the whole of a name, from the tables in ``lab.console.rules.helpers``."""
    from lab.console.rules import helpers

    bare = tuple(pattern for pattern in helpers.HELPERS if pattern not in helpers.ERRANDS)
    stuck = tuple(
        pattern for pattern in helpers.HELPERS if pattern not in helpers.TRAPS
    )  # a fault that waits is to blame
    tables: dict[str, Sequence[str]] = {
        "bare": bare,
        "helper": helpers.HELPERS,
        "locker": helpers.HELPERS + helpers.LOCKERS,
        "waiter": stuck + helpers.WAITERS + helpers.WAITING_FOR,
        "sleeper": stuck + helpers.WAITERS,
        "spinner": helpers.SPINNERS,
        "interrupt": helpers.HELPERS + helpers.INTERRUPTS,
        "syscall": helpers.SYSCALLS,
        "dispatcher": helpers.DISPATCHERS,
    }
    spared = rf"(?!(?:{helpers.TITLED[family]})\Z)" if family in helpers.TITLED else ""
    return re.compile(spared + "(?:" + "|".join(tables[family]) + r")\Z")


@cache
def _suffix() -> re.Pattern[str]:
    return re.compile(r"(?:\.(?:part|isra|constprop|cold|llvm|lto_priv|cfi_jt|cfi|clone|localalias|ipa\w*|\d+))+\Z")


def plain(name: str) -> str:
    """``name`` without the suffixes that a compiler adds (``.isra.0``, ``.cold``) and dots of old ABIs."""
    if "." in name:
        name = _suffix().sub("", name.lstrip("."))
    return name


@lru_cache(maxsize=1024)
def is_helper(name: str, family: str = "helper") -> bool:
    """Whether the function only carries the blow; ``family`` widens it: ``waiter`` for what is stuck, ``interrupt``."""
    return _names(family).match(name) is not None


def blamed(frames: Iterable[Frame], family: str = "helper", after: str = "", over: str = "") -> str:
    """The first function that is no helper (and is not ``after``), from the frames that the kernel was sure of if
    there are any such; else empty. ``over`` is a pattern of more functions to pass over."""
    unsure = stale = ""
    passed = _over(over)
    for frame in frames:
        if frame.inlined or not frame.function or frame.function == after or is_helper(frame.function, family):
            continue
        if passed and passed.fullmatch(frame.function):
            continue
        if frame.sure:
            return frame.function
        if frame.size and frame.offset in (0, frame.size):  # nothing returns to where a function begins
            stale = stale or frame.function
        else:
            unsure = unsure or frame.function
    return unsure or stale


@cache
def _over(pattern: str) -> re.Pattern[str] | None:
    return re.compile(pattern) if pattern else None


def occupied(frames: Sequence[Frame]) -> str:
    """For a stuck processor: the innermost function that somebody's business begins with, or empty: the system call,
    or what a dispatcher called."""
    sure = [frame for frame in frames if frame.sure]
    known = frames if sure in ([], list(frames[:1])) else sure  # of a task that runs at most where it is is sure
    names = [frame.function for frame in known if not frame.inlined]
    for name, caller in zip(names, [*names[1:], ""], strict=False):
        if found := _names("syscall").match(name):
            if found["outer"] == "exit_group" and caller == "x64_sys_call":
                return caller
            return found["body"] or found["table"] or "sys_" + (found["outer"] or found["plain"])
        if caller and _names("dispatcher").match(caller) and not is_helper(name, "interrupt"):
            return name
    return ""


def titled(name: str) -> str:
    """``name`` as a title has it: of a system call's wrappers the call (``__x64_sys_mount``: ``sys_mount``), of its
    body the call's own name (``__do_sys_mount``: ``mount``)."""
    if "sys_" not in name:
        return name
    found = _names("syscall").match(name)
    if found is None or found["table"]:
        return name
    return found["body"] or (f"sys_{found['outer']}" if found["outer"] else name.removeprefix("sys_"))
