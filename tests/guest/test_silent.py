"""Why a guest died without a word: QEMU's trace, and the function that the fault was in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.guest.silent import as_finding, first_fatal, locate, read_memory, sentence
from lab.guest.symbols import Code

TRACES = Path(__file__).parents[1] / "data" / "traces"
DECOMPRESSOR = Code(
    path=Path("/k/compressed/vmlinux"),
    sections=((0x0, bytes(0x100)), (0x1000, b"\x90" * 16 + b"\x55\x48\x89\xe5\x0f\x0b\x31\xc0\xc3" + b"\xcc" * 7)),
    addresses=(0x0, 0x1000, 0x1010),
    names=("startup_32", "memset", "decompress_kernel"),
)


def test_the_first_exception_of_the_chain_is_to_blame() -> None:
    fault = first_fatal((TRACES / "decompressor-invalid-opcode.txt").read_text())
    assert fault is not None
    assert (fault.name, fault.address, fault.triple) == ("invalid opcode", 0x13027F9, True)
    assert dict(fault.registers)["RIP"] == "00000000013027f9"


def test_exceptions_that_were_handled_before_are_not() -> None:
    handled = "     0: v=0e e=0002 i=0 cpl=0 IP=0010:0000000001000000 pc=0000000001000000 SP=0018:0 CR2=1\n"
    fault = first_fatal(handled + (TRACES / "decompressor-invalid-opcode.txt").read_text())
    assert fault is not None
    assert fault.vector == 6


def test_interrupts_are_no_exceptions() -> None:
    assert first_fatal("     0: v=20 e=0000 i=0 cpl=0 IP=0010:0000000000001000 pc=0000000000001000 SP=0018:0\n") is None
    assert first_fatal("     0: v=10 e=0000 i=1 cpl=0 IP=f000:0000000000001000 pc=0000000000001000 SP=0018:0\n") is None
    assert first_fatal("") is None


def test_code_that_moved_itself_is_known_by_its_bytes() -> None:
    memory = read_memory("0000000001301014: 0x0f 0x0b 0x31 0xc0 0xc3 0xcc 0xcc 0xcc\n000000000130101c: 0xcc 0xcc\n")
    assert memory == b"\x0f\x0b\x31\xc0\xc3\xcc\xcc\xcc\xcc\xcc"
    place = locate(0x1301014, memory, [DECOMPRESSOR])
    assert place is not None
    assert (place.function, place.offset) == ("decompress_kernel", 4)


def test_bytes_that_stand_in_two_places_say_nothing() -> None:
    assert locate(0x1301000, b"\x90" * 8, [DECOMPRESSOR]) is None


def test_code_that_was_written_over_is_known_by_where_it_had_moved() -> None:
    """A decompressor of Linux 3.7 that copied the kernel over itself (binutils 2.40 without 2 MiB pages)."""
    old = replace(
        DECOMPRESSOR, addresses=(*DECOMPRESSOR.addresses, 0x6F1000), names=(*DECOMPRESSOR.names, "z_extract_offset")
    )
    place = locate(0x1000000 + 0x6F1000 + 0x1012, bytes(32), [old])
    assert place is not None
    assert (place.function, place.offset, place.overwritten) == ("decompress_kernel", 2, True)
    fault = first_fatal((TRACES / "decompressor-invalid-opcode.txt").read_text())
    assert fault is not None
    assert sentence(fault, place).endswith(
        "decompress_kernel+0x2 in the decompressor, whose code there was overwritten; then a triple fault"
    )
    assert locate(0x1000000 + 0x6F1000 + 0x2000, bytes(32), [old]) is None


def test_the_title_names_no_address() -> None:
    fault = first_fatal((TRACES / "decompressor-invalid-opcode.txt").read_text())
    assert fault is not None
    finding = as_finding(fault, locate(0x1014, b"", [DECOMPRESSOR]))
    assert finding.title == "silent death: invalid opcode in decompress_kernel"
    assert finding.signature == "silent:decompress_kernel"
    assert as_finding(fault, None).title == "silent death: invalid opcode"
    assert "0x13027f9" in sentence(fault, None)
