"""WARN() and its relatives: kernel/panic.c (__warn), lib/refcount.c, lib/debugobjects.c."""

from lab.console.rules import Refine, Rule

RULES: tuple[Rule, ...] = (
    Rule(
        word="warning",
        kind="warning",
        needles=("WARNING: CPU: ", "WARNING: at "),
        pattern=r"WARNING: (?:CPU: \d+ PID: \d+ )?at (?P<where>\S+)(?: (?P<func>[\w.$]+)(?:\+0x|\())?",
        title="WARNING in {func}",
        example="WARNING: CPU: 0 PID: 1 at kernel/smpboot.c:28 smpboot_thread_fn+0x1e/0xa0()",
        blame="header",
        refine=(
            Refine(r"refcount_t: ", "WARNING: refcount bug in {func}", "refcount"),
            Refine(r"ODEBUG: ", "WARNING: ODEBUG bug in {func}", "odebug"),
        ),
    ),
)
