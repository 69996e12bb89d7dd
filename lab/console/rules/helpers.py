"""Functions that only carry the blow, as regular expressions for the whole name; one group a family.

Names are from the kernel's sources, 2.6 to today. What a group's comment says is why its functions are never to blame.
"""

# They print, unwind and die.
DYING = (
    r"_*dump_stack\w*|dump_trace\w*|hex_dump_\w+",
    r"show_(?:stack|regs|trace|registers|backtrace)\w*",
    r"dump_backtrace\w*|unwind_backtrace|walk_stackframe|arch_stack_walk|stack_trace_\w+|save_stack\w*|save_trace",
    r"_*v?printk\w*|vprintk_\w+|console_(?:unlock|emit_next_record)|print_\w+|pr_\w+",
    r"_*warn_slowpath\w*|__warn\w*|warn_alloc\w*|report_bug\w*|__report_bug|fixup_bug\w*|is_valid_bugaddr|bug_handler|handle_bug|__bug\w*",
    r"v?panic|nmi_panic|check_panic_on_warn|panic_print_sys_info|end_report|die|__die\w*|die_\w+|arm_notify_die|oops_\w+|crash_\w+|bust_spinlocks",
    r"do_trap\w*|do_error_trap|notify_die|make_task_dead|__stack_chk_fail|_*fortify_(?:panic|report)|usercopy_\w+",
    r"__pfx_\w+",  # what stands before a function, where nothing returns to
    r"xfs_(?:error_report|corruption_error)|spl_debug_(?:dumpstack|bug)|lkdtm_do_action|rewind_stack_\w+|_*\w+_panic|skb_put|__skb_put|skb_push|skb_put_\w+",
)

# The processor's way into the kernel after a fault.
TRAPS = (
    r"(?:asm_)?(?:exc|sysvec)_\w+|asm_\w+_interrupt|asm_common_interrupt|noist_exc_\w+",
    r"(?:do_|async_)?(?:page_fault|general_protection|invalid_op|divide_error|int3|debug|double_fault|stack_segment|coprocessor_error|nmi)",
    r"error_(?:entry|exit|code|return|sti)|_*do_(?:page_fault|kernel_fault|user_addr_fault|kern_addr_fault|bad_area|mem_abort|translation_fault|undefinstr)\w*",
    r"(?:kernelmode_fixup_or_oops|page_fault_oops|no_context|mm_fault_error|_*bad_area\w*|spurious_\w*fault\w*|handle_page_fault|show_fault_oops|pgtable_bad)",
    r"el[01]\w*_(?:handler|sync|irq|fiq|error|dbg|undef|da|ia|abort|bti|fpac|interrupt)|el[01]_\w+|el1h_\w+|brk_handler|call_undef_hook|do_debug_exception|do_sea|do_serror|arm64_serror_panic|arm64_is_fatal_ras_serror|do_alignment_fault|(?:__|handle_)bad_stack|do_tag_check_fault",
    r"__(?:und|dabt|pabt|irq|fiq)_(?:svc|usr|invalid)\w*|do_(?:DataAbort|PrefetchAbort)|do_cp15instr|v7_\w+_abort",
    r"handle_exception|ret_from_exception|do_trap_\w+|excp_vect_table\w*|program_check_\w+|data_access_\w+|data_storage_\w+|instruction_access_\w+|handle_page_fault|interrupt_return\w*|exception_common\w*",
    r"handle_interruption|handle_unaligned|emulate_[lsf]\w+|parisc_terminate|pgm_check_handler\w*|__do_pgm_check|do_(?:dat|protection|asce|monitor)_exception|monitor_event_exception|illegal_op|specification_exception|do_(?:ext|io)_irq|(?:ext|io)_int_handler",  # parisc, s390
    r"do_(?:ri|bp|tr|ade|cpu|fpe|be|ov|sparc64_fault|mna|privact|entUnaUser|entUna|entIF|entArith|address_error|reserved_inst|hash_fault|bad)|handle_(?:ri|bp|tr|ade[ls]|cpu|sys|tlb[lsm])(?:_int)?|tlb_do_page_fault_\d|do_trap_or_bp|sparc64_realfault_\w+|kernel_(?:unaligned|mna)_trap\w*|mem_address_unaligned|sun4v_(?:do_)?mna|tl[01]_\w+|entMM|entUna|entIF|call_dpf|tlb_miss_\w+|ia64_(?:fault|bad_break|do_page_fault|native_leave_kernel|leave_kernel|illegal_op_fault)|(?:Data|Instruction)(?:Access|TLBError|Storage)\w*|unrecoverable_exception|EV_\w+",  # mips, sparc, alpha, sh, ia64, powerpc, arc
    r"fixup_exception|ex_handler_\w+|kernel_exc_\w+|bad_kernel_fault\w*|bad_page_fault|_exception\w*|ret_from_except\w*",
)

