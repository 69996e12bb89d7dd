"""How often a bug strikes, and how many boots without it make a point good: pure functions of what was counted.

The bug struck in ``struck`` boots of points that have it and did not in ``missed`` others. Boots are made until the bug
was seen, so what is counted is a negative binomial; its Jeffreys prior, 1 / (p sqrt(1 - p)), makes the posterior of the
rate Beta(struck, missed + 1/2).
"""

from __future__ import annotations

import math
from functools import lru_cache

MISSED_BEFORE = 0.5
"""The half of the prior."""


def miss(boots: int, struck: int, missed: int) -> float:
    """The probability that ``boots`` boots of a point that has the bug all come up without it.

    1 where the bug was never seen: nothing is known of its rate then.
    """
    if struck < 1:
        return 1.0
    probability = 1.0
    for boot in range(boots):
        probability *= (missed + MISSED_BEFORE + boot) / (struck + missed + MISSED_BEFORE + boot)
    return probability


@lru_cache(maxsize=4096)
def boots_needed(risk: float, struck: int, missed: int, most: int = 100_000) -> int:
    """The least number of boots after which :func:`miss` is at most ``risk``; ``most`` where that is not enough."""
    if struck < 1:
        return most
    probability, boots = 1.0, 0
    while probability > risk and boots < most:
        probability *= (missed + MISSED_BEFORE + boots) / (struck + missed + MISSED_BEFORE + boots)
        boots += 1
    return boots


def rate(struck: int, missed: int) -> float:
    """The rate that was seen; 0 where nothing was."""
    return struck / (struck + missed) if struck else 0.0


def boots_to_see(rarest: float, risk: float) -> int:
    """How many boots show a bug that strikes in the share ``rarest`` of them, but for a ``risk``."""
    if rarest >= 1:
        return 1
    return max(1, math.ceil(math.log(risk) / math.log1p(-rarest)))
