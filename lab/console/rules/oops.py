"""BUG(), page faults and the processor's exceptions, in the wordings of every era and architecture.

Sources: arch/x86/mm/fault.c, arch/x86/kernel/{traps,dumpstack}.c, lib/bug.c, include/asm-generic/bug.h and their forebears.
"""

from lab.console.rules import Refine, Rule

_NULL = "BUG: unable to handle kernel NULL pointer dereference in {func}"
_PAGING = "BUG: unable to handle kernel paging request in {func}"
_USER = "BUG: unable to handle kernel access to user memory in {func}"

RULES: tuple[Rule, ...] = (
    Rule(
        word="bug",
        kind="bug",
        needles=("kernel BUG at ", "Kernel BUG at ", "kernel BUG [", "Kernel BUG [", "Kernel BUG in "),
        pattern=r"[kK]ernel BUG (?:at|in)? ?(?P<where>\S+?:\d+|\[|.)",
        title="kernel BUG in {func}",
        example="kernel BUG at mm/mempolicy.c:1785!",
        fatal=True,
        refine=(
            Refine(
                r"list_(?:add|del) corruption|kernel BUG at \S*lib/list_debug\.c",
                "BUG: corrupted list in {func}",
                "corrupted-list",
                "corruption",
            ),
            Refine(
                r"usercopy: (?:K|k)ernel memory|kernel BUG at \S*mm/usercopy\.c",
                "BUG: bad usercopy in {func}",
                "usercopy",
                "corruption",
            ),
        ),
    ),
    Rule(
        word="null-deref",
        kind="oops",
        needles=("NULL pointer dereference",),
        pattern=r"(?i)BUG: unable to handle kernel NULL pointer dereference|BUG: kernel NULL pointer dereference|unable to handle kernel NULL pointer dereference",
        title=_NULL,
        example="BUG: kernel NULL pointer dereference, address: 0000000000000000",
        fatal=True,
        alternatives=("BUG: kernel NULL pointer dereference in {func}",),
    ),
    Rule(
        word="page-fault",
        kind="oops",
        needles=("unable to handle page fault for address", "nable to handle kernel paging request"),
        pattern=r"BUG: unable to handle page fault for address|[uU]nable to handle kernel paging request",
        title=_PAGING,
        example="BUG: unable to handle page fault for address: ffffffffdead0000",
        fatal=True,
    ),
    Rule(
        word="gpf",
        kind="oops",
        needles=("general protection fault",),
        pattern=r"general protection fault(?:: [0-9a-f]{4} \[#?\d*\]|, (?:probably|maybe) for |:? )",
        title="general protection fault in {func}",
        example="general protection fault, probably for non-canonical address 0xdffffc0000000000: 0000 [#1] PREEMPT SMP",
        fatal=True,
    ),
    Rule(
        word="double-fault",
        kind="oops",
        needles=("PANIC: double fault", "double fault: "),
        pattern=r"PANIC: double fault|double fault: [0-9a-f]{4} \[",
        title="PANIC: double fault in {func}",
        example="PANIC: double fault, error_code: 0x0",
        fatal=True,
    ),
    Rule(
        word="divide-error",
        kind="oops",
        needles=("divide error: ",),
        pattern=r"divide error: [0-9a-f]{4} \[",
        title="divide error in {func}",
        example="divide error: 0000 [#1] SMP",
        fatal=True,
    ),
    Rule(
        word="invalid-opcode",
        kind="oops",
        needles=("invalid opcode: ",),
        pattern=r"invalid opcode: [0-9a-f]{4} \[",
        title="invalid opcode in {func}",
        example="invalid opcode: 0000 [#1] SMP",
        fatal=True,
        role="part",
    ),
    Rule(
        word="stack-segment",
        kind="oops",
        needles=("stack segment: ",),
        pattern=r"stack segment: [0-9a-f]{4} \[",
        title="stack segment fault in {func}",
        example="stack segment: 0000 [#1] SMP",
        fatal=True,
    ),
    Rule(
        word="oops",
        kind="oops",
        needles=("Oops: ", "Oops - "),
        pattern=r"\bOops(?::| -) ",
        title="Oops in {func}",
        example="Oops: 0002 [#1] PREEMPT SMP",
        fatal=True,
        role="part",
    ),
)
