"""Clear-signed text (RFC 9580, 7): the text inside, and whether a key that the user trusts has signed it."""

from __future__ import annotations

from pathlib import Path

from lab.errors import InfrastructureError, UserError
from lab.process import run
from lab.tree.git import environment, printable

BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----"
SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
END = "-----END PGP SIGNATURE-----"
SECONDS = 60.0


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


def verified_text(data: bytes, name: str, keyring: Path) -> str:
    """The signed text of ``data`` as gpgv gives it out, which a key of ``keyring`` has signed.

    The keyring is a file that gpgv(1) reads: binary or a keybox, not armored. Raises :class:`UserError` where it is
    not there, :class:`ToolMissing` without gpgv and :class:`InfrastructureError` for any signature but a good one.
    """
    clear_text(data, name)  # gpgv alone would pass over what is before or behind the message
    keyring = keyring.expanduser().absolute()
    if not keyring.is_file():
        raise UserError(f"{keyring}: no such keyring", hint="kernel_org_keyring of the configuration names it")
    argv = ["gpgv", "--keyring", str(keyring), "--output", "-", "-"]
    done = run(argv, deadline=SECONDS, env=environment(), input=data, hint="apt-get install gpgv")
    if not done.ok or done.cut:
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        why = printable(said[-1].removeprefix("gpgv: "))[:200] if said else f"gpgv's status {done.returncode}"
        raise InfrastructureError(f"{name}: its signature is not good: {why} (keyring {keyring})")
    return done.stdout.decode("utf-8", "replace")
