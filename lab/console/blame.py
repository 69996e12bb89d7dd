"""Which function to blame: helpers that only carry the blow are passed over, compilers' suffixes dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from lab.console.types import Frame

# Each entry is a regular expression for the whole name. The families: what prints and dies, what checks, what copies,
# what allocates and frees, what locks and waits, and the architecture's way in.
HELPERS = (
    # printing, dying, unwinding
    r"_*dump_stack(?:_lvl|_print_info)?|show_stack(?:_log_lvl)?|show_regs.*|show_trace.*|_?printk.*|vprintk.*|print_.*|__warn.*|warn_.*"
    r"|report_bug|fixup_bug.*|panic|nmi_panic|do_exit|do_group_exit|die|__die.*|die_.*|oops_.*|no_context|bust_spinlocks|dump_backtrace"
    r"|unwind_backtrace|check_panic_on_warn|end_report|handle_bug|__stack_chk_fail|bug_handler|brk_handler|arm_notify_die|bad_area.*|__bad_area.*",
    # traps
    r"(?:exc|asm_exc|do|async|asm)_(?:page_fault|general_protection|invalid_op|divide_error|int3|debug|trap|error_trap|double_fault|stack_segment)"
    r"|do_error_trap|error_entry|error_exit|page_fault|general_protection|invalid_op|divide_error|__do_page_fault|do_user_addr_fault|do_kern_addr_fault"
    r"|handle_page_fault|kernelmode_fixup_or_oops|page_fault_oops|spurious_kernel_fault.*|do_mem_abort|do_translation_fault|do_undefinstr|el1.*_handler|el1_\w+|el1h_\w+"
    r"|__exception_text_start|ret_from_exception|handle_exception|do_DataAbort|do_PrefetchAbort|__und_svc.*|__dabt_svc|__pabt_svc|do_alignment.*",
    # sanitizers
    r"_*kasan_.*|__asan_.*|asan_.*|check_memory_region.*|__hwasan_.*|hwasan_.*|__msan_.*|kmsan_.*|__kmsan_.*|__tsan_.*|kcsan_.*|__kcsan_.*|__ubsan_.*|ubsan_.*|kfence_.*|__kfence_.*",
    # reference counts, objects, lists
    r"refcount_.*|__refcount_.*|atomic_.*|atomic64_.*|arch_atomic.*|kref_.*|__list_.*|list_.*|__hlist_.*|hlist_.*|debug_object.*|__debug_object.*|debug_check_no_obj_freed|debug_print_object|__debug_check_no_obj_freed",
    # copying
    r"_*mem(?:cpy|set|move|cmp|chr|scan)\w*|_*str(?:n?cpy|n?cmp|n?len|n?cat|n?case\w*|r?chr|lcpy|lcat|scpy|str|nlen|dup|ndup)(?:_\w+)?"
    r"|_*copy_(?:from|to)_user\w*|_*copy_user_\w+|csum_partial\w*|check_heap_object|__check_object_size|__check_heap_object|usercopy_abort|check_copy_size|copy_page\w*|clear_page\w*|__clear_user|clear_user\w*|_*get_user\w*|_*put_user\w*|rep_\w+",
    # allocating and freeing
    r"_*k[mzc]alloc\w*|_*kv?free\w*|kvm?alloc\w*|kvmalloc\w*|_*kmem_cache_(?:alloc|free)\w*|slab_\w+|_*slab_\w+|krealloc\w*|__do_kmalloc\w*|__do_krealloc|kmemdup\w*|cache_alloc\w*|cache_free\w*|object_err|free_debug_processing|alloc_debug_processing|slub_\w+|___slab_alloc|check_slab|check_object|check_bytes_and_report|new_slab|allocate_slab|get_partial\w*|deactivate_slab|__unfreeze_partials|put_cpu_partial|quarantine_\w+|qlist_\w+|qlink_\w+",
    # locks
    r"_*lock_(?:acquire|release|is_held|acquired|contended|downgrade)\w*|lockdep_\w+|__lockdep_\w+|mark_lock\w*|mark_held_locks|mark_usage|validate_chain|check_\w*(?:usage|deadlock|prev_add|noncircular|irq|wait_context|chain_key)\w*|lock_set_\w+|register_lock_class|assign_lock_key|look_up_lock_class|__bfs|valid_state|debug_check_no_locks_\w+"
    r"|_*raw_(?:spin|read|write)_\w+|_*spin_(?:lock|unlock|trylock|is_locked|bug|dump)\w*|do_raw_\w+|_*(?:read|write)_(?:lock|unlock|trylock)\w*|queued_\w+|native_queued_\w+|pv_queued_\w+|__pv_queued_\w+"
    r"|_*mutex_(?:lock|unlock|trylock)\w*|mutex_spin_on_owner|mutex_optimistic_spin|_*rt_mutex_\w+|_*down(?:_\w+)?|_*up(?:_read|_write)?|rwsem_\w+|__rwsem_\w+|call_rwsem_\w+|rcu_lock_\w+|rcu_read_(?:lock|unlock)\w*|might_\w+|___might_sleep|__might_\w+|__cant_\w+|__schedule_bug|seqcount_\w+|percpu_\w+|__percpu_\w+|local_bh_\w+|__local_bh_\w+",
)


@cache
def _helper() -> re.Pattern[str]:
    return re.compile("(?:" + "|".join(HELPERS) + r")\Z")


@cache
def _suffix() -> re.Pattern[str]:
    return re.compile(r"(?:\.(?:part|isra|constprop|cold|llvm|lto_priv|cfi_jt|cfi|clone|localalias|ipa\w*|\d+))+\Z")


def plain(name: str) -> str:
    """``name`` without the suffixes that a compiler adds (``.isra.0``, ``.cold``)."""
    if "." in name:
        name = _suffix().sub("", name)
    return name


def is_helper(name: str) -> bool:
    """Whether the function only carries the blow."""
    return _helper().match(name) is not None


def blamed(frames: Iterable[Frame]) -> str:
    """The first function that is no helper, from frames the kernel was sure of if there are any; else empty."""
    unsure = ""
    for frame in frames:
        if is_helper(frame.function):
            continue
        if frame.sure:
            return frame.function
        unsure = unsure or frame.function
    return unsure
