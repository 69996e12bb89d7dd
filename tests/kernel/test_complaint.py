"""What a failed build complains of. The outputs are gcc's, binutils', make's and scripts/kconfig's own words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.kernel.complaint import Complaint, first_error, inside, warnings, world_fault

GCC = """\
  CC      mm/mempolicy.o
../../worktrees/linux/mm/mempolicy.c: In function 'f':
../../worktrees/linux/mm/mempolicy.c:2:10: warning: implicit declaration of function 'g' [-Wimplicit]
    2 |   return g(;
      |          ^
../../worktrees/linux/mm/mempolicy.c:2:12: error: expected expression before ';' token
    2 |   return g(;
      |            ^
../../worktrees/linux/mm/mempolicy.c:2:13: error: expected ';' before '}' token
make[3]: *** [/cache/worktrees/linux/scripts/Makefile.build:250: mm/mempolicy.o] Error 1
make[2]: *** [/cache/worktrees/linux/scripts/Makefile.build:500: mm] Error 2
make: *** [Makefile:231: __sub-make] Error 2
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "worktrees" / "linux"
    (tree / "mm").mkdir(parents=True)
    (tree / "mm" / "mempolicy.c").touch()
    return tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GCC, Complaint("expected expression before ';' token", "mm/mempolicy.c", 2)),
        (
            "{source}/mm/mempolicy.c:7:10: fatal error: linux/no.h: No such file or directory\ncompilation terminated.",
            Complaint("linux/no.h: No such file or directory", "mm/mempolicy.c", 7),
        ),
        (
            "arch/x86/kernel/head_64.S: Assembler messages:\n"
            "arch/x86/kernel/head_64.S:12: Error: no such instruction: `frob %eax'",
            Complaint("no such instruction: `frob %eax'", "arch/x86/kernel/head_64.S", 12),
        ),
        (
            "  LD      .tmp_vmlinux.kallsyms1\nld: warning: orphan section `.x' from `mm/slub.o'\n"
            "ld: mm/mempolicy.o: in function `f':\nmempolicy.c:(.text+0x5): undefined reference to `foo'",
            Complaint("undefined reference to `foo'", "mm/mempolicy.c"),
        ),
        (
            "ld: mm/mempolicy.o: in function `f':\n{source}/mm/mempolicy.c:31: undefined reference to `foo'",
            Complaint("undefined reference to `foo'", "mm/mempolicy.c", 31),
        ),
        (
            "ld: vmlinux.a(mempolicy.o): in function `f':\nmempolicy.c:(.text+0x5): undefined reference to `foo'",
            Complaint("undefined reference to `foo'", "mempolicy.o"),
        ),
        (
            "ld: mm/b.o: in function `a':\n"
            "b.c:(.text+0x0): multiple definition of `a'; mm/a.o:a.c:(.text+0x0): first defined here",
            Complaint("multiple definition of `a'; mm/a.o:a.c:(.text+0x0): first defined here", "b.c"),
        ),
        (
            "make[2]: *** No rule to make target 'mm/nofile.o', needed by 'mm/built-in.a'.  Stop.",
            Complaint("No rule to make target 'mm/nofile.o', needed by 'mm/built-in.a'."),
        ),
        ("mm/Makefile:3: *** missing separator.  Stop.", Complaint("missing separator.", "mm/Makefile", 3)),
        (
            "init/Kconfig:4: syntax error\ninit/Kconfig:3: invalid statement",
            Complaint("syntax error", "init/Kconfig", 4),
        ),
        (
            "init/Kconfig:4:warning: multi-line strings not supported\n"
            "mm/Kconfig.debug:9:error: recursive dependency detected!",
            Complaint("recursive dependency detected!", "mm/Kconfig.debug", 9),
        ),
        (
            "Can't use 'defined(@array)' (Maybe you should just omit the defined()?) at {source}/kernel/timeconst.pl "
            "line 373.\nmake[2]: *** [kernel/Makefile:142: kernel/timeconst.h] Error 255",
            Complaint(
                "Can't use 'defined(@array)' (Maybe you should just omit the defined()?) "
                "at {source}/kernel/timeconst.pl line 373.",
                "kernel/timeconst.pl",
                373,
            ),
        ),
        (
            "make[1]: *** [mm/Makefile:12: mm/odd.h] Error 3\nmake: *** [Makefile:9: mm] Error 2",
            Complaint("make failed at mm/Makefile:12: mm/odd.h"),
        ),
        ("", Complaint("make failed and did not say why")),
    ],
)
def test_the_first_real_error_is_found(text, expected, source):
    lines = text.replace("{source}", str(source)).splitlines()
    found = first_error(lines, source)
    assert (found.message.replace(str(source), "{source}"), found.file, found.line) == (
        expected.message,
        expected.file,
        expected.line,
    )
    assert world_fault(lines) is None


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("cc1: error: error writing to /tmp/ccI.s: No space left on device", "the disk is full", "LAB_CACHE"),
        ("gcc: fatal error: Killed signal terminated program cc1", "a program was killed", "--jobs 1"),
        ("make[1]: *** [Makefile:1250: vmlinux] Error 137", "a program was killed", "--jobs 1"),
        ("cc1: out of memory allocating 65536 bytes after a total of 1048576 bytes", "ran out of memory", "--jobs 1"),
        ("/bin/sh: 1: bc: not found", "bc is not installed", "apt-get install --no-install-recommends bc"),
        ("make[3]: lz4c: No such file or directory", "lz4c is not installed", "lz4"),
        (
            "/t/tools/objtool/include/objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory",
            "the header gelf.h is missing",
            "libelf-dev",
        ),
        (
            "scripts/sign-file.c:25:10: fatal error: openssl/opensslv.h: No such file or directory",
            "the header openssl/opensslv.h is missing",
            "libssl-dev",
        ),
    ],
)
def test_what_the_world_did_is_told_from_what_the_kernel_did(text, what, hint):
    fault = world_fault(["  CC      mm/slub.o", text])
    assert fault
    assert what in fault[0]
    assert hint in fault[1]


