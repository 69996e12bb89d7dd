"""What arm, arm64 and riscv say that others do not: faults of programs, link registers, processors in prefixes."""

from __future__ import annotations

import pytest

from lab.console.scanner import Scanner
from lab.console.types import Finding


def told(text: str) -> list[Finding]:
    scanner = Scanner()
    scanner.feed(text.encode())
    return list(scanner.close(disassemble=False).findings)


OOPS = """\
Unable to handle kernel NULL pointer dereference at virtual address 00000018
pgd = de0f4000
[00000018] *pgd=5e0d3831, *pte=00000000, *ppte=00000000
Internal error: Oops: 17 [#1] PREEMPT ARM
Modules linked in:
CPU: 0    Not tainted  (3.4.90 #1)
PC is at foo_release+0x14/0x98
LR is at foo_remove+0x10/0x98
pc : [<c0038754>]    lr : [<c0038750>]    psr: 80000113
sp : de0ebec8  ip : d0403048  fp : 003a1288
"""


@pytest.mark.parametrize(
    "lines",
    [
        "Alignment trap: not handling instruction f4640adf at [<001139e8>]\n"
        "Unhandled fault: alignment exception (0x001) at 0x0021a804\n"
        "pgd = 56ee8009\n[0021a804] *pgd=43171835, *pte=4214c75f, *ppte=4214cc7f\n",
        "Unhandled fault: external abort on non-linefetch (0x1818) at 0xb6ef4000\n",
        "Unhandled prefetch abort: breakpoint debug exception (0x002) at 0x00000000\n",
    ],
)
def test_a_programs_own_fault_is_no_finding_and_ends_no_guest(lines: str) -> None:
    scanner = Scanner()
    scanner.feed(f"{lines}systemd[1]: foo.service: Main process exited\n".encode())
    assert scanner.fatal is None
    assert scanner.close(disassemble=False).findings == ()


def test_the_kernels_fault_after_a_programs_own_is_told_by_its_own_words() -> None:
    lines = "Unhandled fault: external abort on non-linefetch (0x1818) at 0xb6ef4000\n" * 2 + OOPS
    assert [one.title for one in told(lines)] == [
        "BUG: unable to handle kernel NULL pointer dereference in foo_release"
    ]


def test_an_unhandled_fault_whose_internal_error_somebody_left_out_is_told() -> None:
    found = told(
        "Unhandled fault: external abort on non-linefetch (0x808) at 0xc90703e8\nPC is at foo_copy+0xcc/0x330\n"
    )
    assert [one.title for one in found] == ["Unhandled fault in foo_copy"]
    assert found[0].fatal


def test_an_alignment_trap_of_the_kernel_is_one_finding() -> None:
    trap = (
        "Alignment trap: not handling instruction e1c020b4 at [<c0008344>]\n"
        "Unhandled fault: alignment exception (0x801) at 0x00000001\n"
    )
    found = told(trap + "\n".join(OOPS.splitlines()[1:]))
    assert [one.title for one in found] == ["Alignment trap in foo_release"]


@pytest.mark.parametrize(
    "prefix",
    [
        "[   16.105930] [c4] ",
        "[  198.368504] 000: ",
        "[    1.234567] [0:      swapper/0:    1] ",
        "[   26.328023 / 09-26 13:22:37.707][2][662][foo.systemui] ",
    ],
)
def test_a_vendors_prefix_with_the_processor_is_taken_off(prefix: str) -> None:
    found = told("".join(f"{prefix}{line}\n" for line in OOPS.splitlines()))
    assert [one.title for one in found] == ["BUG: unable to handle kernel NULL pointer dereference in foo_release"]
    assert ("sp", "de0ebec8") in found[0].registers


def test_lines_that_all_end_with_spaces_are_not_flowed() -> None:
    for end in ("  ", " " * 40):
        found = told("".join(f"{line}{end}\n" for line in OOPS.splitlines()))
        assert [one.function for one in found] == ["foo_release"]


def test_a_null_pointer_that_a_mail_program_broke_off_is_told() -> None:
    broken = OOPS.replace("pointer dereference", "pointer \ndereference", 1)
    found = told(f"checking if image is initramfs...<1>{broken}")
    assert [one.title for one in found] == ["BUG: unable to handle kernel NULL pointer dereference in foo_release"]


ARM64 = """\
[    1.000000] Unable to handle kernel paging request at virtual address ffff000037fff000
[    1.000001] Internal error: Oops: 96000006 [#1] PREEMPT SMP
[    1.000002] pc : {pc}
[    1.000003] lr : {lr}
[    1.000004] sp : ffff80001003bd10
[    1.000005] Call trace:
[    1.000006]  {pc}
[    1.000007]  foo_outer+0x70/0x534
"""


@pytest.mark.parametrize(
    ("pc", "lr", "function"),
    [
        ("__memcpy+0x78/0x180", "foo_inner+0x28/0x38", "foo_inner"),
        ("__pi_strcmp+0x20/0x140", "foo_inner+0x28/0x38", "foo_inner"),
        ("__memcpy+0x78/0x180", "foo_outer+0x28/0x534", "foo_outer"),
        ("foo_body+0x78/0x180", "foo_inner+0x28/0x38", "foo_body"),
        ("[0xffffffd0040a85b0] foo_body+0x78/0x180", "[0xffffffd0040a85b0] foo_inner+0x28/0x38", "foo_body"),
    ],
)
def test_who_called_a_function_without_a_frame_is_in_the_link_register(pc: str, lr: str, function: str) -> None:
    found = told(ARM64.format(pc=pc, lr=lr))[0]
    assert found.function == function
    assert [one.function for one in found.frames].count("foo_outer") == 1


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("sbi_trap_error: hart2: trap handler failed (error -5)", "OpenSBI: trap handler failed"),
        ("sbi_trap_error: hart0: trap0: unhandled local interrupt (error -2)", "OpenSBI: unhandled local interrupt"),
        ("../machine/mtrap.c:18: machine mode: unhandlable trap 4 @ 0x0000000080003054", "BBL: unhandlable trap"),
        ("Unhandled exception: Load access fault\nEPC: 00000000f7f3b8ae RA: 00000000f7f3b506", "U-Boot: exception"),
    ],
)
def test_riscvs_firmware_is_told(line: str, title: str) -> None:
    found = told(f"{line}\nsbi_trap_error: hart1: mcause=0xd mtval=0x155574e000\n")
    assert [one.title for one in found] == [title]


def test_paging_requests_that_a_commit_message_speaks_of_are_no_report() -> None:
    assert told("It fixes the crash of being unable to handle kernel paging requests\nat virtual address ADDR.\n") == []


def test_an_exception_of_a_program_is_not_u_boots() -> None:
    assert told("Unhandled exception: System.NullReferenceException\n") == []
