"""The lines of a console that tell of its finding, for reports that have no room for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.report.plain import harmless

if TYPE_CHECKING:
    from lab.history.records import Attempt, Result

LINE_LIMIT = 300

Consoles = "Callable[[str], bytes | None]"
"""The bytes of a console by their hash; ``None`` where they are gone."""


def excerpt(data: bytes, attempt: Attempt, limit: int) -> list[str]:
    """At most ``limit`` lines: those of the attempt's first primary finding, else the console's last ones."""
    lines = data.split(b"\n")
    seen = next((one for one in attempt.findings if one.primary), None)
    if seen is None or not 1 <= seen.line <= len(lines):
        picked = [line for line in lines if line.strip()][-limit:]
    else:
        last = max(seen.last_line, seen.line + 3)
        picked = lines[seen.line - 1 : min(last, seen.line - 1 + limit)]
    return [shown(line) for line in picked]


def shown(line: bytes) -> str:
    """A line, harmless and not too long."""
    text = harmless(line[: 4 * LINE_LIMIT].decode("utf-8", "backslashreplace").rstrip("\r"))
    return text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]} …"


def telling(result: Result) -> Attempt | None:
    """The attempt that tells why a result is what it is: the last bad one, else the last."""
    bad = [one for one in result.attempts if one.verdict == "bad"]
    return bad[-1] if bad else result.attempts[-1] if result.attempts else None
