"""WARN() and its relatives: kernel/panic.c (__warn), lib/refcount.c, lib/debugobjects.c, lib/kobject.c, the unwinder."""

from lab.console.rules import Refine, Rule
from lab.console.rules.lockdep import TAKERS

_REFINE = (
    Refine(r"list_(?:add|del) (?:corruption|double add)", "BUG: corrupted list in {func}", "list", "corruption"),
    Refine(
        r"refcount_t: |at (?:\S*/)?lib/refcount\.c:",
        "WARNING: refcount bug in {func}",
        "refcount",
        over=r"kobject_get\w*|(?:get|put)_device",
    ),
    Refine(
        r"ODEBUG: ",
        "WARNING: ODEBUG bug in {func}",
        "odebug",
        over=r"device_(?:add|del)|put_device|ida_free|cleanup_srcu_struct|__free_pages_ok|_*folio_put|_*free_(?:frozen_)?pages\w*",
    ),
    Refine(
        r"\bkernel/(?:locking/)?lockdep\.c:\d+ (?:at )?(?:__lock_acquire|look_up_lock_class|check_wait_context|hlock_class|lock_release|lock_acquire)\b",
        "WARNING: locking bug in {func}",
        "lockdep-bug",
        "lockdep",
        over=TAKERS,
    ),
    Refine(
        r"at (?:\S*/)?lib/kobject\.c:",
        "WARNING: kobject bug in {func}",
        "kobject",
        over=r"_*k(?:object|set)_\w+|device_(?:add|register|create)\w*|sysfs_\w+",
    ),
    Refine(
        r"\bfs/proc/generic\.c:\d+ (?:at )?(?:proc_register|__xlate)",
        "WARNING: proc registration bug in {func}",
        "proc",
        over=r"_*proc_(?:register|mkdir|create|symlink)\w*",
    ),
    Refine(
        r"[Bb]ad or missing usercopy|Bad or missing usercopy whitelist",
        "WARNING: bad usercopy in {func}",
        "usercopy",
        "corruption",
    ),
    Refine(
        r"\bmm/(?:slab_common|util)\.c:\d+ (?:at )?(?:kmalloc|__kmalloc|kvmalloc|__kvmalloc|__do_kmalloc)|\bmm/vmalloc\.c:\d+ (?:at )?vmalloc_fix_flags",
        "WARNING: kmalloc bug in {func}",
        "kmalloc",
    ),
    Refine(
        r"at (?:\S*/)?\S*usb/core/urb\.c:",
        "WARNING in {func}/usb_submit_urb",
        "warning",
        over=r"usb_\w*(?:string|msg|urb)\w*|smsusb_submit_urb",
    ),
    Refine(r"\bmm/vmalloc\.c:\d+ (?:at )?__vmalloc", "WARNING: zero-size vmalloc in {func}", "vmalloc"),
)

_OVER = r"device_(?:add|del)|ida_free|cleanup_srcu_struct"
"""They warn of what their callers do."""

RULES: tuple[Rule, ...] = (
    Rule(
        word="cut-here",
        kind="warning",
        needles=("[ cut here ]",),
        pattern=r"-+\[ cut here \]-+",
        title="",
        example="------------[ cut here ]------------",
        role="prelude",
    ),
    Rule(
        word="warning",
        kind="warning",
        needles=("WARNING: ",),
        pattern=r"WARNING: (?:CPU: ?\d+ PID: ?\d+ )?at ?(?P<where>[\w./-]+?:\d+)?(?: ?(?P<func>\.?[A-Za-z_][\w.$]*)(?:\+0x| ?\())?",
        title="WARNING in {func}",
        example="WARNING: CPU: 0 PID: 1 at kernel/smpboot.c:28 smpboot_thread_fn+0x1e/0xa0()",
        blame="header",
        over=_OVER,
        refine=_REFINE,
        alternatives=("WARNING in {func}",),
    ),
    Rule(
        word="warning",
        kind="warning",
        needles=("WARNING: ",),
        pattern=r"WARNING: (?P<where>[\w./-]+\.[chS]:\d+) at\s*(?:(?P<func>[A-Za-z_][\w.$]*)(?:\+0x| )|0x|$)",
        title="WARNING in {func}",
        example="WARNING: mm/slub.c:1234 at free_to_partial_list+0x12/0x340, CPU#1: swapper/0/1",
        blame="header",
        over=_OVER,
        refine=_REFINE,
        alternatives=("WARNING in {func}",),
    ),
    Rule(
        word="warning",
        kind="warning",
        needles=("Badness in ", "BUG: warning at "),
        pattern=r"Badness (?:in (?P<func>[\w.$]+) )?at (?P<where>\S+:\d+)|BUG: warning at (?P<where2>\S+:\d+)/(?P<func2>\w+)\(\)",
        title="WARNING in {func}",
        example="BUG: warning at kernel/softirq.c:141/local_bh_enable()",
        blame="header",
    ),
    Rule(
        word="bad-frame",
        kind="warning",
        needles=("WARNING: kernel stack ",),
        pattern=r"WARNING: kernel stack (?P<what>regs|frame pointer) at .*? (?:has bad (?P<which>'\w+' )?value|in$)",
        title="WARNING: kernel stack {what} has bad {which}value",
        example="WARNING: kernel stack regs at ffffc90000c2f8a8 in swapper/0:1 has bad 'bp' value 00000000cf0b8f4c",
        blame="none",
    ),
    Rule(
        word="unwinder",
        kind="warning",
        needles=("WARNING: can't ", "WARNING: stack "),
        pattern=r"WARNING: (?:can't (?:access|dereference) (?P<what>[\w ]*registers) (?:at|for)|stack (?P<how>recursion|going in the wrong direction\?))",
        title="WARNING: unwinder lost its way in {func}",
        example="WARNING: can't access registers at asm_common_interrupt+0x22/0x40",
        find=(r"registers at (?P<func>[\w.$]+)\+0x", r"for ip (?P<func>[\w.$]+)\+0x", r"at (?P<func>[\w.$]+)\+0x"),
    ),
    Rule(
        word="return-thunk",
        kind="warning",
        needles=("Unpatched return thunk in use",),
        pattern=r"Unpatched return thunk in use",
        title="BUG: Unpatched return thunk in use. This should not happen!",
        example="Unpatched return thunk in use. This should not happen!",
        blame="none",
        role="part",
    ),
    Rule(
        word="msr",
        kind="hardware",
        needles=("unchecked MSR access error",),
        pattern=r"unchecked MSR access error: (?P<what>RDMSR|WRMSR)?(?:.*\((?P<func>[\w.$]+)\+0x)?",
        title="unchecked MSR access error in {func}",
        example="unchecked MSR access error: WRMSR to 0x48 (tried to write 0x0000000000000004) at rIP: 0xffffffff8106e5a4 (native_write_msr+0x4/0x20)",
        blame="header",
    ),
)
