"""``ci/clean``: which boots it makes, in which order, and what it says of each."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from lab.console.scanner import Scanner, scan_file
from lab.console.types import Finding
from lab.errors import InfrastructureError, UserError
from lab.guest.machine import Machine, load_machine
from lab.guest.types import Boot
from lab.kernel.types import Kernel
from lab.paths import Paths, data_folder, user_paths

ROOT = Path(__file__).parents[2]
CONSOLES = ROOT / "tests" / "data" / "consoles"


def load() -> ModuleType:
    """The script's definitions."""
    loader = importlib.machinery.SourceFileLoader("ci_clean", str(ROOT / "ci" / "clean"))
    spec = importlib.util.spec_from_loader("ci_clean", loader)
    assert spec
    sys.modules["ci_clean"] = module = importlib.util.module_from_spec(spec)  # where a dataclass looks for its names
    loader.exec_module(module)
    return module


CLEAN = load()
MARKER = b"[    1.000000] lab: userspace nodes=1 cpus=2 numa=no release=6.1.0 end\n"
MACHINES = [load_machine(name, data_folder("qemu")) for name in ("arm64-two-nodes", "one-node", "two-nodes")]


@pytest.fixture
def store(tmp_path: Path) -> Paths:
    """A store of four kernels, one of them for arm64, one with a planted bug."""
    paths = user_paths({"LAB_CACHE": str(tmp_path)})
    for key, compiler, kconfig in (
        ("a0", "gcc", "planted"),
        ("a1", "gcc", "tiny"),
        ("a2", "aarch64-linux-gnu-gcc", "tiny-arm64"),
        ("a3", "ccache/gcc-11", "debug"),
    ):
        folder = paths.kernels / key / key
        folder.mkdir(parents=True)
        for name in ("bzImage", "vmlinux", "config"):
            (folder / name).touch()
        inputs = {"kconfig": {"name": kconfig}, "toolchain": {"cc": compiler}}
        record = {"release": "6.1.0", "seconds": 1.0, "warnings": [], "inputs": inputs}
        (folder / "kernel.json").write_text(json.dumps(record))
    (paths.kernels / "a4" / "a4").mkdir(parents=True)
    (paths.kernels / "a4" / "a4" / "kernel.json").write_text("{}")  # damaged: it is built again when it is asked for
    return paths


def test_a_kernel_is_booted_on_the_machines_of_its_architecture_and_planted_bugs_come_last(store: Paths) -> None:
    known = CLEAN.kernels(store)
    assert [(kernel.key, name) for kernel, _, name in known] == [
        ("a0", "x86_64"),
        ("a1", "x86_64"),
        ("a2", "arm64"),
        ("a3", "x86_64"),
    ]
    assert [(kernel.key, machine.name) for kernel, _, machine in CLEAN.plan(known, MACHINES)] == [
        ("a1", "two-nodes"),
        ("a2", "arm64-two-nodes"),
        ("a3", "two-nodes"),
        ("a1", "one-node"),
        ("a3", "one-node"),
        ("a0", "one-node"),
        ("a0", "two-nodes"),
    ]


def judged(monkeypatch: pytest.MonkeyPatch, store: Paths, console: str, kconfig: str = "tiny", **changes: str) -> str:
    """What is said of a boot with that console."""
    folder = store.cache / "boot"
    folder.mkdir(exist_ok=True)
    file = store.cache / "console.log"
    file.write_bytes((CONSOLES / console).read_bytes() if console else MARKER)
    made = Boot(
        outcome="userspace", detail="", report=scan_file(file), machine="one-node", nodes=1, accel="tcg", argv=(),
        folder=folder, console=file, seconds=1.0,
    )  # fmt: skip
    monkeypatch.setattr(CLEAN, "boot", lambda *_, **__: replace(made, **changes))
    monkeypatch.setattr(CLEAN, "initramfs", lambda *_, **__: file)
    kernel: Kernel = CLEAN.kernels(store)[0][0]
    said: str = CLEAN.run(kernel, kconfig, MACHINES[1], store=store, guests=store).judgement
    assert folder.exists() == (said in ("found", "down", "unknown"))
    return said


