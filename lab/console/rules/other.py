"""Memory that ran out, tests that failed, and what has no kind of its own: mm/oom_kill.c, mm/page_alloc.c, lib/kunit (KTAP)."""

from lab.console.rules import Rule
from lab.console.rules.corruption import PAGES

RULES: tuple[Rule, ...] = (
    Rule(
        word="oom",
        kind="memory",
        needles=("invoked oom-killer", "emory: Kill"),
        pattern=r"invoked oom-killer: |Out of [mM]emory: Kill(?:ed)? process",
        title="out of memory",
        example="stress invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        blame="none",
    ),
    Rule(
        word="alloc-failure",
        kind="memory",
        needles=("page allocation failure",),
        pattern=r"page allocation failure[:.] ?order",
        title="page allocation failure in {func}",
        over=PAGES,
        example="swapper/0: page allocation failure: order:10, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
        blame="frames",
    ),
    Rule(
        word="test",
        kind="test",
        needles=("not ok ",),
        pattern=r"^\s*(?:# )?not ok \d+(?: -)? (?P<text>[^#]*?)\s*(?:#(?! (?:SKIP|TODO)).*)?$",
        title="test failed: {text}",
        example="    not ok 3 - list_test_list_add",
        blame="none",
        alone=True,
    ),
    Rule(
        word="kernel-bug-text",
        kind="bug",
        needles=("BUG: ",),
        pattern=r"^(?:[\w-]{1,20}(?: [\w.:-]{1,20})?: )?\[? ?BUG: (?!recent printk recursion|unable to handle kernel$)(?P<text>[^\]]{4,})",
        title="BUG: {text}",
        example="BUG: arch topology borken",
        blame="none",
    ),
    Rule(
        word="warning-text",
        kind="warning",
        needles=("WARNING: ",),
        pattern=r"^WARNING: (?!(?i:the mand mount option))(?P<text>[^\]]{4,})",
        title="WARNING: {text}",
        example="WARNING: chain_key collision",
        blame="none",
        trace=True,
    ),
    Rule(
        word="info-text",
        kind="warning",
        needles=("INFO: ",),
        pattern=r"^\[? ?INFO: (?P<text>(?:possible|inconsistent)[^\]]{4,})",
        title="INFO: {text}",
        example="INFO: possible something new detected",
        blame="none",
        trace=True,
    ),
)