# Sanitizers and memory checkers.
SANITIZERS = (
    r"_*kh?w?asan_\w+|__asan_\w+|asan_\w+|check_memory_region\w*|__hwasan_\w+|hwasan_\w+|check_region_inline|memory_is_poisoned\w*|address_is_poisoned",
    r"__msan_\w+|kmsan_\w+|__kmsan_\w+|__tsan_\w+|_*kcsan_\w+|check_access|_*ubsan_\w+|kfence_\w+|__sanitizer_cov\w*|instrument_(?:atomic|read|write|copy|get_user|put_user)\w*|write_comp_data|check_kcov_mode",
    r"kmemleak_\w+|create_object|quarantine_\w+|qlist_\w+|qlink_\w+|kmemcheck_\w+|should_fail\w*|__should_fail\w*|fail_dump|__kernel_(?:un)?poison_pages",
)

# They do what the caller asked: count, link, compare, copy.
CARRIERS = (
    r"_*refcount_\w+|(?:arch_|raw_|instrumented_)?_*atomic(?:64|_long)?_(?:read|set|inc|dec|add|sub|fetch|cmpxchg|xchg|try|or|and|andnot|long)\w*|kref_\w+",
    r"_*(?:list|hlist|hlist_bl|hlist_nulls|plist|llist|klist)_(?:add|del|move|splice|cut|empty|next|prev|remove|put|get|iter\w*|node_attached)\w*|__list_\w+|_*(?:inode|list)_\w*list_move\w*|device_for_each_child\w*|bus_for_each_\w+",
    r"_*debug_(?:print_object|check_no_obj_freed|object\w+|objects?_\w+|locks_off)|__debug_\w+|debug_(?:mutex|rt_mutex|spin_lock|write_lock|read_lock)\w*|lookup_object",
    r"(?:nla_|__pi_|_*)mem(?:cpy|set|move|cmp|chr|scan|zero|dup|chr_inv|set16|set32|set64|set_p)(?:_\w+)?",
    r"(?:__pi_|_*)str(?:n?cpy|n?cmp|n?len|n?cat|n?case(?:cmp)?|r?chr|chrnul|lcpy|lcat|s?cpy|scpy|n?str|sep|p?brk|c?spn|dup|ndup|replace|im|nchr|npbrk|cspn|spn)(?:_\w+)?|sized_strscpy\w*",
    r"vs?n?printf|v?s[cn]*printf|kv?asprintf\w*|format_decode|number|pointer|string(?:_nocheck)?|(?:symbol|hex|widen|mac_address|resource|bitmap|bitmap_list|uuid|escaped|flags|device_node|fwnode|fwnode_full_name|fourcc|time|time_and_date|rtc|date|error|netdev_feature)_string|num_to_str|put_dec\w*|(?:file_)?dentry_name|bdev_name|va_format|hex2bin|bin2hex|hex_to_bin|skip_(?:spaces|atoi)|strim|sysfs_streq|_*(?:sysfs_)?match_string|check_bytes8|string_(?:un)?escape\w*|(?:un)?escape_(?:hex|octal|space|special|null|passthrough)|copy_strings?_kernel|seq_printf|bstr_printf|vbin_printf",
    r"_*(?:arch_|raw_|inline_)?copy_(?:from|to|in|mc)_(?:user|kernel|inatomic|nofault)(?!_?(?:bvec|pages))\w*(?<!iter)|copy_(?:from|to)_sockptr\w*|copy_user_\w+|_*copy_user\w*|_*get_user\w*|_*put_user\w*|_*clear_user|rep_(?:movs|stos)\w*",
    r"_*(?:const_)?[un]delay|__delay|delay_(?:loop|tsc|halt\w*|mwaitx)",
    r"csum_partial\w*|check_heap_object|_*check_object_size|__check_heap_object|check_copy_size|check_stack_object|copy_page|clear_page(?:_\w+)?|_*(?:test|set|clear|change)_(?:and_(?:set|clear|change)_)?bit\w*",
    r"find_(?:next|first|last)_\w*bit\w*|_*bitmap_(?:zero|fill|set|clear|copy|and|or|xor|andnot|weight|empty|full|equal|subset|intersects|parse\w*|print\w*|alloc\w*|zalloc\w*|free|find_\w+|shift\w*|pos\w*|ord\w*|release\w*|allocate\w*)(?:_area)?\w*|native_(?:read|write)_\w+|_*(?:raw_)?(?:read|write)(?:b|w|l|q)|(?:logic_|_)?(?:in|out)s?[bwl]|io(?:read|write)(?:8|16|32|64)(?:be)?(?:_rep)?|_*fentry__|ftrace_(?:call|caller|regs_call\w*|stub)|mcount\w*",
    r"__x86_indirect_thunk_\w+|__x86_return_thunk|__sys(?:call)?_ret\w*|arch_local_\w+|trace_hardirqs_\w+|_*lock_acquire_wrapper",
)

