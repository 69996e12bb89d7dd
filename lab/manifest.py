"""Reading TOML manifests into types, with errors that name the file and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from lab.errors import UserError

T = TypeVar("T")

LIMIT_BYTES = 1 << 20
"""No manifest that a person writes is larger; one that is would only fill memory."""


def load(path: Path, type_: type[T]) -> T:
    """Read ``path`` as TOML into ``type_`` (a ``msgspec.Struct`` that forbids unknown fields).

    Raises :class:`UserError` naming the file and the line (TOML syntax) or key (anything else).
    """
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    if len(data) > LIMIT_BYTES:
        raise UserError(f"{path}: larger than {LIMIT_BYTES >> 20} MiB, so not a manifest")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text") from None
    return loads(text, type_, str(path))


def loads(text: str, type_: type[T], name: str) -> T:
    """Like :func:`load` for text that is at hand; ``name`` stands in messages for the file."""
    try:
        return msgspec.convert(tomllib.loads(text), type_)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name}: not valid TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{name}: nested too deeply") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: {explain(str(error))}") from None


def explain(message: str) -> str:
    """msgspec's message with its path first, as a person would look for it: ``node[1].cpus: Expected `int` …``."""
    text, found, path = message.partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    return f"{key}: {text}" if found and key else text
