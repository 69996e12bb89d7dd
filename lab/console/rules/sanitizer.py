"""KASAN, KMSAN, KCSAN, KFENCE, UBSAN and kmemleak: mm/kasan/report.c, mm/kmsan/report.c, kernel/kcsan/report.c, mm/kfence/report.c,
lib/ubsan.c, mm/kmemleak.c.
"""

from lab.console.rules import Refine, Rule

RULES: tuple[Rule, ...] = (
    Rule(
        word="kasan",
        kind="sanitizer",
        needles=("BUG: KASAN: ", "BUG: KASan: "),
        pattern=r"BUG: KAS[Aa][Nn]: (?P<what>[a-z][\w -]*?)(?: access)?(?: in (?:\[[^\]]*\] )?(?P<func>[\w.$]+)(?:\+0x| |$|\.)|\s*$| on )",
        title="KASAN: {what} in {func}",
        example="BUG: KASAN: slab-out-of-bounds in lkdtm_SLAB_LINEAR_OVERFLOW+0x5c/0x70",
        blame="header",
        refine=(
            Refine(
                r"BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free)\b", "KASAN: {what} in {func}"
            ),
            Refine(
                r"^(?P<access>Read|Write) of size|^(?P<access2>Read|Write) (?:of size )?\w* ?(?:at|by)",
                "KASAN: {what} {access} in {func}",
            ),
        ),
    ),
    Rule(
        word="kmsan",
        kind="sanitizer",
        needles=("BUG: KMSAN: ",),
        pattern=r"BUG: KMSAN: (?P<what>[\w -]+?)(?: in (?P<func>[\w.$]+)|\s*$)",
        title="KMSAN: {what} in {func}",
        example="BUG: KMSAN: uninit-value in lkdtm_READ_AFTER_FREE+0x12/0x20",
        blame="header",
    ),
    Rule(
        word="kcsan",
        kind="sanitizer",
        needles=("BUG: KCSAN: ",),
        pattern=r"BUG: KCSAN: (?P<what>[\w: -]+?) in (?P<func>[\w.$]+)(?:\+0x\w+/0x\w+)?(?: \[\w+\])? / (?P<func2>[\w.$]+)",
        title="KCSAN: {what} in {func} / {func2}",
        example="BUG: KCSAN: data-race in dput / lookup_fast",
        blame="none",
    ),
    Rule(
        word="kcsan",
        kind="sanitizer",
        needles=("BUG: KCSAN: ",),
        pattern=r"BUG: KCSAN: (?P<what>[\w: -]+?) in (?P<func>[\w.$]+)",
        title="KCSAN: {what} in {func}",
        example="BUG: KCSAN: data-race in ext4_mark_iloc_dirty+0x4a1/0x5b0",
        blame="header",
    ),
    Rule(
        word="kfence",
        kind="sanitizer",
        needles=("BUG: KFENCE: ",),
        pattern=r"BUG: KFENCE: (?P<what>use-after-free|out-of-bounds|memory corruption|invalid free|invalid (?:read|write))(?: (?P<access>read|write))? in (?P<func>[\w.$]+)",
        title="KFENCE: {what} in {func}",
        example="BUG: KFENCE: use-after-free read in test_use_after_free_read+0xb3/0x143",
        blame="header",
        alternatives=("KFENCE: {what} {access} in {func}",),
    ),
    Rule(
        word="ubsan",
        kind="sanitizer",
        needles=("UBSAN: ",),
        pattern=r"UBSAN: (?P<what>[a-z][\w-]+) in (?P<where>\S+?:\d+)",
        title="UBSAN: {what} in {func}",
        example="UBSAN: array-index-out-of-bounds in drivers/misc/lkdtm/bugs.c:419:9",
        blame="frames",
    ),
    Rule(
        word="ubsan",
        kind="sanitizer",
        needles=("UBSAN: Undefined behaviour",),
        pattern=r"UBSAN: Undefined behaviour in (?P<where>\S+?:\d+)",
        title="UBSAN: undefined-behaviour in {func}",
        example="UBSAN: Undefined behaviour in mm/page_alloc.c:3117:19",
        blame="frames",
    ),
    Rule(
        word="memory-leak",
        kind="memory",
        needles=("BUG: memory leak",),
        pattern=r"BUG: memory leak",
        title="memory leak in {func}",
        example="BUG: memory leak",
        blame="frames",
    ),
    Rule(
        word="memory-leak",
        kind="memory",
        needles=("new suspected memory leaks",),
        pattern=r"kmemleak: \d+ new suspected memory leaks",
        title="memory leak",
        example="kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        blame="none",
        alone=True,
    ),
)