# They give and take memory.
ALLOCATORS = (
    r"_*kv?[mzc]alloc\w*|_*kmalloc\w*|_*kzalloc\w*|_*kcalloc\w*|_*kvmalloc\w*|__do_kmalloc\w*|_*krealloc\w*|__do_krealloc|_*kmemdup\w*|_*kstrdup\w*|_*kstrndup|memdup_user\w*|vmemdup_user\w*|strndup_user",
    r"_*k[vz]*free(?:_const|_sensitive|_bulk|_link|_rcu\w*|_mult)?|_*kmem_cache_(?:alloc|free|zalloc|create|destroy)\w*|_*kmem_(?:alloc|free)\w*|___cache_free|__cache_free|__do_cache_alloc|cache_(?:alloc|free|grow|flusharray)\w*",
    r"_*slab_\w+|___slab_alloc|_*slub_\w+|object_err|free_debug_processing|alloc_debug_processing|free_to_partial_list|check_(?:slab|object|bytes_and_report|pad_bytes)|init_object|new_slab\w*|allocate_slab|alloc_single_from_\w+|free_slab|discard_slab|get_partial\w*|deactivate_slab|_*unfreeze_partials|put_cpu_partial|do_slab_free|on_freelist|memcg_slab_\w+|alloc_from_pcs|__free_slab|free_large_kmalloc|free_nonslab_page|verify_redzone_\w+|fixup_\w+(?:redzone|object)\w*",
    r"_*free_(?:frozen_)?pages(?:_ok|_exact)?|free_unref_(?:page|folio)\w*|free_the_page|_*vmalloc\w*|_*vzalloc\w*|__vmalloc_\w+|kvfree\w*|vfree|__vfree|devm_k\w+|devres_alloc\w*|__devres_alloc\w*|alloc_dr|mempool_(?:kmalloc|kfree|alloc_slab|free_slab)|dma_pool_\w+|_*set_page_owner|post_alloc_hook|_*alloc_pages_(?:slowpath|cpuset_fallback|direct_\w+|may_oom)\w*|filemap_alloc_folio\w*|do_kmem_cache_create|create_cache|kmem_cache_open|check_slab_allocation|alloc_workqueue_attrs\w*",
)

