"""Where mails come from: a mailbox, maildir, folder, tarball, git range or git bundle, each with bounds."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.errors import UserError
from lab.tree.archive import decompressed, safe
from lab.tree.git import git, make_repo, printable, reason, text
from lab.tree.importing.letter import MAIL_BYTES, Raw

TOTAL_BYTES = 256 << 20
MAILS_LIMIT = 20_000
COUNT_LIMIT = 100_000
RANGE_SECONDS = 300.0

FROM_LINE = re.compile(rb"^From (?:[^\n]* )?[^\n]*\d\d:\d\d[^\n]*\n", re.MULTILINE)
ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
PATCH_FILE = re.compile(r".*\.(?:patch|diff|eml|mbox|mbx)", re.IGNORECASE)
RANGE = re.compile(r"(?![-.])([\w./@{}~^+-]+?)\.\.(?!\.)([\w./@{}~^+-]*)")
GIT_BUNDLE = re.compile(rb"# v[23] git bundle\n")


@dataclass(frozen=True)
class Mails:
    """What a source gave: ``kind`` and ``name`` for people, the mails, in a git range also the commit it begins at."""

    kind: str
    name: str
    raws: tuple[Raw, ...]
    base_commit: str = ""
    fixes: tuple[Raw, ...] = ()


def read_path(path: Path) -> Mails:
    """The mails in file or folder ``path``. Raises :class:`UserError` in one line for what is none or unsafe."""
    if path.is_dir():
        if (path / "cur").is_dir() and (path / "new").is_dir():
            return from_maildir(path)
        return from_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: neither a file nor a folder")
    data = contents(path)
    if data[257:262] == b"ustar":
        return from_tar(path, data)
    if GIT_BUNDLE.match(data):
        raise UserError(f"{path}: a git bundle needs a tree", hint="name the tree that it builds on with --tree PATH")
    return of_raws("mbox" if data.startswith(b"From ") else "file", path.name, split(data, path.name, path.stem))


def of_raws(kind: str, name: str, raws: list[Raw], fixes: list[Raw] | None = None) -> Mails:
    """The value of ``raws``; :class:`UserError` where there are none."""
    if not raws:
        raise UserError(f"{name}: there is no mail and no patch in it")
    return Mails(kind, name, tuple(raws), fixes=tuple(fixes or ()))


def contents(path: Path) -> bytes:
    """A file without its compression (gzip, bzip2, xz), which may not give more than a mailbox ever has."""
    try:
        with path.open("rb") as file:
            return unpacked(file, str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def unpacked(file: IO[bytes], name: str) -> bytes:
    """What is in ``file``, decompressed as its first bytes say."""
    try:
        data = decompressed(file).read(TOTAL_BYTES + 1)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{name}: damaged: {error}") from None
    if len(data) > TOTAL_BYTES:
        raise UserError(f"{name}: larger than {TOTAL_BYTES >> 20} MiB when unpacked, so no mailbox of a series")
    return data


def split(data: bytes, name: str, stem: str = "") -> list[Raw]:
    """The mails of a mailbox (mboxrd, as public-inbox and git write it), or the one mail or diff that it is."""
    if data[:64].split(b"\n", 1)[0].endswith(b"\r"):
        data = data.replace(b"\r\n", b"\n")
    if not data.startswith(b"From "):
        return [Raw(name, data, stem)] if data.strip() else []
    starts = [found.start() for found in FROM_LINE.finditer(data) if is_start(data, found)]
    if not starts:
        return [Raw(name, data, stem)]
    if len(starts) > MAILS_LIMIT:
        raise UserError(f"{name}: has {len(starts)} mails; the lab takes at most {MAILS_LIMIT}")
    ends = [*starts[1:], len(data)]
    one = len(starts) == 1
    return [
        Raw(name if one else f"mail {number} of {name}", ESCAPED_FROM.sub(rb"\1", data[start:end]), stem if one else "")
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]


def is_start(data: bytes, found: re.Match[bytes]) -> bool:
    """Whether a From line begins a mail: it is the first, or follows an empty line, and headers follow it."""
    start = found.start()
    if start and data[start - 2 : start] != b"\n\n" and data[start - 1 : start] != b"\n":
        return False
    return re.match(rb"[!-9;-~]{1,76}:", data[found.end() : found.end() + 80]) is not None


def from_maildir(path: Path) -> Mails:
    """The mails of a maildir, in the order of their names, which is that of their coming."""
    files = sorted((file for folder in ("cur", "new") for file in listed(path / folder)), key=lambda file: file.name)
    return of_raws("maildir", path.name, [read_file(file, path) for file in files])


def from_folder(path: Path) -> Mails:
    """The patches of a folder: in the order of its quilt ``series`` file where it has one, else of their names."""
    names = [file for file in listed(path) if PATCH_FILE.fullmatch(file.name)]
    series = path / "series"
    if series.is_file():
        names = [inside(path, name) for name in quilt(contents(series), str(series))]
    raws = [raw for file in names for raw in split(read_file(file, path).data, file.name, file.stem)]
    fix = [read_file(file, path) for file in listed(path / "fix") if PATCH_FILE.fullmatch(file.name)]
    return of_raws("folder", path.name, raws, fix)


def listed(folder: Path) -> list[Path]:
    """The regular files of ``folder``, sorted by name; links are not followed."""
    if not folder.is_dir():
        return []
    found = []
    for count, file in enumerate(folder.iterdir()):
        if count >= COUNT_LIMIT:
            raise UserError(f"{folder}: has more than {COUNT_LIMIT} files")
        if file.is_file() and not file.is_symlink():
            found.append(file)
    if len(found) > MAILS_LIMIT:
        raise UserError(f"{folder}: has {len(found)} files; the lab takes at most {MAILS_LIMIT} mails")
    return sorted(found, key=lambda file: file.name)


def read_file(path: Path, above: Path) -> Raw:
    """One file as a mail; what is too large is told by the reader of mails."""
    try:
        with path.open("rb") as file:
            return Raw(printable(str(path.relative_to(above))), file.read(MAIL_BYTES + 1), path.stem)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def quilt(data: bytes, name: str) -> list[str]:
    """The names in a quilt ``series`` file; options after a name are refused where they would change the patch."""
    names = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        words = line.partition(" #")[0].split()
        if not words or words[0].startswith("#"):
            continue
        if any(word not in ("-p1", "-p", "1") for word in words[1:]):
            raise UserError(f"{name}:{number}: only -p1 is understood, not {printable(' '.join(words[1:]))[:60]!r}")
        names.append(words[0])
    return names


def inside(folder: Path, name: str) -> Path:
    """File ``name`` of ``folder``, which it must not leave."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise UserError(f"{folder}: {printable(name)[:100]!r} of its series file is not a file in it")
    return path


