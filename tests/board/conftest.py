"""A board that is none: its serial line is a pseudo-terminal, its power switch a command that makes a file."""

from __future__ import annotations

import os
import pty
import random
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.paths import Paths
from tests.board.made import CLEAN, lossy, replayed

ENVIRONMENT = """\
targets:
  main:
    options:
      lab:
        nodes: 1
        append: console=ttyS0
{options}
    resources:
      RawSerialPort:
        port: {port}
    drivers:
      SerialDriver: {{}}
      ExternalPowerDriver:
        cmd_on: !template "sh -c '{on}'"
        cmd_off: sh -c '{off}'
images:
  kernel: !template "$LG_KERNEL"
  initramfs: !template "$LG_INITRAMFS"
"""
ON = 'echo "$LG_APPEND" >{folder}/new && mv {folder}/new {folder}/on'
OFF = "rm -f {folder}/on; echo off >>{folder}/switched"


@dataclass
class Bench:
    """The board: what it prints when it is switched on (once; then its last line again and again), and before."""

    folder: Path
    master: int
    port: str
    prints: Path | None = CLEAN
    rate: float = 0.0
    seed: int = 0
    before: bytes = b""
    first: bytes = b""
    word: str = ""
    hang_up: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    start: Callable[[], None] = lambda: None

    def environment(self, *options: str, on: str = ON, off: str = OFF) -> Path:
        """Its labgrid environment."""
        lines = "\n".join(f"        {line}" for line in options)
        commands = [text.format(folder=self.folder) for text in (on, off)]
        path = self.folder / "bench.yaml"
        path.write_text(
            ENVIRONMENT.format(options=lines, port=self.port, on=commands[0].replace('"', '\\"'), off=commands[1])
        )
        return path

    @property
    def powered(self) -> bool:
        """Whether it has power."""
        return (self.folder / "on").exists()

    def work(self) -> None:
        """Print, for as long as the test takes."""
        self.write(self.before)
        random_ = random.Random(self.seed)
        while not self.stop.is_set():
            if not self.powered:
                self.stop.wait(0.01)
                continue
            word = self.word or (self.folder / "on").read_text().split()[0]
            text = replayed(self.prints, word) if self.prints else b""
            self.write(self.first + lossy(text, self.rate, random_))
            if self.hang_up:
                os.close(self.master)
                return
            again = next((line for line in text.splitlines(keepends=True) if b"lab: userspace" in line), b"")
            while self.powered and not self.stop.wait(0.05):
                self.write(lossy(again, self.rate, random_))

    def write(self, data: bytes) -> None:
        """As a serial line has it: what nobody reads is lost."""
        left = memoryview(data)
        limit = time.monotonic() + 20
        while left and not self.stop.is_set() and time.monotonic() < limit:
            if select.select([], [self.master], [], 0.05)[1]:
                left = left[os.write(self.master, left[:512]) :]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The board, without power; ``start()`` it once it is told what to print."""
    pytest.importorskip("labgrid", reason="the extra 'boards' is not installed")
    master, slave = pty.openpty()
    board = Bench(tmp_path, master, os.ttyname(slave))
    os.set_blocking(master, False)
    thread = threading.Thread(target=board.work, daemon=True)
    board.start = thread.start
    yield board
    board.stop.set()
    if thread.ident:
        thread.join(5)
    os.close(slave)
    if not board.hang_up:
        os.close(master)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of this test's own."""
    return Paths(cache=tmp_path / "cache", data=tmp_path / "data", config=tmp_path / "config")
