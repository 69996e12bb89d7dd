"""A ``.config`` that someone has: what it is, what a tree makes of it, and ``lab kconfig import``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab.cli.kconfig import kconfig
from lab.errors import UserError
from lab.kernel.fragment import import_config, render
from lab.kernel.imported import About, about, as_kconfig, check_arch, judge, missing_for_guest
from lab.kernel.kconfig import resolve
from lab.report.imported import lines

HEAD = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.55 Kernel Configuration\n#\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A ``.config`` of another kernel than the tree's."""
    file = tmp_path / "theirs.config"
    file.write_text(f"{HEAD}CONFIG_SMP=y\nCONFIG_NUMA=y\n# CONFIG_PCI is not set\nCONFIG_WIRELESS=y\nCONFIG_SLAB=y\n")
    return file


def lab(*arguments: object) -> Result:
    return CliRunner().invoke(kconfig, ["import", *map(str, arguments)])


def test_what_a_config_was_made_for_stands_at_its_head() -> None:
    assert about(HEAD) == About("x86", "6.1.55")
    assert (
        about("# Automatically generated make config: don't edit\n# Linux kernel version: 2.6.32\n").version == "2.6.32"
    )
    assert about("CONFIG_SMP=y\n") == About()


def test_it_becomes_a_kconfig_that_asks_for_the_same(theirs: Path, tmp_path: Path) -> None:
    fragment = import_config(theirs)
    written = tmp_path / "again.config"
    written.write_text(as_kconfig(fragment, theirs.name))
    again = render(str(written), "3.7", {}, folder=tmp_path)
    assert again.base == fragment.base == "olddefconfig"
    assert [(ask.symbol, ask.value) for ask in again.asked] == [(ask.symbol, ask.value) for ask in fragment.asked]
    assert written.read_text().splitlines()[1] == "# Imported from theirs.config, made for Linux 6.1.55."


def test_what_the_tree_does_not_know_and_what_it_took_away_are_kept_apart(fake, theirs: Path) -> None:
    fragment = import_config(theirs)
    tools = {"toolchain": fake.toolchain, "compat": fake.compat, "paths": fake.paths}
    resolved = resolve(fragment, fake.source, tree_id="t", require=["NR_CPUS=4"], **tools)
    judged = judge(fragment, resolved)
    assert [one.symbol for one in judged.unknown] == ["WIRELESS"]
    assert [(one.symbol, one.got, one.why) for one in judged.dropped] == [
        ("NUMA", "n", "it depends on PCI (which is n)")
    ]
    assert judged.added == ("NR_CPUS=4",)
    assert list(lines(fragment, judged)) == [
        "read 5 symbols of Linux 6.1.55, to be completed by olddefconfig",
        "NUMA=y asked, n came: it depends on PCI (which is n)",
        "1 symbols that this tree does not know: WIRELESS",
        "the case adds what it requires: NR_CPUS=4",
    ]


def test_a_config_without_a_serial_console_is_told_of_before_it_is_built() -> None:
    config = "CONFIG_TTY=y\nCONFIG_SERIAL_8250=m\n# CONFIG_BLK_DEV_INITRD is not set\nCONFIG_PROC_FS=y\n"
    assert list(missing_for_guest(config)) == ["BLK_DEV_INITRD", "SERIAL_8250"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("x86", "arm64") + "CONFIG_SMP=y\n", "made for arm64"),
        (HEAD + "# CONFIG_64BIT is not set\nCONFIG_X86_32=y\n", "made for 32-bit x86"),
    ],
)
def test_a_config_of_another_architecture_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.config"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        check_arch(import_config(file), "x86_64", "x.config")


def test_the_command_writes_what_kconfig_takes(theirs: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.config"
    shown, written = lab(theirs), lab(theirs, "--output", target, "--json")
    assert (shown.exit_code, written.exit_code) == (0, 0)
    document = json.loads(written.stdout)
    assert target.read_text() == document["config"] == shown.stdout
    assert document["made_for"] == {"arch": "x86", "version": "6.1.55"}
    assert document["symbols"] == 5
    assert shown.stderr == "read 5 symbols of Linux 6.1.55, to be completed by olddefconfig\n"


def test_a_point_of_no_case_is_wrong_usage(theirs: Path) -> None:
    assert "give --case too" in lab(theirs, "--at", "3").output


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"CONFIG_A=y\n\nrm -rf /\n", "x.config:3: 'rm -rf /' is not CONFIG_NAME=value"),
        (b"CONFIG_A=y\nCONFIG_B=\x1b]0;x\x07\n", "x.config:2: CONFIG_B: "),
        (b"CONFIG_A=y\n\x80\n", "x.config:2: not UTF-8 text"),
        (b"\0" * 100, "x.config:1: "),
        (b"#" * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_a_hostile_file_is_refused_with_its_line(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.config"
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"x\.config") as error:
        import_config(file)
    assert message in str(error.value)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a regular file"):
        import_config(tmp_path / "pipe")


def test_a_line_of_blanks_takes_no_time(tmp_path: Path) -> None:
    file = tmp_path / "x.config"
    file.write_bytes(b"CONFIG_A=y" + b" " * (2 << 20) + b"z\n")
    start = time.process_time()
    with pytest.raises(UserError, match="is no y, n, m"):
        import_config(file)
    assert time.process_time() - start < 1