# They end, cancel, queue, wake and wait for what somebody else began.
ERRANDS = (
    r"_*queue_(?:delayed_|rcu_)?work(?:_on|_node)?|_*queue_delayed_work\w*|_*flush_work|start_flush_work|flush_workqueue|destroy_workqueue|drain_workqueue|_*cancel_work_(?:timer|sync)|cancel_delayed_work_sync|try_to_grab_pending|work_grab_pending|schedule_(?:delayed_)?work(?:_on)?",
    r"kthread_(?:stop|stop_put|unpark|flush_work|flush_worker|destroy_worker)|_*wake_up(?:_common|_locked|_sync|_interruptible|_process|_state|_bit|_all|_nr|_poll|_pollfree)?\w*(?<!new_task)|complete(?:_all|_with_flags|_on_current_cpu)?|swake_up_\w+|ttwu_\w+|default_wake_function|autoremove_wake_function|woken_wake_function",
    r"_*(?:try_to_)?del_timer\w*|_*timer_delete_sync|timer_shutdown\w*|lock_timer_base|detach_if_pending|mod_timer|add_timer\w*|timer_is_static_object|lookup_object|assert_init_not_present",
    r"_*kobject_(?:put|del|release|uevent|uevent_env|uevent_net_broadcast|delete|get_path|get_unless_zero)|add_uevent_var|kset_(?:put|unregister)|dpm_sysfs_(?:add|remove)|pm_runtime_set_memalloc_noio|device_(?:release|unregister)|_*kfree_skb\w*|consume_skb|_*dev_kfree_skb\w*|kmalloc_reserve|sysfs_remove_\w+|_*device_add_disk|media_device_unregister\w*|hwrng_unregister",
    r"usb_(?:submit_urb|control_msg\w*|bulk_msg|interrupt_msg|kill_urb|start_wait_urb|alloc_urb|alloc_coherent|hcd_submit_urb)|hcd_buffer_alloc|_dev_(?:info|err|warn|notice|crit|printk)|dev_(?:vprintk_emit|printk_emit)|__dev_printk|warn_bogus_irq_restore|rb_(?:insert_color\w*|link_node\w*|next|first|last|prev|erase(?:_cached)?|replace_node\w*|set_black|red_parent)|_*rb_(?:erase|insert|rotate|change)_\w+",
    r"read_word_at_a_time|ip[46]?_(?:addr_)?string\w*|ip6_compressed_string|ip6_addr_string_sa|ref_tracker_\w+|\w*drop_nlink|find_lock_entries|get_random_bytes\w*|_*alloc_(?:frozen_)?pages?(?:_\w+)?|_*get_free_pages\w*|get_zeroed_page\w*|prepare_alloc_pages|_*folio_alloc\w*|kmalloc_order\w*|_*kmalloc_large\w*|fs_reclaim_\w+|__fs_reclaim_\w+|nla_strcmp|truncate_inode_pages_range|iput|ieee80211_queue_(?:delayed_)?work|crc16|crc32\w*|_*round(?:up|down)_pow_of_two|perf_trace_\w+|trace_event_(?:raw_event_\w+|buffer_\w+|get_offsets_\w+|ignore_this_pid|output_call|printf)|__traceiter_\w+|__bpf_trace_\w+|_*btrfs_printk|audit_log_\w*string\w*|(?:\w+_)?(?:assertfail|assfail)|copy_(?:page|folio)_from_iter_atomic|page_counter_cancel|blk_mq_unfreeze_queue\w*|device_destroy|device_property_\w+|rb_first_postorder|rb_next_postorder|sock_i_ino|_*copy_(?:to|from)_iter\w*|copyout|copyin|poison_slab_object|unpoison_slab_object|unregister_netdevice_queue|unregister_netdevice_many\w*|rollback_registered\w*|unregister_netdev",
)

# They lock, and they watch locks.
LOCKS = (
    r"_*(?:un)?lock_kernel|(?:release|reacquire)_kernel_lock",  # the big one, to 2.6.38
    r"\w*(?:read|write|transaction)_(?:un)?lock(?!ed)\w*|\w+_(?:down|up)_(?:read|write)\w*",  # a subsystem's own name for one
    r"_*lock_(?:acquire|release|is_held|acquired|contended|downgrade|set|pin|unpin|classes|class|torture)\w*|_*lockdep_\w+|mark_(?:lock|held|usage)\w*|validate_chain|register_lock_class|assign_lock_key|look_up_lock_class|__bfs\w*|valid_state|hlock_\w+|reacquire_held_locks|find_held_lock|match_held_lock|debug_check_no_locks_\w+|add_lock_to_list|check_(?:\w*usage\w*|\w*deadlock\w*|prev_add|prevs_add|noncircular|irq\w*|wait_context|chain_key|path|flags)|debug_lockdep_\w+|rcu_lockdep\w*",
    r"_*raw_(?:spin|read|write)_\w+|_*(?:spin|read|write)_(?:lock|unlock|trylock|is_locked|bug|dump)\w*|spin_(?:bug|dump)|rwlock_bug|do_raw_\w+|_*(?:native_|pv_|__pv_)*queued_(?:spin|read|write)_\w+|__pv_queued_\w+|ticket_spin_\w+|arch_spin_\w+|osq_lock|mcs_spin_\w+|virt_spin_lock",
    r"_*(?:ww_)?mutex_(?:lock|unlock|trylock|spin|optimistic|can_spin|acquire|destroy)\w*|__ww_\w+|_*rt_mutex_\w+|rtlock_\w+|_*rt_(?:spin|read|write)_\w+|task_blocks_on_rt_mutex|_*down(?:_(?:read|write|killable|interruptible|trylock|timeout|common|nested)\w*)?|_*up(?:_(?:read|write)\w*)?|_*rwsem_\w+|call_rwsem_\w+|_*rwbase_\w+|percpu_(?:down|up)_\w+|__percpu_(?:down|up|rwsem)\w*|__down_\w+|class_\w+_(?:constructor|destructor)",
    r"_*rcu_(?:lock|read)_\w+|_*srcu_read_\w+|rcu_dereference\w*|rcu_\w*sleep_check|_*might_\w+|_*cant_\w+|__schedule_bug|schedule_debug|seqcount_\w+|seqprop_\w+|(?:read|write)_seq\w+|_*local_bh_\w+|_*local_irq_\w+|_*local_lock\w*|preempt_\w+|debug_smp_processor_id|check_preemption_disabled|__this_cpu_preempt_check|wake_up_q|bit_spin_\w+|hlist_bl_(?:lock|unlock)",
)

