"""Whether somebody is at a run: by the process that claimed it, or by what it counts."""

import os
import time
from dataclasses import replace

import pytest

from lab.errors import InfrastructureError
from lab.history import claims
from lab.history.claims import Claim, abandoned, beating, lives, own_claim


class Book:
    """Where a claim stands: somebody may count it up."""

    def __init__(self, claim, *, grows=False):
        self.now, self.grows, self.beats, self.fails = claim, grows, [], False

    def claim(self, _run):
        if self.grows:
            self.now = replace(self.now, beats=self.now.beats + 1)
        return self.now

    def beat(self, _run, token):
        self.beats.append(token)
        if self.fails:
            raise InfrastructureError("away")
        return token == self.now.token


def child():
    """A process that waits, and a pipe that ends it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    return pid, writing


def claim_of(pid):
    return Claim(f"{claims.realm()}/{pid}/{claims.started(pid)}/x", "somebody")


def test_a_claim_lives_as_long_as_its_process():
    mine = own_claim()
    assert lives(mine) is True
    assert f"process {os.getpid()}" in mine.who
    pid, end = child()
    theirs = claim_of(pid)
    assert lives(theirs) is True
    os.close(end)
    limit = time.monotonic() + 10
    while claims.started(pid) != "never" and time.monotonic() < limit:
        time.sleep(0.01)
    assert lives(theirs) is False, "nobody waited for it yet, and yet it is dead"
    os.waitpid(pid, 0)
    assert lives(theirs) is False
    assert lives(Claim()) is False, "nobody's"


def test_another_process_of_the_same_number_is_another():
    boot, namespace, pid, _, nonce = own_claim().token.split("/")
    assert lives(Claim("/".join((boot, namespace, pid, "1", nonce)))) is False


@pytest.mark.parametrize("token", ["other-boot/1/1/1/x", "///1/x", "nonsense", "a/b/c/d/e/f", "/" * 90])
def test_of_another_boot_or_namespace_nothing_can_be_told(token):
    assert lives(Claim(token)) is None


def test_a_number_that_is_no_process_is_dead():
    assert lives(Claim(f"{claims.realm()}/{2**70}/1/x")) in (True, False)  # whichever: no exception
    assert lives(Claim(f"{claims.realm()}/4194305/1/x")) is False


def test_who_cannot_be_looked_for_is_waited_for():
    gone, there = Claim("other/1/1/1/x", "alice on cellar"), Claim("other/1/1/1/y", "bob")
    said = []
    assert abandoned(Book(gone), "r", gone, patience=0.05, say=said.append) is True
    assert said == ["run r was begun by alice on cellar: looking for 0.05 s whether that still goes on"]
    began = time.monotonic()
    assert abandoned(Book(there, grows=True), "r", there, patience=30.0) is False
    assert time.monotonic() - began < 10


def test_whoever_is_at_a_run_counts_up_until_it_is_another_one_s():
    mine = own_claim()
    book = Book(mine)
    with beating(book, "r", mine, 0.01):
        wait_for(lambda: len(book.beats) >= 2)
        book.fails = True
        wait_for(lambda: len(book.beats) >= 4)  # the history is away: it goes on
        book.fails, book.now = False, Claim("another")
        seen = len(book.beats)
        time.sleep(0.2)
        assert len(book.beats) <= seen + 2
    assert set(book.beats) == {mine.token}


def wait_for(condition):
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)
