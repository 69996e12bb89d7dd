"""Old kernels with the compilers that are installed: they build, boot, and are not compiled twice."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.case import load_case
from lab.kernel.build import build_command
from lab.kernel.compat import TABLE, choose_compat
from lab.kernel.environment import make_environment
from lab.kernel.types import Kernel
from lab.line import Line, Setup, kconfig_of, kernel_of, point_at, prepare, probe
from lab.paths import data_folder, user_paths
from lab.progress import silent
from lab.settings import Settings
from lab.tree.checkout import checked_out

TREE = os.environ.get("LAB_TREE_37", "")
COMPILERS = ("gcc-9", "gcc-10", "gcc-11", "gcc-12", "gcc-13", "gcc-14")
COMPILED = re.compile(r"^\s+(?:CC|HOSTCC|CC \[M\])\s+(?P<file>\S+)", re.MULTILINE)

pytestmark = [
    pytest.mark.build,
    pytest.mark.boot,
    pytest.mark.tree37,
    pytest.mark.skipif(not TREE, reason="no Linux 3.7 tree: set LAB_TREE_37 to one"),
]


def setup_with(compiler: str | None = None) -> Setup:
    return Setup(paths=user_paths(), settings=Settings(), progress=silent, tree=Path(TREE), cc=compiler)


def line_with(setup: Setup) -> Line:
    return prepare(load_case("numa-foundation", data_folder("patches")), setup)


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> str:
    """Each compiler that is installed here."""
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


def test_every_compiler_makes_a_kernel_that_boots(compiler: str) -> None:
    setup = setup_with(compiler)
    line = line_with(setup)
    seen = probe(line, 0, setup)
    assert seen.verdict.word == "good", seen.verdict.reason
    assert f"{line.toolchain.cc_version[0]}" == compiler.removeprefix("gcc-")


def test_a_second_make_compiles_no_c_file(compiler: str) -> None:
    setup = setup_with(compiler)
    line = line_with(setup)
    point = point_at(line, 0)
    kconfig = kconfig_of(line, point, setup)
    objects = setup.paths.objects / f"twice-{hashlib.sha256(line.toolchain.identity.encode()).hexdigest()[:12]}"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True)
    try:
        (objects / ".config").write_text(kconfig.text)
        with checked_out(line.tree, point, paths=setup.paths) as source:
            argv = build_command(source, objects, line.toolchain, line.compat)
            environment = make_environment(setup.paths)

            def make() -> list[str]:
                done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=3000)
                return COMPILED.findall(done.stdout)

            assert "mm/mempolicy.o" in make()
            assert make() == []
    finally:
        shutil.rmtree(objects, ignore_errors=True)


def without(name: str, folder: Path) -> Path:
    """The project's compat in ``folder``, without the entry of that name."""
    shutil.copytree(data_folder("patches") / "compat", folder)
    text = (folder / TABLE).read_text()
    left = [part for part in text.split("[[entry]]") if f'\nname = "{name}"\n' not in part]
    assert len(left) == text.count("[[entry]]")
    (folder / TABLE).write_text("[[entry]]".join(left))
    return folder


def test_a_decompressor_with_sse_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = without("decompressor-sse", tmp_path / "compat")
    monkeypatch.setattr("lab.kernel.compat.data_folder", lambda name: folder.parent)
    setup = setup_with()
    line = line_with(setup)
    assert "decompressor-sse.patch" not in [path.name for path in line.compat.patches]
    assert isinstance(kernel_of(line, point_at(line, 0), setup), Kernel)
    boot = probe(line, 0, setup).boot
    assert boot is not None
    assert boot.console.read_bytes() == b""
    assert boot.outcome == "died"
    place = r"0x[0-9a-f]+, \w+\+0x[0-9a-f]+ in the decompressor"
    assert re.fullmatch(rf"first fatal exception: invalid opcode at {place}; then a triple fault", boot.detail)
    finding = boot.report.first
    assert finding is not None
    assert finding.kind == "silent"
    assert finding.title == f"silent death: invalid opcode in {finding.function}"
    # The function is one of the decompressor's own, and the instruction one of SSE's.
    elf = kernel_of(line, point_at(line, 0), setup).folder / "decompressor"  # type: ignore[union-attr]
    code = subprocess.run(
        ["objdump", "-d", f"--disassemble={finding.function}", str(elf)], capture_output=True, text=True, check=True
    )
    assert "%xmm" in code.stdout


def test_the_table_is_asked_for_the_kernel_that_is_there() -> None:
    line = line_with(setup_with())
    assert line.compat == choose_compat(line.tree.base.version, line.toolchain)
