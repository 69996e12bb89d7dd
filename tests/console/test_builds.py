"""What shows that a console is of another build than a vmlinux: two small ELF files, linked where kernels are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.console.annotate import annotate
from lab.console.scanner import Scanner
from lab.console.symbols import Symbols, load

SOURCE = """\
const char linux_banner[] = "Linux version RELEASE (lab@lab) (gcc (Debian 12.2.0) 12.2.0) #1 SMP BUILT\\n";
volatile int sink;
__attribute__((noinline)) void first(int x) { sink = x % 99; sink = x % 88; sink = x % 77; }
__attribute__((noinline, noclone)) void carries(int x) { sink += x; }
MORE
__attribute__((noinline, noclone)) void victim(int x)
{
    carries(x);
    asm volatile("ud2");
    carries(x + CHANGE);
    sink++;
}
void _start(void) { victim(7); sink++; }
"""
FLAGS = "-g0 -O1 -static -nostdlib -ffreestanding -fno-pie -no-pie -mcmodel=kernel -fcf-protection=none"
LINK = "-Wl,-Ttext=0xffffffff81000000 -Wl,--build-id=none -Wl,-z,max-page-size=4096"
pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def built(name: str, release: str = "6.1.0", built: str = "2026", more: str = "", change: str = "1") -> Path:
        source = SOURCE.replace("RELEASE", release).replace("BUILT", built).replace("MORE", more)
        (tmp_path / f"{name}.c").write_text(source.replace("CHANGE", change))
        command = ["gcc", *FLAGS.split(), *LINK.split(), "-o", name, f"{name}.c"]
        subprocess.run(command, cwd=tmp_path, check=True)
        return tmp_path / name

    return built


def console(vmlinux: Path, *, banner: bool = True, addresses: bool = False, shift: int = 0) -> bytes:
    """What a kernel of that file prints when it dies in victim()."""
    symbols = load(vmlinux)
    victim, start = (symbols.addresses(name, 0, 0)[0] for name in ("victim", "_start"))
    sizes = {name: symbols.sizes(name)[0] for name in ("victim", "_start")}
    code = symbols.code(victim, sizes["victim"])
    trap = code.index(b"\x0f\x0b")
    told = [f"{byte:02x}" for byte in code]
    told[trap] = f"<{told[trap]}>"
    called = f"[<{start + 10 + shift:x}>] " if addresses else ""
    at = f"[<{victim + trap + shift:x}>]  [<{victim + trap + shift:x}>] " if addresses else ""
    lines = [
        f"[    0.000000] {symbols.index.banner}" if banner else "",
        "kernel BUG at a.c:1!",
        "invalid opcode: 0000 [#1] SMP",
        f"CPU: 0 PID: 1 Comm: a Not tainted {symbols.index.banner.split()[2]} #1",
        f"RIP: 0010:{at}victim+{trap:#x}/{sizes['victim']:#x}",
        f"Code: {' '.join(told)}",
        "Call Trace:",
        f" {called}_start+0xa/{sizes['_start']:#x}",
        "---[ end trace 0 ]---",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def notes(text: bytes, vmlinux: Path) -> tuple[str, ...]:
    scanner = Scanner()
    scanner.feed(text)
    return annotate(scanner.close(), vmlinux).notes


@pytest.mark.parametrize("addresses", [False, True])
@pytest.mark.parametrize("shift", [0, 0x1A000000])
def test_a_console_of_the_same_build_is_believed(build: Build, addresses: bool, shift: int) -> None:
    here = build("here")
    assert notes(console(here, addresses=addresses, shift=shift), here) == ()


def test_a_banner_of_another_build_is_told(build: Build) -> None:
    here, other = build("here"), build("other", built="2025")
    assert notes(console(other), here) == (
        'the console is of another build than here: it began with "Linux version 6.1.0 (lab@lab) (gcc (Debian 12.2.0) '
        '12.2.0) #1 SMP 2025", the file has "Linux version 6.1.0 (lab@lab) (gcc (Debian 12.2.0) 12.2.0) #1 SMP 2026"',
    )


def test_a_banner_that_the_log_cut_is_no_other_one(build: Build) -> None:
    here = build("here")
    assert notes(console(here).replace(b" #1 SMP 2026\n", b"\n"), here) == ()


def test_without_a_banner_the_release_beside_the_process_tells(build: Build) -> None:
    here, other = build("here"), build("other", release="6.1.7")
    assert notes(console(other, banner=False), here) == (
        "the console is of another build than here: it is of 6.1.7, the file of 6.1.0",
    )


def test_addresses_that_kaslr_does_not_explain_are_told(build: Build) -> None:
    here = build("here")
    other = build("other", more="__attribute__((noinline)) void new(void) { sink++; }")
    text = console(other, addresses=True).replace(b"Code:", b"Kode:")
    assert notes(text, here) == (
        "the console is of another build than here: 2 of 2 functions stand at other addresses there",
    )


def test_a_call_that_leads_into_the_middle_of_a_function_is_told(build: Build) -> None:
    more = "__attribute__((noinline)) void new(int x) { sink = x % 77; }"
    here = build("here")
    text = console(build("other", more=more))
    assert load(here).sizes("victim") == load(here.with_name("other")).sizes("victim")
    assert [note for note in notes(text, here) if "victim calls 0x" in note or "other code" in note]


def test_other_instructions_are_told_and_patched_ones_are_not(build: Build) -> None:
    here = build("here")
    text = console(here)
    code = next(line for line in text.splitlines() if line.startswith(b"Code:"))
    tokens = code.split()[1:]
    patched = b"Code: " + b" ".join([b"0f", b"1f", b"44", b"00", *tokens[4:]])
    assert notes(text.replace(code, patched), here) == ()
    other = b"Code: " + b" ".join(token if token.startswith(b"<") else b"41" for token in tokens)
    assert ["victim has other code there" in note for note in notes(text.replace(code, other), here)] == [True]


def test_code_is_read_where_it_is_and_nowhere_else(build: Build) -> None:
    symbols: Symbols = load(build("here"))
    low, high = symbols.text()
    assert low == 0xFFFFFFFF81000000
    assert len(symbols.code(low, 16)) == 16
    assert len(symbols.code(high - 4, 16)) == 4
    assert symbols.code(high + 4096, 16) == symbols.code(low - 1, 1) == b""
