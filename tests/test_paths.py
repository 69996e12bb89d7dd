"""Where the project's own data is: in a checkout, and in what a wheel installs."""

from __future__ import annotations

from pathlib import Path

import pytest

import lab.paths
from lab.paths import data_folder


def test_in_a_checkout_it_is_beside_the_package() -> None:
    assert (data_folder("qemu") / "two-nodes.toml").is_file()
    assert (data_folder("patches") / "early-policy" / "series.toml").is_file()


def test_where_a_wheel_was_installed_it_is_inside_whatever_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "lab"
    (package / "data" / "qemu").mkdir(parents=True)
    (package.parent / "qemu" / "qmp").mkdir(parents=True)  # what the package qemu.qmp installs
    monkeypatch.setattr(lab.paths, "__file__", str(package / "paths.py"))
    assert data_folder("qemu") == package / "data" / "qemu"
