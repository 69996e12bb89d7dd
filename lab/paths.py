"""Where things are: the project's own data, the cache, the user's configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lab.xdg import cache_folder, user_folder


def data_folder(name: str) -> Path:
    """Folder ``name`` (``patches``, ``kconfigs``, ``qemu``, ``boards``) of the project: at a checkout's top, inside
    the package when it was installed from a wheel (beside the package, other projects have a ``qemu`` then)."""
    package = Path(__file__).resolve().parent
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name


@dataclass(frozen=True)
class Paths:
    """The lab's folders. Everything below ``cache`` can be made again; nothing below ``data`` can."""

    cache: Path
    data: Path
    config: Path

    @property
    def bases(self) -> Path:
        """Git repositories, one a base."""
        return self.cache / "bases"

    @property
    def worktrees(self) -> Path:
        """Checkouts that builds work in, one a base, moved along the series."""
        return self.cache / "worktrees"

    @property
    def objects(self) -> Path:
        """Object directories (``O=``), one for each checkout, kconfig and toolchain."""
        return self.cache / "objects"

    @property
    def kernels(self) -> Path:
        """The store of built kernels, by content key."""
        return self.cache / "kernels"

    @property
    def kconfigs(self) -> Path:
        """Resolved kconfigs, by what went in."""
        return self.cache / "kconfigs"

    @property
    def ahead(self) -> Path:
        """Which QEMU a command line came to, to start it sooner the next time."""
        return self.cache / "ahead"

    @property
    def initramfs(self) -> Path:
        """Built initramfs images, by content key."""
        return self.cache / "initramfs"

    @property
    def programs(self) -> Path:
        """Compiled test programs for the guest, by content key."""
        return self.cache / "programs"

    @property
    def imported(self) -> Path:
        """Cases that were made of mails for one run: they can be imported again."""
        return self.cache / "imported"

    @property
    def cases(self) -> Path:
        """Cases that the user has imported to keep, where the lab is not a checkout of its own."""
        return self.data / "patches"

    @property
    def boots(self) -> Path:
        """One folder a boot: its console and what was found in it."""
        return self.cache / "boots"

    @property
    def bisects(self) -> Path:
        """The journals of bisects, by what was asked."""
        return self.cache / "bisects"

    @property
    def consoles(self) -> Path:
        """The consoles that the history names, by the hash of their content."""
        return self.data / "consoles"

    @property
    def accelerators(self) -> Path:
        """What was learned about this host's accelerators."""
        return self.cache / "accelerators.json"

    @property
    def config_file(self) -> Path:
        """The user's configuration."""
        return self.config / "config.toml"


def user_paths(environ: dict[str, str] | None = None) -> Paths:
    """The folders of this user, after the XDG base directory specification; ``LAB_CACHE``, ``LAB_DATA`` and
    ``LAB_CONFIG`` override them."""
    env = dict(os.environ) if environ is None else environ
    env = {**env, "HOME": env.get("HOME") or str(Path.home())}
    return Paths(
        cache=Path(cache_folder(env)).absolute(),
        data=Path(user_folder(env, "LAB_DATA", "XDG_DATA_HOME", ".local/share")).absolute(),
        config=Path(user_folder(env, "LAB_CONFIG", "XDG_CONFIG_HOME", ".config")).absolute(),
    )
