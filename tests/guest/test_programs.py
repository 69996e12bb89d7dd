"""Test programs for the guest: compiled here, put into its initramfs, run there, judged by their KTAP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.case import Expect, load_case
from lab.console.ktap import Tap, TapLine
from lab.console.types import Marker, Report
from lab.errors import InfrastructureError, UserError
from lab.guest.initramfs import build, is_static
from lab.guest.machine import Machine
from lab.guest.programs import Program, complete, extra_files, make_program, read_wish
from lab.guest.run import boot
from lab.guest.types import Boot
from lab.paths import Paths, data_folder
from lab.verdict import judge_boot

GOOD = """
#include <stdio.h>
#include "plan.h"
int main(int count, char **words) {
    PLAN; printf("# %s\\nok 1 - it runs\\n", words[1]); return count != 2;
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "plan.h").write_text('#define PLAN printf("KTAP version 1\\n1..1\\n")\n')
    (folder / "good.c").write_text(GOOD)
    return folder / "good.c"


def test_a_c_file_becomes_a_static_executable_once(source: Path, paths: Paths) -> None:
    first = make_program(source, paths)
    assert first.name == "good"
    assert is_static(first.file.read_bytes())
    stamp = first.file.stat().st_mtime_ns
    assert make_program(source, paths).file.stat().st_mtime_ns == stamp
    (source.parent / "plan.h").write_text('#define PLAN printf("1..1\\n")\n')
    assert make_program(source, paths).file != first.file, "a header beside it counts as well"
    said = subprocess.run([first.file, "hello"], capture_output=True, text=True, check=True)
    assert said.stdout == "KTAP version 1\n1..1\n# hello\nok 1 - it runs\n"


def test_what_does_not_compile_is_told_with_its_line(source: Path, paths: Paths) -> None:
    source.write_text("int main(void)\n{\n    return nothing;\n}\n")
    with pytest.raises(UserError, match=r"good\.c:3: 'nothing' undeclared"):
        make_program(source, paths)
    assert list(paths.programs.iterdir()) == [], "nothing half-made is left"