# They wait; only for what is stuck in them.
WAITERS = (
    r"_*schedule\w*|context_switch|__switch_to\w*|\w*preempt_schedule\w*|__sched_text_start|io_schedule\w*|sync_(?:buffer|page)(?:_killable)?|sleep_on_(?:page|buffer)\w*|inode_wait|_*wait_(?:for_common|for_completion|on_bit|on_page_bit|on_buffer|event|woken|for_stable_page)\w*|do_wait_(?:for_common|intr)\w*|_*wait_for_common\w*|bit_wait\w*|out_of_line_wait_\w+|wait_on_bit\w*|_*folio_(?:wait|lock)\w*|_*lock_page\w*|wait_on_page\w*|_*lock_buffer|__wait_rcu_gp|prepare_to_wait\w*|rtnl_lock\w*|rtnl_net_\w*lock\w*|m?sleep\w*|[uns]sleep\w*|fsleep|_*cond_resched\w*|freezer_\w+|_*refrigerator|_*cv_(?:timed)?wait\w*|ktime_get\w*|find_busiest_(?:group|queue)|(?:new)?idle_balance|load_balance",
)

# They take a lock for another, and lockdep names them.
LOCKERS = (
    r"cpus_(?:read|write)_lock|mmap_\w*lock\w*|_*btrfs_tree_(?:read_)?lock\w*|btrfs_read_lock_root_node|_*lock_task_sighand|might_alloc|_*set_page_owner|stack_depot_save\w*|radix_tree_node_alloc|alloc_inode|alloc_vmap_area|__get_vm_area_node",
)

# They wait for a subsystem, and say nothing of who made them.
WAITING_FOR = (
    r"\w*_wait(?:_\w+)?|_*wait_\w+",
    r"\w+_(?:try)?lock(?:_\w+)?",  # a subsystem's own name for taking one
    r"kthread_park|unregister_netdevice_notifier\w*|_*flush_workqueue|flush_delayed_work|blk_(?:mq_)?(?:freeze_queue|mq_freeze_queue)\w*|device_lock|_*device_driver_(?:lock|attach)|console_lock|percpu_rwsem_wait|super_lock|sb_wait_write|nfnl_lock|genl_lock|_*filemap_get_folio\w*|pagecache_get_page|do_read_cache_(?:page|folio)|read_cache_(?:page|folio)|truncate_inode_pages_range|wb_wait_for_completion|_*wait_on_freeing_inode|wait_for_device_probe|usb_(?:control_msg|bulk_msg|start_wait_urb|kill_urb)\w*|_*synchronize_\w*rcu\w*|i2c_del_adapter|device_(?:add|del)|io_wq_exit_workers|device_shutdown|kernel_restart_prepare|mb_cache_entry_wait_unused|\w+_wait_for_firmware_load|_*filemap_fdatawait\w*|get_device_parent|_*submit_bio_wait|xfs_buf_lock|xlog_wait\w*|wait_extent_bit|btrfs_inode_lock|cgroup_lock_and_drain_offline|wait_for_key_construction|mmap_\w*lock\w*|nfsd_shutdown_threads",
)

