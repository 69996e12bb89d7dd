"""Fragments: templates and configs that people have, as what is asked of a tree."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.kernel.fragment import import_config, render, required_values, with_required
from lab.paths import data_folder

SHARED = sorted(path.name.removesuffix(".config.j2") for path in data_folder("kconfigs").glob("*.config.j2"))


def asked(fragment) -> dict[str, str]:
    return {ask.symbol: ask.value for ask in fragment.asked}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.config.j2").write_text(
        "# A comment\n"
        "{# another #}\n"
        "{% if version >= (3, 9) %}\n"
        "CONFIG_TTY=y\n"
        "{% endif %}\n"
        "CONFIG_NR_CPUS={{ 4 * 2 }}\n"
        "{% block slab %}\n"
        "CONFIG_SLUB=y\n"
        "{% endblock %}\n"
        "# CONFIG_MODULES is not set\n"
    )
    (tmp_path / "slab.config.j2").write_text(
        '{% extends "base.config.j2" %}\n{% block slab %}\nCONFIG_SLAB=y\n{% endblock %}\n'
    )
    return tmp_path


@pytest.mark.parametrize("version", ["3.7-rc4", "3.8.13", "5.10.223", "6.1.192"])
@pytest.mark.parametrize("name", SHARED)
def test_the_projects_templates_are_for_old_and_new_kernels(name, version):
    fragment = render(name, version, {}, folder=data_folder("kconfigs"))
    assert fragment.name == name
    assert asked(fragment)["NUMA"] == "y"
    assert asked(fragment)["SLAB" if name.endswith("-slab") else "SLUB"] == "y"


def test_a_template_knows_the_version(folder):
    assert asked(render("base", "3.7-rc4", {}, folder=folder)) == {"NR_CPUS": "8", "SLUB": "y", "MODULES": "n"}
    assert "TTY" in asked(render("base", "6.1.192-2", {}, folder=folder))


def test_every_symbol_has_its_place_in_the_template_it_came_from(folder):
    places = {ask.symbol: ask.where for ask in render("slab", "3.7", {}, folder=folder).asked}
    assert places == {"NR_CPUS": "base.config.j2:6", "SLAB": "slab.config.j2:3", "MODULES": "base.config.j2:10"}


def test_a_case_may_bring_its_own(tmp_path, folder):
    own = tmp_path / "mine" / "own.config.j2"
    own.parent.mkdir()
    own.write_text('{% include "base.config.j2" %}\nCONFIG_KSM=y\n')
    fragment = render(str(own), "3.7", {}, folder=folder)
    assert fragment.name == "own"
    assert list(asked(fragment)) == ["NR_CPUS", "SLUB", "MODULES", "KSM"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CONFIG_A=y\nCONFIG_B={{ missing }}\n", r"bad\.config\.j2:2: 'missing' is undefined"),
        ("CONFIG_A=y\n{% if %}\n", r"bad\.config\.j2:2: "),
        ("CONFIG_A=y\n{% if version < 5 %}\n{% endif %}\n", r"bad\.config\.j2:2: "),
        ("CONFIG_A=y\nCONFIG_B\n", r"^bad\.config\.j2:2: 'CONFIG_B' is not CONFIG_NAME=value"),
        ("NUMA=y\n", r"^bad\.config\.j2:1: 'NUMA=y' is not CONFIG_NAME=value"),
        ("\nCONFIG_A=yes\n", r"^bad\.config\.j2:2: CONFIG_A: 'yes' is no y, n, m, number"),
        ("# base: tinyconfig\n", r"^bad\.config\.j2: base 'tinyconfig': there are allnoconfig, defconfig"),
        ('{% include "../../secret" %}\n', r"bad\.config\.j2:1: \.\./\.\./secret"),
        ("{{ ''.__class__.__mro__ }}\n", r"bad\.config\.j2:1: "),
        ("{{ 'x' * 10000000000 }}\n", r"bad\.config\.j2:1: \* is for two integers"),
        ("{% for a in range(9) %}{% endfor %}\n", r"bad\.config\.j2:1: 'range' is undefined"),
        ('{% include "bad.config.j2" %}\n', r"bad\.config\.j2:1: "),
    ],
)
def test_a_bad_template_is_refused_with_file_and_line(text, message, folder):
    (folder / "bad.config.j2").write_text(text)
    with pytest.raises(UserError, match=message):
        render("bad", "3.7", {}, folder=folder)


def test_an_unknown_name_is_told_with_the_known_ones(folder):
    with pytest.raises(UserError, match="no kconfig 'tiny'; there are base, slab"):
        render("tiny", "3.7", {}, folder=folder)


def test_a_config_that_kconfig_wrote_is_a_whole_one(tmp_path):
    text = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 3.7.0 Kernel Configuration\n#\nCONFIG_NUMA=y\n"
    plain, packed = tmp_path / "theirs.config", tmp_path / "config.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    assert import_config(plain).base == "olddefconfig"
    assert import_config(packed).asked[0].symbol == "NUMA"
    assert render(str(plain), "3.7", {}, folder=tmp_path).base == "olddefconfig"


def test_a_config_that_a_person_wrote_is_a_fragment(tmp_path):
    file = tmp_path / "few.config"
    file.write_text("CONFIG_NUMA=y\n")
    assert import_config(file).base == "allnoconfig"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no line of it sets a symbol"),
        (b"\x7fELF\xff\xfe", ":1: not UTF-8"),
        (b"\x1f\x8b\x08 cut off", "x.config: "),
        (b"hello\n", ":1: 'hello' is not CONFIG_NAME=value"),
        (gzip.compress(b"#" * (5 << 20)), "larger than 4 MiB"),
    ],
)
def test_a_file_that_is_no_config_is_refused(data, message, tmp_path):
    file = tmp_path / "x.config"
    file.write_bytes(data)
    with pytest.raises(UserError, match=message):
        import_config(file)


def test_what_a_case_requires_is_asked_for_unless_it_is_already(folder):
    fragment = render("base", "3.7", {}, folder=folder)
    more = with_required(fragment, ["SLUB", "CONFIG_NUMA", "NR_CPUS=16", "MODULES"])
    assert asked(more) == {"NR_CPUS": "16", "SLUB": "y", "MODULES": "y", "NUMA": "y"}
    assert {ask.where for ask in more.asked if ask.symbol != "SLUB"} == {"required by the case"}
    assert required_values(["SLUB", "CONFIG_NUMA=y"]) == {"SLUB": "", "NUMA": "y"}


@pytest.mark.parametrize("entry", ["", "A B", "NUMA=yes", "A\nCONFIG_B=y"])
def test_what_a_case_requires_has_to_be_a_symbol(entry, folder):
    with pytest.raises(UserError, match="is no symbol"):
        with_required(render("base", "3.7", {}, folder=folder), [entry])
