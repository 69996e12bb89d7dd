"""Who waits for whom: builds of one kernel, and places for guests."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import lab.line
from lab.errors import InfrastructureError
from lab.kernel.types import Kernel
from lab.testing.session import Options, Session
from lab.testing.slots import slot

if TYPE_CHECKING:
    from conftest import StandIn

OPTIONS = Options(trees={}, accel="", cc="", timeout=60.0, boots=1, strict=False, console=40)
REQUEST: Any = SimpleNamespace(config=SimpleNamespace(pluginmanager=None))


def in_threads(count: int, work: Any) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_one_builds_a_kernel_and_the_others_find_it(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in()
    built = Kernel("key", tmp_path, tmp_path, tmp_path, tmp_path, "6.1", 1.0, from_store=False)
    store: list[Kernel] = []
    builds = 0

    def kernel_of(*_: object) -> Kernel:
        nonlocal builds
        if not store:
            builds += 1
            time.sleep(0.1)
            store.append(built)
        return store[0]

    monkeypatch.setattr(lab.line, "kernel_of", kernel_of)
    at: Any = SimpleNamespace(label="early-policy-end", line=None, point=None)
    found: list[Kernel] = []
    in_threads(4, lambda: found.append(Session(OPTIONS).kernel(at, REQUEST)))
    assert (len(found), builds) == (4, 1)


def test_guests_run_beside_each_other_as_far_as_there_are_places(tmp_path: Path) -> None:
    running = most = ended = 0
    lock = threading.Lock()

    def guest() -> None:
        nonlocal running, most, ended
        with slot(tmp_path, 2, 20):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.05)
            with lock:
                running -= 1
                ended += 1

    in_threads(5, guest)
    assert (most, ended) == (2, 5)


def hold(folder: Path, ready: Any) -> None:
    """Take the only place and keep it."""
    with slot(folder, 1, 5):
        ready.set()
        time.sleep(60)


def test_a_place_is_waited_for_with_a_deadline_and_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    ready = multiprocessing.Event()
    holder = multiprocessing.Process(target=hold, args=(tmp_path, ready), daemon=True)
    holder.start()
    assert ready.wait(20)
    with pytest.raises(InfrastructureError, match="1 guests have been running") as refused, slot(tmp_path, 1, 0.1):
        pass
    assert "--lab-boots" in refused.value.hint
    holder.kill()
    holder.join(10)
    with slot(tmp_path, 1, 5):
        pass


def test_a_folder_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be locked"), slot(tmp_path / "file", 1, 60):
        pass
