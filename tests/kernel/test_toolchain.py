"""The toolchain as it really is, and what is said where a part of it is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lab.errors import InfrastructureError, UserError
from lab.kernel.toolchain import detect_toolchain


def program(folder: Path, name: str, text: str) -> Path:
    """A shell script that is called ``name``."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def gcc(folder: Path, name: str, version: str, target: str = "x86_64-linux-gnu") -> Path:
    """A compiler that only says which it is, as gcc does."""
    return program(folder, name, f"echo 'Target: {target}' >&2; echo 'gcc version {version} (Somewhere)' >&2")


def test_the_tools_of_this_machine():
    toolchain = detect_toolchain()
    assert toolchain.cc == "gcc"
    assert toolchain.cc_version >= (5,)
    assert toolchain.ld_version >= (2, 20)
    assert toolchain.perl_version >= (5, 10)
    assert toolchain.make_version >= (3, 82)
    assert detect_toolchain() == toolchain


def test_another_compiler_is_another_toolchain(tmp_path):
    twelve, eleven = gcc(tmp_path, "gcc-a", "12.2.0"), gcc(tmp_path, "gcc-b", "11.3.0")
    assert detect_toolchain(str(twelve)).cc_version == (12, 2, 0)
    assert detect_toolchain(str(twelve)).identity != detect_toolchain(str(eleven)).identity


def test_the_same_compiler_by_another_name_is_the_same(tmp_path):
    assert (
        detect_toolchain(str(gcc(tmp_path, "gcc-a", "12.2.0"))).identity
        == detect_toolchain(str(gcc(tmp_path, "gcc-b", "12.2.0"))).identity
    )


def test_ccache_makes_no_other_kernel(tmp_path, monkeypatch):
    plain = detect_toolchain()
    program(tmp_path, "ccache", 'exec "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert detect_toolchain() == plain


@pytest.mark.parametrize(("tool", "package"), [("flex", "flex"), ("ld", "binutils"), ("make", "make"), ("bc", "bc")])
def test_a_missing_tool_is_named_with_the_command_that_installs_it(tool, package, tmp_path, monkeypatch):
    for name in {"gcc", "ld", "as", "perl", "make", "flex", "bison", "bc", "objcopy", "sh"} - {tool}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match=rf"\b{tool}\b") as error:
        detect_toolchain()
    assert error.value.hint == f"sudo apt-get install --no-install-recommends {package}"


def test_a_missing_compiler_is_named_with_its_package():
    with pytest.raises(InfrastructureError, match="gcc-99") as error:
        detect_toolchain("gcc-99")
    assert error.value.hint.endswith(" gcc-99")


@pytest.mark.parametrize("name", ["gcc; reboot", "-v", "$(id)", "gcc -m32"])
def test_a_name_that_no_compiler_has_is_refused(name):
    with pytest.raises(UserError):
        detect_toolchain(name)


def test_a_program_that_is_no_gcc_is_refused(tmp_path):
    with pytest.raises(UserError, match="version"):
        detect_toolchain(str(program(tmp_path, "notgcc", "echo hello")))


def test_a_compiler_for_another_architecture_is_refused(tmp_path):
    with pytest.raises(UserError, match="aarch64"):
        detect_toolchain(str(gcc(tmp_path, "cross", "12.2.0", "aarch64-linux-gnu")))
