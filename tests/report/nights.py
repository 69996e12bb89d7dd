"""Nights made by hand from recorded consoles, as a matrix and its history would give them."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from lab.console.scanner import scan_file
from lab.history.records import Attempt, Bisected, Cell, Change, Night, Result, Run, Seen, StageTime

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
DAY = 86400.0
FIRST = 1_795_399_200.0  # 23 November 2026, 02:00 UTC
MACHINES = (
    "one-node",
    "two-nodes",
    "four-nodes",
    "eight-nodes",
    "uneven",
    "memoryless-node",
    "cpuless-node",
    "far",
    "x3400-m3",
)
POINTS = (
    (0, "base", "Linux 6.1"),
    (10, "end", "mm: mempolicy: Log the setting of numa_slab_policy at boot"),
    (11, "fix", "mm: mempolicy: Do not use the policy of a node before it is filled in"),
)


@dataclass
class Made:
    """Nights, the newest first, and the consoles they name."""

    nights: list[Night] = field(default_factory=list)
    consoles: dict[str, bytes] = field(default_factory=dict)


@cache
def recorded(name: str) -> tuple[bytes, tuple[Seen, ...], tuple[StageTime, ...]]:
    """A recorded console with what the lab's own analysis finds in it."""
    path = CONSOLES / f"{name}.txt"
    report = scan_file(path)
    seen = tuple(
        Seen(
            signature=one.signature,
            title=one.title,
            kind=one.kind,
            line=one.line,
            last_line=one.last_line,
            fatal=one.fatal,
            primary=one.primary,
        )
        for one in report.findings
    )
    stages = tuple(StageTime(stage=one.name, seconds=0.06 + (one.time or 0.0), line=one.line) for one in report.stages)
    return path.read_bytes(), seen, stages


class Maker:
    """Makes attempts whose times differ a little from one to the next, and the same ones each time."""

    def __init__(self, made: Made, seed: int) -> None:
        self.made = made
        self.random = random.Random(seed)

    def attempt(self, number: int, name: str, started: float, *, slow: float = 1.0) -> Attempt:
        data, seen, stages = recorded(name)
        digest = hashlib.sha256(data).hexdigest()
        self.made.consoles[digest] = data
        factor = slow * self.random.uniform(0.97, 1.04)
        stages = tuple(StageTime(stage=s.stage, seconds=round(s.seconds * factor, 3), line=s.line) for s in stages)
        last = (stages[-1].seconds if stages else 0.2) + 0.05
        good = not any(one.primary for one in seen)
        return Attempt(
            number=number,
            verdict="good" if good else "bad",
            reason="user space ran on 2 node(s)" if good else f"{seen[0].title} (line {seen[0].line})",
            outcome="userspace" if good else "died",
            started=started,
            seconds=last,
            accel="tcg",
            stages=stages,
            findings=seen,
            marker_seconds=last if good else None,
            console=digest,
        )


def cell(point: tuple[int, str, str], kconfig: str, machine: str, case: str = "early-policy") -> Cell:
    index, label, subject = point
    commit = hashlib.sha1(f"{case} {index}".encode(), usedforsecurity=False).hexdigest()
    return Cell(
        case=case,
        point=index,
        label=label,
        subject=subject,
        commit=commit,
        kconfig=kconfig,
        machine=machine,
        toolchain="gcc 12.2",
        base="debian-6.1",
        arch="arm64" if machine.startswith("arm64-") else "x86_64",
        expected="bad" if label == "end" else "good",
        required=label == "fix" and machine == "two-nodes",
    )


def a_week(nights: int = 3) -> Made:
    """Nights of 54 cells. In the newest: a regression with its bisect, a flaky cell, a slower one, one of the lab's own
    failures, one that is still bad and one that was mended."""
    made = Made()
    runs = [
        Run(
            id=f"2026112{3 + n}T020000-nightly",
            name="nightly",
            started=FIRST + n * DAY,
            ended=FIRST + n * DAY + 1460 + 60 * n,
            state="done",
            host="lab-host",
            lab_version="0.1.0",
            manifest="ab" * 32,
            cells=54,
        )
        for n in range(nights)
    ]
    for n, run in enumerate(runs):
        maker = Maker(made, n)
        newest = n == nights - 1
        results = []
        for point in POINTS:
            for kconfig in ("tiny-numa", "debug"):
                for machine in MACHINES:
                    results.append(_result(maker, run, cell(point, kconfig, machine), newest, n))
        night = Night(run=run, results=tuple(results), before=runs[n - 1] if n else None)
        made.nights.insert(0, night)
    _changes(made)
    return made


