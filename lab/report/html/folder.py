"""The report's folder, written whole or not at all: built beside its place, then the two are exchanged."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import InfrastructureError, UserError
from lab.progress import silent
from lab.report.html.pages import STYLE, console_path

if TYPE_CHECKING:
    from lab.progress import Progress
    from lab.report.html.pages import Pages

MARKER = ".kernel-boot-lab-report"
"""A file that says that a folder is a report, and may be replaced by another."""
RENAME_EXCHANGE = 2  # linux/fs.h
AT_FDCWD = -100


@dataclass(frozen=True)
class Written:
    """What was written."""

    folder: Path
    pages: int
    consoles: int
    missing: int


def write_folder(pages: Pages, folder: Path, progress: Progress = silent) -> Written:
    """Write all pages and consoles to ``folder``. A reader sees the old report or the new one.

    Raises :class:`UserError` where ``folder`` is something else than a report, which is left alone, and
    :class:`InfrastructureError` where it cannot be written; then the old report stays.
    """
    folder = folder.absolute()
    check_place(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with _building(folder) as new:
            (new / MARKER).write_bytes(b"")
            shutil.copyfile(STYLE, new / "style.css")
            count = 0
            for page in pages.all():
                target = new / page.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(page.text.encode("utf-8", "backslashreplace"))
                count += 1
                progress("pages", done=count, total=pages.count)
            consoles, missing = _consoles(pages, new)
            new.chmod(0o755)
            _put(new, folder)
    except OSError as error:
        raise InfrastructureError(f"{folder}: the report cannot be written: {error.strerror or error}") from None
    return Written(folder, count, consoles, missing)


def check_place(folder: Path) -> None:
    """Raise :class:`UserError` unless there is nothing at ``folder``, an empty folder, or a report."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder}: is not a folder", hint="name another with --output")
    if folder.is_dir() and not (folder / MARKER).is_file():
        try:
            empty = not any(folder.iterdir())
        except OSError as error:
            raise UserError(f"{folder}: {error.strerror or error}") from None
        if not empty:
            raise UserError(
                f"{folder}: holds something that is not a report of the lab, and is left alone",
                hint="name another with --output",
            )


def _consoles(pages: Pages, new: Path) -> tuple[int, int]:
    """Copy the texts of all attempts' consoles; how many, and how many of them are gone from the store."""
    done: set[str] = set()
    missing = 0
    (new / "consoles").mkdir()
    attempts = (one for night in pages.book.nights for result in night.results for one in result.attempts)
    for digest in (one.console for one in attempts if one.console):
        if digest in done:
            continue
        done.add(digest)
        data = pages.console(digest)
        if data is None:
            missing += 1
        else:
            (new / console_path(digest)).write_bytes(data)
    return len(done) - missing, missing


@contextlib.contextmanager
def _building(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` that nobody else uses while it is locked; gone in the end, whatever is in it then."""
    new = folder.parent / f".{folder.name[:100]}.{os.getpid()}-{os.urandom(4).hex()}.new"
    new.mkdir(mode=0o700)
    fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)
        os.close(fd)


def _sweep(folder: Path) -> None:
    """Remove what a killed writer left: what is called like a folder in the making, and not locked."""
    for left in folder.parent.glob(f".{glob_escape(folder.name[:100])}.*.new"):
        try:
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(fd)


def glob_escape(name: str) -> str:
    """``name`` for :meth:`Path.glob`, with nothing special in it."""
    import glob

    return glob.escape(name)


def _put(new: Path, folder: Path) -> None:
    """Make ``new`` what ``folder`` is, in one step where the file system can."""
    if not folder.exists():
        with contextlib.suppress(FileExistsError):
            new.rename(folder)
            return
    if _exchange(new, folder):
        return
    aside = new.with_name(new.name.removesuffix(".new") + ".old.new")
    folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """``renameat2(2)`` with RENAME_EXCHANGE; false where this system has no such thing."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if call(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code))
