"""What a config hunt asks a tree for, and what the tree makes of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from lab.bisect.config_hunt import mixed
from lab.bisect.difference import Config, Left, Mix, State, next_mix, with_verdict
from lab.kernel.kconfig import read_config, settle

CONFTEST = Path(__file__).parent.parent / "kernel" / "conftest.py"
spec = importlib.util.spec_from_file_location("fake_kernel", CONFTEST)
assert spec is not None
assert spec.loader is not None
fake_kernel = importlib.util.module_from_spec(spec)
sys.modules["fake_kernel"] = fake_kernel
spec.loader.exec_module(fake_kernel)
fake, toolchain = fake_kernel.fake, fake_kernel.toolchain

GOOD = "CONFIG_SLAB=y\n# CONFIG_SLUB is not set\nCONFIG_HZ=100\n"


def test_what_is_asked_for_stands_last_and_what_is_in_question_is_said_to_be_off():
    state = State(Config({"SLAB": "y", "HZ": "100"}), Config({"SLUB": "y", "SLUB_DEBUG": "y", "HZ": "250"}))
    assert mixed(GOOD, state, frozenset({"SLUB"}), "") == (
        "CONFIG_SLAB=y",
        "CONFIG_HZ=100",
        "# CONFIG_SLUB_DEBUG is not set",
        "CONFIG_SLUB=y",
    )
    assert mixed(GOOD, state, frozenset({"SLAB", "HZ"}), "")[-2:] == ("# CONFIG_SLAB is not set", "CONFIG_HZ=250")


def hunted(fake, good: str, bad: str) -> tuple[Left, int]:
    """What is left where SLUB brings the bug, and how many mixes that took."""
    texts = {"good": fake.resolve(good).text, "bad": fake.resolve(bad).text}
    known = {Config(read_config(text)): text for text in texts.values()}
    state = State(*known)

    def resolve(config: Config, asked: frozenset[str]) -> Config:
        kconfig = settle(
            "mix",
            mixed(known[config], state, asked, known[state.bad]),
            fake.source,
            tree_id=fake.tree_id,
            toolchain=fake.toolchain,
            compat=fake.compat,
            paths=fake.paths,
        )
        known.setdefault(Config(read_config(kconfig.text)), kconfig.text)
        return Config(read_config(kconfig.text))

    built = 0
    while isinstance(step := next_mix(state, resolve), Mix):
        built += 1
        state = with_verdict(state, step.config, "bad" if step.config.get("SLUB") == "y" else "good")
    assert isinstance(step, Left)
    return step, built


def test_the_trees_own_kconfig_decides_and_the_choice_is_named_by_what_is_switched_on(fake):
    """On real kconfig: the choice SLAB/SLUB, and NUMA that depends on two and selects a third."""
    bad = "CONFIG_SMP=y\nCONFIG_PCI=y\nCONFIG_NUMA=y\nCONFIG_SLUB=y\nCONFIG_NR_CPUS=4\n"
    left, built = hunted(fake, "CONFIG_SMP=y\nCONFIG_SLAB=y\n", bad)
    assert left.name == "SLUB"
    assert set(left.symbols) == {"SLAB", "SLUB"}
    assert built <= 3


def test_what_only_the_bad_one_can_see_and_has_off_stays_off(fake):
    """As on 3.7: SLUB_DEBUG is on by default where there is SLUB, and the bad kconfig says no to it."""
    debug = """
config SLUB_DEBUG
	bool "SLUB debugging"
	depends on SLUB
	default y

config SLABINFO
	bool
	depends on SLAB || SLUB_DEBUG
	default y
"""
    fake.write("Kconfig", fake_kernel.KCONFIG + debug)
    left, _ = hunted(fake, "CONFIG_SLAB=y\n", "CONFIG_SLUB=y\n# CONFIG_SLUB_DEBUG is not set\n")
    assert left.name == "SLUB"
    assert set(left.symbols) == {"SLAB", "SLUB", "SLABINFO"}
