"""A tree that looks like a kernel's to the lab and builds in a second, and what a build needs beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lab.kernel.build import build
from lab.kernel.kconfig import Fragment, render, resolve
from lab.kernel.toolchain import detect_toolchain
from lab.kernel.types import BuildFailure, Compat, Kconfig, Kernel, Toolchain
from lab.paths import Paths

MAKEFILE = """\
# Goes the way of kbuild: O=, .config by kconfig, compiling inside the object directory, bzImage out of vmlinux.
PYTHON := @PYTHON@
SRCS := $(wildcard */*.c)
OBJS := $(SRCS:%.c=$(O)/%.o)
CONF := cd $(CURDIR) && srctree=. KCONFIG_CONFIG=$(O)/.config KERNELVERSION=6.1.0 $(PYTHON) -m
export srctree := $(CURDIR)

allnoconfig olddefconfig:
	@$(CONF) $@ Kconfig >&2
defconfig:
	@$(CONF) alldefconfig Kconfig >&2
bzImage: $(O)/arch/x86/boot/bzImage
	@echo "Kernel: arch/x86/boot/bzImage is ready"
$(O)/%.o: %.c $(O)/.config
	@mkdir -p $(@D); echo "  CC      $*.o"
	@if [ -x $(CURDIR)/slow.sh ]; then $(CURDIR)/slow.sh $(O)/$*; fi
	@cd $(O) && $(CC) $(KCPPFLAGS) $(KCFLAGS) -Wall -c -o $@ $(CURDIR)/$<
$(O)/vmlinux: $(OBJS)
	@echo "  LD      vmlinux"; cd $(O) && ld -e 0 -o $@ $(OBJS)
	@nm $@ > $(O)/System.map; mkdir -p $(O)/include/config; echo 6.1.0 > $(O)/include/config/kernel.release
$(O)/arch/x86/boot/bzImage: $(O)/vmlinux
	@echo "  BUILD   arch/x86/boot/bzImage"; mkdir -p $(@D)/compressed
	@cp $< $(@D)/compressed/vmlinux; cp $< $@
"""

KCONFIG = """\
config SMP
	bool "Symmetric multi-processing"

config PCI
	bool "PCI"

config NUMA
	bool "NUMA"
	depends on SMP && PCI
	select MIGRATION

config MIGRATION
	bool "Migration"

config NR_CPUS
	int "CPUs"
	range 2 8
	default 8

choice
	prompt "Slab allocator"
	default SLUB
config SLAB
	bool "SLAB"
config SLUB
	bool "SLUB"
endchoice
"""

SOURCES = {
    "init/main.c": "const char *where = __FILE__;\nint policy(int);\nint main(void) { return policy(1); }\n",
    "mm/mempolicy.c": "int policy(int mode) { return mode; }\n",
}


@dataclass
class Fake:
    """The fake tree, and all that its build takes. ``tree_id`` stands for git's, so it changes with the tree."""

    source: Path
    folder: Path
    paths: Paths
    toolchain: Toolchain
    compat: Compat = field(default_factory=Compat)
    tree_id: str = "tree-1"

    def write(self, name: str, text: str, tree_id: str = "") -> None:
        """Change a file of the tree, which then has another id."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.tree_id = tree_id or f"{self.tree_id}+"

    def fragment(self, text: str, name: str = "own") -> Fragment:
        """A fragment of the kconfigs' folder with this text."""
        (self.folder / f"{name}.config.j2").write_text(text)
        return render(name, "6.1.0", {}, folder=self.folder)

    def resolve(self, text: str, **kwargs: Any) -> Kconfig:
        """Resolve a fragment with this text."""
        given = {"tree_id": self.tree_id, "toolchain": self.toolchain, "compat": self.compat, "paths": self.paths}
        return resolve(self.fragment(text), self.source, **{**given, **kwargs})

    def build(self, text: str = "CONFIG_SMP=y\n", **kwargs: Any) -> Kernel | BuildFailure:
        """Build the tree as it is now."""
        given = {"toolchain": self.toolchain, "compat": self.compat, "paths": self.paths, "version": "6.1.0"}
        kconfig = kwargs.pop("kconfig", None) or self.resolve(text)
        return build(
            self.source,
            **{"tree_id": self.tree_id, "kconfig": kconfig, "objects_key": "fake_6.1.0", "jobs": 2, **given, **kwargs},
        )


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The toolchain of this machine."""
    return detect_toolchain()


@pytest.fixture
def fake(tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A fake tree in a folder of its own, with an empty cache."""
    monkeypatch.delenv("CCACHE_DIR", raising=False)
    cache = tmp_path / "cache"
    tree = Fake(
        cache / "worktrees" / "fake", tmp_path / "kconfigs", Paths(cache, tmp_path / "d", tmp_path / "c"), toolchain
    )
    tree.folder.mkdir()
    for name, text in {"Makefile": MAKEFILE.replace("@PYTHON@", sys.executable), "Kconfig": KCONFIG, **SOURCES}.items():
        tree.write(name, text)
    return replace(tree, tree_id="tree-1")
