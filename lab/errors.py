"""The one tree of exceptions.

A bug in the kernel under test is a result and never raised. What is raised is either something the user
can mend (:class:`UserError`) or something the world did (:class:`InfrastructureError`).
"""

from __future__ import annotations


class LabError(Exception):
    """What the lab raises on purpose. ``hint`` is what to do about it, a command where there is one."""

    exit_code = 128

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UserError(LabError):
    """The input is wrong: the message names the file, the line or key, and what to do."""

    exit_code = 129


class InfrastructureError(LabError):
    """The world failed: a tool is missing, the disk is full, QEMU does not start."""

    exit_code = 128
