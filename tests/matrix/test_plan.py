"""What matters most comes first, and what a run costs is known from those before."""

from lab.matrix.plan import BOOT_SECONDS, BUILD_SECONDS, Costs, estimate, learned, ordered
from tests.history.made import attempt, result
from tests.matrix.made import job, jobs


def order(members, costs=None, last=None):
    return [(one.cell.label, one.cell.machine) for one in ordered(members, costs or Costs(), last or {})]


def test_without_any_history_the_order_is_the_file_s():
    members = jobs(machines=("two-nodes", "one-node"))
    assert order(members) == [(one.cell.label, one.cell.machine) for one in members]


def test_kernels_with_required_cells_come_first_and_in_them_the_required_cells():
    members = [*jobs(("base",)), job("end"), job("end", "one-node", required=True)]
    assert order(members)[:2] == [("end", "one-node"), ("end", "two-nodes")]


def test_what_was_not_as_expected_last_time_comes_before_what_was():
    members = jobs(("a", "b", "c"), ("one-node", "two-nodes"))
    last = {one.cell.key: "good" for one in members} | {members[3].cell.key: "bad"}
    assert order(members, last=last)[0] == ("b", "two-nodes")
    flaky = last | {members[3].cell.key: "good", members[4].cell.key: "flaky"}
    assert order(members, last=flaky)[0] == ("c", "one-node")


def test_what_is_expected_to_be_bad_and_was_is_nothing_urgent():
    members = [*jobs(("a",)), *jobs(("b",), expected="bad")]
    last = {one.cell.key: one.cell.expected for one in members}
    assert order(members, last=last)[0][0] == "a"


def test_what_is_built_comes_before_what_is_not_and_cheap_builds_before_dear_ones():
    members = [job("a", kconfig="debug"), job("b", kconfig="tiny-numa"), job("c", kconfig="reporter")]
    costs = Costs(
        builds={("early-policy", "debug"): 400.0, ("early-policy", "reporter"): 100.0},
        stored=frozenset([members[1].kernel]),
    )
    assert [label for label, _ in order(members, costs)] == ["b", "c", "a"]


def test_costs_are_the_medians_of_what_was_seen():
    cell = job().cell
    past = [[result("r", cell, attempts=[attempt(seconds=s)], build_seconds=90.0)] for s in (1.0, 9.0, 3.0)]
    costs = learned(past, frozenset(), boots=2)
    assert costs.boot(cell) == 2 * 3.0
    assert costs.build(job()) == 90.0
    assert costs.boot(job("base").cell) == 2 * 3.0, "another point on the same machine with the same kconfig"
    assert costs.boot(job("base", kconfig="debug").cell) == 2 * 3.0, "or on the same machine at all"
    assert costs.boot(job("base", "one-node").cell) == 2 * BOOT_SECONDS


def test_what_came_from_the_store_tells_nothing_about_builds():
    past = [[result("r", job().cell, build_seconds=0.0, from_store=True)]]
    assert learned(past, frozenset()).build(job()) == BUILD_SECONDS
    assert learned(past, frozenset([job().kernel])).build(job()) == 0.0


def test_an_estimate_counts_each_kernel_once():
    members = jobs(("base", "end"), ("one-node", "two-nodes"))
    found = estimate(members, Costs(stored=frozenset([members[0].kernel])), cores=2)
    assert (found.kernels, found.build_seconds, found.boot_seconds) == (1, BUILD_SECONDS, 4 * BOOT_SECONDS)
    assert found.seconds == BUILD_SECONDS + 2 * BOOT_SECONDS
