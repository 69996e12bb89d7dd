"""git, run so that its answer depends on the repository alone: not on the user's configuration, home or locale."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.errors import InfrastructureError, UserError
from lab.process import LIMIT_BYTES, Completed, run

HINT = "apt-get install git"

KEPT = re.compile(r"PATH|TMPDIR|SSH_AUTH_SOCK|GIT_SSH\w*|GIT_SSL_\w+|SSL_CERT_\w+|(?i:https?|all|no)_proxy")
"""What git's children and its network need of the environment. Everything else could change a result."""

SETTINGS = (
    "advice.detachedHead=false",
    "core.autocrlf=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.protectHFS=true",  # names that another system takes for .git are refused here too
    "core.protectNTFS=true",
    "core.quotePath=false",
    "gc.auto=0",
    "maintenance.auto=false",
)

ATTRIBUTES = "* -text -ident -filter -working-tree-encoding !eol\n"
"""What is in a blob is what is in the file, whatever the tree's own .gitattributes say."""

MAKEFILE_LIMIT = 1 << 20


def environment(*, user_config: bool = False) -> dict[str, str]:
    """The environment git runs in. ``user_config`` keeps the user's settings for what only reaches a network."""
    env = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    env |= {"LC_ALL": "C", "TZ": "UTC", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    if user_config:
        env |= {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    else:
        env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ATTR_NOSYSTEM": "1"}
    return env


def git(
    repo: Path,
    *args: str,
    deadline: float = 60.0,
    check: bool = True,
    index: Path | None = None,
    work_tree: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | Iterable[bytes] = b"",
    limit: int = LIMIT_BYTES,
    guard: bool = False,
    user_config: bool = False,
) -> Completed:
    """Run ``git ARGS`` on the git directory ``repo``, with ``index`` and ``work_tree`` instead of its own.

    ``deadline`` is in seconds. Raises :class:`InfrastructureError` with git's own first line when ``check`` is set and
    git's status is not 0, and where git is missing; an output larger than ``limit`` is an error too.
    """
    full = dict(environment(user_config=user_config))
    full |= {} if index is None else {"GIT_INDEX_FILE": str(index)}
    full |= {} if work_tree is None else {"GIT_WORK_TREE": str(work_tree)}
    full |= dict(env or {})
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    argv = ["git", f"--git-dir={repo}", *settings, *args]
    cwd = work_tree or repo
    done = run(argv, deadline=deadline, cwd=cwd, env=full, input=input, limit=limit, guard=guard, hint=HINT)
    if check and (done.returncode != 0 or done.cut):
        raise InfrastructureError(f"git {args[0]} in {repo}: {reason(done)}", hint=space_hint(done))
    return done


def text(done: Completed) -> str:
    """Standard output without its line end."""
    return done.stdout.decode("utf-8", "replace").rstrip("\n")


def reason(done: Completed) -> str:
    """Why git failed: its first error line, or its status."""
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    for mark in ("fatal: ", "error: ", ""):
        for line in lines:
            if line.startswith(mark) and line.strip():
                return printable(line.removeprefix(mark))
    if done.cut:
        return "its output is larger than it can be"
    return f"killed by signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"


def space_hint(done: Completed) -> str:
    """What to do where the disk is full."""
    return "free some disk space" if b"No space left on device" in done.stderr else ""


def printable(value: str) -> str:
    """``value`` with each control, format or unassigned character as U+FFFD, so that a terminal can be shown it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in value)


def make_repo(folder: Path, object_format: str = "sha1") -> None:
    """Make the empty bare repository ``folder``, without hooks and with byte-exact checkouts."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text(ATTRIBUTES)


def has_commit(repo: Path, commit: str) -> bool:
    """Whether ``commit`` and its tree are in ``repo`` or in what it borrows objects from."""
    return git(repo, "cat-file", "-e", f"{commit}^{{tree}}", check=False).ok


def tree_id(repo: Path, commit: str) -> str:
    """The id of the commit's tree: of the content alone."""
    return text(git(repo, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}"))


def kernel_version(repo: Path, commit: str) -> str:
    """The kernel's version (``6.1.192``, ``3.7.0-rc4``) as the top Makefile of ``commit`` gives it.

    Raises :class:`UserError` where the commit is not a kernel source.
    """
    done = git(repo, "cat-file", "blob", f"{commit}:Makefile", check=False, limit=MAKEFILE_LIMIT)
    version = makefile_version(done.stdout) if done.ok else ""
    if not version:
        raise UserError(f"{repo}: {commit[:12]} is not a kernel source: no Makefile with a VERSION at its top")
    return version


def makefile_version(makefile: bytes) -> str:
    """``make kernelversion`` without make, by the rule of KERNELVERSION in the kernel's Makefile; empty if there is
    none."""
    found = {
        key.decode(): value.strip().decode("ascii", "replace")
        for key, value in reversed(
            re.findall(rb"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*([\w.+~-]*)[ \t]*$", makefile, re.M)
        )
    }
    numbers: list[str] = []
    for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"):
        if not found.get(key, "").isdecimal():
            break
        numbers.append(found[key])
    return ".".join(numbers) + found.get("EXTRAVERSION", "") if len(numbers) > 1 else ""


def version_series(version: str) -> str:
    """The series that a version belongs to: ``3.7`` of ``3.7.0-rc4``, ``2.6.32`` of ``2.6.32.71``."""
    parts = re.split(r"[.-]", version)
    return ".".join(parts[: 3 if parts[0] == "2" else 2])
