"""How work is handed to a scheduler: much in few graphs, again where the scheduler went. The client is made up."""

import asyncio
import operator
from concurrent.futures import CancelledError

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from lab.errors import InfrastructureError
from lab.remote.steady import GRAPH_BYTES, PAUSE_SECONDS, Post, Steady, Task, graphs, packed, perform


class Loop:
    """As much of tornado's loop as is used."""

    def __init__(self):
        self.own = asyncio.get_running_loop()
        self.time = self.own.time

    def add_callback(self, call, *arguments):
        self.own.call_soon_threadsafe(lambda: self.own.create_task(call(*arguments)))


class Sent:
    def __init__(self, outcome):
        self.outcome, self.status = outcome, "finished"

    async def _result(self):
        await asyncio.sleep(0)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Client:
    """Does all at once, but for the first ``lost`` calls, which its scheduler forgets."""

    status = "running"

    def __init__(self, lost=0):
        self.loop, self.lost, self.graphs = Loop(), lost, []

    def map(self, call, calls, *, key, pure, retries, resources):
        assert len(set(key)) == len(calls)
        self.graphs.append((self.loop.time(), len(calls), resources))
        made = []
        for one in calls:
            made.append(Sent(CancelledError() if self.lost > 0 else call(one)))
            self.lost -= 1
        return made


def results(futures):
    return asyncio.wait_for(asyncio.gather(*map(asyncio.wrap_future, futures)), 10)


def test_what_comes_together_goes_together_and_soon_after_it_the_rest():
    async def body():
        client = Client()
        executor = Steady(Post(client), {"memory": 1})
        first = [executor.submit(operator.add, number, 1) for number in range(20)]
        assert await results(first) == list(range(1, 21))
        more = [executor.submit(operator.add, number, 2) for number in range(3)]
        assert await results(more) == [2, 3, 4]
        return client.graphs

    (began, many, resources), (then, few, _) = asyncio.run(body())
    assert (many, few, resources) == (20, 3, {"memory": 1})
    assert then - began >= PAUSE_SECONDS * 0.99


def test_what_the_scheduler_forgot_is_handed_in_again_and_its_result_taken_once():
    async def body():
        client = Client(lost=7)
        executor = Steady(Post(client), {})
        return await results([executor.submit(operator.mul, number, 3) for number in range(5)]), client

    found, client = asyncio.run(body())
    assert found == [0, 3, 6, 9, 12]
    assert [count for _, count, _ in client.graphs] == [5, 5, 2]


def test_without_a_scheduler_work_fails_in_one_line():
    async def body():
        client = Client()
        client.status = "closed"
        await results([Steady(Post(client), {}).submit(print)])

    with pytest.raises(InfrastructureError, match="does not answer any more"):
        asyncio.run(body())


def test_a_graph_has_tasks_that_want_the_same_and_an_end():
    big = b"x" * (GRAPH_BYTES // 2)
    small, large = [Task("fill", b"x", {"memory": 1})] * 3, [Task("fill", big, {"memory": 1})] * 5
    other = Task("build", b"x", {"memory": 2})
    parts = list(graphs([*small, other, *small, *large]))
    assert [one for part in parts for one in part] == [*small, other, *small, *large]
    assert [len(part) for part in parts] == [3, 1, 4, 2, 2]
    assert list(graphs([])) == []


def test_a_call_goes_as_bytes():
    assert perform(packed(operator.sub, (5, 3))) == 2
    class_of_here = Sent  # cloudpickle takes what can't be imported there
    assert perform(packed(lambda: class_of_here(4).outcome, ())) == 4