# What stands between an interrupt and the work that it came upon, or keeps a kernel going without meaning anything.
INTERRUPTS = (
    r"kvm_wait|pv_wait\w*|pv_kick\w*",  # a guest that waits for a lock
    r"__switch_to",  # all that another processor's dump shows of a task that runs there
    r"(?:nmi|trigger|arch_trigger|rcu_dump|dump_cpu|lapic)_\w*(?:backtrace|stacks|task|can_backtrace)\w*|nmi_handle|default_do_nmi|do_nmi|end_repeat_nmi|first_nmi|repeat_nmi|perf_event_nmi_handler|watchdog_\w+|softlockup_tick|_*rcu_(?:check_\w+|pending|sched_clock_irq|print_\w+|dump_\w+|implicit_dynticks_qs)|print_(?:cpu|other_cpu)_stall\w*|check_cpu_stall|sched_show_task|touch_\w*watchdog",
    r"update_process_times|tick_\w+|hrtimer_(?:interrupt|run_queues)|__hrtimer_run_queues|__run_hrtimer|local_apic_timer_interrupt|smp_\w*interrupt\w*|\w*apic_timer_interrupt|__sysvec_\w+|timer_interrupt|handle_irq\w*|_*do_IRQ|generic_handle_\w+|_*handle_\w*irq\w*|gic_\w+|call_on_\w*stack|run_(?:irq|sysvec)_\w+|irq_(?:enter|exit)\w*|_*irq_exit_rcu|irqentry_\w+|instrumentation_\w+|__irqentry_text\w*|ret_from_intr|common_interrupt|call_function_\w*interrupt",
    r"process_scheduled_works|invoke_softirq|_*do_softirq\w*|handle_softirqs|__softirqentry_text_\w+|(?:run_)?ksoftirqd|call_softirq|do_idle|cpu_startup_entry|arch_(?:cpu|call)_\w+|default_idle\w*|(?:amd_e400|c1e|mwait|poll|intel)_idle\w*|native_safe_halt|acpi_idle\w*|cpuidle_\w+",
)

# What a family's patterns fit, and yet is to blame.
TITLED = {"waiter": r"usb_bulk_msg|_*lock_sock\w*"}

HELPERS = DYING + TRAPS + SANITIZERS + CARRIERS + ALLOCATORS + ERRANDS + LOCKS

# Lockdep tells where a lock is taken; of these, which are spinlocks' own bodies, it tells nothing.
SPINNERS = (r"_*raw_(?:spin|read|write)_\w+|rt_(?:spin|read|write)_\w+|do_raw_\w+|lock_acquire|rust_helper_\w+",)

# The system call that a stuck processor was in; some names are the call's own body, which is named without "sys_".
SYSCALLS = (
    r"(?:_*(?:x64|ia32|ia32_compat|x32|x32_compat|se|se_compat|arm64|arm64_compat|riscv|s390x?|s390_compat|powerpc|loongarch)_)+_*(?:compat_)?sys_(?!call\Z)(?P<outer>\w+)"
    r"|(?:compat_)?[sS]y[sS]_(?P<plain>\w+)|__do_(?:compat_)?sys_(?P<body>\w+)|(?P<table>x64_sys_call)",
)

# They call what was registered with them: below one stands the function whose business it is.
DISPATCHERS = (
    r"call_timer_fn|expire_timers|worker_thread|__(?:x64|se|do|arm64)_(?:compat_)?sys_ioctl|vfs_ioctl|do_ioctl|do_vfs_ioctl|run_timer_softirq|_*run_hrtimer|_*hrtimer_run_queues|process_one_work|kthread|smpboot_thread_fn|cpu_startup_entry|task_work_run|rcu_do_batch|tasklet_action\w*|(?:__do_softirq|handle_softirqs|do_softirq)(?:_own_stack)?|_*napi_poll",
    r"vfs_(?:read|write|readv|writev|readlink|ioctl|open|fsync\w*|fallocate|iter_\w+)|do_iter_\w+|new_sync_\w+|__vfs_(?:read|write)|__fput|sock_recvmsg\w*|do_sock_setsockopt|sock_common_setsockopt|__sys_setsockopt|mmap_region|__mmap_region|do_dentry_open",
    r"nfnetlink_rcv_msg|rtnetlink_rcv_msg|__netif_receive_skb\w*|deliver_skb|net_rx_action|do_one_initcall|exit_to_user(?:_)?mode_\w+|entry_SYSCALL_\w+|entry_INT80_\w+|ret_from_fork\w*|__handle_irq_event_percpu",
)
