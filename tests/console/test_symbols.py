"""What a vmlinux adds to a console: a small ELF file, linked at a kernel's address, with DWARF and a bug table."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from lab.console import dwarf
from lab.console.annotate import annotate
from lab.console.scanner import Scanner
from lab.console.symbols import load
from lab.console.types import Report
from lab.errors import UserError

SOURCE = """\
static const char file[] __attribute__((section(".rodata"), used)) = "\\0mm/mempolicy.c";
volatile int sink;

static inline __attribute__((always_inline)) void inner(void)
{
    asm volatile("1: ud2\\n"
        ".pushsection __bug_table,\\"aw\\"\\n"
        "2: .long 1b - 2b\\n .long file + 1 - .\\n .word 1785\\n .word 0\\n"
        ".popsection");
    sink++;
}

__attribute__((noinline)) void policy_zonelist(void)
{
    sink++;
    inner();
}

__attribute__((noinline)) void alloc_pages_current(void)
{
    policy_zonelist();
    sink++;
}

void _start(void)
{
    alloc_pages_current();
    sink++;
}
"""
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")


@pytest.fixture(scope="module")
def vmlinux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vmlinux")
    (folder / "kernel.c").write_text(SOURCE)
    flags = "-g -gdwarf-4 -O1 -static -nostdlib -ffreestanding -fno-pie -no-pie -mcmodel=kernel -fcf-protection=none"
    link = "-Wl,-Ttext=0xffffffff81000000 -Wl,--build-id=none -Wl,-z,max-page-size=4096"
    subprocess.run(["gcc", *flags.split(), *link.split(), "-o", "vmlinux", "kernel.c"], cwd=folder, check=True)
    return folder / "vmlinux"


def size_of(vmlinux: Path, function: str) -> int:
    return load(vmlinux).sizes(function)[0]


def trap_in(vmlinux: Path, function: str) -> int:
    """Offset of the BUG's instruction in a function, from the bug table."""
    symbols = load(vmlinux)
    start = symbols.addresses(function, 0, 0)[0]
    return next(address for address in symbols.index.bugs if symbols.at(address)[0] == function) - start


def console(vmlinux: Path, *, extra_size: int = 0, header: str = "kernel BUG at mm/mempolicy.c:1785!") -> Report:
    size = size_of(vmlinux, "policy_zonelist") + extra_size
    caller = size_of(vmlinux, "alloc_pages_current") + extra_size
    scanner = Scanner()
    scanner.feed(
        f"{header}\ninvalid opcode: 0000 [#1] SMP\n"
        f"RIP: 0010:policy_zonelist+{trap_in(vmlinux, 'policy_zonelist'):#x}/{size:#x}\n"
        f"Call Trace:\n alloc_pages_current+{5:#x}/{caller:#x}\n---[ end trace 0 ]---\n".encode()
    )
    return scanner.close()


@needs_gcc
def test_frames_get_file_and_line_and_the_functions_inlined_there(vmlinux: Path) -> None:
    frames = annotate(console(vmlinux), vmlinux).findings[0].frames
    assert [(frame.function, frame.line, frame.inlined) for frame in frames[:2]] == [
        ("inner", 6, True),
        ("policy_zonelist", 16, False),
    ]
    assert frames[2].function == "alloc_pages_current"
    assert (Path(frames[2].file).name, frames[2].line) == ("kernel.c", 21)


@needs_gcc
@pytest.mark.parametrize("programs", [("eu-addr2line",), ("addr2line",), ()])
def test_whatever_reads_the_debug_information_says_the_same(
    vmlinux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...]
) -> None:
    if any(shutil.which(program) is None for program in programs):
        pytest.skip(f"needs {programs[0]}")
    monkeypatch.setattr(dwarf, "PROGRAMS", programs)
    trap = load(vmlinux).addresses("policy_zonelist", trap_in(vmlinux, "policy_zonelist"), 0)[0]
    chain = dwarf.Lines(vmlinux, tmp_path / "lines").look_up([trap])[trap]
    assert [(one.function, Path(one.file).name, one.line) for one in chain] == [
        ("inner", "kernel.c", 6),
        ("policy_zonelist", "kernel.c", 16),
    ]


