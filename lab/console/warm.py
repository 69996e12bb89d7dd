"""The reader made ready for a report before one comes: what it needs is else made, once in a process, when the first
header comes, and a live guest has to wait for its end so long."""

from __future__ import annotations

from functools import cache

EXAMPLE = b"""\
[    0.000000] Linux version 6.1.0 (lab@lab) (gcc 12.2.0) #1 SMP
[    0.000000] Kernel command line: console=ttyS0
[    0.000000] ------------[ cut here ]------------
[    0.000000] kernel BUG at mm/mempolicy.c:1785!
[    0.000000] invalid opcode: 0000 [#1] SMP
[    0.000000] CPU: 0 PID: 0 Comm: swapper Not tainted 6.1.0 #1
[    0.000000] RIP: 0010:policy_zonelist+0xae/0xb0
[    0.000000] Code: 83 f8 05 75 25 48 8d 46 08 eb e5 <0f> 0b 55 48 89 e5
[    0.000000] RSP: 0000:ffffffff81a03e40 EFLAGS: 00000093
[    0.000000] RAX: 0000000000000000 RBX: 0000000000000dc0 RCX: ffffffff81a03e48
[    0.000000] CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
[    0.000000] Call Trace:
[    0.000000]  <TASK>
[    0.000000]  ? alloc_pages+0x40/0xc0
[    0.000000]  start_kernel+0x3e7/0x5a7
[    0.000000]  </TASK>
[    0.000000] Modules linked in:
[    0.000000] ---[ end trace 0000000000000000 ]---
[    0.000000] Kernel panic - not syncing: Attempted to kill the idle task!
[    0.000000] ---[ end Kernel panic - not syncing: Attempted to kill the idle task! ]---
"""


@cache
def warm() -> None:
    """Read a report for nothing: 25 ms of a processor on the machine where it was measured, once in a process."""
    from lab.console.scanner import Scanner

    Scanner().feed(EXAMPLE)
