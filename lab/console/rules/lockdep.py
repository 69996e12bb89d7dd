"""Lockdep in all its kinds: kernel/locking/lockdep.c (kernel/lockdep.c before 3.12), kernel/rcu/update.c."""

from lab.console.rules import Rule

_AT = r"\bat:\s+(?:\[<?[0-9a-f]*>?\]\s*)?(?P<func>[\w.$]+)\+0x"
_BARE_AT = r"\bat:\s+(?:\[<?[0-9a-f]*>?\]\s*)?(?P<func>[A-Za-z_][\w.$]*)(?: \S+:\d+)?$"
_LINE = r"^\s*(?:\[?<?[0-9a-f]*>?\]\s*)?(?P<func>[A-Za-z_][\w.$]*)\+0x"
_NEXT = (
    r"(?:\bat:\s+(?:\[<?[0-9a-f]*>?\]\s*)?(?=[\w.$]+(?:\+0x|(?: \S+:\d+)?$))"
    r"|^\s*(?:\[<?[0-9a-f]*>?\]\s*)?(?=[\w.$]+\+0x))(?P<func>[A-Za-z_][\w.$]*)"
)
"""Who takes the lock, who holds the other; where helpers do both, who took the first of them before."""

TAKERS = r"_*lock_sock\w*|wait_for_\w+|pm_runtime_set_memalloc_noio"
"""They take a lock that their caller should have made, or should not have made anew."""

RULES: tuple[Rule, ...] = (
    Rule(
        word="deadlock",
        kind="lockdep",
        needles=("WARNING: ", "INFO: ", "lock order detected"),
        pattern=r"-safe -> [\w-]+-unsafe lock order detected",
        title="possible deadlock in {func}",
        example="WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
        find=(_NEXT,),
        since=r"which became [\w-]+-irq-safe at:",
    ),
    Rule(
        word="deadlock",
        kind="lockdep",
        needles=("WARNING: ", "INFO: "),
        pattern=r"possible (?:circular locking dependency|recursive locking|irq lock inversion dependency) detected",
        title="possible deadlock in {func}",
        example="WARNING: possible circular locking dependency detected",
        find=(_NEXT,),
    ),
    Rule(  # kernel/locking/rtmutex-debug.c
        word="rtmutex-deadlock",
        kind="lockdep",
        needles=("circular locking deadlock detected!",),
        pattern=r"^\[? ?(?P<level>WARNING|BUG): circular locking deadlock detected!",
        title="{level}: circular locking deadlock in {func}",
        example="WARNING: circular locking deadlock detected!",
        over=r"_*schedule\w*",
        blame="frames",
    ),
    Rule(
        word="lock-state",
        kind="lockdep",
        needles=("WARNING: ", "INFO: "),
        pattern=r"(?:WARNING|INFO): inconsistent lock state",
        title="inconsistent lock state in {func}",
        example="WARNING: inconsistent lock state",
        find=(_AT, _BARE_AT),
    ),
    Rule(
        word="unlock-balance",
        kind="lockdep",
        needles=("WARNING: ", "BUG: "),
        pattern=r"(?P<level>WARNING|BUG): bad unlock balance detected",
        title="{level}: bad unlock balance in {func}",
        example="WARNING: bad unlock balance detected!",
        find=(_LINE,),
    ),
    Rule(
        word="lock-freed",
        kind="lockdep",
        needles=("WARNING: ", "BUG: "),
        pattern=r"(?P<level>WARNING|BUG): held lock freed!",
        title="{level}: held lock freed in {func}",
        example="WARNING: held lock freed!",
        find=(_AT,),
        blame="frames",
    ),
    Rule(
        word="lock-held",
        kind="lockdep",
        needles=("WARNING: ", "BUG: "),
        pattern=r"(?P<level>WARNING|BUG): lock held when returning to user space!",
        title="{level}: lock held when returning to user space in {func}",
        example="WARNING: lock held when returning to user space!",
        find=(_AT,),
    ),
    Rule(
        word="locks-held",
        kind="lockdep",
        needles=("WARNING: ", "BUG: "),
        pattern=r"(?P<level>WARNING|BUG): (?:.* still has locks held|lock held at task exit time)!",
        title="{level}: still has locks held in {func}",
        example="WARNING: syz-executor/1234 still has locks held!",
        find=(_AT,),
    ),
    Rule(
        word="nested-lock",
        kind="lockdep",
        needles=("WARNING: ", "BUG: "),
        pattern=r"(?P<level>WARNING|BUG): Nested lock was not taken",
        title="WARNING: nested lock was not taken in {func}",
        example="WARNING: Nested lock was not taken",
        blame="frames",
    ),
    Rule(
        word="contention",
        kind="lockdep",
        needles=("WARNING: ", "BUG: "),
        pattern=r"(?P<level>WARNING|BUG): bad contention detected!",
        title="WARNING: bad contention in {func}",
        example="WARNING: bad contention detected!",
        find=(_LINE,),
    ),
    Rule(
        word="wait-context",
        kind="lockdep",
        needles=("BUG: Invalid wait context",),
        pattern=r"BUG: Invalid wait context",
        title="WARNING: locking bug in {func}",
        example="[ BUG: Invalid wait context ]",
        find=(_AT,),
        alternatives=("BUG: Invalid wait context in {func}",),
    ),
    Rule(
        word="rcu-usage",
        kind="lockdep",
        needles=("WARNING: suspicious", "INFO: suspicious"),
        pattern=r"(?P<level>WARNING|INFO): suspicious (?:RCU|rcu_dereference\w*(?:\(\))?) usage",
        title="WARNING: suspicious RCU usage in {func}",
        example="WARNING: suspicious RCU usage",
        blame="frames",
    ),
    Rule(
        word="rcu-usage",
        kind="lockdep",
        needles=("WARNING: suspicious", "INFO: suspicious"),
        pattern=r"^(?:WARNING|INFO): suspicious RCU context",
        title="WARNING: suspicious RCU usage in {func}",
        example="WARNING: suspicious RCU context",
        blame="frames",
        role="part",
    ),
    Rule(
        word="static-key",
        kind="lockdep",
        needles=("INFO: ",),
        pattern=r"INFO: trying to register non-static key",
        title="INFO: trying to register non-static key in {func}",
        example="INFO: trying to register non-static key.",
        over=TAKERS,
        blame="frames",
    ),
    Rule(
        word="lockdep-limit",
        kind="lockdep",
        needles=("BUG: MAX_",),
        pattern=r"BUG: (?P<what>MAX_LOCK\w+|MAX_STACK_TRACE_ENTRIES) too low!",
        title="BUG: {what} too low!",
        example="BUG: MAX_LOCKDEP_CHAINS too low!",
        blame="none",
    ),
    Rule(
        word="lock-key",
        kind="lockdep",
        needles=("BUG: looking up invalid subclass",),
        pattern=r"BUG: looking up invalid subclass",
        title="BUG: looking up invalid subclass in {func}",
        example="BUG: looking up invalid subclass: 8",
        blame="frames",
    ),
)
