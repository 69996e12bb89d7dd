"""Text from strangers, made harmless before a terminal sees it."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, C1 controls and what turns the direction of text; tab and newline stay."""


def harmless(text: str) -> str:
    """``text`` with every control character but tab and newline shown as ``\\x1b`` and the like."""
    return CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def one_line(text: str, limit: int = 2000) -> str:
    """``text`` made harmless; a message of two lines keeps them, anything longer is cut at ``limit`` characters."""
    clean = harmless(text).strip()
    return clean if len(clean) <= limit else clean[:limit] + " …"
