"""The JSON documents of the commands, as plain values. Field names are part of the lab's interface."""

from __future__ import annotations

import shlex
from typing import Any

from lab.bisect.result import Candidate, Check, Result, Row
from lab.console.ktap import Tap
from lab.guest.types import Boot
from lab.guest_tests import GuestTest
from lab.kernel.types import BuildFailure, Kernel
from lab.line import Line, Probe
from lab.repro import Repro
from lab.series_check import Checked
from lab.tree.types import Base
from lab.verdict import Verdict

Document = dict[str, Any]


def boot_document(boot: Boot, verdict: Verdict) -> Document:
    """One boot: verdict, what was found, how far it came, where its console is. Seconds are wall time."""
    blamed = verdict.finding or boot.report.first
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "title": blamed.title if blamed else "",
        "signature": blamed.signature if blamed else "",
        "stage": boot.report.stage,
        "seconds": round(boot.seconds, 3),
        "console": boot.console,
        "outcome": boot.outcome,
        "machine": boot.machine,
        "accelerator": boot.accel,
        "marker_seconds": boot.marker_seconds,
        "first_byte_seconds": boot.first_byte_seconds,
        "fatal_seconds": boot.fatal_seconds,
        "last_byte_seconds": boot.last_byte_seconds,
        "ended_seconds": boot.ended_seconds,
        "marker": dict(boot.report.marker.fields) if boot.report.marker else None,
        "findings": [{"title": f.title, "signature": f.signature, "line": f.line} for f in boot.report.findings],
        "argv": boot.argv,
        "notes": boot.notes,
        **({"programs": [tap_document(tap) for tap in boot.programs]} if boot.programs else {}),
    }


def tap_document(tap: Tap) -> Document:
    """What one test program in the guest said: KTAP as values."""
    return {
        "name": tap.name,
        "result": tap.word,
        "summary": tap.summary,
        "status": tap.status,
        "plan": tap.plan,
        "counts": {"ok": tap.count("ok"), "not_ok": tap.count("not ok"), "skip": tap.count("skip")},
        "tests": [
            {"number": test.number, "name": test.name, "result": test.result, "why": test.why, "notes": test.notes}
            for test in tap.tests
        ],
        "notes": tap.notes,
    }


def kernel_document(kernel: Kernel | BuildFailure) -> Document:
    """A kernel, or why there is none."""
    if isinstance(kernel, BuildFailure):
        error = {"message": kernel.message, "file": kernel.file, "line": kernel.line, "log": kernel.log}
        return {"built": False, "key": kernel.key, "error": error, "seconds": round(kernel.seconds, 3)}
    return {
        "built": True,
        "key": kernel.key,
        "release": kernel.release,
        "image": kernel.image,
        "vmlinux": kernel.vmlinux,
        "config": kernel.config,
        "from_store": kernel.from_store,
        "seconds": round(kernel.seconds, 3),
        "warnings": kernel.warnings,
    }


def base_document(base: Base) -> Document:
    """The base that was really found; ``stand_in`` says so where it is not the one that the case names."""
    return {
        "name": base.name,
        "version": base.version,
        "source": base.source,
        "commit": base.commit,
        "stand_in": base.stand_in,
    }


def line_document(line: Line) -> Document:
    """What a result rests on: the base that was really found, the tools, the machine."""
    return {
        "base": base_document(line.tree.base),
        "toolchain": {"cc": line.toolchain.cc, "version": ".".join(map(str, line.toolchain.cc_version))},
        "compat": line.compat.reasons,
        "builds_shut_in": not line.toolchain.sandbox.open_because if line.toolchain.sandbox else None,
        "machine": line.machine.name,
        "kconfig": line.fragment.name,
    }


def probe_document(probe: Probe) -> Document:
    """One probe of a repro or a bisect: the point, then all of its boot where it had one."""
    head = {"point": probe.point.index, "subject": probe.point.subject, "commit": probe.point.commit}
    build_seconds = round(probe.build_seconds, 3)
    if probe.boot is None:
        rest: Document = {
            "verdict": probe.verdict.word,
            "reason": probe.verdict.reason,
            "title": "",
            "signature": "",
            "stage": "",
            "seconds": 0.0,
            "console": None,
        }
    else:
        rest = boot_document(probe.boot, probe.verdict)
    return {**head, **rest, "build_seconds": build_seconds, "boot_seconds": round(probe.boot_seconds, 3)}


