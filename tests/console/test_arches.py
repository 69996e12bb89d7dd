"""Reports of old kernels and of the rarer processors: title, functions in order, a register, the machine.

No guest made the consoles in tests/data/consoles/by-hand: they were written by hand in the kernels' formats, as far as
those are known, each with as many lines as its kind needs. What a recorded one differs in counts more than they.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from lab.console.scanner import Scanner

FOLDER = Path(__file__).parents[1] / "data" / "consoles" / "by-hand"


class Case(NamedTuple):
    name: str
    title: str
    functions: str
    machine: str
    register: tuple[str, str]

    @property
    def console(self) -> bytes:
        return (FOLDER / f"{self.name}.txt").read_bytes()


CASES = (
    Case(
        "arm64-serror",
        "kernel panic: Asynchronous SError Interrupt",
        "foo_bus_write dump_backtrace",
        "arm64",
        ("x27", "0000000000000000"),
    ),
    Case(
        "arm64-stack-4.19",
        "kernel stack overflow in foo_mask_priorities",
        "el1_sync dump_backtrace",
        "arm64",
        ("x29", "ffff0000093abb80"),
    ),
    Case(
        "arm64-leaf-5.5",
        "BUG: unable to handle kernel paging request in foo_read_header",
        "__memcpy foo_read_header foo_core_init do_one_initcall",
        "arm64",
        ("sp", "ffff80001003bd10"),
    ),
    Case(
        "riscv-leaf-5.17",
        "BUG: unable to handle kernel paging request in foo_clear_shadow",
        "__memset foo_clear_shadow foo_shadow_init",
        "riscv64",
        ("gp", "ffffffff85863ac0"),
    ),
    Case(
        "arm-3.8-external-abort",
        "Unhandled fault in foo_eth_probe",
        "foo_eth_probe driver_probe_device",
        "arm",
        ("r8", "d0894000"),
    ),
    Case(
        "i386-2.6.18",
        "BUG: unable to handle kernel NULL pointer dereference in foo_open",
        "foo_open chrdev_open",
        "i386",
        ("esi", "00000000"),
    ),
    Case(
        "i386-2.6.9",
        "BUG: unable to handle kernel NULL pointer dereference in sysfs_hash_and_remove",
        "sysfs_hash_and_remove class_device_del",
        "i386",
        ("ebx", "c0345678"),
    ),
    Case(
        "i386-2.4",
        "BUG: unable to handle kernel NULL pointer dereference in kmem_thing",
        "kmem_thing sock_alloc_send_skb unix_stream_sendmsg",
        "i386",
        ("edx", "00000001"),
    ),
    Case(
        "i386-2.6.17",
        "BUG: unable to handle kernel paging request in col_create_dir",
        "col_create_dir col_sysfs_dir col_make_dir col_add",
        "i386",
        ("edx", "00b00097"),
    ),
    Case(
        "x86_64-2.6.12",
        "BUG: unable to handle kernel paging request in quo_start",
        "quo_start quo_middle quo_outer handle_IRQ_event __do_IRQ",
        "x86_64",
        ("RCX", "0000000000000018"),
    ),
    Case(
        "x86_64-2.6.16",
        "BUG: unable to handle kernel NULL pointer dereference in pipe_readv",
        "pipe_readv pipe_read vfs_read sys_read system_call",
        "x86_64",
        ("RBX", "ffff81007a8b3e98"),
    ),
    Case(
        "x86_64-2.6.24",
        "BUG: unable to handle kernel NULL pointer dereference in foo_read",
        "foo_read foo_outer vfs_read",
        "x86_64",
        ("RCX", "0000000000000001"),
    ),
    Case(
        "mips-bug",
        "kernel BUG in foo_setup",
        "foo_setup do_one_initcall",
        "mips",
        ("$5", "00000000"),
    ),
    Case(
        "mips-fault",
        "BUG: unable to handle kernel paging request in usb_thing",
        "usb_thing usb_probe",
        "mips",
        ("BadVA", "00000014"),
    ),
    Case(
        "parisc",
        "BUG: unable to handle kernel paging request in kernfs_fill",
        "kernfs_fill kernfs_caller do_one_initcall",
        "parisc",
        ("r05", "0000000041415d64"),
    ),
    Case(
        "parisc-bug",
        "kernel BUG in kmem_thing_init",
        "kmem_thing_init start_kernel",
        "parisc",
        ("IIR", "03ffe01f"),
    ),
    Case(
        "parisc-3.2",
        "BUG: unable to handle kernel NULL pointer dereference in xfs_thing",
        "xfs_thing vfs_read",
        "parisc",
        ("IOR", "000000007f8c0a90"),
    ),
    Case(
        "sparc64",
        "BUG: unable to handle kernel paging request in sp_add",
        "sp_add unix_create1 unix_create",
        "sparc64",
        ("g1", "0006120000000000"),
    ),
    Case(
        "sparc32",
        "BUG: unable to handle kernel NULL pointer dereference in s32_probe",
        "s32_probe s32_caller",
        "sparc",
        ("NPC", "f012345a"),
    ),
    Case(
        "s390",
        "BUG: unable to handle kernel paging request in dev_probe",
        "dev_probe really_probe",
        "s390x",
        ("GPR01", "00000000fffff000"),
    ),
    Case(
        "s390-exception",
        "specification exception in foo_interrupt",
        "foo_interrupt do_irq_async",
        "s390x",
        ("", ""),
    ),
    Case(
        "s390-bug",
        "kernel BUG in qeth_open",
        "qeth_open __dev_open",
        "s390x",
        ("", ""),
    ),
    Case(
        "ia64",
        "BUG: unable to handle kernel NULL pointer dereference in foo_read",
        "foo_read",
        "ia64",
        ("b6", "a000000100010ba0"),
    ),
    Case(
        "ia64-nat",
        "NaT consumption in quux_add",
        "quux_add",
        "ia64",
        ("", ""),
    ),
    Case(
        "alpha-bug",
        "kernel BUG in wq_thing",
        "wq_thing worker_thread kthread",
        "alpha",
        ("t1", "fffffc00007fc000"),
    ),
    Case(
        "sh",
        "BUG: unable to handle kernel paging request in sh_thing",
        "sh_thing sh_caller do_one_initcall",
        "sh",
        ("R3", "00000003"),
    ),
    Case(
        "xmon",
        "BUG: unable to handle kernel paging request in xm_thing",
        "xm_thing xm_caller syscall_exit",
        "ppc64",
        ("msr", "8000000000009032"),
    ),
    Case(
        "powerpc-2.6",
        "BUG: unable to handle kernel paging request in pold_probe",
        "pold_probe of_probe",
        "ppc",
        ("DEAR", "00000000"),
    ),
    Case(
        "powerpc-2.6.18",
        "BUG: unable to handle kernel paging request in cap_set_power",
        "cap_set_power cap_blank ret_from_syscall",
        "ppc",
        ("GPR10", "ffffffe7"),
    ),
    Case(
        "riscv-5.1",
        "BUG: unable to handle kernel paging request in rvo_thing",
        "rvo_thing rvo_caller",
        "riscv64",
        ("scause", "000000000000000d"),
    ),
    Case(
        "loongarch-6.1",
        "BUG: unable to handle kernel paging request in loo_read",
        "loo_read loo_open chrdev_open",
        "loongarch64",
        ("$1", "90000000002a2d10"),
    ),
    Case(
        "loongarch-6.6",
        "BUG: unable to handle kernel paging request in lon_init",
        "lon_init lon_probe",
        "loongarch64",
        ("ra", "9000000001a2b400"),
    ),
    Case(
        "loongarch-bug",
        "kernel BUG in lob_init",
        "lob_init do_one_initcall",
        "loongarch64",
        ("", ""),
    ),
    Case(
        "arc-4.4",
        "BUG: unable to handle kernel paging request in arc_probe",
        "arc_probe arc_caller do_one_initcall",
        "arc",
        ("", ""),
    ),
    Case(
        "csky-5.10",
        "BUG: unable to handle kernel paging request in cky_probe",
        "cky_probe cky_caller do_one_initcall",
        "csky",
        ("", ""),
    ),
    Case(
        "microblaze-4.4",
        "BUG: unable to handle kernel paging request in mbl_probe",
        "mbl_probe mbl_caller do_one_initcall",
        "microblaze",
        ("", ""),
    ),
    Case(
        "m68k-4.4",
        "BUG: unable to handle kernel NULL pointer dereference in mot_probe",
        "mot_probe mot_caller do_one_initcall",
        "m68k",
        ("PC", "000412ac"),
    ),
    Case(
        "xtensa-4.4",
        "BUG: unable to handle kernel paging request in xtn_probe",
        "xtn_probe xtn_caller do_one_initcall",
        "xtensa",
        ("pc", "d0012345"),
    ),
    Case(
        "openrisc-4.4",
        "BUG: unable to handle kernel NULL pointer dereference in orc_probe",
        "orc_probe orc_caller do_one_initcall",
        "openrisc",
        ("PC", "c0012345"),
    ),
    Case(
        "um-4.4",
        "BUG: unable to handle kernel paging request in uml_probe",
        "uml_probe uml_caller do_one_initcall",
        "",
        ("", ""),
    ),
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_report_of_another_age_or_machine_is_told_in_full(case: Case) -> None:
    scanner = Scanner()
    scanner.feed(case.console)
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
    scanner.feed(b"Kernel unaligned access at TPC[abc9a4] sp_add+0x4/0x30\n" + sparc.console)
    report = scanner.close(disassemble=False)
    assert report.findings[0].title == "Kernel unaligned access in sp_add"
    assert report.first is not None
    assert report.first.title == sparc.title
