"""``--on NAME``: the same steps on another host, and what they came to as the same values as here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from lab.bisect.records import Named, Question
from lab.bisect.result import Result
from lab.case import Case
from lab.errors import InfrastructureError, UserError
from lab.guest_tests import GuestTest
from lab.line import Line, Probe, Setup, base_for, line_with
from lab.remote import wire
from lab.remote.bring import bring_boot, bring_console, bring_probe, with_consoles
from lab.remote.client import Follower, Talk, fetching, keeping_alive, talking
from lab.remote.hosts import Host
from lab.remote.ssh import Strange
from lab.tree.types import Base
from lab.verdict import Verdict


@dataclass(frozen=True)
class Done:
    """What was built and booted there, on the line as it is here."""

    line: Line
    probes: tuple[Probe, ...]
    tests: tuple[GuestTest, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What is said of how it is to be done there; what is empty is decided there."""

    cc: str = ""
    jobs: int = 0
    accel: str = ""
    timeout: float = 60.0
    live: bool = False
    share: str = ""


def request_for(case: Case, base: Base, kind: wire.Kind, wish: Wish, **more: Any) -> wire.Request:
    """The request: the case with all its files, and what is to be done with it."""
    packed = wire.pack(case)
    return wire.Request(
        kind=kind,
        name=case.name,
        manifest=packed.manifest,
        files=packed.files,
        base=wire.wired(base),
        cc=wish.cc,
        jobs=wish.jobs,
        accel=wish.accel,
        timeout=wish.timeout,
        live=wish.live,
        share=wish.share,
        **more,
    )


def probe_on(
    host: Host,
    case: Case,
    kind: wire.Kind,
    points: Sequence[int],
    *,
    setup: Setup,
    wish: Wish,
    with_programs: bool = False,
    follower: Follower,
) -> Done:
    """Build (and boot) ``points`` of ``case`` on ``host``; kernels and consoles are in the store here afterwards."""
    last = len(case.patches) + len(case.fix)
    for index in points:
        if not 0 <= index <= last:
            raise UserError(f"{case.name} has no point {index}: there are 0 (the base) to {last}")
    with talking(host) as talk:
        base = base_here(talk, case, setup)
        request = request_for(case, base, kind, wish, points=tuple(points), with_programs=with_programs)
        answer = asked(talk, request, base, setup, follower)
        line = line_there(talk, case, base, answer, setup)
        if [probe.point for probe in answer.probes] != list(points):
            raise Strange(f"{host.name} answered for other points than were asked for")
        setup.progress("fetch", f"from {host.name}")
        with fetching():
            probes = tuple(bring_probe(talk, line, probe, setup.paths) for probe in answer.probes)
            tests = tuple(test_here(talk, test, setup) for test in answer.tests)
            talk.taken()
    return Done(line, probes, tests)


def base_here(talk: Talk, case: Case, setup: Setup) -> Base:
    """The source of ``case``, which may have to be imported first; a host that is not ready was told of before that."""
    with keeping_alive(talk):
        return base_for(case, setup)


def asked(talk: Talk, request: wire.Request, base: Base, setup: Setup, follower: Follower) -> wire.Answer:
    """Have it done there; the answer, or the error that it came to there."""
    data, key = wire.encode(request)
    talk.bring(base, setup.progress)
    raw = talk.follow(data, key, follower)
    try:
        answer = wire.answer.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        talk.taken()
        raise Strange(f"{talk.host.name} sent a result that no lab makes: {str(error)[:200]}") from None
    if answer.problem is not None:
        talk.taken()
        raise told(answer.problem, talk.host)
    return answer


def told(problem: wire.Problem, host: Host) -> UserError | InfrastructureError:
    """A problem over there as an error here."""
    if problem.kind == "interrupted":
        return InfrastructureError(f"{host.name}: the job was ended there by somebody else", hint="ask again")
    kind = UserError if problem.kind == "user" else InfrastructureError
    return kind(f"{host.name}: {problem.message[:2000]}", hint=problem.hint[:500])


def line_there(talk: Talk, case: Case, base: Base, answer: wire.Answer, setup: Setup) -> Line:
    """The line as the host built it: our own patches on our own base, its tools. Its trees have to be ours."""
    if answer.toolchain is None:
        raise Strange(f"{talk.host.name} did not say with what it builds")
    line = line_with(case, base, answer.toolchain, setup)
    if answer.trees != tuple(point.tree for point in line.tree.points):
        raise InfrastructureError(f"{talk.host.name}: the series came to other files there than here")
    return line


def test_here(talk: Talk, test: wire.TestWire, setup: Setup) -> GuestTest:
    """A test program's result, its console here."""
    boot = bring_boot(talk, test.boot, setup.paths) if test.boot else None
    return GuestTest(test.program, test.machine, Verdict(test.word, test.reason), boot)


def bisect_on(
    host: Host,
    case: Case,
    how: wire.Bisecting,
    *,
    setup: Setup,
    wish: Wish,
    command: Sequence[str] = (),
    follower: Follower,
) -> Result:
    """Bisect ``case`` on ``host``. Its consoles are here afterwards; its kernels stay there."""
    from lab.bisect.run import question_of

    with talking(host) as talk:
        base = base_here(talk, case, setup)
        request = request_for(case, base, "bisect", wish, bisecting=how)
        answer = asked(talk, request, base, setup, follower)
        line = line_there(talk, case, base, answer, setup)
        if answer.bisect is None:
            raise Strange(f"{host.name} sent no result of a bisect")
        setup.progress("fetch", f"from {host.name}")
        with fetching():
            consoles = {
                boot: bring_console(talk, boot, blob, setup.paths)[0] / "console.log"
                for boot, blob in answer.consoles.items()
            }
            result = here(answer.bisect, consoles, question_of(line, setup, command), host)
            talk.taken()
    return result


def here(result: Result, consoles: dict[str, Any], question: Question, host: Host) -> Result:
    """A result with this lab's own question, patches and consoles in it."""
    plain = with_consoles(msgspec.to_builtins(result, enc_hook=str), consoles, host.name)
    return ours(msgspec.convert(plain, Result), question, host)


def ours(result: Result, question: Question, host: Host) -> Result:
    """``result`` with each point as it is known here, and said of each that it was tried there."""

    def point(named: Named) -> Named:
        if not 0 <= named.index < len(question.points):
            raise Strange(f"{host.name} answered for point {named.index}, which there is not")
        return question.points[named.index]

    asked_for = msgspec.structs.replace(question, looked_for=result.question.looked_for)
    return replace(
        result,
        question=asked_for,
        rows=tuple(replace(row, point=point(row.point), where=row.where or (host.name,)) for row in result.rows),
        candidates=tuple(replace(one, point=point(one.point)) for one in result.candidates),
        others=tuple(ours(other, question, host) for other in result.others),
    )