@needs_gcc
def test_a_console_of_the_same_build_is_not_complained_about(vmlinux: Path) -> None:
    assert annotate(console(vmlinux), vmlinux).notes == ()


@needs_gcc
def test_a_console_from_another_build_is_told_by_the_functions_sizes(vmlinux: Path) -> None:
    notes = annotate(console(vmlinux, extra_size=16), vmlinux).notes
    assert len(notes) == 1
    assert notes[0].startswith("the console is of another build than vmlinux: policy_zonelist has 0x")


@needs_gcc
def test_a_bugs_place_that_the_console_lost_comes_from_the_bug_table(vmlinux: Path) -> None:
    report = console(vmlinux, header="kernel BUG at")
    lost = annotate(report, vmlinux).findings[0]
    assert (lost.file, lost.file_line) == ("mm/mempolicy.c", 1785)


@needs_gcc
def test_bare_addresses_under_kaslr_get_their_names(vmlinux: Path) -> None:
    symbols = load(vmlinux)
    offset = 0x1A000000
    addresses = [symbols.addresses(name, 4, 0)[0] + offset for name in ("policy_zonelist", "alloc_pages_current")]
    scanner = Scanner()
    scanner.feed(
        b"BUG: kernel NULL pointer dereference, address: 0000000000000000\nCall Trace:\n"
        + "".join(f" 0x{address:x}\n" for address in addresses).encode()
        + b"Kernel Offset: 0x1a000000 from 0xffffffff81000000\n"
    )
    found = annotate(scanner.close(), vmlinux).findings[0]
    assert found.title == "BUG: unable to handle kernel NULL pointer dereference in policy_zonelist"
    assert found.functions[-1] == "alloc_pages_current"


@needs_gcc
def test_the_second_look_is_quick_and_reads_the_index_beside_the_file(vmlinux: Path) -> None:
    report = console(vmlinux)
    annotate(report, vmlinux)
    assert vmlinux.with_name("vmlinux.symbols").is_file()
    began = time.process_time()
    annotate(report, vmlinux)
    assert time.process_time() - began < 0.2


@needs_gcc
def test_an_index_of_another_file_is_not_believed(vmlinux: Path, tmp_path: Path) -> None:
    other = tmp_path / "vmlinux"
    shutil.copy(vmlinux, other)
    load(other)
    shutil.copy(other.with_name("vmlinux.symbols"), tmp_path / "kept")
    with other.open("ab") as file:
        file.write(b"changed")
    assert load(other).index.stamp != load(vmlinux).index.stamp


def test_a_file_that_is_no_kernel_is_an_error_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(b"MZ not an ELF file")
    with pytest.raises(UserError, match="not an ELF file"):
        load(tmp_path / "vmlinux")
    with pytest.raises(UserError):
        load(tmp_path / "missing")


