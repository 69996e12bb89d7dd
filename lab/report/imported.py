"""What ``lab kconfig import`` tells a person."""

from __future__ import annotations

from collections.abc import Iterator

from lab.kernel.fragment import Fragment
from lab.kernel.imported import Judged, about


def lines(fragment: Fragment, judged: Judged | None) -> Iterator[str]:
    """The report, a line each: what was read, and with ``judged`` what a case's tree made of it."""
    made_for = about(fragment.text)
    version = f" of Linux {made_for.version}" if made_for.version else ""
    yield f"read {len(fragment.asked)} symbols{version}, to be completed by {fragment.base}"
    if judged is None:
        return
    for unmet in judged.dropped:
        yield f"{unmet.symbol}={unmet.asked} asked, {unmet.got} came: {unmet.why}"
    if judged.unknown:
        names = ", ".join(unmet.symbol for unmet in judged.unknown)
        yield f"{len(judged.unknown)} symbols that this tree does not know: {names}"
    if judged.added:
        yield f"the case adds what it requires: {', '.join(judged.added)}"
    for symbol, why in judged.missing:
        yield f"the lab's guest will not get far: {symbol} is not built in, and {why}"
