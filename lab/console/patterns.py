"""Regular expressions compiled when they are first needed: a start that finds no report compiles none."""

from __future__ import annotations

import re
from functools import cache


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """``re.compile``, once."""
    return re.compile(pattern)
