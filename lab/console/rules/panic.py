"""Panics of every cause: kernel/panic.c, kernel/exit.c, init/do_mounts.c, init/main.c, mm/oom_kill.c, arch/x86/mm/extable.c."""

from lab.console.rules import Refine, Rule

# Texts of a panic that only says what the report before it led to.
CONSEQUENCES = (
    r"Fatal exception|panic_on_warn set|panic_on_taint|hung_task: blocked tasks|softlockup: hung tasks|Hard LOCKUP|hard lockup|RCU Stall"
    r"|[Ww]orkqueue lockup|Aiee, killing interrupt handler|Fatal hardware error|Fatal machine check|Oops$|Oops - |Attempted to kill the idle task"
    r"|scheduling while atomic|CPU context corrupt|Unable to continue$|Uncorrected machine check|BUG!$|unrecoverable failure$|UBSAN: panic_on|KASAN: panic_on|KFENCE: panic_on|kmsan\.panic set|kasan\.fault=panic set"
)

RULES: tuple[Rule, ...] = (
    Rule(  # arch/arm64/kernel/setup.c, arch/arm/kernel/{setup,devtree}.c: it waits for ever
        word="no-machine",
        kind="panic",
        needles=("Error: invalid d", "Error: unrecognized/unsupported "),
        pattern=r"^Error: (?P<what>invalid (?:device tree blob|dtb)|unrecognized/unsupported (?:machine ID|processor variant))",
        title="Error: {what}",
        example="Error: invalid device tree blob at physical address 0x0000000048000000 (virtual address 0xfffffffefe800000)",
        fatal=True,
        blame="none",
    ),
    Rule(
        word="early-exception",
        kind="panic",
        needles=("PANIC: ", "BUG: Int "),
        pattern=r"PANIC: early exception|^BUG: Int \d+: CR2",
        title="PANIC: early exception in {func}",
        example="PANIC: early exception 0x0e IP 10:ffffffff81a3d2f1 error 0 cr2 0xffffffffff600000",
        fatal=True,
        role="part",
    ),
    Rule(
        word="panic",
        kind="panic",
        needles=("Kernel panic", "ernel Panic", "kernel panic"),
        pattern=r"(?<!end )(?:Kernel panic(?: - not syncing)?|[kK]ernel [pP]anic ?[-\u2013\u2014]+ ?not syncing ?):\s*(?P<text>(?:.*[^*])?)\**$",
        title="kernel panic: {text}",
        example="Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009",
        fatal=True,
        blame="frames",
        role="after",
        refine=(
            Refine(
                r"[Kk]ernel stack is corrupted in:? (?:\[?<?(?:0x)?[0-9a-f]{8,16}>?\]? ?\(?)?(?P<func>(?!p?[0-9a-f]{8,16}\b)[A-Za-z_][\w.$]*)?",
                "kernel panic: stack is corrupted in {func}",
                "stack-corruption",
                "corruption",
            ),
            Refine(
                r"corrupted stack end detected inside scheduler",
                "kernel panic: corrupted stack end in {func}",
                "stack-end",
                "corruption",
                over=r"(?:io_)?_*schedule\w*|\w*preempt_schedule\w*|schedule_debug|_*cond_resched\w*|do_task_dead|depot_\w+",
            ),
            Refine(  # user-mode Linux (arch/um/kernel/trap.c)
                r"Kernel mode fault at addr 0x",
                "BUG: unable to handle kernel paging request in {func}",
                "page-fault",
                "oops",
            ),
            Refine(
                r"Kernel panic - not syncing: (?P<text>panic_on_warn set)", "kernel panic: {text}"
            ),  # whose dots nobody keeps
            Refine(r"Attempted to kill init!", "kernel panic: Attempted to kill init!", "init-killed"),
            Refine(
                r"(?P<text>VFS: Unable to mount root fs(?: on \S+| via NFS.*)?)",
                "kernel panic: {text}",
                "no-root",
            ),
            Refine(r"No (?:working )?init found", "kernel panic: No working init found", "no-init"),
            Refine(
                r"(?P<what>kernel stack overflow|[Kk]ernel stack overflow)",
                "kernel stack overflow in {func}",
                "stack-overflow",
                "oops",
            ),
            Refine(
                r"Out of memory[:.]? ?(?:and no killable|compulsory|system-wide)?",
                "kernel panic: Out of memory",
                "oom",
                "memory",
            ),
            Refine(r"System is deadlocked on memory", "kernel panic: System is deadlocked on memory", "oom", "memory"),
        ),
    ),
)
