"""Who comes to a cluster and who leaves it is told."""

from lab.remote.cluster import Roll, workers_at


def test_the_first_look_tells_nothing_and_each_change_one_line():
    told = []
    roll = Roll(told.append)
    for there in (["tls://10.0.0.1:5", "tls://10.0.0.2:6"], ["tls://10.0.0.1:5"], [], ["tls://10.0.0.1:7"] * 2):
        roll.call(there)
        roll.call(there)
    assert told == [
        "gone from the cluster: 1 worker(s) (1 on 10.0.0.2); 1 left",
        "gone from the cluster: 1 worker(s) (1 on 10.0.0.1); 0 left",
        "come to the cluster: 1 worker(s) (1 on 10.0.0.1); 1 now",
    ]


def test_a_worker_that_is_another_one_on_the_same_machine_is_told_as_both():
    told = []
    roll = Roll(told.append)
    roll.call(["tls://10.0.0.1:5"])
    roll.call(["tls://10.0.0.1:6"])
    assert [line.partition(":")[0] for line in told] == ["gone from the cluster", "come to the cluster"]


def test_many_machines_are_not_all_named():
    addresses = [f"tcp://10.0.0.{number}:{port}" for number in range(8) for port in (1, 2)]
    assert workers_at(addresses).startswith("16 worker(s) (2 on 10.0.0.0, ")
    assert workers_at(addresses).endswith(" and 3 more machines)")
