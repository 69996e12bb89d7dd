"""A stranger's tree builds as any other, and what its Makefile and Kconfig run reaches nothing outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.kernel.types import Kernel
from lab.sandbox import Sandbox, unusable

pytestmark = pytest.mark.skipif(bool(unusable()), reason=f"{unusable()}")


@pytest.fixture
def foreign(fake):
    return replace(fake, toolchain=replace(fake.toolchain, sandbox=Sandbox("abc")))


def reach_out(tree, *places):
    """Have the tree's Makefile write to ``places`` while it builds."""
    evil = "; ".join(f"echo x > {place}" for place in places)
    makefile = (tree.source / "Makefile").read_text()
    rule = f"evil:\n\t-@({evil}) 2>/dev/null\nbzImage: evil $(O)"
    tree.write("Makefile", makefile.replace("bzImage: $(O)", rule, 1))


def test_a_makefile_that_reaches_out(foreign, tmp_path):
    places = [tmp_path / "owned", Path.home() / "lab-owned", foreign.source / "owned", foreign.paths.kernels / "owned",
              foreign.paths.cache / "ccache" / "owned"]  # fmt: skip
    reach_out(foreign, *places)
    kernel = foreign.build()
    assert isinstance(kernel, Kernel)
    assert "BUILD   arch/x86/boot/bzImage" in (kernel.folder / "build.log").read_text()
    assert not any(place.exists() for place in places)


def test_without_a_sandbox_it_would_have(fake, tmp_path):
    reach_out(fake, tmp_path / "owned")
    assert isinstance(fake.build(), Kernel)
    assert (tmp_path / "owned").exists()


def test_its_object_directory_is_its_own(foreign, fake):
    assert isinstance(foreign.build(), Kernel)
    fake.tree_id = "tree-2"
    assert isinstance(fake.build(), Kernel)
    folders = sorted(path.name for path in fake.paths.objects.iterdir() if path.is_dir())
    assert len([name for name in folders if "-foreign-abc" in name]) == 2  # objects, kconfig
    assert len([name for name in folders if "-foreign-" not in name]) == 1


def test_a_kconfig_that_runs_commands(foreign, tmp_path):
    evil = tmp_path / "owned"
    foreign.write(
        "Kconfig", f"touched := $(shell,echo x > {evil} 2>/dev/null)\n{(foreign.source / 'Kconfig').read_text()}"
    )
    kconfig = foreign.resolve("CONFIG_SMP=y\nCONFIG_NUMA=y\n")
    assert [(unmet.symbol, unmet.got) for unmet in kconfig.unmet] == [("NUMA", "n")]
    assert "PCI" in kconfig.unmet[0].why
    assert not evil.exists()
