"""What a console proves of the config that its kernel was built with."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Hint:
    """A symbol, its value, and the line or the part of one that proves it."""

    symbol: str
    value: str
    evidence: str


RULES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (r"SLUB: HWalign=\S+", (("SLUB", "y"),)),
    (r"__slab_alloc\+\S+|___slab_alloc\+\S+|new_slab\+\S+", (("SLUB", "y"),)),
    (r"cache_alloc_refill\+\S+|cache_grow\+\S+", (("SLAB", "y"),)),
    (r"\[#\d+\] (?:PREEMPT )?SMP", (("SMP", "y"),)),
    (r"\[#\d+\] PREEMPT", (("PREEMPT", "y"),)),
    (r"\[#\d+\][^\n]*\bDEBUG_PAGEALLOC", (("DEBUG_PAGEALLOC", "y"),)),
    (r"\[#\d+\][^\n]*\bKASAN", (("KASAN", "y"),)),
    (r"kernel BUG at \S+:\d+!", (("BUG", "y"), ("DEBUG_BUGVERBOSE", "y"))),
    (r"\w+\+0x[0-9a-f]+/0x[0-9a-f]+", (("KALLSYMS", "y"),)),
    (r"Modules linked in:", (("MODULES", "y"),)),
    (r"\[\s*\d+\.\d{6}\]", (("PRINTK_TIME", "y"),)),
    (r"No AGP bridge found", (("GART_IOMMU", "y"),)),
    (r"__ex_table already sorted, skipping sort", (("BUILDTIME_EXTABLE_SORT", "y"),)),
    (r"\brd\.(?:md|lvm|dm|luks)=\d|\binitrd=\S+|Unpacking initramfs", (("BLK_DEV_INITRD", "y"),)),
    (r"earlyprintk=\S+", (("EARLY_PRINTK", "y"),)),
    (r"console=ttyS\d\S*", (("SERIAL_8250", "y"), ("SERIAL_8250_CONSOLE", "y"))),
    (r"console=tty0", (("VT", "y"), ("VT_CONSOLE", "y"))),
    (r"(?:Hardware name|DMI): [^\n]{1,80}|tainted \S+ #\d+ \S[^\n]{1,80}", (("DMI", "y"),)),
    (r"SRAT: (?:PXM|Node)[^\n]{1,60}", (("NUMA", "y"), ("ACPI_NUMA", "y"))),
    (r"Initmem setup node 1[^\n]{1,60}", (("NUMA", "y"),)),
    (r"policy_zonelist\+\S+|mpol_\w+\+\S+|alloc_pages_current\+\S+", (("NUMA", "y"),)),
    (r"Lock dependency validator:[^\n]{1,60}", (("LOCKDEP", "y"), ("PROVE_LOCKING", "y"))),
    (r"Preemptible hierarchical RCU implementation", (("PREEMPT", "y"),)),
    (r"\bftrace: allocating \d+ entries", (("FUNCTION_TRACER", "y"), ("DYNAMIC_FTRACE", "y"))),
    (r"cgroup: \S[^\n]{1,60}|Initializing cgroup subsys \w+", (("CGROUPS", "y"),)),
    (r"Security Framework initialized", (("SECURITY", "y"),)),
    (r"SELinux:\s+Initializing", (("SECURITY_SELINUX", "y"), ("SECURITY", "y"))),
    (r"\bKFENCE\b|kfence: initialized", (("KFENCE", "y"),)),
    (r"transparent_hugepage|khugepaged|split_huge_page\+\S+|do_huge_pmd\w*\+\S+", (("TRANSPARENT_HUGEPAGE", "y"),)),
)
"""Pattern, and the symbols without which it would not be printed."""

BOOTSTRAP = re.compile(r"(\w+)\+0x\S+[^\n]*\n[^\n]*?\bkmem_cache_init\+0x\S+")
PROLOGUE = re.compile(r"Code:[^\n]*(55 48 89 e5)")
FENTRY = re.compile(r"Code:[^\n]*(e8 [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2} 55 48 89 e5)")
SYMBOL = re.compile(r"^CONFIG_(\w{1,80})=([ymn]|\d{1,10})\s*$", re.MULTILINE)


def read_hints(text: str, version: tuple[int, ...]) -> list[Hint]:
    """The hints of ``text``, each symbol once, the surest first."""
    found: dict[str, Hint] = {}

    def note(symbol: str, value: str, evidence: str) -> None:
        found.setdefault(symbol, Hint(symbol, value, one_line(evidence)))

    for match in SYMBOL.finditer(text):  # the reporter wrote it himself
        note(match[1], match[2], match[0])
    bootstrap = BOOTSTRAP.search(text)
    if bootstrap:  # SLAB's bootstrap asks for no page on this path, SLUB's does (mm/slub.c, mm/slab.c)
        page = bootstrap[1] in ("__get_free_pages", "alloc_pages_current", "new_slab", "allocate_slab")
        note("SLUB" if page else "SLAB", "y", f"{bootstrap[1]} < kmem_cache_init")
    for pattern, symbols in RULES:
        shown = re.search(pattern, text)
        for symbol, value in symbols if shown else ():
            note(symbol, value, shown[0] if shown else "")
    trap = re.search(r"[^\n]*\[#\d+\][^\n]*", text)
    if trap:
        for word, symbol in (("SMP", "SMP"), ("PREEMPT", "PREEMPT"), ("DEBUG_PAGEALLOC", "DEBUG_PAGEALLOC")):
            # Since 6.12 the words are others (kernel/panic.c); before, their absence says as much as they do.
            if word not in trap[0] and version < (6, 12):
                note(symbol, "n", f"no {word} in {trap[0].strip()!r}")
    prologue, fentry = PROLOGUE.search(text), FENTRY.search(text)
    if prologue:
        note("FRAME_POINTER" if version < (4, 14) else "UNWINDER_FRAME_POINTER", "y", f"{prologue[1]} in Code:")
    if fentry:
        note("FUNCTION_TRACER", "y", f"{fentry[1]} in Code:, a call before the prologue")
        note("DYNAMIC_FTRACE", "y", f"{fentry[1]} in Code:, a call before the prologue")
    return list(found.values())


def one_line(text: str) -> str:
    """Evidence for a comment: one line, printable, without what a template would take for its own."""
    text = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return re.sub(r"[{}%#]", "?", text)[:160]
