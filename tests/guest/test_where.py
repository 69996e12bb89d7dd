"""What a guest that hangs is doing, from the monitor's ``info registers -a``."""

from __future__ import annotations

from lab.guest.where import pointers, where_cpus_are

REGISTERS = """
CPU#0
RAX=0000000000000000 RBX=ffffffff81812480
RIP=ffffffff8101a2b0 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
CPU#1
EAX=00000000 EBX=00000000
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
"""


def test_each_cpu_is_named_with_its_instruction_pointer() -> None:
    assert list(pointers(REGISTERS)) == [(0, 0xFFFFFFFF8101A2B0, True), (1, 0xFFF0, False)]
    assert where_cpus_are(REGISTERS, None) == [
        "CPU 0 was halted at 0xffffffff8101a2b0",
        "CPU 1 was running at 0xfff0",
    ]


def test_an_answer_that_makes_no_sense_gives_no_notes() -> None:
    assert where_cpus_are("unknown command", None) == []
