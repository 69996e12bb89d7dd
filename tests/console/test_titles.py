"""Titles, signatures and functions of reports in the formats of many kernels: each console is written as those kernels
print (the formats' sources are named in lab/console/rules), the names in them are of real functions."""

from __future__ import annotations

import pytest

from lab.console.scanner import Scanner
from lab.console.types import Report


def scan(text: str) -> Report:
    scanner = Scanner()
    scanner.feed(text.encode())
    return scanner.close()


CASES = {
    "x86 6.x KASAN use after free": (
        "KASAN: slab-use-after-free Read in l2cap_sock_ready_cb",
        """
[  205.134567][ T5101] ==================================================================
[  205.135001][ T5101] BUG: KASAN: slab-use-after-free in l2cap_sock_ready_cb+0x12f/0x160
[  205.135412][ T5101] Read of size 8 at addr ffff888076d2e470 by task kworker/u5:2/5101
[  205.135900][ T5101]
[  205.136100][ T5101] CPU: 0 PID: 5101 Comm: kworker/u5:2 Not tainted 6.6.0-rc1 #0
[  205.136600][ T5101] Call Trace:
[  205.136900][ T5101]  <TASK>
[  205.137100][ T5101]  dump_stack_lvl+0xd9/0x1b0
[  205.137400][ T5101]  print_report+0xc4/0x620
[  205.137700][ T5101]  kasan_report+0xda/0x110
[  205.138000][ T5101]  l2cap_sock_ready_cb+0x12f/0x160
[  205.138300][ T5101]  l2cap_chan_ready+0x11a/0x1f0
[  205.138600][ T5101]  </TASK>
[  205.138900][ T5101]
[  205.139100][ T5101] Allocated by task 5099:
[  205.139400][ T5101]  kasan_save_stack+0x33/0x50
[  205.139700][ T5101]  sk_prot_alloc+0x60/0x2a0
""",
    ),
    "KASAN in a copying helper": (
        "KASAN: use-after-free Write in sctp_getsockopt_peer_auth_chunks",
        """
BUG: KASAN: use-after-free in memcpy include/linux/string.h:345 [inline]
BUG: KASAN: use-after-free in memcpy+0x23/0x50 mm/kasan/kasan.c:302
Write of size 20 at addr ffff8801d9d8f1c0 by task syz-executor0/4321
Call Trace:
 dump_stack+0x1c4/0x2b4
 print_address_description+0x6c/0x20b
 kasan_report+0x242/0x309
 memcpy+0x37/0x50
 sctp_getsockopt_peer_auth_chunks+0x123/0x450
 sctp_getsockopt+0x2912/0x6b7b
""",
    ),
    "KASAN null-ptr-deref": (
        "KASAN: null-ptr-deref Write in kthread_stop",
        """
BUG: KASAN: null-ptr-deref in refcount_inc_checked+0x2b/0x70
Write of size 4 at addr 0000000000000028 by task syz-executor/123
Call Trace:
 dump_stack+0x1c4/0x2b4
 kasan_report.cold.9+0x6d/0x309
 check_memory_region+0x13e/0x1b0
 refcount_inc_checked+0x2b/0x70
 kthread_stop+0x90/0x7e0
""",
    ),
    "KASAN double free": (
        "KASAN: invalid-free in selinux_sk_free_security",
        """
BUG: KASAN: double-free or invalid-free in kfree+0x69/0x140
Call Trace:
 dump_stack_lvl+0x4b/0x60
 kasan_report_invalid_free+0x55/0x80
 __kasan_slab_free+0x102/0x130
 kfree+0x69/0x140
 selinux_sk_free_security+0x2a/0x40
""",
    ),
    "4.x KASan": (
        "KASAN: out of bounds Read in ext4_xattr_set_entry",
        """
BUG: KASan: out of bounds access in ext4_xattr_set_entry+0x3d/0x1110 at addr ffff88003681d830
Read of size 4 by task fsstress/2034
Call Trace:
 [<ffffffff81a5e2f1>] dump_stack+0x4c/0x65
 [<ffffffff813a4e61>] kasan_report_error+0x1f1/0x3f0
 [<ffffffff8148a1bd>] ext4_xattr_set_entry+0x3d/0x1110
""",
    ),
    "x86 general protection fault, with KASAN's guess": (
        "general protection fault in tcp_v4_rcv",
        """
general protection fault, probably for non-canonical address 0xdffffc0000000005: 0000 [#1] PREEMPT SMP KASAN
KASAN: null-ptr-deref in range [0x0000000000000028-0x000000000000002f]
CPU: 1 PID: 9932 Comm: syz-executor Not tainted 5.19.0 #0
RIP: 0010:tcp_v4_rcv+0x1b1/0x3a0
Code: 48 89 fa 48 c1 ea 03 <80> 3c 02 00 0f 85
RSP: 0018:ffffc90003bdf8a8 EFLAGS: 00010206
RAX: dffffc0000000000 RBX: 0000000000000028 RCX: 0000000000000000
Call Trace:
 <IRQ>
 ip_protocol_deliver_rcu+0x9f/0x480
---[ end trace 0000000000000000 ]---
""",
    ),
    "x86 4.x NULL dereference through a null function": (
        "BUG: unable to handle kernel NULL pointer dereference in vfs_write",
        """
BUG: unable to handle kernel NULL pointer dereference at           (null)
IP: [<          (null)>]           (null)
PGD 7b0d2067 PUD 7b0d3067 PMD 0
Oops: 0010 [#1] SMP
CPU: 1 PID: 1523 Comm: sh Not tainted 4.4.0 #1
RIP: 0010:[<0000000000000000>]  [<          (null)>]           (null)
RSP: 0018:ffff88007b0fbe18  EFLAGS: 00010246
Call Trace:
 [<ffffffff8120c6d8>] ? __vfs_write+0x28/0xe0
 [<ffffffff8120ce29>] vfs_write+0xa9/0x190
 [<ffffffff8120dd35>] SyS_write+0x55/0xc0
Code:  Bad RIP value.
---[ end trace 8d9b0d5a3ee95d1c ]---
Kernel panic - not syncing: Fatal exception
""",
    ),
    "i386 2.6 page fault": (
        "BUG: unable to handle kernel paging request in sysfs_add_file",
        """
BUG: unable to handle kernel paging request at virtual address 6b6b6b8f
 printing eip:
c01a9c1b
*pde = 00000000
Oops: 0000 [#1]
SMP
CPU:    0
EIP:    0060:[<c01a9c1b>]    Not tainted VLI
EFLAGS: 00010202   (2.6.23-rc3 #1)
EIP is at sysfs_add_file+0xb/0x70
eax: 6b6b6b6b   ebx: c04a7d60   ecx: 00000004   edx: c04a7d60
Call Trace:
 [<c02507ea>] device_create_file+0x2a/0x40
 [<c0251ab3>] device_add+0x1b3/0x5d0
""",
    ),
    "x86_64 2.6 trace with braces": (
        "BUG: unable to handle kernel NULL pointer dereference in do_unlinkat",
        """
Unable to handle kernel NULL pointer dereference at 0000000000000010 RIP:
<ffffffff80193a90>{do_unlinkat+288}
PGD 3e0a8067 PUD 3e0a9067 PMD 0
Oops: 0000 [1] SMP
CPU 1
Pid: 3212, comm: rm Not tainted 2.6.16 #1
RIP: 0010:[<ffffffff80193a90>] <ffffffff80193a90>{do_unlinkat+288}
Call Trace: <ffffffff8010a7be>{system_call+126}
""",
    ),
    "arm64": (
        "BUG: unable to handle kernel NULL pointer dereference in page_frag_alloc_align",
        """
[    1.070797] Unable to handle kernel NULL pointer dereference at virtual address 00000000000006c0
[    1.071797] Mem abort info:
[    1.072797]   ESR = 0x0000000096000004
[    1.076797] Internal error: Oops: 96000004 [#1] PREEMPT SMP
[    1.078827] Modules linked in:
[    1.080770] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 5.19.0-rc6 #1
[    1.085534] pstate: 40000005 (nZcv daif -PAN -UAO -TCO -DIT -SSBS BTYPE=--)
[    1.087708] pc : page_frag_alloc_align+0x230/0x580
[    1.089746] lr : free_reserved_area+0x98/0x138
[    1.091787] sp : ffff80000802be10
[    1.093800] x29: ffff80000802be10 x28: ffff48cb4333c000 x27: ffffa7b244117630
[    1.117000] Call trace:
[    1.117100]  page_frag_alloc_align+0x230/0x580
[    1.117200]  free_initmem+0x58/0x84
[    1.117300] Code: f9400001 8b020000 (f9400000) b4000060
[    1.117400] ---[ end trace 0000000000000000 ]---
""",
    ),
    "arm64 BUG": (
        "kernel BUG in folio_unlock",
        """
kernel BUG at mm/filemap.c:1538!
Internal error: Oops - BUG: 00000000f2000800 [#1] PREEMPT SMP
pc : folio_unlock+0x70/0x78
lr : folio_unlock+0x70/0x78
Call trace:
 folio_unlock+0x70/0x78 (P)
 ext4_writepages+0x10/0x20
""",
    ),
    "arm": (
        "BUG: unable to handle kernel NULL pointer dereference in seq_vprintf",
        """
[135992.726639] Unable to handle kernel NULL pointer dereference at virtual address 0000000c
[135992.726663] pgd = 6f458410
[135992.726682] [0000000c] *pgd=0d3e2831, *pte=00000000, *ppte=00000000
[135992.726715] Internal error: Oops: 17 [#2] ARM
[135992.726854] CPU: 0 PID: 7690 Comm: htop Tainted: G      D  C        5.4.79+ #1373
[135992.726890] PC is at seq_vprintf+0x18/0x64
[135992.726903] LR is at seq_printf+0x3c/0x5c
[135992.726912] pc : [<c01f3218>]    lr : [<c01f32a0>]    psr: 60000013
[135992.726923] sp : cd009d54  ip : cd009d6c  fp : cd009d68
[135992.727000] [<c01f3218>] (seq_vprintf) from [<c01f32a0>] (seq_printf+0x3c/0x5c)
[135992.727100] [<c01f32a0>] (seq_printf) from [<c024801c>] (proc_tgid_stat+0x10/0x20)
[135992.727200] Code: e92dd878 e24cb004 e1a04000 e1a0c002 (e5943000)
""",
    ),
    "arm undefined instruction": (
        "Internal error in vfp_reload_hw",
        """
Internal error: Oops - undefined instruction: 0 [#1] SMP ARM
PC is at vfp_reload_hw+0x10/0x4c
LR is at __und_usr_fault_32+0x0/0x8
""",
    ),
    "riscv": (
        "BUG: unable to handle kernel paging request in xas_create",
        """
[    1.820060] Unable to handle kernel paging request at virtual address 0000000000800000
[    1.822721] Oops [#1]
[    1.824850] CPU: 0 PID: 1 Comm: kworker/u2:0 Tainted: G        W        5.18.0-rc7 #5
[    1.836448] epc : xas_create+0x12/0x300
[    1.836449]  ra : xas_store+0x54/0x800
[    1.836500] epc : ffffffff804c0550 ra : ffffffff804c0e50 sp : ffffffd000845ab0
[    1.844765]  gp : ffffffff806f5650 tp : ffffffe00083af40 t0 : ffffffff82070063
[    1.844800] [<ffffffff804c0550>] xas_create+0x12/0x300
[    1.844900] [<ffffffff804c0e50>] xas_store+0x54/0x800
""",
    ),
    "powerpc": (
        "BUG: unable to handle kernel paging request in sysrq_handle_crash",
        """
[  349.166638] Unable to handle kernel paging request for data at address 0x00000000
[  349.167485] Faulting instruction address: 0xc00000000069d168
[  349.168127] Oops: Kernel access of bad area, sig: 11 [#1]
[  349.168728] SMP NR_CPUS=2048 NUMA PowerNV
[  349.169194] NIP: c00000000069d168 LR: c00000000069e1d8 CTR: c00000000069d140
[  349.169300] NIP [c00000000069d168] sysrq_handle_crash+0x28/0x30
[  349.169400] LR [c00000000069e1d8] __handle_sysrq+0xf8/0x270
[  349.169500] Call Trace:
[  349.169600] [c000003fdc18bc80] [c00000000069e1b8] __handle_sysrq+0xd8/0x270 (unreliable)
[  349.169700] Instruction dump:
[  349.169800] ebe1fff8 7d908120 4e800020 3860ffea <99490000> 4e800020
""",
    ),
    "lockdep, circular": (
        "possible deadlock in rtnl_lock",
        """
======================================================
WARNING: possible circular locking dependency detected
4.16.0-rc1+ #0 Not tainted
------------------------------------------------------
syz-executor/4212 is trying to acquire lock:
 (rtnl_mutex){+.+.}, at: [<0000000012e2ed5d>] rtnl_lock+0x17/0x20

but task is already holding lock:
 (sk_lock-AF_INET6){+.+.}, at: [<00000000b1c1f5a2>] do_ipv6_setsockopt.isra.9+0x23d/0x38f0

the existing dependency chain (in reverse order) is:

-> #1 (sk_lock-AF_INET6){+.+.}:
       lock_sock_nested+0xc2/0x110
       do_ipv6_setsockopt.isra.9+0x23d/0x38f0

-> #0 (rtnl_mutex){+.+.}:
       lock_acquire+0x1d5/0x580
       rtnl_lock+0x17/0x20

stack backtrace:
CPU: 0 PID: 4212 Comm: syz-executor Not tainted 4.16.0-rc1+ #0
Call Trace:
 dump_stack+0x194/0x257
 print_circular_bug.isra.38+0x2cd/0x2dc
 lock_acquire+0x1d5/0x580
 rtnl_lock+0x17/0x20
""",
    ),
    "2.6 lockdep": (
        "possible deadlock in ntfs_truncate",
        """
=============================================
[ INFO: possible recursive locking detected ]
2.6.18-rc4 #4
---------------------------------------------
mount/3000 is trying to acquire lock:
 (&ni->mrec_lock){--..}, at: [<c021a8b1>] ntfs_truncate+0x1/0x20
""",
    ),
    "inconsistent lock state": (
        "inconsistent lock state in sco_conn_del",
        """
================================
WARNING: inconsistent lock state
5.14.0 #0 Not tainted
--------------------------------
inconsistent {IN-SOFTIRQ-W} -> {SOFTIRQ-ON-W} usage.
kworker/1:1/20 [HC0[0]:SC0[0]:HE1:SE1] takes:
ffff88801a2e70a0 (slock-AF_BLUETOOTH-BTPROTO_SCO){+.?.}-{2:2}, at: sco_conn_del+0x12a/0x2a0
{IN-SOFTIRQ-W} state was registered at:
  lock_acquire+0x1ab/0x510
  sco_sock_timeout+0x43/0x290
""",
    ),
    "bad unlock balance": (
        "WARNING: bad unlock balance in ucma_destroy_id",
        """
=====================================
WARNING: bad unlock balance detected!
4.17.0 #0 Not tainted
-------------------------------------
syz-executor/1234 is trying to release lock (&file->mut) at:
[<ffffffff85c1f2c3>] ucma_destroy_id+0x25d/0x500
but there are no more locks to release!
""",
    ),
    "suspicious RCU usage": (
        "WARNING: suspicious RCU usage in tipc_bearer_find",
        """
=============================
WARNING: suspicious RCU usage
4.15.0-rc9+ #212 Not tainted
-----------------------------
net/tipc/bearer.c:177 suspicious rcu_dereference_protected() usage!

other info that might help us debug this:

stack backtrace:
CPU: 1 PID: 4163 Comm: syz Not tainted 4.15.0-rc9+ #212
Call Trace:
 dump_stack+0x194/0x257
 lockdep_rcu_suspicious+0x123/0x170
 tipc_bearer_find+0x2b4/0x3b0
""",
    ),
    "2012 WARN": (
        "WARNING in smpboot_thread_fn",
        """
[    0.080000] ------------[ cut here ]------------
[    0.080000] WARNING: at /build/linux/kernel/smpboot.c:28 smpboot_thread_fn+0x1e/0xa0()
[    0.080000] Hardware name: Standard PC
[    0.080000] Modules linked in:
[    0.080000] Pid: 7, comm: migration/0 Not tainted 3.7.2 #1
[    0.080000] Call Trace:
[    0.080000]  [<ffffffff8103c3bf>] warn_slowpath_common+0x7f/0xc0
[    0.080000]  [<ffffffff8103c41a>] warn_slowpath_null+0x1a/0x20
[    0.080000]  [<ffffffff8106c5ae>] smpboot_thread_fn+0x1e/0xa0
[    0.080000] ---[ end trace 139ce121c98e96c9 ]---
""",
    ),
    "refcount": (
        "WARNING: refcount bug in nsim_fib_event_nb",
        """
------------[ cut here ]------------
refcount_t: addition on 0; use-after-free.
WARNING: CPU: 1 PID: 8567 at lib/refcount.c:25 refcount_warn_saturate+0x169/0x1e0
RIP: 0010:refcount_warn_saturate+0x169/0x1e0
Call Trace:
 nsim_fib_event_nb+0x12/0x34
 atomic_notifier_call_chain+0x1/0x2
""",
    ),
    "a WARN about its caller": (
        "WARNING in hif_usb_send/usb_submit_urb",
        """
------------[ cut here ]------------
usb 1-1: BOGUS urb xfer, pipe 1 != type 3
WARNING: CPU: 0 PID: 500 at drivers/usb/core/urb.c:493 usb_submit_urb+0xce2/0x14e0
RIP: 0010:usb_submit_urb+0xce2/0x14e0
Call Trace:
 hif_usb_send+0x12/0x34
""",
    ),
    "6.19 WARN": (
        "WARNING in free_to_foo",
        "WARNING: mm/slub.c:1234 at free_to_foo+0x12/0x340, CPU#1: swapper/0/1\nRIP: 0010:free_to_foo+0x12/0x340\n",
    ),
    "RCU stall under a timer interrupt": (
        "INFO: rcu detected stall in sys_sendmsg",
        """
rcu: INFO: rcu_preempt self-detected stall on CPU
rcu: 	0-....: (10499 ticks this GP) idle=8b2/1/0x4000000000000000 softirq=12345/12345 fqs=5250
	(t=10500 jiffies g=20109 q=12)
NMI backtrace for cpu 0
CPU: 0 PID: 9012 Comm: syz-executor Not tainted 5.10.0 #0
Call Trace:
 <IRQ>
 dump_stack+0x107/0x163
 nmi_cpu_backtrace.cold+0x44/0xd7
 rcu_dump_cpu_stacks+0x1e3/0x21e
 rcu_sched_clock_irq.cold+0x472/0xee8
 update_process_times+0x16d/0x200
 hrtimer_interrupt+0x334/0x940
 asm_sysvec_apic_timer_interrupt+0x12/0x20
 </IRQ>
RIP: 0010:__sanitizer_cov_trace_pc+0x1a/0x40
Code: 65 48 8b 04 25
RSP: 0018:ffffc9000a2bf1d8 EFLAGS: 00000293
 fl_walk+0x123/0x456
 tcf_chain_dump+0x12/0x90
 netlink_dump+0x4d/0x10
 ____sys_sendmsg+0x6e8/0x810
 __x64_sys_sendmsg+0x7d/0xc0
 do_syscall_64+0x2d/0x70
""",
    ),
    "soft lockup": (
        "BUG: soft lockup in wg_packet_tx_worker",
        """
watchdog: BUG: soft lockup - CPU#1 stuck for 143s! [kworker/1:2:45]
Modules linked in:
CPU: 1 PID: 45 Comm: kworker/1:2 Not tainted 5.8.0 #0
Workqueue: wg-crypt-wg0 wg_packet_tx_worker
RIP: 0010:native_queued_spin_lock_slowpath+0x123/0x456
Call Trace:
 _raw_spin_lock_bh+0x12/0x34
 udp_tunnel_xmit_skb+0x10/0x20
 wg_socket_send_skb_to_peer+0x10/0x20
 wg_packet_tx_worker+0x10/0x20
 process_one_work+0x94c/0x1670
 worker_thread+0x64c/0x1120
""",
    ),
    "hung task": (
        "INFO: task hung in linkwatch_event",
        """
INFO: task kworker/0:1:12 blocked for more than 143 seconds.
      Not tainted 5.10.0-rc1 #0
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:kworker/0:1     state:D stack:23456 pid:   12 ppid:     2 flags:0x00004000
Workqueue: events linkwatch_event
Call Trace:
 __schedule+0x893/0x2130
 schedule+0xcf/0x270
 schedule_preempt_disabled+0xf/0x20
 __mutex_lock+0x3e7/0x1050
 rtnl_lock+0x5/0x10
 linkwatch_event+0xb/0x60
 process_one_work+0x933/0x15a0
""",
    ),
    "sleeping in atomic context": (
        "BUG: sleeping function called from invalid context in lock_sock_nested",
        """
BUG: sleeping function called from invalid context at net/core/sock.c:3064
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 4321, name: syz-executor
Call Trace:
 dump_stack+0x107/0x163
 ___might_sleep.cold+0x1e8/0x22e
 lock_sock_nested+0x25/0x120
 sco_conn_del+0x100/0x200
""",
    ),
    "smp_processor_id": (
        "BUG: using __this_cpu_read() in preemptible code in ipcomp_init_state",
        """
BUG: using __this_cpu_read() in preemptible [00000000] code: syz-executor/5243
caller is ipcomp_init_state+0x185/0x990
CPU: 0 PID: 5243 Comm: syz-executor Not tainted 4.16.0+ #19
""",
    ),
    "KCSAN": (
        "KCSAN: data-race in dput / lookup_fast",
        """
BUG: KCSAN: data-race in lookup_fast / dput

write to 0xffff888101c2f000 of 4 bytes by task 1 on cpu 0:
 dput+0x12/0x34
""",
    ),
    "KMSAN": (
        "KMSAN: uninit-value in aa_fqlookupn_profile",
        """
BUG: KMSAN: uninit-value in strnstr+0x4f/0x80
 strnstr+0x4f/0x80
 aa_fqlookupn_profile+0x1b6/0x3a0

Uninit was created at:
 slab_post_alloc_hook+0x129/0xa70
""",
    ),
    "UBSAN": (
        "UBSAN: shift-out-of-bounds in dbAllocAG",
        """
UBSAN: shift-out-of-bounds in fs/jfs/jfs_dmap.c:1379:11
shift exponent 1086324736 is too large for 32-bit type 'int'
Call Trace:
 dump_stack_lvl+0x1b1/0x290
 ubsan_epilogue+0xa/0x40
 __ubsan_handle_shift_out_of_bounds+0x33d/0x3b0
 dbAllocAG+0x100a/0x1010
""",
    ),
    "memory leak": (
        "memory leak in sctp_association_new",
        """
BUG: memory leak
unreferenced object 0xffff888119e9e600 (size 512):
  comm "syz-executor", pid 7042, jiffies 4294952345 (age 13.160s)
  backtrace:
    [<00000000b47a34e9>] kmalloc_trace+0x27/0x60
    [<00000000a8b3d2a1>] sctp_association_new+0x5d/0x9d0
""",
    ),
    "list corruption before BUG": (
        "BUG: corrupted list in io_poll_remove",
        """
list_del corruption. prev->next should be ffff888012345678, but was 0000000000000000
------------[ cut here ]------------
kernel BUG at lib/list_debug.c:53!
invalid opcode: 0000 [#1] PREEMPT SMP KASAN
RIP: 0010:__list_del_entry_valid.cold+0xf/0x4f
Call Trace:
 io_poll_remove+0x12/0x340
""",
    ),
    "usercopy": (
        "BUG: bad usercopy in lkdtm_USERCOPY_KERNEL",
        """
usercopy: Kernel memory exposure attempt detected from kernel text (offset 0, size 4096)!
------------[ cut here ]------------
kernel BUG at mm/usercopy.c:102!
invalid opcode: 0000 [#1] PREEMPT SMP
RIP: 0010:usercopy_abort+0x6c/0x6e
Call Trace:
 __check_object_size.cold+0x0/0x8f
 lkdtm_USERCOPY_KERNEL+0x8f/0xf0
""",
    ),
    "stack protector": (
        "kernel panic: stack is corrupted in lkdtm_CORRUPT_STACK",
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: lkdtm_CORRUPT_STACK+0x51/0x51\n",
    ),
    "init killed": (
        "kernel panic: Attempted to kill init!",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n",
    ),
    "no root": (
        "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n",
    ),
    "free text panic": (
        "kernel panic: EXT4-fs (device loop4): panic forced after error",
        "Kernel panic - not syncing: EXT4-fs (device loop4): panic forced after error\n",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_title_is_the_communitys(name: str) -> None:
    title, console = CASES[name]
    report = scan(console)
    assert report.first is not None
    assert report.first.title == title


def test_what_follows_from_a_report_is_told_apart_from_it() -> None:
    report = scan(CASES["x86 4.x NULL dereference through a null function"][1])
    assert [(finding.kind, finding.primary) for finding in report.findings] == [("oops", True), ("panic", False)]


@pytest.mark.parametrize("name", CASES)
def test_no_report_falls_apart_into_several(name: str) -> None:
    assert len([finding for finding in scan(CASES[name][1]).findings if finding.primary]) == 1


@pytest.mark.parametrize("name", CASES)
def test_titles_and_signatures_hold_nothing_that_changes_from_run_to_run(name: str) -> None:
    _, console = CASES[name]
    other = console.replace("ffff8", "ffff9").replace("+0x1", "+0x2").replace("PID: ", "PID: 7")
    first, again = scan(console).first, scan(other).first
    assert first and again
    assert (first.title, first.signature) == (again.title, again.signature)


def test_panic_on_warn_speaks_before_the_trace_and_is_told_apart() -> None:
    report = scan(
        """
------------[ cut here ]------------
refcount_t: increment on 0; use-after-free.
WARNING: CPU: 1 PID: 4212 at lib/refcount.c:153 refcount_inc+0x47/0x50
Kernel panic - not syncing: panic_on_warn set ...

CPU: 1 PID: 4212 Comm: syz-executor Not tainted 4.16.0-rc1+ #0
Call Trace:
 dump_stack+0x194/0x257
 panic+0x1e4/0x41c
 __warn+0x1dc/0x200
 report_bug+0x211/0x2d0
RIP: 0010:refcount_inc+0x47/0x50
RSP: 0018:ffff8801c6a6f6c8 EFLAGS: 00010286
 sctp_association_hold+0x12/0x34
 sctp_connect_new_asoc+0x1/0x2
Kernel Offset: 0x1a000000 from 0xffffffff81000000
Rebooting in 86400 seconds..
"""
    )
    assert [(finding.title, finding.primary) for finding in report.findings] == [
        ("WARNING: refcount bug in sctp_association_hold", True),
        ("kernel panic: panic_on_warn set", False),
    ]
    assert report.kernel_offset == 0x1A000000
    assert report.first is report.findings[0]


def test_mips_and_s390_tell_where_they_were() -> None:
    mips = """
CPU 0 Unable to handle kernel paging request at virtual address 00000000, epc == 8010e4a8, ra == 8010e4a0
Oops[#1]:
epc   : 8010e4a8 find_vma+0x10/0x20
"""
    s390 = """
Unable to handle kernel pointer dereference in virtual kernel address space
Oops: 0004 ilc:2 [#1] SMP
Krnl PSW : 0704c00180000000 000000000010e4a8 (find_vma+0x12/0x34)
"""
    for console in (mips, s390):
        report = scan(console)
        assert report.first is not None
        assert report.first.title == "BUG: unable to handle kernel paging request in find_vma"


def test_arm_frames_in_modules_and_without_offsets_are_read() -> None:
    report = scan(
        """
Unable to handle kernel NULL pointer dereference at virtual address 00000100
Internal error: Oops: 207 [#1] SMP ARM
PC is at __wake_up_common+0x40/0x150
LR is at __wake_up_common_lock+0x84/0x108
[<c0269b80>] (__wake_up_common) from [<c0269eb8>] (__wake_up_common_lock+0x84/0x108)
[<bfa0e748>] (l2cap_sock_teardown_cb [bluetooth]) from [<bfa01e9c>] (l2cap_chan_del+0x40/0x21c [bluetooth])
 l2cap_chan_del from l2cap_recv_frame+0x62c/0x2ba8 [bluetooth]
"""
    )
    assert report.findings[0].functions == ("__wake_up_common", "l2cap_sock_teardown_cb", "l2cap_chan_del")


def test_two_reports_of_two_tasks_are_kept_apart_by_printks_caller() -> None:
    report = scan(
        """
[   10.000001][   T10] BUG: sleeping function called from invalid context at mm/slab.h:400
[   10.000002][   T20] BUG: KASAN: use-after-free in foo_read+0x1/0x20
[   10.000003][   T10] Call Trace:
[   10.000004][   T20] Read of size 8 at addr ffff888076d2e470 by task cat/20
[   10.000005][   T20] Call Trace:
[   10.000006][   T10]  dump_stack+0x1/0x2
[   10.000007][   T20]  kasan_report+0x1/0x2
[   10.000008][   T10]  bar_ioctl+0x1/0x2
[   10.000009][   T20]  foo_read+0x1/0x20
"""
    )
    assert [finding.title for finding in report.findings] == [
        "BUG: sleeping function called from invalid context in bar_ioctl",
        "KASAN: use-after-free Read in foo_read",
    ]


def test_a_log_that_starts_again_silently_is_a_finding() -> None:
    boot = "Linux version 6.1.0 (lab@lab)\nMemory: 1k/2k available\nRun /init as init process\n"
    report = scan(boot + boot)
    assert [(finding.title, finding.line) for finding in report.findings] == [("unexpected kernel reboot", 4)]
    assert scan(boot + "reboot: Power down\n" + boot).findings == ()


def test_a_hang_tells_the_initcall_that_did_not_return() -> None:
    report = scan(
        """
calling  init_a+0x0/0x10 @ 1
initcall init_a+0x0/0x10 returned 0 after 1 usecs
calling  init_b+0x0/0x20 @ 1
"""
    )
    assert report.last_initcall == "init_b"
    assert report.last_sign_of_life == "calling  init_b+0x0/0x20 @ 1"