def from_tar(path: Path, data: bytes) -> Mails:
    """The patches in a tarball; nothing is unpacked to disk. Links, devices and paths that leave it are refused."""
    found: dict[str, bytes] = {}
    order: list[str] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="strict", encoding="utf-8") as tar:
            for count, member in enumerate(tar):
                if count > COUNT_LIMIT:
                    raise UserError(f"{path}: has more than {COUNT_LIMIT} members")
                name = safe(member.name.removeprefix("./").rstrip("/") or "x", str(path)).decode()
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise UserError(f"{path}: {name!r} is neither a file nor a folder")
                base = name.rpartition("/")[2]
                if base == "series" or PATCH_FILE.fullmatch(base):
                    content = tar.extractfile(member)
                    found[name] = content.read(MAIL_BYTES + 1) if content else b""
                    order.append(name)
                tar.members = []  # type: ignore[attr-defined] # else it keeps every header it has seen
    except (tarfile.TarError, EOFError, OSError, UnicodeError, ValueError) as error:
        raise UserError(f"{path}: a damaged archive: {error}") from None
    series = next((name for name in order if name.rpartition("/")[2] == "series"), "")
    patches = sorted(name for name in order if PATCH_FILE.fullmatch(name.rpartition("/")[2]))
    if series:
        folder = series.removesuffix("series")
        patches = [folder + name for name in quilt(found[series], f"{path}: {series}")]
        missing = next((name for name in patches if name not in found), "")
        if missing:
            raise UserError(f"{path}: its series file names {printable(missing)[:100]!r}, which is not in it")
    fix = [name for name in patches if "fix" in name.split("/")[:-1]] if not series else []
    raws = [raw for name in patches if name not in fix for raw in split(found[name], name, Path(name).stem)]
    return of_raws("tarball", path.name, raws, [Raw(name, found[name], Path(name).stem) for name in fix])


def from_range(git_dir: Path, spec: str) -> Mails:
    """The commits of ``A..B`` in a git repository, as git-format-patch(1) gives them, and the commit before them."""
    found = RANGE.fullmatch(spec)
    if not found:
        raise UserError(f"{printable(spec)[:100]!r} is not a range of git commits such as v6.1..topic")
    first, last = found[1], found[2] or "HEAD"
    for revision in (first, last):
        if not git(git_dir, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}",
                   check=False).ok:  # fmt: skip
            raise UserError(f"{git_dir}: git revision {printable(revision)!r} is not there")
    args = ("--stdout", "--no-stat", "--no-signature", "--full-index", "--binary", "--no-renames", "-M", "--numbered")
    done = git(git_dir, "format-patch", *args, "--end-of-options", f"{first}..{last}", check=False,
               deadline=RANGE_SECONDS, limit=TOTAL_BYTES)  # fmt: skip
    if not done.ok or done.cut:
        raise UserError(f"{git_dir}: {printable(spec)}: {reason(done)}")
    if not done.stdout.strip():
        raise UserError(f"{git_dir}: there is no commit in {printable(spec)}")
    base = text(git(git_dir, "merge-base", first, last, check=False))
    return Mails("git range", spec, tuple(split(done.stdout, spec)), base_commit=base)


def from_bundle(path: Path, git_dir: Path) -> Mails:
    """The commits that a git bundle adds to a repository. They are unpacked into one that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="lab-bundle-") as scratch:
        repo = Path(scratch) / "repo"
        make_repo(repo)
        (repo / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (repo / "objects" / "info" / "alternates").write_text(f"{git_dir / 'objects'}\n")
        done = git(repo, "bundle", "unbundle", str(path.absolute()), check=False, deadline=RANGE_SECONDS, guard=True)
        if not done.ok:
            raise UserError(f"{path}: {reason(done)}", hint=f"is {git_dir} the repository that it builds on?")
        heads = [line.split()[0] for line in text(done).splitlines() if line.strip()]
        needs = text(git(repo, "bundle", "verify", "--quiet", str(path.absolute()), check=False))
        required = prerequisites(path)
        if not heads or not required:
            raise UserError(
                f"{path}: a bundle of a series needs a head and a commit that it builds on {needs}".rstrip()
            )
        mails = from_range(repo, f"{required[0]}..{heads[0]}")
        return Mails("git bundle", path.name, mails.raws, base_commit=mails.base_commit)


def prerequisites(path: Path) -> list[str]:
    """The commits that a git bundle says it builds on (gitformat-bundle(5))."""
    with path.open("rb") as file:
        head = file.read(1 << 20).partition(b"\n\n")[0]
    return [line[1:].split(b" ")[0].decode("ascii", "replace") for line in head.split(b"\n") if line.startswith(b"-")]