@pytest.mark.parametrize(
    "text",
    [
        "include/uapi/asm-generic/errno-base.h:32:9: note: in expansion of macro\n"
        "   32 | #define ENOSPC          28      /* No space left on device",
        'mm/slub.c:1:2: error: #error "No space left on device"',
        "mm/slub.c:1:10: fatal error: linux/zlib.h: No such file or directory",
        "/bin/sh: 1: ./scripts/own-tool: not found",
    ],
)
def test_words_of_the_tree_are_not_taken_for_the_worlds(text):
    assert world_fault(text.splitlines()) is None


def test_what_the_tools_of_this_machine_say_is_understood(tmp_path):
    (tmp_path / "bad.c").write_text("int f(void)\n{\n\treturn g(;\n}\n")
    (tmp_path / "warned.c").write_text("static int unused;\nint f(void) { int x; return x; }\n")
    (tmp_path / "use.c").write_text("int foo(void); int main(void) { return foo(); }\n")

    def said(*argv: str) -> list[str]:
        done = subprocess.run(
            argv, cwd=tmp_path, check=False, capture_output=True, text=True, env={"PATH": "/usr/bin", "LC_ALL": "C"}
        )
        return done.stderr.splitlines()

    assert first_error(said("gcc", "-c", "bad.c"), tmp_path) == Complaint(
        "expected expression before ';' token", "bad.c", 3
    )
    assert {text.partition(": ")[0] for text in warnings(said("gcc", "-Wall", "-c", "warned.c"), tmp_path)} == {
        "warned.c:1",
        "warned.c:2",
    }
    said("gcc", "-c", "use.c")
    linked = first_error(said("ld", "-o", "out", "use.o"), tmp_path)
    assert (linked.message, linked.file) == ("undefined reference to `foo'", "use.c")


def test_warnings_are_told_once_and_relative_to_the_tree(source):
    assert warnings([*GCC.splitlines(), *GCC.splitlines()], source) == (
        "mm/mempolicy.c:2: implicit declaration of function 'g' [-Wimplicit]",
    )


def test_a_strangers_words_do_not_reach_the_terminal_raw(source):
    found = first_error(["mm/\x1b[31mx.c:1:1: error: \x1b]0;title\x07" + "A" * 10_000], source)
    assert "\x1b" not in found.message + found.file
    assert "\x07" not in found.message
    assert len(found.message) == 500


def test_a_file_outside_the_tree_keeps_its_name(source):
    assert inside("/usr/include/stdio.h", source) == "/usr/include/stdio.h"
    assert inside("./mm/slub.c", source) == "mm/slub.c"
    assert inside("", source) == ""
