"""The user's configuration file: everything in it is optional."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from lab.manifest import load


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``config.toml`` of the user. ``bases`` maps a base's name to a git tree (a path or a URL) to take it from.

    ``cc`` is the compiler (``gcc-11``), ``accel`` one of ``auto``, ``kvm``, ``tcg``; ``jobs`` 0 means one a core.
    ``sandbox`` says whether builds of a stranger's series are shut in: where that can be had, always, or never.
    ``kernel_org_keyring`` is the path of a keyring for gpgv(1): the hashes of kernel.org's releases must be signed by
    a key in it. ``dsc_keyrings`` are keyrings that every ``.dsc`` of Debian or Ubuntu must be signed by a key of; none:
    those of the installed keyring packages are asked. ``history`` is the URL of a shared history
    (``postgresql://user@host/lab``); empty: a file of this user's. ``share`` is the place of the store's shared side: a
    folder, ``sftp://…`` or ``s3://…`` (lab.share.where). ``boards`` maps a board's name to its labgrid environment.
    """

    bases: dict[str, str] = {}
    cc: str = ""
    accel: str = "auto"
    jobs: int = 0
    sandbox: Literal["auto", "require", "off"] = "auto"
    history: str = ""
    kernel_org_keyring: str = ""
    share: str = ""
    dsc_keyrings: list[str] = []
    boards: dict[str, str] = {}


def load_settings(path: Path) -> Settings:
    """The settings in ``path``, or the defaults where there is no such file; :class:`UserError` names a wrong key."""
    return load(path, Settings) if path.exists() else Settings()
