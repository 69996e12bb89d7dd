"""What the lab and the keeper of a board say to each other (:mod:`lab.board.keeper`).

The keeper gets one :class:`Order` as a line of JSON, and then nothing more: when that pipe is closed, by whatever, it
cuts the board's power and ends. It answers with a line of JSON for each :class:`Said`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

LINE_BYTES = 1 << 16
OFF_SECONDS = 30.0
"""How long cutting the power may take."""

Word = Literal[
    "off",  # the power is cut, before anything else
    "quiet",  # what the console still had is thrown away
    "switching",  # now power, or the strategy, is asked for a boot
    "running",  # that is done
    "failed",  # no more will come of this run: why
    "ended",  # the power is cut; or why it could not be
]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be run; the fields are those of :class:`lab.board.environment.Options`."""

    file: str
    target: str
    state: str = ""
    console: str = ""
    power: str = ""


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that the keeper tells; ``text`` is for people, empty where all is well."""

    word: Word
    text: str = ""
