"""Hardware, firmware, QEMU, the decompressor: what else speaks on the same stream.

Sources: arch/x86/kernel/cpu/mce/, arch/x86/kernel/nmi.c, kernel/irq/spurious.c, arch/x86/boot/compressed/misc.c, SeaBIOS, QEMU's
accel/kvm/kvm-all.c and target/i386/kvm/kvm.c.
"""

from lab.console.rules import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        word="mce",
        kind="hardware",
        needles=("Machine Check", "achine check events", "achine check in ", "achine check ("),
        pattern=r"CPU ?\d+: Machine Check(?: Exception)?:|[Mm]achine check events logged|^Machine check in kernel mode|^MCE: CPU\d+: machine check \(",
        title="Machine Check Exception",
        example="mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 0: b200000000000000",
        blame="none",
    ),
    Rule(
        word="nmi",
        kind="hardware",
        needles=("NMI received for", "NMI: "),
        pattern=r"NMI received for unknown reason|NMI: (?:IOCK|PCI system) error",
        title="unknown NMI",
        example="Uhhuh. NMI received for unknown reason 3d on CPU 0.",
        blame="none",
        alone=True,
    ),
    Rule(
        word="irq",
        kind="hardware",
        needles=(": nobody cared",),
        pattern=r"irq \d+: nobody cared",
        title="irq NUM: nobody cared",
        example='irq 16: nobody cared (try booting with the "irqpoll" option)',
        blame="none",
    ),
    Rule(
        word="decompressor",
        kind="firmware",
        needles=("-- System halted",),
        pattern=r"^\s*-- System halted",
        title="decompressor: System halted",
        example=" -- System halted",
        fatal=True,
        blame="none",
        alone=True,
        role="part",
    ),
    Rule(
        word="kvm",
        kind="firmware",
        needles=("KVM internal error", "KVM: entry failed", "kvm run failed"),
        pattern=r"KVM internal error|KVM: entry failed|kvm run failed",
        title="KVM internal error",
        example="KVM internal error. Suberror: 1",
        fatal=True,
        blame="none",
    ),
    Rule(
        word="qemu",
        kind="firmware",
        needles=("qemu-system-", "qemu: "),
        pattern=r"^(?:qemu-system-\w+|qemu): (?!terminating on signal|warning: )(?P<text>.*)",
        title="qemu: {text}",
        example="qemu-system-x86_64: Trying to execute code outside RAM or ROM at 0x00000000000a0000",
        fatal=True,
        blame="none",
        alone=True,
    ),
    Rule(
        word="triple-fault",
        kind="firmware",
        needles=("riple fault",),
        pattern=r"[Tt]riple fault",
        title="triple fault",
        example="Triple fault",
        fatal=True,
        blame="none",
        alone=True,
    ),
    Rule(
        word="no-boot",
        kind="firmware",
        needles=("No bootable device", "Boot failed: "),
        pattern=r"^No bootable device|^Boot failed: not a bootable disk|^Boot failed: could not read",
        title="no bootable device",
        example="No bootable device.",
        fatal=True,
        blame="none",
        alone=True,
    ),
)