def _result(maker: Maker, run: Run, one: Cell, newest: bool, n: int) -> Result:
    at = run.started + 20
    where = (one.label, one.kconfig, one.machine)
    slow = 1.45 if newest and where == ("fix", "tiny-numa", "far") else 1.0 + 0.06 * MACHINES.index(one.machine)
    name = "early-policy-6.1" if one.label == "end" and one.machine != "one-node" else "clean-6.1"
    word, infra, attempts = ("bad" if name != "clean-6.1" else "good"), False, []
    if where == ("base", "debug", "uneven"):
        name, word = ("zoo-6.1-soft-lockup", "bad")
    if newest and where == ("fix", "tiny-numa", "four-nodes"):
        name, word = "early-policy-6.1", "bad"
    if newest and where == ("fix", "debug", "eight-nodes"):
        attempts = [maker.attempt(k + 1, ("zoo-6.1-irq-bug" if k in (0, 3) else "clean-6.1"), at + k) for k in range(6)]
        word = "flaky"
    elif newest and where == ("base", "debug", "cpuless-node"):
        attempts = [
            Attempt(
                number=k,
                verdict="skip",
                reason="QEMU could not have 2 GiB of memory",
                outcome="qemu",
                started=at,
                seconds=0.1,
                accel="tcg",
                infrastructure=True,
            )
            for k in (1, 2)
        ]
        word, infra = "infrastructure", True
    elif n == 0 and where == ("base", "tiny-numa", "uneven"):
        attempts = [maker.attempt(1, "zoo-6.1-opcode", at)]
        word = "bad"
    elif newest and where == ("fix", "debug", "memoryless-node"):
        odd = ("node 2 has 512 MiB, the machine gives it 0",)
        boot = maker.attempt(1, "clean-6.1", at)
        attempts = [replace(boot, verdict="skip", topology=odd, reason="the guest is not the machine")]
        word = "skip"
    else:
        attempts = [maker.attempt(k + 1, name, at + k, slow=slow) for k in range(3 if word == "bad" and newest else 1)]
    reason = attempts[-1].reason if word != "flaky" else "2 of 6 attempts died: kernel BUG in zoo_irq_bug_fn"
    return Result(
        run=run.id,
        cell=one,
        word=word,
        reason=reason,
        attempts=tuple(attempts),
        kernel="" if infra else "c0ffee" * 6,
        release="6.1.192+",
        from_store=n > 0,
        build_seconds=0.0 if n else 92.0,
        started=at,
        ended=at + 5,
    )


def _changes(made: Made) -> None:
    night = made.nights[0]
    by = {result.cell.key: result.cell for result in night.results}

    def of(label: str, kconfig: str, machine: str) -> Cell:
        return by["/".join(("early-policy", label, kconfig, machine, "gcc 12.2"))]

    bisected = Bisected(
        case="early-policy",
        cell=of("fix", "tiny-numa", "four-nodes").key,
        first_bad=6,
        subject="mm: slub: Place new slabs by the node's policy, not by the task's",
        commit="8d3f5c0a91b2" * 3,
        sure=0.9945,
        points=((0, "good"), (5, "good"), (6, "bad"), (8, "bad"), (10, "bad")),
        summary="5 probes, 9 s; both sides proven",
    )
    changes = (
        Change(
            kind="new",
            cell=of("fix", "tiny-numa", "four-nodes"),
            signature="bug:policy_zonelist",
            title="kernel BUG in policy_zonelist",
            first_seen=night.run.id,
            bisected=bisected,
            sentence="was good on each of 2 nights, now bad in 3 of 3 attempts: kernel BUG in policy_zonelist",
        ),
        Change(
            kind="flaky",
            cell=of("fix", "debug", "eight-nodes"),
            signature="bug:zoo_irq_bug_fn",
            rate=1 / 3,
            since=night.run.id,
            sentence="bad in 2 of 6 attempts (33 %) since this night: kernel BUG in zoo_irq_bug_fn",
        ),
        Change(
            kind="slower",
            cell=of("fix", "tiny-numa", "far"),
            stage="initcalls",
            before_seconds=0.61,
            after_seconds=0.97,
            p=0.002,
            sentence="initcalls: 0.61 s before, 0.97 s now (p = 0.002)",
        ),
        Change(
            kind="infrastructure",
            cell=of("base", "debug", "cpuless-node"),
            sentence="the lab failed twice: QEMU could not have 2 GiB of memory",
        ),
        Change(
            kind="still",
            cell=of("base", "debug", "uneven"),
            signature="soft:x",
            sentence="bad since the first night: INFO: rcu detected stall in proc_reg_write",
        ),
    )
    other = Bisected(
        case="numa-foundation",
        cell="",
        first_bad=17,
        subject="mm: numa: Migrate on reference policy",
        commit="",
        sure=0.98,
        points=((0, "good"), (9, "good"), (14, "good"), (16, "good"), (17, "bad"), (19, "bad")),
    )
    made.nights[0] = Night(
        run=night.run, results=night.results, before=night.before, changes=changes, bisects=(bisected, other)
    )


def many(count: int) -> Made:
    """One night of ``count`` cells on nine machines, of which some are bad; they share two consoles."""
    made = Made()
    maker = Maker(made, 1)
    run = Run(
        id="20261125T020000-many",
        name="many",
        started=FIRST + 2 * DAY,
        ended=FIRST + 2 * DAY + 30000,
        state="done",
        cells=count,
    )
    results = []
    for number in range(count):
        row, machine = divmod(number, len(MACHINES))
        point = (row % 60, str(row % 60), f"subsystem: part: Change number {row % 60} of a long series of patches")
        one = cell(
            point, ("tiny-numa", "debug", "reporter")[row // 60 % 3], MACHINES[machine], case=f"series-{row // 180}"
        )
        bad = number % 97 == 0
        attempt = maker.attempt(1, "early-policy-6.1" if bad else "clean-6.1", run.started)
        results.append(
            Result(run=run.id, cell=one, word="bad" if bad else "good", reason=attempt.reason, attempts=(attempt,))
        )
    made.nights = [Night(run=run, results=tuple(results))]
    return made
