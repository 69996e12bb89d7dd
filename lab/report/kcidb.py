"""A night as KCIDB's I/O data, for the kernel community's common database of test results. It is only written.

The format is that of the package ``kcidb-io``, by whose schema the document is checked. A checkout is a point of a
case, a build is a kernel of it, a test is one boot: an attempt. An issue is a signature, an incident its sight in a
boot.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lab.errors import InfrastructureError, UserError
from lab.report.excerpt import excerpt
from lab.report.plain import harmless

if TYPE_CHECKING:
    from lab.history.records import Attempt, Cell, Night, Result

ORIGIN = re.compile(r"[a-z0-9_]{1,64}")
EXCERPT_LINES = 60
EXCERPT_LIMIT = 16384
"""Characters of a log excerpt by the schema."""

PatchFinder = Callable[["Cell"], "Sequence[Path] | None"]
"""The patch files up to a cell's point, in order; ``None`` where they are not to be had."""


def patchset_hash(patches: Sequence[Path]) -> str:
    """KCIDB's ``patchset_hash``: the SHA-256 over the patch files' SHA-256, each in hex and ended by a newline, as
    ``sha256sum *.patch | cut -c-64 | sha256sum | cut -c-64`` gives it; empty where no patch was applied.

    Raises :class:`OSError` where a file cannot be read.
    """
    if not patches:
        return ""
    lines = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in patches)
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass
class Document:
    """What is being written, every object once by its id, and what it is made from."""

    origin: str
    night: Night
    console: Callable[[str], bytes | None]
    patches: PatchFinder
    url: str = ""
    checkouts: dict[str, dict[str, Any]] = field(default_factory=dict)
    builds: dict[str, dict[str, Any]] = field(default_factory=dict)
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    issues: dict[str, dict[str, Any]] = field(default_factory=dict)
    incidents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def name(self, *parts: object) -> str:
        """An id: the origin, and what makes the object the same one again."""
        return f"{self.origin}:" + "/".join(text(str(part)) for part in parts)

    def plain(self) -> dict[str, Any]:
        """As KCIDB wants it."""
        kinds = ("checkouts", "builds", "tests", "issues", "incidents")
        return {name: list(getattr(self, name).values()) for name in kinds if getattr(self, name)}


def kcidb(
    night: Night,
    console: Callable[[str], bytes | None],
    patches: PatchFinder,
    *,
    origin: str = "kernel_boot_lab",
    url: str = "",
) -> dict[str, Any]:
    """The document, checked by the schema of ``kcidb-io``. ``url`` is where the HTML report can be read, if anywhere:
    consoles are then linked there.

    Raises :class:`UserError` for an origin that KCIDB does not take and :class:`InfrastructureError` where the package
    is missing or the document is not valid.
    """
    if not ORIGIN.fullmatch(origin):
        raise UserError(f"{origin[:80]!r} is no origin: KCIDB takes small letters, digits and underscores")
    if url and not re.match(r"https?://[^\s/]", url):
        raise UserError(f"{url[:200]!r} is not an http or https address")
    try:
        from kcidb_io.schema import LATEST
    except ImportError:
        raise InfrastructureError("kcidb-io is not installed", hint="pip install 'kernel-boot-lab[report]'") from None
    made = Document(origin, night, console, patches, url.rstrip("/"))
    for result in night.results:
        add(made, result)
    whole = {"version": {"major": LATEST.major, "minor": LATEST.minor}, **made.plain()}
    validate(whole)
    return whole


def validate(document: dict[str, Any]) -> None:
    """Check a document by the schema; :class:`InfrastructureError` says where it does not hold."""
    import jsonschema
    from kcidb_io.schema import LATEST

    try:
        jsonschema.validate(document, LATEST.json, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path)
        raise InfrastructureError(f"the document is not valid: {where}: {harmless(error.message)[:300]}") from None


