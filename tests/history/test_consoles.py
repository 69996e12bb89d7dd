"""Consoles are kept by what is in them, and what is read is what was kept."""

import zlib

import pytest

from lab.errors import InfrastructureError, UserError
from lab.history.consoles import console_path, keep_console, read_console


def test_the_same_console_is_kept_once(paths):
    hash_ = keep_console(b"Linux version\n" * 100, paths)
    assert keep_console(b"Linux version\n" * 100, paths) == hash_
    assert len(list(paths.consoles.rglob("*.zlib"))) == 1
    assert read_console(hash_, paths) == b"Linux version\n" * 100
    assert console_path(hash_, paths).stat().st_size < 200


@pytest.mark.parametrize("damage", [b"", b"nonsense", zlib.compress(b"another"), zlib.compress(b"text\n")[:-2]])
def test_a_damaged_console_is_never_shown(paths, damage):
    hash_ = keep_console(b"text\n", paths)
    console_path(hash_, paths).write_bytes(damage)
    with pytest.raises(InfrastructureError, match="damaged"):
        read_console(hash_, paths)


def test_a_console_that_is_not_here(paths):
    with pytest.raises(UserError, match="is not here"):
        read_console("0" * 64, paths)


@pytest.mark.parametrize("hash_", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_what_is_no_hash_names_no_file(paths, hash_):
    with pytest.raises(UserError, match="is not the SHA-256"):
        console_path(hash_, paths)
