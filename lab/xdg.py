"""Where this user's folders are, as text. Nothing is imported here: it is asked for before anything else is loaded."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def user_folder(env: Mapping[str, str], override: str, variable: str, default: str) -> str:
    """The lab's folder by the XDG base directory specification: ``variable``, or ``default`` below ``HOME``.

    The variable ``override`` names the folder itself and comes first. Empty where there is not even a ``HOME``.
    """
    if env.get(override):
        return env[override]
    root = env.get(variable, "")
    if not root.startswith("/"):  # the specification: a relative path is to be ignored
        root = f"{env['HOME']}/{default}" if env.get("HOME") else ""
    return f"{root}/kernel-boot-lab" if root else ""


def cache_folder(env: Mapping[str, str]) -> str:
    """Where all that can be made again is."""
    return user_folder(env, "LAB_CACHE", "XDG_CACHE_HOME", ".cache")