def test_what_is_said_of_a_boot(monkeypatch: pytest.MonkeyPatch, store: Paths) -> None:
    assert judged(monkeypatch, store, "") == "clean"
    assert judged(monkeypatch, store, "zoo-3.7/plain-warn.txt") == "found"
    assert judged(monkeypatch, store, "zoo-3.7/plain-warn.txt", "planted") == "planted"
    assert judged(monkeypatch, store, "zoo-6.1/plain-early-bug.txt", outcome="died") == "down"
    assert judged(monkeypatch, store, "zoo-3.7/plain-warn.txt", outcome="qemu") == "unknown"


STALL = b"""\
[    0.480000] INFO: rcu_sched self-detected stall on CPU { 4}  (t=%d jiffies)
[    0.480000] Pid: 0, comm: swapper/4 Not tainted 3.7.2 #1
[    0.480000] Call Trace:
[    0.480000]  <IRQ>  [<ffffffff8115bed9>] rcu_check_callbacks.cold+0x6a/0x297
[    0.480000]  <EOI>  [<ffffffff810082d4>] ? default_idle+0x24/0x40
[    0.480000]  [<ffffffff81008c0e>] cpu_idle+0x6e/0xc0
"""


def test_a_false_alarm_of_the_kernels_is_told_from_a_stall() -> None:
    def found(jiffies: int) -> Finding:
        scanner = Scanner()
        scanner.feed(STALL % jiffies)
        (finding,) = scanner.close().findings
        return finding

    assert CLEAN.false_alarm("3.7.2", found(2))
    assert not CLEAN.false_alarm("3.7.2", found(15_000)), "a stall"
    assert not CLEAN.false_alarm("3.13.0", found(2)), "not known of such a kernel"
    other = scan_file(CONSOLES / "zoo-3.7/plain-warn.txt").findings[0]
    assert not CLEAN.false_alarm("3.7.2", other)


@pytest.mark.parametrize(("error", "said"), [(UserError("no PVH"), "unfit"), (InfrastructureError("full"), "unknown")])
def test_a_kernel_that_cannot_be_started_is_told_from_a_lab_that_cannot(
    monkeypatch: pytest.MonkeyPatch, store: Paths, error: Exception, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(CLEAN, "boot", refuse)
    monkeypatch.setattr(CLEAN, "initramfs", refuse if said == "unfit" else lambda *_, **__: store.cache)
    row = CLEAN.run(CLEAN.kernels(store)[0][0], "tiny", MACHINES[1], store=store, guests=store)
    assert (row.judgement, row.titles) == (said, (str(error),))


def test_what_was_booted_is_not_booted_again(
    monkeypatch: pytest.MonkeyPatch, store: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second call goes on where the first was; what the lab failed at, or noted in part, is tried again."""
    asked = []

    def boots(word: str) -> None:
        def within(_until: float, pair: tuple[Kernel, str, Machine], _store: Paths, _guests: Paths) -> object:
            asked.append((pair[0].key, pair[2].name))
            return CLEAN.Row(pair[0].key, "6.1.0", pair[1], pair[2].name, word, ("t",), 1.0, "")

        monkeypatch.setattr(CLEAN, "within", within)

    monkeypatch.setattr(CLEAN, "user_paths", lambda *_: store)
    words = ["ci/clean", "--work", str(tmp_path / "work"), "--machine", "one-node", "--json", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--kernel", "a1"])
    boots("clean")
    assert CLEAN.main() == 0
    monkeypatch.setattr(sys, "argv", words)
    boots("unknown")
    assert CLEAN.main() == 128
    with (tmp_path / "work" / CLEAN.NOTES).open("a") as notes:
        notes.write('{"kernel": "a3", "rel')
    boots("clean")
    capsys.readouterr()
    assert CLEAN.main() == 0
    assert asked == [("a1", "one-node"), ("a3", "one-node"), ("a0", "one-node"), ("a3", "one-node"), ("a0", "one-node")]
    told = json.loads(capsys.readouterr().out)
    assert (told["pairs"], told["boots"], told["clean"]) == (3, 3, 3)
