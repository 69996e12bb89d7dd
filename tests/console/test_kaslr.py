"""Where a kernel without names ran, when its console does not say how far KASLR moved it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.console.annotate import annotate
from lab.console.scanner import Scanner, scan_file
from lab.console.symbols import load
from lab.console.types import Report

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
NAMES = ("victim", "first", "second", "third", "_start")
SOURCE = """\
volatile int sink;
__attribute__((noinline, noclone)) void victim(int x) { sink += x; asm volatile("ud2"); sink += PLUS; }
__attribute__((noinline, noclone)) void first(int x) { sink = x / 3; victim(x + 1); sink++; }
__attribute__((noinline, noclone)) void second(int x) { sink = x % 99; first(x + 2); sink--; }
__attribute__((noinline, noclone)) void third(int x) { sink = x * 7; second(x + 3); sink += 5; }
void _start(void) { third(7); sink++; }
"""
FLAGS = "-g0 -O1 -static -nostdlib -ffreestanding -fno-pie -no-pie -mcmodel=kernel -fcf-protection=none"
LINK = "-Wl,-Ttext=0xffffffff81000000 -Wl,--build-id=none -Wl,-z,max-page-size=4096"
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


def build(folder: Path, name: str, plus: str = "1") -> Path:
    (folder / f"{name}.c").write_text(SOURCE.replace("PLUS", plus))
    subprocess.run(["gcc", *FLAGS.split(), *LINK.split(), "-o", name, f"{name}.c"], cwd=folder, check=True)
    return folder / name


def console(vmlinux: Path, shift: int, *, code: bool = True) -> Report:
    """What it prints without kallsyms when it dies in victim(), moved by ``shift``."""
    symbols = load(vmlinux)
    starts = {name: symbols.addresses(name, 0, 0)[0] for name in NAMES}
    text = {name: symbols.code(starts[name], symbols.sizes(name)[0]) for name in NAMES}
    trap = text["victim"].index(b"\x0f\x0b")
    returns = [starts[name] + text[name].index(b"\xe8") + 5 for name in NAMES[1:]]
    told = [f"{byte:02x}" for byte in text["victim"]]
    told[trap] = f"<{told[trap]}>"
    lines = [
        "kernel BUG at mm/mempolicy.c:1909!",
        "invalid opcode: 0000 [#1] SMP",
        f"RIP: 0010:0x{starts['victim'] + trap + shift:x}",
        f"Code: {' '.join(told)}" if code else "",
        "Call Trace:",
        " <TASK>",
        f" ? 0x{starts['third'] + shift:x}",
        *(f" 0x{address + shift:x}" for address in returns),
        " </TASK>",
        "---[ end trace 0000000000000000 ]---",
    ]
    scanner = Scanner()
    scanner.feed("".join(f"[    0.000000] {line}\n" for line in lines).encode())
    return scanner.close()


@needs_gcc
@pytest.mark.parametrize("shift", [0, 0x200000, 0x22200000, 0x3E000000])
@pytest.mark.parametrize("code", [True, False])
def test_the_code_tells_where_the_kernel_was(tmp_path: Path, shift: int, code: bool) -> None:
    vmlinux = build(tmp_path, "vmlinux")
    report = annotate(console(vmlinux, shift, code=code), vmlinux)
    found = report.findings[0]
    assert (found.title, found.signature) == ("kernel BUG in victim", "bug:victim")
    assert found.functions == ("victim", "? third", "first", "second", "third", "_start")
    assert report.notes == ()


@needs_gcc
def test_where_no_place_fits_nothing_is_named_and_that_is_told(tmp_path: Path) -> None:
    vmlinux = build(tmp_path, "vmlinux")
    report = annotate(console(vmlinux, 0x22212340), vmlinux)
    assert (report.findings[0].title, report.findings[0].functions) == ("kernel BUG in corrupted", ())
    assert report.notes == ("no place fits at which vmlinux can have run: addresses have no names",)


def test_the_fault_of_a_kernel_without_names_is_its_first_frame() -> None:
    report = scan_file(CONSOLES / "kaslr-no-kallsyms-6.1.txt")
    assert report.nameless
    assert [frame.address for frame in report.findings[0].frames[:3]] == [
        0xFFFFFFFFA330AEDE, 0xFFFFFFFFA330AF3E, 0xFFFFFFFFA330C818,
    ]  # fmt: skip


def test_a_jump_to_nowhere_among_named_functions_makes_no_kernel_nameless() -> None:
    scanner = Scanner()
    scanner.feed(
        b"BUG: unable to handle page fault for address: ffffc90001234000\nRIP: 0010:0xffffc90001234000\n"
        b"Call Trace:\n foo+0x1/0x20\n bar+0x1/0x20\n---[ end trace 0000000000000000 ]---\n"
    )
    assert scanner.complete
    report = scanner.close()
    assert report.findings[0].title == "BUG: unable to handle kernel paging request in foo"
    assert not report.nameless
