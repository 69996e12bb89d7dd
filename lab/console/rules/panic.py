"""Panics of every cause: kernel/panic.c, kernel/exit.c, init/do_mounts.c, init/main.c, arch/*/kernel/."""

from lab.console.rules import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        word="panic",
        kind="panic",
        needles=("Kernel panic - not syncing", "Kernel panic: "),
        pattern=r"Kernel panic(?: - not syncing)?:\s*(?P<text>.*)",
        title="kernel panic: {text}",
        example="Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009",
        fatal=True,
        blame="frames",
        role="after",
    ),
    Rule(
        word="early-exception",
        kind="panic",
        needles=("PANIC: early exception",),
        pattern=r"PANIC: early exception",
        title="PANIC: early exception in {func}",
        example="PANIC: early exception 0x0e IP 10:ffffffff81a3d2f1 error 0 cr2 0xffffffffff600000",
        fatal=True,
    ),
)
