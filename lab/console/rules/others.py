"""Oopses of the processors that x86, arm, riscv and powerpc are not: mips, parisc, sparc, s390, ia64, alpha, sh, arc, microblaze,
and powerpc's xmon. What loongarch, csky, m68k, xtensa and openrisc say is in the words of oops.py.

Sources: arch/mips/kernel/traps.c (``die_if_kernel``), arch/mips/kernel/unaligned.c, arch/parisc/kernel/traps.c
(``parisc_terminate``, ``die_if_kernel``), arch/sparc/kernel/traps_64.c, arch/sparc/kernel/unaligned_64.c,
arch/s390/kernel/traps.c, arch/ia64/kernel/traps.c (``ia64_fault``, ``ia64_bad_break``), arch/alpha/kernel/traps.c,
arch/powerpc/xmon/xmon.c (``excprint``), arch/arc/kernel/troubleshoot.c, arch/microblaze/kernel/exceptions.c.
"""

from lab.console.rules import Rule
from lab.console.rules.oops import BUGS

_S390 = (
    r"illegal operation|monitor event|specification exception|addressing exception|operation exception|protection exception"
    r"|data exception|privileged operation|execute exception|translation (?:specification )?exception|special operation exception"
    r"|fixpoint (?:divide|overflow) exception|vector processing exception|transaction constraint exception|HFP [\w -]+ exception"
    r"|secure storage access|operand exception|space switch event|stack overflow"
)

RULES: tuple[Rule, ...] = (
    Rule(
        word="bug",
        kind="bug",
        needles=("ernel bug detected",),
        pattern=r"^Kernel bug detected(?:\[#\d+\]|:)",
        title="kernel BUG in {func}",
        refine=BUGS,
        example="Kernel bug detected[#1]:",
        fatal=True,
        role="part",
    ),
    Rule(
        word="bug",
        kind="bug",
        needles=("bugcheck! ", "Break instruction received by kernel?", "Kernel bad sw trap ", "): Kernel Bug "),
        pattern=r"\]: bugcheck! \d+ \[\d+\]|Break instruction received by kernel\?|: Kernel bad sw trap \d+ \[#|\): Kernel Bug \d",
        title="kernel BUG in {func}",
        refine=BUGS,
        example="swapper (pid 0): Break instruction received by kernel? (code 0)",
        fatal=True,
        role="part",
    ),
    Rule(
        word="null-deref",
        kind="oops",
        needles=("(null pointer deref?)",),
        pattern=r"^Bad Address \(null pointer deref\?\): Code=",
        title="BUG: unable to handle kernel NULL pointer dereference in {func}",
        example="Bad Address (null pointer deref?): Code=15 (Data TLB miss fault) at addr 0000000000000010",
        fatal=True,
        alternatives=("BUG: unable to handle kernel paging request in {func}",),
    ),
    Rule(
        word="page-fault",
        kind="oops",
        needles=("Kernel Fault: Code=", "Page fault: ", "Fault: Code="),
        pattern=r"^(?:Kernel Fault|Page fault: (?:bad address|no context)|.* Fault): Code=\d+",
        title="BUG: unable to handle kernel paging request in {func}",
        example="Kernel Fault: Code=26 (Data memory access rights trap) at addr 0000000041252808",
        fatal=True,
        alternatives=("BUG: unable to handle kernel NULL pointer dereference in {func}",),
    ),
    Rule(
        word="page-fault",
        kind="oops",
        needles=(": Vector: ",),
        pattern=r"^cpu 0x[0-9a-f]+: Vector: (?:3[08]0|4[08]0) ",
        title="BUG: unable to handle kernel paging request in {func}",
        example="cpu 0x1: Vector: 300 (Data Access) at [c0000000fa9f7a70]",
        fatal=True,
        role="part",
    ),
    Rule(
        word="oops",
        kind="oops",
        needles=(": Vector: ",),
        pattern=r"^cpu 0x[0-9a-f]+: Vector: [0-9a-f]+ ",
        title="Oops in {func}",
        example="cpu 0x1: Vector: 700 (Program Check) at [c0000000fa9f7a70]",
        fatal=True,
        role="part",
    ),
    Rule(
        word="exception",
        kind="oops",
        needles=(" [#",),
        pattern=rf"(?P<what>{_S390}): [0-9a-f]{{4}} (?:ilc:\d ?)?\[#",
        title="{what} in {func}",
        example="specification exception: 0006 ilc:2 [#1] SMP",
        fatal=True,
        role="part",
    ),
    Rule(
        word="exception",
        kind="oops",
        needles=("NaT consumption", "eneral Exception: "),
        pattern=r"(?P<what>NaT consumption|General Exception)[: ].*\[\d+\]",
        title="{what} in {func}",
        example="udevd[134]: NaT consumption 2216203124768 [1]",
        fatal=True,
    ),
    Rule(
        word="exception",
        kind="oops",
        needles=(" in kernel code", "ernel unaligned ", "from kernel context"),
        pattern=r"^(?P<what>Reserved instruction|Break instruction|Trap instruction|FP exception|MSA exception|Overflow) in kernel code\b"
        r"|^(?P<unaligned>Unhandled kernel unaligned access|Kernel unaligned instruction access)\[#"
        r"|^do_(?P<coprocessor>cpu|msa|mdmx) invoked from kernel context!",
        title="Oops in {func}",
        example="Reserved instruction in kernel code[#1]:",
        fatal=True,
    ),
    Rule(
        word="exception",
        kind="oops",
        needles=("): Kernel ", "): Arithmetic fault", "): Instruction fault"),
        pattern=r"^\S+ ?\((?:pid )?\d+\): (?:Kernel (?:illegal|bad|does|active|mna|fp|privileged|unaligned|use of)\b.*\[#|(?:Arithmetic|Instruction) fault \d)",
        title="Oops in {func}",
        example="systemd(1): Kernel illegal instruction [#1]",
        fatal=True,
    ),
    Rule(
        word="page-fault",
        kind="oops",
        needles=("[ECR   ]: ",),
        pattern=r"^\[ECR   \]: 0x[0-9a-f]+ => Invalid (?:Read|Write) @ 0x[0-9a-f]+ by insn @ 0x[89a-f][0-9a-f]{7}$",
        title="BUG: unable to handle kernel paging request in {func}",
        example="[ECR   ]: 0x00050200 => Invalid Write @ 0x00000008 by insn @ 0x80204a2e",
        fatal=True,
        alternatives=("BUG: unable to handle kernel NULL pointer dereference in {func}",),
    ),
    Rule(
        word="page-fault",
        kind="oops",
        needles=("Oops: ",),
        pattern=r"^Oops: (?:kernel access of bad area|Weird page fault), sig: \d+$",
        title="BUG: unable to handle kernel paging request in {func}",
        example="Oops: kernel access of bad area, sig: 11",
        fatal=True,
    ),
    Rule(
        word="oops",
        kind="oops",
        needles=("Oops: ",),
        pattern=r"^Oops: [A-Za-z][\w ]+, sig: \d+$",
        title="Oops in {func}",
        example="Oops: Divide by zero exception, sig: 8",
        fatal=True,
        role="part",
    ),
    Rule(
        word="unaligned",
        kind="hardware",
        needles=("ernel unaligned access",),
        pattern=r"^Kernel unaligned access (?:at TPC\[[0-9a-f]+\] |to 0x[0-9a-f]+ in )(?P<func>[\w.$]+)\+0x",
        title="Kernel unaligned access in {func}",
        example="Kernel unaligned access at TPC[10012345] una_read+0x1c/0x60 [una]",
        blame="header",
        alone=True,
    ),
)