def guest_test_document(test: GuestTest) -> Document:
    """A test program on a machine: the verdict, then what it said."""
    boot = test.boot
    tap = boot.programs[0] if boot and boot.programs else None
    return {
        "program": test.program,
        "machine": test.machine,
        "verdict": test.verdict.word,
        "reason": test.verdict.reason,
        "seconds": round(boot.seconds, 3) if boot else 0.0,
        "console": boot.console if boot else None,
        "ktap": tap_document(tap) if tap else None,
    }


def repro_document(repro: Repro) -> Document:
    """``lab repro --json``."""
    built = [probe.kernel or probe.failure for probe in repro.probes]
    main = next((kernel for kernel in built if kernel is not None), None)
    return {
        "case": repro.line.case.name,
        "reproduced": repro.reproduced,
        "as_expected": repro.as_expected,
        "boots": [probe_document(probe) for probe in repro.probes],
        **({"guest_tests": [guest_test_document(test) for test in repro.guest_tests]} if repro.guest_tests else {}),
        "kernel": kernel_document(main) if main else None,
        **line_document(repro.line),
    }


def bisect_document(result: Result) -> Document:
    """``lab bisect --json``. ``probes`` has a row for each point that was tried, with the boot that its verdict rests
    on."""
    candidates = [candidate_document(one) for one in result.candidates]
    crash = result.crash
    return {
        "case": result.question.case,
        "first_bad": candidates[0] if len(candidates) == 1 else None,
        "candidates": candidates,
        "reason": result.reason,
        "confidence": round(result.confidence, 6),
        "proof": [check_document(check) for check in result.proof],
        "looked_for": result.question.looked_for,
        "crash": {"title": crash.title, "signature": crash.signature, "text": crash.text} if crash else None,
        "rate": {"struck": result.rate[0], "missed": result.rate[1]},
        "probes": [row_document(row) for row in result.rows],
        "others": [bisect_document(other) for other in result.others],
        "command": " ".join(map(shlex.quote, result.question.command)),
        "seconds": round(result.seconds, 3),
        "spent_seconds": round(result.spent, 3),
        **result.facts,
    }


def candidate_document(one: Candidate) -> Document:
    """A patch that may be the culprit, and what it has to do with the crash."""
    point = one.point
    named = {"index": point.index, "subject": point.subject, "commit": point.commit, "patch": point.patch or None}
    return {**named, "why": one.why, "score": round(one.score, 3)}


def check_document(check: Check) -> Document:
    """A thing that the answer rests on; ``holds`` is null where it could not be tried."""
    return {"what": check.what, "holds": check.holds, "seen": check.seen}


def row_document(row: Row) -> Document:
    """A point of a bisect."""
    boot: Document = {"title": "", "signature": "", "stage": "", "seconds": 0.0, "console": None}
    if row.decisive is not None:
        boot = row.decisive.document
    elif row.build is not None:
        boot = {**boot, **row.build.document}
    tally = row.tally
    return {
        "point": row.point.index,
        "subject": row.point.subject,
        "commit": row.point.commit,
        **boot,
        "verdict": "skip" if row.word == "open" else row.word,
        "reason": row.reason,
        "boots": {"good": tally.good, "bad": tally.bad, "other": tally.other, "fault": tally.fault},
        "same_image_as": row.same_as,
        "where": row.where,
        "build_seconds": round(row.build_seconds, 3),
        "boot_seconds": round(row.boot_seconds, 3),
    }


def series_document(case: str, checked: tuple[Checked, ...]) -> Document:
    """``lab series check --json``."""
    points = [
        {
            **probe_document(row.probe),
            "builds": row.probe.kernel is not None,
            "as_expected": row.as_expected,
            "new_warnings": row.new_warnings,
            "other_warnings": row.other_warnings,
            "image_changed": row.image_changed,
        }
        for row in checked
    ]
    return {"case": case, "as_expected": all(row.as_expected for row in checked), "points": points}
