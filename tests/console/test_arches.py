"""Reports of old kernels and of the rarer processors: title, functions in order, a register, the machine.

No guest made these consoles: they were written by hand in the kernels' formats, as far as those are known, each with as
many lines as its kind needs. What a recorded one differs in counts more than they.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from lab.console.scanner import Scanner


class Case(NamedTuple):
    name: str
    title: str
    functions: str
    machine: str
    register: tuple[str, str]
    console: str


CASES = (
    Case(
        "i386-2.6.18",
        "BUG: unable to handle kernel NULL pointer dereference in foo_open",
        "foo_open chrdev_open",
        "i386",
        ("esi", "00000000"),
        r"""BUG: unable to handle kernel NULL pointer dereference at virtual address 00000014
 printing eip:
c0156789
*pde = 00000000
Oops: 0002 [#1]
SMP
Modules linked in: foo bar
CPU:    0
EIP:    0060:[<c0156789>]    Not tainted VLI
EFLAGS: 00010246   (2.6.18 #1)
EIP is at foo_open+0x19/0x80 [foo]
eax: 00000000   ebx: c1234567   ecx: 00000000   edx: 00000001
esi: 00000000   edi: f7c0a000   ebp: f7c0bf00   esp: f7c0bef0
ds: 007b   es: 007b   ss: 0068
Process cat (pid: 1234, ti=f7c0a000 task=f7d0a030 task.ti=f7c0a000)
Stack: 00000000 f7c0bf10 c0156000 00000000
Call Trace:
 [<c0166123>] chrdev_open+0x73/0x190
 [<c0160456>] __dentry_open+0xb6/0x200
 [<c0102fcf>] syscall_call+0x7/0xb
Code: 8b 40 14 89 45 f0 <c7> 40 14 00 00 00 00
EIP: [<c0156789>] foo_open+0x19/0x80 [foo] SS:ESP 0068:f7c0bef0
""",
    ),
    Case(
        "i386-2.6.9",
        "BUG: unable to handle kernel NULL pointer dereference in sysfs_hash_and_remove",
        "sysfs_hash_and_remove class_device_del",
        "i386",
        ("ebx", "c0345678"),
        r"""Unable to handle kernel NULL pointer dereference at virtual address 00000000
 printing eip:
c0156789
*pde = 00000000
Oops: 0000 [#1]
PREEMPT
Modules linked in:
CPU:    0
EIP:    0060:[<c0156789>]    Not tainted
EFLAGS: 00010246   (2.6.9)
EIP is at sysfs_hash_and_remove+0xf/0x12a
eax: 00000000   ebx: c0345678   ecx: 00000000   edx: 00000001
Call Trace:
 [<c0266123>] class_device_del+0x6b/0x90
 [<c0102fcf>] syscall_call+0x7/0xb
Code: 8b 40
""",
    ),
    Case(
        "i386-2.4",
        "BUG: unable to handle kernel NULL pointer dereference in kmem_thing",
        "kmem_thing sock_alloc_send_skb unix_stream_sendmsg",
        "i386",
        ("edx", "00000001"),
        r"""Unable to handle kernel NULL pointer dereference at virtual address 00000004
 printing eip:
c0131e3c
*pde = 00000000
Oops: 0000
CPU:    0
EIP:    0010:[kmem_thing+76/224]    Not tainted
EFLAGS: 00010046
eax: 00000000   ebx: c1234567   ecx: 00000000   edx: 00000001
Process cat (pid: 1234, stackpage=c7c0b000)
Stack: 00000000
Call Trace:    [sock_alloc_send_skb+119/224] [unix_stream_sendmsg+350/896]
Code: 8b 40 04
""",
    ),
    Case(
        "x86_64-2.6.16",
        "BUG: unable to handle kernel NULL pointer dereference in pipe_readv",
        "pipe_readv pipe_read vfs_read sys_read system_call",
        "x86_64",
        ("RBX", "ffff81007a8b3e98"),
        r"""Unable to handle kernel NULL pointer dereference at 0000000000000038 RIP:
<ffffffff80182ba8>{pipe_readv+123}
PGD 1a2b3c067 PUD 1a2b3d067 PMD 0
Oops: 0000 [1] SMP
CPU 0
Modules linked in: nfs lockd
Pid: 4321, comm: cat Not tainted 2.6.16 #1
RIP: 0010:[<ffffffff80182ba8>] <ffffffff80182ba8>{pipe_readv+123}
RSP: 0018:ffff81007a8b3e48  EFLAGS: 00010246
RAX: 0000000000000000 RBX: ffff81007a8b3e98 RCX: 0000000000000001
Process cat (pid: 4321, threadinfo ffff81007a8b2000, task ffff81007b8c1040)
Stack: ffff81007a8b3e98 0000000000000000
Call Trace: <ffffffff80182cb1>{pipe_read+30} <ffffffff80177c09>{vfs_read+203}
       <ffffffff80178f2a>{sys_read+69} <ffffffff8010a93e>{system_call+126}

Code: 48 8b 40 38 48 85 c0 74 05 <48> 8b 00
RIP <ffffffff80182ba8>{pipe_readv+123} RSP <ffff81007a8b3e48>
""",
    ),
    Case(
        "x86_64-2.6.24",
        "BUG: unable to handle kernel NULL pointer dereference in foo_read",
        "foo_read foo_outer vfs_read",
        "x86_64",
        ("RCX", "0000000000000001"),
        r"""Unable to handle kernel NULL pointer dereference at 0000000000000010 RIP:
 [<ffffffff880012ab>] :foo:foo_read+0x1b/0x60
PGD 1a2b3c067 PUD 1a2b3d067 PMD 0
Oops: 0000 [1] SMP
CPU 0
Modules linked in: foo
Pid: 4321, comm: cat Not tainted 2.6.24 #1
RIP: 0010:[<ffffffff880012ab>]  [<ffffffff880012ab>] :foo:foo_read+0x1b/0x60
RSP: 0018:ffff81007a8b3e48  EFLAGS: 00010246
RAX: 0000000000000000 RBX: ffff81007a8b3e98 RCX: 0000000000000001
Process cat (pid: 4321, threadinfo ffff81007a8b2000, task ffff81007b8c1040)
Stack:  ffff81007a8b3e98 0000000000000000
Call Trace:
 [<ffffffff80277c09>] :foo:foo_outer+0x2a/0x78
 [<ffffffff80278f2a>] vfs_read+0x247/0x261
 [<ffffffff8020a93e>] system_call+0x8a/0x8f
Code: 48 8b 40 38
RIP  [<ffffffff880012ab>] :foo:foo_read+0x1b/0x60
 RSP <ffff81007a8b3e48>
""",
    ),
    Case(
        "mips-bug",
        "kernel BUG in foo_setup",
        "foo_setup do_one_initcall",
        "mips",
        ("$5", "00000000"),
        r"""Kernel bug detected[#1]:
CPU: 0 PID: 1 Comm: swapper Not tainted 4.4.14 #1
task: 87818000 ti: 8781a000 task.ti: 8781a000
$ 0   : 00000000 00000001 00000001 00000000
$ 4   : 80360000 00000000 00000001 00000000
$28   : 8781a000 8781bd60 00000000 800a1234
Hi    : 00000000
Lo    : 00000010
epc   : 800a1250 foo_setup+0x50/0x90
ra    : 800a1234 foo_setup+0x34/0x90
Status: 1100dc03	KERNEL EXL IE
Cause : 10800024 (ExcCode 09)
PrId  : 00019374 (MIPS 24Kc)
Modules linked in:
Process swapper (pid: 1, threadinfo=8781a000, task=87818000, tls=00000000)
Stack : 00000000 8034a8c8 80310000 80360000
Call Trace:
[<800a1250>] foo_setup+0x50/0x90
[<80060430>] do_one_initcall+0xd0/0x1c8
Code: 00021080  8c420000  <000c000d>
""",
    ),
    Case(
        "mips-fault",
        "BUG: unable to handle kernel paging request in usb_thing",
        "usb_thing usb_probe",
        "mips",
        ("BadVA", "00000014"),
        r"""CPU 0 Unable to handle kernel paging request at virtual address 00000014, epc == 801b2f38, ra == 801b2f20
Oops[#1]:
Cpu 0
$ 0   : 00000000 10008400 00000000 00000001
$28   : 83768000 83c079b0 00000000 801b2f20
Hi    : 00000000
Lo    : 0000001e
epc   : 801b2f38 usb_thing+0x18/0x40     Not tainted
ra    : 801b2f20 usb_thing+0x0/0x40
Status: 1000fc03    KERNEL EXL IE
Cause : 00800008
BadVA : 00000014
PrId  : 00019374 (MIPS 24Kc)
Call Trace:[<801b2f38>] usb_thing+0x18/0x40
[<801b3000>] usb_probe+0x18/0x40
Code: 8c820014
""",
    ),
    Case(
        "parisc",
        "BUG: unable to handle kernel paging request in kernfs_fill",
        "kernfs_fill kernfs_caller do_one_initcall",
        "parisc",
        ("r05", "0000000041415d64"),
        r"""Kernel Fault: Code=26 (Data memory access rights trap) at addr 0000000041252808
CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.10.2-gentoo-parisc64 #1
Hardware name: 9000/800/rp3440

     YZrvWESTHLNXBCVMcbcbcbcbOGFRQPDI
PSW: 00001000000001000000000000001111 Not tainted
r00-03  000000000804000f 0000000041081ba0 000000004055dab4 000000004b5dc450
r04-07  0000000040fadba0 0000000041415d64 000000004b850d00 0000000000000000
sr00-03  0000000000000000 0000000000000000 0000000000000000 0000000000000000

IASQ: 0000000000000000 0000000000000000 IAOQ: 000000004055da54 000000004055da58
 IIR: 0f5010dc    ISR: 0000000010350000  IOR: 000000000dfae9b0
 CPU:        0   CR30: 000000004b5d8000 CR31: ffffffffffffffff
 ORIG_R28: 0000000000000000
 IAOQ[0]: kernfs_fill+0x214/0x608
 IAOQ[1]: kernfs_fill+0x218/0x608
 RP(r2): kernfs_caller+0x280/0x608
Backtrace:
 [<00000000403da89c>] kernfs_caller+0x30c/0x4b8
 [<00000000403db520>] do_one_initcall+0x28/0xa0

Kernel panic - not syncing: Kernel Fault
""",
    ),
    Case(
        "parisc-bug",
        "kernel BUG in kmem_thing_init",
        "kmem_thing_init start_kernel",
        "parisc",
        ("IIR", "03ffe01f"),
        r"""kernel BUG at mm/slub.c:4067!
swapper (pid 0): Break instruction received by kernel? (code 0)
CPU: 0 PID: 0 Comm: swapper Not tainted 3.10.0 #1
task: 10631a70 ti: 105fc000 task.ti: 105fc000

     YZrvWESTHLNXBCVMcbcbcbcbOGFRQPDI
PSW: 00000000000001000000000000001111 Not tainted
IASQ: 00000000 00000000 IAOQ: 101a3d4c 101a3d50
 IIR: 03ffe01f    ISR: 00000000  IOR: 00000000
 IAOQ[0]: kmem_thing_init+0x94/0x108
 IAOQ[1]: kmem_thing_init+0x98/0x108
 RP(r2): kmem_thing_init+0x80/0x108
Backtrace:
 [<101da89c>] start_kernel+0x30c/0x4b8
""",
    ),
    Case(
        "parisc-3.2",
        "BUG: unable to handle kernel NULL pointer dereference in xfs_thing",
        "xfs_thing vfs_read",
        "parisc",
        ("IOR", "000000007f8c0a90"),
        r"""Bad Address (null pointer deref?): Code=15 regs=000000007f8c0a40 (Addr=0000000000000010)

     YZrvWESTHLNXBCVMcbcbcbcbOGFRQPDI
PSW: 00001000000001101111111100001111 Not tainted
r00-03  000000ff0806ff0f 00000000405a0c10 00000000401c2f40 0000000000000000
IASQ: 0000000000000000 0000000000000000 IAOQ: 00000000401c2f4c 00000000401c2f50
 IIR: 0f5010dc    ISR: 0000000010350000  IOR: 000000007f8c0a90
 IAOQ[0]: xfs_thing+0x44/0x90
 IAOQ[1]: xfs_thing+0x48/0x90
 RP(r2): xfs_thing+0x38/0x90
Backtrace:
 [<00000000401c3f4c>] vfs_read+0x44/0x90
""",
    ),
    Case(
        "sparc64",
        "BUG: unable to handle kernel paging request in sp_add",
        "sp_add unix_create1 unix_create",
        "sparc64",
        ("g1", "0006120000000000"),
        r"""Unable to handle kernel paging request at virtual address 0006120000000000
tsk->{mm,active_mm}->context = 00000000000000e5
tsk->{mm,active_mm}->pgd = fff8000303c8c000
              \|/ ____ \|/
              "@'/ .. \`@"
              /_| \__/ |_\
                 \__U_/
systemd(1): Oops [#1]
CPU: 5 PID: 1 Comm: systemd Not tainted 5.10.0 #1
TSTATE: 0000004411001607 TPC: 0000000000abc9a4 TNPC: 0000000000abc9a8 Y: 00000000    Not tainted
TPC: <sp_add+0x4/0x30>
g0: 0000000000000000 g1: 0006120000000000 g2: 0000000000000001 g3: 0000000000000000
o0: fff8000303c8c000 o1: 0000000000000000 o2: 0000000000000000 o3: 0000000000000000
RPC: <sk_thing+0x2c/0x60>
l0: 0000000000000000 l1: 0000000000000000 l2: 0000000000000000 l3: 0000000000000000
i0: 0000000000000000 i1: 0000000000000000 i2: 0000000000000000 i3: 0000000000000000
I7: <unix_create1+0x70/0x200>
Call Trace:
[<0000000000bd1090>] unix_create1+0x70/0x200
[<0000000000bd1260>] unix_create+0x40/0xa0
Disabling lock debugging due to kernel taint
Caller[0000000000bd1090]: unix_create1+0x70/0x200
Instruction DUMP:
 01000000
""",
    ),
    Case(
        "sparc32",
        "BUG: unable to handle kernel NULL pointer dereference in s32_probe",
        "s32_probe s32_caller",
        "sparc",
        ("NPC", "f012345a"),
        r"""Unable to handle kernel NULL pointer dereference
tsk->{mm,active_mm}->context = ffffffff
tsk->{mm,active_mm}->pgd = f0002000
swapper(1): Oops [#1]
PSR: 40801fc1 PC: f0123456 NPC: f012345a Y: 00000000    Not tainted
PC: <s32_probe+0x20/0x80>
%G: 00000000 00000001  00000002 00000003
RPC: <s32_caller+0x10/0x40>
[f0123488] s32_caller+0x10/0x40
""",
    ),
    Case(
        "s390",
        "BUG: unable to handle kernel paging request in dev_probe",
        "dev_probe really_probe",
        "s390x",
        ("GPR01", "00000000fffff000"),
        r"""Unable to handle kernel pointer dereference in virtual kernel address space
Failing address: 0000000000000000 TEID: 0000000000000483
Fault in home space mode while using kernel ASCE.
AS:00000000a1f4c007 R3:00000001ffffc007 S:00000001ffffb801 P:000000000000013d
Oops: 0004 ilc:3 [#1] SMP
Modules linked in:
CPU: 3 PID: 1 Comm: swapper/0 Not tainted 5.14.0 #1
Hardware name: IBM 8561 T01 701 (KVM/Linux)
Krnl PSW : 0704e00180000000 00000000009ca3f4 (dev_probe+0x34/0x180)
           R:0 T:1 IO:1 EX:1 Key:0 M:1 W:0 P:0 AS:3 CC:2 PM:0 RI:0 EA:3
Krnl GPRS: 0000000000000001 00000000fffff000 0000000000000000 0000000000000001
           0000000000000000 00000000009ca3c0 0000000000000000 0000000000000000
Krnl Code: 00000000009ca3e4: e3b0b0000004	lg	%r11,0(%r11)
          #00000000009ca3ee: e31020000004	lg	%r1,0(%r2)
          >00000000009ca3f4: 58102000		l	%r1,0(%r2)
Call Trace:
 [<00000000009ca3f4>] dev_probe+0x34/0x180
 [<00000000009cb000>] really_probe+0xe0/0x400
Last Breaking-Event-Address:
 [<00000000009ca3e0>] dev_probe+0x20/0x180
Kernel panic - not syncing: Fatal exception: panic_on_oops
""",
    ),
    Case(
        "s390-exception",
        "specification exception in foo_interrupt",
        "foo_interrupt do_irq_async",
        "s390x",
        ("", ""),
        r"""specification exception: 0006 ilc:2 [#1]SMP
Modules linked in: bpf_testmod(OE)
CPU: 0 UID: 0 PID: 89 Comm: test_progs
Tainted: [O]=OOT_MODULE, [E]=UNSIGNED_MODULE
Hardware name: IBM 8561 LT1 400 (KVM/Linux)
Krnl PSW : 0404e00180000000 000001e43ac595e4 (foo_interrupt+0x4/0x2a0)
Call Trace:
 [<000001e43ac595e4>] foo_interrupt+0x4/0x2a0
 [<000001e43ab128ca>] do_irq_async+0x5a/0x78
Kernel panic - not syncing: Fatal exception in interrupt
""",
    ),
    Case(
        "s390-bug",
        "kernel BUG in qeth_open",
        "qeth_open __dev_open",
        "s390x",
        ("", ""),
        r"""------------[ cut here ]------------
kernel BUG at include/linux/netdevice.h:516!
monitor event: 0040 ilc:2 [#1] SMP DEBUG_PAGEALLOC
CPU: 0 PID: 1127 Comm: NetworkManager Not tainted 5.6.0-rc3-next-20200302+ #4
Krnl PSW : 0704c00180000000 00000000309cccc4 (qeth_open+0x2f4/0x320)
Call Trace:
 [<00000000309cccc4>] qeth_open+0x2f4/0x320
 [<00000000309c0000>] __dev_open+0xd4/0x150
""",
    ),
    Case(
        "ia64",
        "BUG: unable to handle kernel NULL pointer dereference in foo_read",
        "foo_read",
        "ia64",
        ("b6", "a000000100010ba0"),
        r"""Unable to handle kernel NULL pointer dereference (address 0000000000000008)
udevd[1234]: Oops 8813272891392 [1]
Modules linked in: foo

CPU: 1 PID: 1234 Comm: udevd Not tainted 3.10.0 #1
task: e0000001ffa50000 ti: e0000001ffa51000 task.ti: e0000001ffa51000
psr : 0000101008526030 ifs : 800000000000038a ip  : [<a0000001003a1b71>]    Not tainted (3.10.0)
ip is at foo_read+0x51/0x140
unat: 0000000000000000 pfs : 000000000000038a rsc : 0000000000000003
rnat: 0000000000000000 bsps: 0000000000000000 pr  : 0000000000009641
b0  : a0000001003a1b60 b6  : a000000100010ba0 b7  : a0000001003a1b20

Call Trace:
 [<a000000100014a60>] show_stack+0x40/0xa0
                                sp=e0000001ffa57a60 bsp=e0000001ffa50f60
 [<a0000001000153a0>] show_regs+0x840/0x8a0
                                sp=e0000001ffa57c30 bsp=e0000001ffa50f08
 [<a000000100038c00>] die+0x1a0/0x300
 [<a00000010004c0c0>] ia64_do_page_fault+0x8c0/0xa20
 [<a00000010000b9a0>] ia64_native_leave_kernel+0x0/0x280
 [<a0000001003a1b70>] foo_read+0x50/0x140
 [<a000000100160f40>] vfs_read+0x1a0/0x2e0
""",
    ),
    Case(
        "ia64-nat",
        "NaT consumption in quux_add",
        "quux_add",
        "ia64",
        ("", ""),
        r"""udevd[134]: NaT consumption 2216203124768 [1]
Modules linked in:
CPU: 0 PID: 134 Comm: udevd Not tainted 5.2.0-rc6 #1
psr : 0000121008026010 ifs : 8000000000000308 ip  : [<a0000001004c4730>]    Not tainted (5.2.0)
ip is at quux_add+0x1d0/0x3c0
Call Trace:
 [<a000000100014f70>] show_stack.part.0+0x30/0x60
 [<a000000100015000>] show_stack+0x30/0x50
 [<a000000100038c00>] die+0x1a0/0x300
 [<a00000010003a000>] ia64_fault+0x100/0x1240
 [<a00000010000c9a0>] ia64_leave_kernel+0x0/0x270
 [<a0000001004c4730>] quux_add+0x1d0/0x3c0
""",
    ),
    Case(
        "alpha-bug",
        "kernel BUG in wq_thing",
        "wq_thing worker_thread kthread",
        "alpha",
        ("t1", "fffffc00007fc000"),
        r"""Kernel bug at kernel/workqueue.c:123
CPU: 0 PID: 4 Comm: kworker/0:0 Not tainted 5.4.0 #1
kworker/0:0(4): Kernel Bug 1
pc = [<fffffc0000c3c620>]  ra = [<fffffc0000c3c600>]  ps = 0000    Not tainted
pc is at wq_thing+0x20/0x80
ra is at wq_thing+0x0/0x80
v0 = 0000000000000000  t0 = 0000000000000001  t1 = fffffc00007fc000
Trace:
[<fffffc0000333000>] worker_thread+0x100/0x500
[<fffffc0000333a00>] kthread+0x100/0x500

Code: 00000000
""",
    ),
    Case(
        "sh",
        "BUG: unable to handle kernel paging request in sh_thing",
        "sh_thing sh_caller do_one_initcall",
        "sh",
        ("R3", "00000003"),
        r"""BUG: unable to handle kernel paging request at 00000004
PC: [<8c0123a4>] sh_thing+0x24/0x60
pgd = 8cf00000
*pgd = 00000000
Oops: 0000 [#1]
CPU: 0 PID: 1 Comm: swapper Not tainted 5.1.0 #1
PC is at sh_thing+0x24/0x60
PR is at sh_caller+0x10/0x40
PC  : 8c0123a4 SP  : 8c021f20 SR  : 40008100
R0  : 00000000 R1  : 00000001 R2  : 00000002 R3  : 00000003
Call trace:
 [<8c012300>] sh_caller+0x10/0x40
 [<8c002160>] do_one_initcall+0x0/0x180
""",
    ),
    Case(
        "xmon",
        "BUG: unable to handle kernel paging request in xm_thing",
        "xm_thing xm_caller syscall_exit",
        "",
        ("", ""),
        r"""cpu 0x1: Vector: 300 (Data Access) at [c0000000fa9f7a70]
    pc: c00000000028a2c8: xm_thing+0x48/0x1b0
    lr: c00000000028a2a0: xm_thing+0x20/0x1b0
    sp: c0000000fa9f7cf0
   msr: 8000000000009032
   dar: 0
 dsisr: 40000000
  current = 0xc0000000fa9a0000
    pid   = 1234, comm = cat
enter ? for help
[c0000000fa9f7d30] c00000000028b000 xm_caller+0x48/0x1b0
[c0000000fa9f7d80] c000000000009b6c syscall_exit+0x0/0x40
""",
    ),
    Case(
        "powerpc-2.6",
        "BUG: unable to handle kernel paging request in pold_probe",
        "pold_probe of_probe",
        "ppc64",
        ("DEAR", "00000000"),
        r"""Unable to handle kernel paging request for data at address 0x00000000
Faulting instruction address: 0xc0012345
Oops: Kernel access of bad area, sig: 11 [#1]
PREEMPT Xilinx Virtex
Modules linked in:
NIP: c0012345 LR: c0012300 CTR: c00ab000
REGS: cf82bd80 TRAP: 0300   Not tainted  (2.6.24)
MSR: 00029030 <EE,ME,IR,DR>  CR: 22000024  XER: 20000000
DEAR: 00000000, ESR: 00000000
TASK = cf828000[1] 'swapper' THREAD: cf82a000
GPR00: 00000000 CF82BE30 CF828000 00000000
Call Trace:
[cf82be30] [c00122f0] pold_probe+0x30/0x100 (unreliable)
[cf82be50] [c0123456] of_probe+0x30/0x100
NIP [c0012345] pold_probe+0x45/0x100
LR [c0012300] pold_probe+0x0/0x100
""",
    ),
    Case(
        "riscv-5.1",
        "BUG: unable to handle kernel paging request in rvo_thing",
        "rvo_thing rvo_caller",
        "riscv64",
        ("scause", "000000000000000d"),
        r"""[    4.000000] Unable to handle kernel paging request at virtual address 0000000bfffe8000
[    4.000000] Oops [#1]
[    4.000000] Modules linked in:
[    4.000000] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 5.1.0 #1
[    4.000000] sepc: ffffffe000049e92 ra : ffffffe000049f2c sp : ffffffe07ff9bd40
[    4.000000]  gp : ffffffe000b3a7a8 tp : ffffffe07ff94000 t0 : 0000000000000000
[    4.000000] sstatus: 0000000000000120 sbadaddr: 0000000bfffe8000 scause: 000000000000000d
[    4.000000] Call Trace:
[    4.000000] [<ffffffe000049e92>] rvo_thing+0x12/0x50
[    4.000000] [<ffffffe000049f2c>] rvo_caller+0x8c/0x100
""",
    ),
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_report_of_another_age_or_machine_is_told_in_full(case: Case) -> None:
    scanner = Scanner()
    scanner.feed(case.console.encode())
    found = scanner.close(disassemble=False).first
    assert found is not None
    assert found.title == case.title
    assert found.fatal
    assert list(found.functions[: len(case.functions.split())]) == case.functions.split()
    assert found.machine == case.machine
    assert not case.register[0] or case.register in found.registers


def test_unaligned_access_of_the_kernel_is_a_remark_that_leaves_the_oops_behind_it_first() -> None:
    scanner = Scanner()
    sparc = next(case for case in CASES if case.name == "sparc64")
    scanner.feed(b"Kernel unaligned access at TPC[abc9a4] sp_add+0x4/0x30\n" + sparc.console.encode())
    report = scanner.close(disassemble=False)
    assert report.findings[0].title == "Kernel unaligned access in sp_add"
    assert report.first is not None
    assert report.first.title == sparc.title
