"""Clear-signed text (RFC 9580, 7): the text inside, and whether a key that the user trusts has signed it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.errors import InfrastructureError, UserError
from lab.process import run
from lab.tree.git import environment, printable

BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----"
SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
END = "-----END PGP SIGNATURE-----"
SECONDS = 60.0
STATUS = "[GNUPG:] "


class UnknownKey(InfrastructureError):
    """A signature by a key that is in none of the keyrings: of it nothing can be said."""


def clear_text(data: bytes, name: str) -> str:
    """The signed text of the one message in ``data``; nothing is said of the signature.

    ``name`` stands in messages. Raises :class:`InfrastructureError` for what is no clear-signed message, or has
    anything before or behind it.
    """
    lines = [line.rstrip(" \t\r") for line in data.decode("utf-8", "replace").strip().split("\n")]
    marks = [lines.count(mark) for mark in (BEGIN, SIGNATURE, END)]
    if marks != [1, 1, 1] or lines[0] != BEGIN or lines[-1] != END or "" not in lines:
        raise InfrastructureError(f"{name}: not a clear-signed text")
    head, end = lines.index(""), lines.index(SIGNATURE)
    if not all(line.startswith("Hash: ") for line in lines[1:head]) or head > end:
        raise InfrastructureError(f"{name}: not a clear-signed text")
    return "".join(line.removeprefix("- ") + "\n" for line in lines[head + 1 : end])


def verified_text(data: bytes, name: str, keyrings: Sequence[Path], setting: str) -> str:
    """The signed text of ``data`` as gpgv gives it out, which a key of one of ``keyrings`` has signed.

    A keyring is a file that gpgv(1) reads: binary or a keybox, not armored; ``setting`` of the configuration names it.
    Raises :class:`UserError` where one is not there, :class:`ToolMissing` without gpgv, :class:`UnknownKey` where a
    key is in none of them, and :class:`InfrastructureError` for any other signature but a good one.
    """
    clear_text(data, name)  # gpgv alone would pass over what is before or behind the message
    files = [keyring.expanduser().absolute() for keyring in keyrings]
    for keyring in files:
        if not keyring.is_file():
            raise UserError(f"{keyring}: no such keyring", hint=f"{setting} of the configuration names it")
    argv = ["gpgv", *(word for keyring in files for word in ("--keyring", str(keyring)))]
    argv += ["--status-fd", "2", "--output", "-", "-"]
    done = run(argv, deadline=SECONDS, env=environment(), input=data, hint="apt-get install gpgv")
    if not done.ok or done.cut:
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        said = [line for line in lines if not line.startswith(STATUS)]
        why = printable(said[-1].removeprefix("gpgv: "))[:200] if said else f"gpgv's status {done.returncode}"
        status = {line.removeprefix(STATUS).partition(" ")[0] for line in lines if line.startswith(STATUS)}
        error = UnknownKey if "NO_PUBKEY" in status and "BADSIG" not in status else InfrastructureError
        where = ", ".join(map(str, files))
        raise error(f"{name}: its signature is not good: {why} (keyring {where})")
    return done.stdout.decode("utf-8", "replace")
