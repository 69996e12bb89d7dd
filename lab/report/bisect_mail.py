"""The result of a bisect as a plain-text mail that answers the patch's mail; the user fills in who reports it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from lab.bisect.result import Candidate, Result
from lab.report.bisect_words import again, answer, check_words, crash_lines, facts, how_sure, probed_by, repeat_crash
from lab.report.plain import harmless

CRASH_LINES = 40
WIDTH = 72
HEADER_BYTES = 64 << 10


def mail(result: Result) -> str:
    """Headers and body. To, Cc and the trailers' names are left for the user to fill in."""
    one = result.first_bad
    lines = [*headers(one, result), "", "Hi,", ""]
    crash = result.crash
    title = harmless(crash.title) if crash is not None and crash.title else "the bug"
    last = len(result.question.points) - 1
    if one:
        lines += filled(f"this patch, {one.point.index} of {last}, brings: {title}.")
    elif result.candidates:
        lines += filled(f"{title}: it came with one of {len(result.candidates)} of the series' {last} patches "
                        "(the points between could not be tested):")  # fmt: skip
        lines += ["", *[f"  {c.point.index:>3} {flat(c.point.subject)}{why(c)}" for c in result.candidates]]
    else:
        lines += filled(f"no patch of the series can be named: {flat(result.reason)}")
    if crash is not None and result.candidates:
        lines += ["", *[f"  {harmless(line)}" for line in crash_lines(crash.text, CRASH_LINES)]]
    lines += ["", "What it was seen with:", ""]
    lines += [f"  {name + ':':<9}{flat(value)}" for name, value in facts(result)]
    for name, points in probed_by(result):
        lines += textwrap.wrap(f"{'by:':<9}{flat(name)}, points {points}", WIDTH, initial_indent="  ",
                               subsequent_indent=" " * 11)  # fmt: skip
    if result.proof:
        lines += ["", "What this rests on:", ""]
        for check in result.proof:
            what, holds, seen = check_words(check)
            words = flat(f"{what}: {holds} ({seen})")
            lines += textwrap.wrap(words, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    if sure := how_sure(result):
        lines += ["", *filled(f"How sure: {sure}.")]
    commands = [line for line in (again(result), repeat_crash(result)) if line]
    lines += ["", "To repeat it, with the kernel boot lab:", "", *[f"  {line}" for line in commands]]
    if result.candidates:
        lines += ["", *trailers(one)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def trailers(one: Candidate | None) -> list[str]:
    """What belongs below a fix's description; the names are the user's to give."""
    fixes = [f'Fixes: {one.point.commit[:12]} ("{flat(one.point.subject)}")'] if one else []
    return ["Reported-by: NAME <ADDRESS>", "Tested-by: NAME <ADDRESS>", *fixes]


def headers(one: Candidate | None, result: Result) -> list[str]:
    """The headers that make it an answer to the patch's mail, from the patch file where it has them."""
    subject = one.point.subject if one else answer(result)
    found = patch_headers(Path(one.point.patch)) if one and one.point.patch else {}
    subject = found.get("subject", subject)
    if not subject.lower().startswith("re:"):
        subject = f"Re: {subject}"
    author = found.get("from", "NAME <ADDRESS>")
    lines = ["From: NAME <ADDRESS>", f"To: {author}", "Cc: LIST", f"Subject: {flat(subject)}"]
    if message := found.get("message-id"):
        lines += [f"In-Reply-To: {message}", f"References: {message}"]
    return lines


def patch_headers(path: Path) -> dict[str, str]:
    """Subject, author and Message-Id of a patch file, unfolded; nothing where it can't be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES).decode("utf-8", "replace")
    except OSError:
        return {}
    head = re.split(r"\r?\n\r?\n", head, maxsplit=1)[0]
    unfolded = re.sub(r"\r?\n[ \t]+", " ", head)
    wanted = ("subject", "from", "message-id")
    rows = (line.partition(":") for line in unfolded.splitlines() if not line.startswith("From "))
    return {name.lower(): flat(value) for name, _, value in rows if name.lower() in wanted and value.strip()}


def filled(text: str) -> list[str]:
    """``text`` as lines of a mail."""
    return textwrap.wrap(flat(text), WIDTH)


def flat(text: str) -> str:
    """``text`` on one line, harmless: no header can be smuggled in."""
    return " ".join(harmless(text).split())


def why(one: Candidate) -> str:
    """What a candidate has to do with the crash."""
    return f" ({', '.join(one.why)})" if one.why else ""