MODULE = """\
volatile int sink;
__attribute__((noinline, section(".init.text"))) void zoo_setup(void) { sink++; }
__attribute__((noinline, section(".init.text"))) void zoo_init(void)
{
    zoo_setup();
    sink++;
}
__attribute__((noinline)) void zoo_run(void)
{
    sink++;
    sink++;
}
__attribute__((noinline)) void zoo_last(void) { zoo_run(); sink++; }
static const char other[] __attribute__((section(".rodata.str1.1"), used)) = "x";
static const char file[] __attribute__((section(".rodata.str1.1"), used)) = "drivers/zoo.c";
__attribute__((noinline)) void zoo_bug(void)
{
    sink++;
    asm volatile("1: ud2\\n"
        ".pushsection __bug_table,\\"aw\\"\\n"
        "2: .long 1b - .\\n FORMAT .long file - .\\n .word 41\\n .word 0\\n .org 2b + SIZE\\n"
        ".popsection");
}
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("module")
    (folder / "zoo.c").write_text(MODULE.replace("FORMAT", "").replace("SIZE", "12"))
    flags = "-g -O1 -c -fno-pie -mcmodel=kernel -ffreestanding -fcf-protection=none"
    subprocess.run(["gcc", *flags.split(), "-o", "lab_zoo.ko", "zoo.c"], cwd=folder, check=True)
    return folder / "lab_zoo.ko"


def oops_in_a_module(*frames: str) -> Report:
    scanner = Scanner()
    lines = ("BUG: kernel NULL pointer dereference, address: 0000000000000000", f"RIP: 0010:{frames[0]}", "Call Trace:")
    scanner.feed("\n".join([*lines, *(f" {frame}" for frame in frames[1:]), "---[ end trace 0 ]---", ""]).encode())
    return scanner.close()


@needs_gcc
@pytest.mark.parametrize(("form", "size"), [("", "12"), (".long 0\\n", "16")])
def test_a_modules_bug_is_placed_by_its_own_table(vmlinux: Path, tmp_path: Path, form: str, size: str) -> None:
    (tmp_path / "zoo.c").write_text(MODULE.replace("FORMAT", form).replace("SIZE", size))
    flags = "-g0 -O1 -c -fno-pie -mcmodel=kernel -ffreestanding -fcf-protection=none"
    subprocess.run(["gcc", *flags.split(), "-o", "lab_zoo.ko", "zoo.c"], cwd=tmp_path, check=True)
    symbols = load(tmp_path / "lab_zoo.ko")
    ((trap, _),) = symbols.index.bugs.items()
    start = symbols.addresses("zoo_bug", 0, 0)[0]
    scanner = Scanner()
    scanner.feed(
        f"kernel BUG at\ninvalid opcode: 0000 [#1] SMP\nRIP: 0010:zoo_bug+{trap - start:#x}/0x99 [lab_zoo]\n"
        "Call Trace:\n zoo_last+0x1/0x2 [lab_zoo]\n---[ end trace 0 ]---\n".encode()
    )
    found = annotate(scanner.close(), vmlinux, {"lab_zoo": tmp_path / "lab_zoo.ko"}).findings[0]
    assert (found.title, found.file, found.file_line) == ("kernel BUG in zoo_bug", "drivers/zoo.c", 41)


@needs_gcc
def test_a_modules_frames_get_file_and_line_in_each_of_its_sections(vmlinux: Path, module: Path) -> None:
    run = load(module).sizes("zoo_run")[0]
    setup = load(module).sizes("zoo_setup")[0]
    report = oops_in_a_module(
        f"zoo_run+0x0/{run:#x} [lab_zoo]", f"zoo_setup+0x1/{setup:#x} [lab_zoo]", "zoo_init+0x5/0x999 [lab_zoo]"
    )
    annotated = annotate(report, vmlinux, {"lab-zoo": module})
    assert [(frame.function, frame.line) for frame in annotated.findings[0].frames] == [
        ("zoo_run", 10),
        ("zoo_setup", 2),
        ("zoo_init", 5),
    ]
    assert annotated.notes == ()


@needs_gcc
def test_a_module_of_another_build_is_told_and_gives_no_lines(vmlinux: Path, module: Path) -> None:
    annotated = annotate(oops_in_a_module("zoo_run+0x0/0x777 [lab_zoo]"), vmlinux, {"lab_zoo": module})
    assert annotated.notes[0].startswith("the console is of another build than lab_zoo.ko: zoo_run has 0x777")
    assert annotated.findings[0].frames[0].line == 0


@needs_gcc
def test_a_function_of_another_build_gets_no_line(vmlinux: Path) -> None:
    frames = annotate(console(vmlinux, extra_size=16), vmlinux).findings[0].frames
    assert [(frame.function, frame.line) for frame in frames] == [("policy_zonelist", 0), ("alloc_pages_current", 0)]