def add(made: Document, result: Result) -> None:
    """A result's checkout, build and tests. What was not tried has none."""
    if result.word == "waiting":
        return
    cell, night = result.cell, made.night
    checkout = made.name(cell.case, cell.label, cell.commit or night.run.id)
    if checkout not in made.checkouts:
        made.checkouts[checkout] = without_empty(checkout_of(made, checkout, result))
    build = made.name(cell.case, cell.label, cell.kconfig, cell.toolchain, result.kernel or night.run.id)
    failed = next((one.build for one in result.attempts if one.build), "")
    booted = any(one.console or one.marker_seconds is not None for one in result.attempts)
    if not (result.kernel or failed or booted):
        return  # the lab failed before there was a kernel: there is nothing to tell of one
    made.builds[build] = made.builds.get(build) or without_empty({
        "checkout_id": checkout,
        "id": build,
        "origin": made.origin,
        "comment": text(result.release),
        "start_time": moment(result.started),
        "duration": round(result.build_seconds, 3) if result.build_seconds else None,
        "architecture": text(cell.arch),
        "compiler": text(cell.toolchain),
        "config_name": text(cell.kconfig),
        "status": "FAIL" if failed else "PASS",
        "log_excerpt": "\n".join(harmless(line) for line in failed.splitlines())[:EXCERPT_LIMIT],
        "misc": {"lab": {"kernel": result.kernel, "commit": cell.commit, "from_store": result.from_store}},
    })  # fmt: skip
    for attempt in result.attempts:
        if attempt.build:
            continue
        test = made.name(night.run.id, cell.key, attempt.number)
        data = made.console(attempt.console) if attempt.console else None
        guest = {"machine": text(cell.machine), "accelerator": text(attempt.accel)}
        made.tests[test] = without_empty({
            "build_id": build,
            "id": test,
            "origin": made.origin,
            "environment": {
                "comment": f"QEMU, machine {text(cell.machine)}",
                "misc": {**guest, "topology": [text(one) for one in attempt.topology]},
            },
            "path": "boot",
            "comment": text(attempt.reason),
            "log_url": f"{made.url}/consoles/{quote(attempt.console)}.txt" if made.url and attempt.console else "",
            "log_excerpt": "\n".join(excerpt(data, attempt, EXCERPT_LINES))[:EXCERPT_LIMIT] if data is not None else "",
            "status": status(attempt),
            "start_time": moment(attempt.started),
            "duration": round(attempt.seconds, 3),
            "misc": {"lab": {
                "run": night.run.id, "outcome": text(attempt.outcome), "case": cell.case, "expected": cell.expected,
                "stages": [{"stage": one.stage, "seconds": one.seconds} for one in attempt.stages],
                "marker_seconds": attempt.marker_seconds,
            }},
        })  # fmt: skip
        add_issues(made, test, attempt)


def add_issues(made: Document, test: str, attempt: Attempt) -> None:
    """The signatures that a boot showed: each an issue, and its incident here."""
    for seen in attempt.findings:
        if not seen.primary:
            continue
        issue = made.name("signature", seen.signature)
        made.issues.setdefault(issue, {
            "id": issue, "version": 1, "origin": made.origin, "comment": text(seen.title), "culprit": {"code": True},
            "misc": {"lab": {"signature": text(seen.signature), "kind": text(seen.kind)}},
        })  # fmt: skip
        incident = f"{test}/{hashlib.sha256(seen.signature.encode()).hexdigest()[:16]}"
        made.incidents[incident] = {
            "id": incident, "origin": made.origin, "issue_id": issue, "issue_version": 1, "test_id": test,
            "present": True, "comment": f"console line {seen.line}",
        }  # fmt: skip


def checkout_of(made: Document, id_: str, result: Result) -> dict[str, Any]:
    """A point of a case. The lab's commits are its own, so they are no ``git_commit_hash``: they stand in ``misc``."""
    cell = result.cell
    files = made.patches(cell)
    found: dict[str, Any] = {
        "id": id_, "origin": made.origin, "tree_name": text(cell.base), "comment": text(f"{cell.case}: {cell.subject}"),
        "start_time": moment(result.started), "valid": True,
        "misc": {"lab": {"case": cell.case, "point": cell.point, "label": cell.label, "commit": cell.commit}},
    }  # fmt: skip
    if files is not None:
        try:
            found["patchset_hash"] = patchset_hash(files)
        except OSError as error:
            raise InfrastructureError(f"{error.filename}: {error.strerror}") from None
        found["misc"]["lab"]["patches"] = [path.name for path in files]
    return found


def case_patches(folder: Path) -> PatchFinder:
    """The patches of cases below ``folder`` (or where a case's name is a path), as they are now. A point whose patch
    has another subject than the cell's was made of other files: nothing is said of it."""
    from lab.case import load_case
    from lab.errors import LabError

    def find(cell: Cell) -> list[Path] | None:
        if cell.point == 0:
            return []
        try:
            case = load_case(cell.case, folder)
            files = [*case.patches, *case.fix][: cell.point]
            return files if len(files) == cell.point and subject(files[-1]) == cell.subject else None
        except (LabError, OSError):
            return None

    return find


def subject(path: Path) -> str:
    """A patch's subject without its ``[PATCH 1/2]``; the file's name where it has none."""
    with path.open("rb") as file:
        head = BytesHeaderParser(policy=default).parse(file)
    return re.sub(r"^(\s*\[[^\]]*\])+\s*", "", " ".join(str(head["Subject"] or path.stem).split()))


def status(attempt: Attempt) -> str:
    """KCIDB's word for an attempt: MISS where the lab failed, ERROR where nobody can tell."""
    if attempt.infrastructure:
        return "MISS"
    return {"good": "PASS", "bad": "FAIL"}.get(attempt.verdict, "ERROR")


def moment(seconds: float) -> str:
    """A time as RFC 3339 has it; empty where there is none."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds > 0 else ""


def text(value: str) -> str:
    """``value`` harmless and on one line."""
    return " ".join(harmless(value).split())


def without_empty(given: dict[str, Any]) -> dict[str, Any]:
    """``given`` without what is not known; an empty ``patchset_hash`` says something and stays."""
    return {key: value for key, value in given.items() if value not in ("", None) or key == "patchset_hash"}