def test_what_is_no_program_is_refused(source: Path, paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("#!/bin/sh\n")
    with pytest.raises(UserError, match="neither a C file"):
        make_program(tmp_path / "text", paths)
    with pytest.raises(UserError, match="No such file"):
        make_program(tmp_path / "none.c", paths)
    with pytest.raises(UserError, match="cannot be a program's name"):
        make_program(tmp_path / "a b.c", paths)
    with pytest.raises(UserError, match="line end"):
        make_program(source, paths, ("a\nb",))
    with pytest.raises(UserError, match="two programs are called"):
        extra_files([Program("x", source), Program("x", source)])


def test_without_a_compiler_the_package_is_named(
    source: Path, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError) as caught:
        make_program(source, paths)
    assert "gcc" in caught.value.hint


def test_a_program_is_named_with_its_words_as_in_a_shell(source: Path, paths: Paths) -> None:
    program = read_wish(f"{source} 'two words' $(reboot)", paths)
    assert program.arguments == ("two words", "$(reboot)")
    assert program.script_line == "run good 'two words' '$(reboot)'"
    with pytest.raises(UserError, match="No closing quotation"):
        read_wish("'", paths)
    with pytest.raises(UserError, match="without a name"):
        read_wish(" ", paths)


def test_the_script_in_the_guest_is_one_that_a_shell_takes(source: Path) -> None:
    files = extra_files([Program("good", source, ("it's",))])
    assert files["lab/programs/good"] == source
    script = files["lab/run"]
    assert isinstance(script, bytes)
    subprocess.run(["sh", "-n"], input=script, check=True)


def test_a_program_that_never_began_has_a_result_too() -> None:
    first, second = complete([Tap("a", 1, (TapLine(1, "", "ok"),), 0)], ["a", "b"])
    assert (first.word, second.word, second.complaint) == ("pass", "fail", "its end was not seen")


def ran(*taps: Tap, outcome: str = "userspace") -> Boot:
    marker = Marker(1, (("nodes", "2"),))
    where = Path("console.log")
    return Boot(outcome, "ended", Report(marker=marker), "two-nodes", 2, "tcg", (), where, where, 1.0, programs=taps)  # type: ignore[arg-type]


PASS = Tap("a", 1, (TapLine(1, "x", "ok"),), 0)
FAIL = Tap("b", 1, (TapLine(1, "y", "not ok"),), 1)


def test_a_boot_is_good_only_where_its_programs_pass() -> None:
    assert judge_boot(ran(PASS)).word == "good"
    assert judge_boot(ran(PASS, FAIL)).word == "bad"
    assert judge_boot(ran(PASS, FAIL)).reason == "test program b: not ok 1 - y"
    assert judge_boot(ran(PASS, Tap("c"), outcome="hang")).word == "bad"


def test_a_failing_program_is_not_the_bug_that_is_looked_for() -> None:
    verdict = judge_boot(ran(FAIL), Expect(signature="bug:policy_zonelist"))
    assert (verdict.word, verdict.reason) == ("skip", "test program b: not ok 1 - y")


def manifest(folder: Path, programs: str) -> str:
    (folder / "guest").mkdir(exist_ok=True)
    (folder / "guest" / "a.c").touch()
    (folder / "1.patch").touch()
    head = 'title = "t"\nbase = "b"\npatches = ["1.patch"]\nkconfig = "tiny-numa"\nmachine = "two-nodes"\n'
    (folder / "series.toml").write_text(f"{head}[programs]\n{programs}\n")
    return str(folder)


def test_a_case_names_its_programs(tmp_path: Path) -> None:
    programs = load_case(manifest(tmp_path, 'sources = ["guest/a.c"]'), tmp_path).programs
    assert programs is not None
    assert (programs.kconfig, programs.machines, programs.seconds) == ("tiny-numa", ("two-nodes",), 900)
    assert programs.sources == (tmp_path / "guest" / "a.c",)
    for wrong, complaint in (
        ('sources = ["../../etc/passwd"]', r"programs\.sources\[0\].*outside"),
        ("sources = []", r"programs\.sources.*empty"),
        ('sources = ["guest/a.c"]\nseconds = 0', r"programs\.seconds"),
        ('sources = ["guest/a.c"]\nspeed = 1', "speed"),
    ):
        with pytest.raises(UserError, match=complaint):
            load_case(manifest(tmp_path, wrong), tmp_path)


def test_the_programs_of_every_case_compile_without_a_warning(tmp_path: Path) -> None:
    sources = sorted(data_folder("patches").glob("*/guest/*.c"))
    assert sources
    for source in sources:
        argv = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only"]
        subprocess.run([*argv, str(source)], check=True)


SPEAKS = """
#include <stdio.h>
int main(void) { puts("1..2\\nok 1 - one"); puts(RESULT " 2 - two"); return 0; }
"""


@pytest.mark.boot
def test_programs_run_in_the_guest_and_their_results_come_back(
    kernel: Path, two_nodes: Machine, paths: Paths, source: Path
) -> None:
    fails, dies = source.with_name("fails.c"), source.with_name("dies.c")
    fails.write_text(SPEAKS.replace("RESULT", '"not ok"'))
    dies.write_text("int main(void) { __builtin_trap(); }\n")
    programs = [make_program(source, paths, ('it\'s "here"',)), make_program(fails, paths), make_program(dies, paths)]
    result = boot(
        kernel,
        two_nodes,
        initramfs=build(paths, extra=extra_files(programs)),
        accel="tcg",
        paths=paths,
        programs=tuple(program.name for program in programs),
        deadline=120,
    )
    good, failed, died = result.programs
    assert (good.word, good.tests[0].notes) == ("pass", ('it\'s "here"',))
    assert (failed.complaint, failed.status) == ("not ok 2 - two", 0)
    assert (died.word, died.status) == ("fail", 132)
    assert judge_boot(result).word == "bad"
    assert json.loads((result.folder / "boot.json").read_bytes())["programs"][0]["name"] == "good"


@pytest.mark.boot
def test_a_program_that_does_not_end_gets_its_deadline(kernel: Path, source: Path, tmp_path: Path) -> None:
    source.write_text("int main(void) { for (;;) ; }\n")
    argv = [sys.executable, "-m", "lab", "boot", "--kernel", str(kernel), "--program", str(source), "--accel", "tcg"]
    argv += ["--timeout", "20", "--program-timeout", "1", "--json"]
    done = subprocess.run(
        argv, capture_output=True, timeout=300, check=False, env={**os.environ, "LAB_CACHE": str(tmp_path)}
    )
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"], document["outcome"]) == (1, "bad", "hang")
    assert document["programs"][0]["summary"] == "its end was not seen"
