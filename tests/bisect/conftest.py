"""Made-up kernels: points that are built and booted in no time, each boot with an outcome that never changes."""

from __future__ import annotations

import hashlib

import pytest

from lab.bisect.choose import Outlook
from lab.bisect.records import Boot, Build, Named, Question, Sight

BUG = Sight(
    "bug:policy_zonelist", ("kernel BUG in policy_zonelist",), True, ("policy_zonelist", "alloc_pages"), "mm/m.c"
)
OTHER = Sight("oops:elsewhere", ("general protection fault in elsewhere",), True, ("elsewhere",), "mm/e.c")


def share(*what) -> float:
    """A number between 0 and 1 that hangs on ``what`` alone."""
    digest = hashlib.sha256(repr(what).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Points:
    """A prober of made-up points. ``journal`` says how often each was booted, so a boot that was lost is made again
    as it was."""

    def __init__(self, journal, culprit, *, rate=1.0, unbuilt=(), others=(), images=None, work=lambda: None):
        self.journal = journal
        self.culprit = culprit
        self.rate = rate
        self.unbuilt = frozenset(unbuilt)
        self.others = frozenset(others)
        self.images = images or {}
        self.work = work
        self.calls = []

    def build(self, point, worker):
        self.work()
        self.calls.append(("build", point))
        if point in self.unbuilt:
            return Build(point, reason="does not build: mm/x.c:1: error")
        return Build(point, f"image {self.images.get(point, point)}", 3.0, fresh=True, compiled=40)

    def boot(self, point, worker):
        self.work()
        self.calls.append(("boot", point))
        image = f"image {self.images.get(point, point)}"
        count = sum(isinstance(event, Boot) and event.point == point for event in self.journal.events)
        if point in self.others:
            return Boot(point, "other", "another bug", image, 1.0, OTHER.titles[0], OTHER.signature, (OTHER,))
        if point >= self.culprit and share(point, count, self.culprit) < self.rate:
            text = ("kernel BUG at mm/m.c:7!", "RIP: policy_zonelist")
            return Boot(point, "bad", BUG.titles[0], image, 0.5, BUG.titles[0], BUG.signature, (BUG,), text)
        return Boot(point, "good", "user space ran on 2 node(s)", image, 1.5)


def plain_view(_events):
    return Outlook(boot=1.0, redo=30.0)


def asked(last, case="made-up"):
    points = tuple(
        Named(index, f"mm: patch {index}", f"{index:040x}", f"{index:040x}", "") for index in range(last + 1)
    )
    return Question("0" * 64, case, points, ("lab", "bisect", case), BUG.signature, {"machine": "two-nodes"})


@pytest.fixture
def made_up():
    return Points
