"""How a long step tells what it is doing; who shows it is not the step's business."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the step (``build``), what it works on now, and how far it is: ``done`` of ``total``.

    ``total`` 0 means that nobody knows how much there is.
    """

    def __call__(self, step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Take note of one step forward."""


def silent(step: str, detail: str = "", done: int = 0, total: int = 0) -> None:
    """A :class:`Progress` that tells nobody."""
