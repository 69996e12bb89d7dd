"""Fragments resolved by the tree's own kconfig: what was asked for comes, or it is said why not."""

from __future__ import annotations

import pytest

from lab.errors import UserError
from lab.kernel.kconfig import BrokenKconfig, cached, import_config

pytestmark = pytest.mark.system


def test_what_is_asked_for_comes(fake):
    kconfig = fake.resolve("CONFIG_SMP=y\nCONFIG_PCI=y\nCONFIG_NUMA=y\nCONFIG_NR_CPUS=4\nCONFIG_SLAB=y\n")
    assert kconfig.unmet == ()
    assert {"CONFIG_NUMA=y", "CONFIG_NR_CPUS=4", "CONFIG_SLAB=y"} <= set(kconfig.text.splitlines())
    assert dict(kconfig.asked)["NUMA"] == "y"


@pytest.mark.parametrize(
    ("text", "symbol", "got", "why"),
    [
        ("CONFIG_SMP=y\nCONFIG_NUMA=y\n", "NUMA", "n", "it depends on PCI (which is n)"),
        (
            "CONFIG_SMP=y\nCONFIG_PCI=y\nCONFIG_NUMA=y\n# CONFIG_MIGRATION is not set\n",
            "MIGRATION",
            "y",
            "selected by NUMA",
        ),
        ("CONFIG_NR_CPUS=64\n", "NR_CPUS", "8", "it takes 2 to 8"),
        ("CONFIG_SLUB=y\nCONFIG_SLAB=y\n", "SLUB", "n", "its choice went to SLAB"),
    ],
)
def test_what_does_not_come_is_explained(fake, text, symbol, got, why):
    (unmet,) = fake.resolve(text).unmet
    assert (unmet.symbol, unmet.got, unmet.why) == (symbol, got, why)
    assert unmet.where.startswith("Kconfig:")


def test_a_symbol_that_the_tree_does_not_have_is_named_with_its_place(fake):
    with pytest.raises(
        UserError, match=r"^own.config.j2:2: CONFIG_NUMMA: this tree has no symbol NUMMA; is NUMA meant"
    ):
        fake.resolve("CONFIG_SMP=y\nCONFIG_NUMMA=y\n")


def test_a_symbol_may_be_asked_for_where_it_exists(fake):
    assert fake.resolve("CONFIG_BALANCE_NUMA=y # where it exists\n").unmet == ()


def test_what_the_case_requires_is_asked_for(fake):
    kconfig = fake.resolve("CONFIG_SMP=y\n", require=["PCI", "CONFIG_NUMA=y", "NR_CPUS=2"])
    assert {"CONFIG_NUMA=y", "CONFIG_NR_CPUS=2"} <= set(kconfig.text.splitlines())


def test_what_the_case_requires_and_does_not_get_is_an_error(fake):
    with pytest.raises(UserError, match=r"requires CONFIG_NUMA=y, and n came: it depends on PCI \(which is n\)"):
        fake.resolve("CONFIG_SMP=y\n", require=["NUMA"])


def test_a_required_symbol_may_come_with_a_later_patch(fake):
    assert fake.resolve("CONFIG_SMP=y\n", require=["BALANCE_NUMA"], early=True).unmet == ()
    with pytest.raises(UserError, match="requires CONFIG_BALANCE_NUMA=y, and n came: this tree has no symbol"):
        fake.resolve("CONFIG_SMP=y\n", require=["BALANCE_NUMA"])


def test_the_same_again_needs_no_make(fake):
    fragment = fake.fragment("CONFIG_SMP=y\nCONFIG_NUMA=y\n")
    given = {"tree_id": fake.tree_id, "toolchain": fake.toolchain, "compat": fake.compat, "paths": fake.paths}
    assert cached(fragment, **given) is None
    resolved = fake.resolve(fragment.text)
    (fake.source / "Makefile").unlink()
    assert cached(fragment, **given) == resolved


def test_a_patch_that_changes_no_kconfig_needs_no_make(fake):
    first = fake.resolve("CONFIG_SMP=y\n")
    (fake.paths.objects / "kconfig-marker").touch()
    runs = lambda: sorted(path.stat().st_mtime_ns for path in fake.paths.objects.glob("kconfig-*/.config"))  # noqa: E731
    before = runs()
    fake.write("mm/mempolicy.c", "int policy(int mode) { return 0; }\n")
    assert fake.resolve("CONFIG_SMP=y\n") == first
    assert runs() == before
    fake.write("Kconfig", 'config SMP\n\tbool "Other"\n')
    assert "SLUB" not in fake.resolve("CONFIG_SMP=y\n").text
    assert runs() != before


def test_a_config_of_another_kernel_is_taken_over(fake, tmp_path):
    file = tmp_path / "theirs.config"
    file.write_text(
        "#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_SMP=y\nCONFIG_SLAB=y\nCONFIG_WIRELESS=y\n"
    )
    imported = import_config(file)
    kconfig = fake.resolve("")  # whatever was there before
    from lab.kernel.kconfig import resolve

    kconfig = resolve(
        imported, fake.source, tree_id="t", toolchain=fake.toolchain, compat=fake.compat, paths=fake.paths
    )
    assert "CONFIG_SLAB=y" in kconfig.text
    assert [(unmet.symbol, unmet.why) for unmet in kconfig.unmet] == [("WIRELESS", "this tree has no symbol WIRELESS")]


def test_the_trees_own_defconfig_is_a_base(fake):
    kconfig = fake.resolve("# base: defconfig\nCONFIG_SLAB=y\n")
    assert {"CONFIG_NR_CPUS=8", "CONFIG_SLAB=y"} <= set(kconfig.text.splitlines())


def test_kconfig_files_that_a_patch_broke_are_a_result_of_that_point(fake):
    fake.write("Kconfig", 'config SMP\n\tbool "SMP"\n\tdepends PCI\n')
    with pytest.raises(BrokenKconfig) as error:
        fake.resolve("CONFIG_SMP=y\n")
    assert (error.value.complaint.file, error.value.complaint.line) == ("Kconfig", 3)
