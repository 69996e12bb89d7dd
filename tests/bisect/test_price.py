"""What probes cost, and that a search which knows it is cheaper than halving."""

import random
from dataclasses import replace

from lab.bisect.choose import Outlook, choose, same_cost
from lab.bisect.graph import line_graph
from lab.bisect.plan import Rules
from lab.bisect.price import HIT, Pace, Prices
from lab.bisect.simulate import Job, line_sight, made_up_series, simulate, spent
from lab.bisect.touches import Crash, Touch, contents, likelihood, parse, suspicion
from lab.kernel.depends import groups, stands_at
from lab.kernel.objects import note_state

HEADER, SOURCE = "include/linux/sched.h", "mm/slub.c"
PACE = Pace(compile=0.1, link=5.0, boot=2.0)


def prices():
    """Point 1 changes the source, 2 the header that 400 objects hang on, 3 the source again."""
    files = [{HEADER: "h0", SOURCE: "s0"}, {HEADER: "h0", SOURCE: "s1"}]
    files += [{HEADER: "h2", SOURCE: "s1"}, {HEADER: "h2", SOURCE: "s3"}]
    made = {frozenset(): 500, frozenset({HEADER}): 399, frozenset({HEADER, SOURCE}): 1}
    return Prices(files, made, PACE)


def test_from_nothing_all_is_compiled():
    assert prices().objects(None, 2, ()) == (900, 0)


def test_a_step_over_a_header_compiles_what_hangs_on_it():
    assert prices().objects(0, 1, ()) == (1, 0)
    assert prices().objects(1, 2, ()) == (400, 0)
    assert prices().objects(3, 2, ()) == (1, 0)


def test_what_was_compiled_before_comes_from_the_cache():
    assert prices().objects(0, 3, (2,)) == (1, 399)
    assert prices().objects(2, 0, (0,)) == (0, 400)
    assert prices().cost(2, 0, (0,)) == 400 * HIT * PACE.compile + PACE.link + PACE.boot


def test_which_objects_hang_on_which_files(tmp_path):
    for name, header in (("a", "sched.h"), ("b", "sched.h"), ("c", "other.h")):
        lines = [
            f"cmd_mm/{name}.o := gcc -I/x/tree/include/linux/mm.h",
            "",
            f"source_mm/{name}.o := /x/tree/mm/{name}.c",
        ]
        lines += ["", "deps := \\", "  $(wildcard include/config/smp.h) \\", f"  ../x/tree/include/linux/{header} \\"]
        (tmp_path / "mm").mkdir(exist_ok=True)
        (tmp_path / "mm" / f".{name}.o.cmd").write_text("\n".join(lines))
    wanted = {"include/linux/sched.h", "mm/a.c", "include/linux/mm.h"}
    assert groups(tmp_path, "tree", wanted) == {
        frozenset({"include/linux/sched.h", "mm/a.c"}): 1,
        frozenset({"include/linux/sched.h"}): 1,
        frozenset(): 1,
    }


def test_an_object_directory_says_where_it_stands(tmp_path):
    assert stands_at(tmp_path) == ""
    note_state(tmp_path, "building", "key", {"tree": "abc"})
    assert stands_at(tmp_path) == "", "half-done is nowhere"
    note_state(tmp_path, "built", "key", {"tree": "abc"})
    assert stands_at(tmp_path) == "abc"


DIFF = """\
{a}
diff --git a/mm/mempolicy.c b/mm/mempolicy.c
index {one}..{two} 100644
--- a/mm/mempolicy.c
+++ b/mm/mempolicy.c
@@ -10,7 +10,7 @@ static struct zonelist *policy_zonelist(gfp_t gfp, struct mempolicy *policy)
 \tcontext();
--- a/looks like a header
-\told_call(1);
+\tnew_call(2);
{b}
diff --git a/mm/new.c b/mm/new.c
new file mode 100644
index {zero}..{two}
--- /dev/null
+++ b/mm/new.c
@@ -0,0 +1 @@
+int policy_zonelist_is_named;
"""


def test_what_a_patch_touches():
    a, b, one, two, zero = "a" * 40, "b" * 40, "1" * 40, "2" * 40, "0" * 40
    found = parse(DIFF.format(a=a, b=b, one=one, two=two, zero=zero), [a, b])
    assert found[a].files == {"mm/mempolicy.c": two}
    assert found[a].functions == {"policy_zonelist"}
    assert {"old_call", "new_call"} <= found[a].words
    assert (found[a].lines, found[b].lines) == (2, 1)
    assert (found[b].before, found[b].files) == ({"mm/new.c": ""}, {"mm/new.c": two})
    assert contents([found[a], found[b]]) == [
        {"mm/mempolicy.c": one, "mm/new.c": ""},
        {"mm/mempolicy.c": two, "mm/new.c": ""},
        {"mm/mempolicy.c": two, "mm/new.c": two},
    ]


def test_patches_are_ranked_by_what_they_have_to_do_with_the_crash():
    crash = Crash(("policy_zonelist", "? noise", "alloc_pages"), "mm/mempolicy.c")
    inside = suspicion(Touch({"mm/mempolicy.c": "x"}, functions={"policy_zonelist"}), crash)
    names = suspicion(Touch({"mm/slub.c": "x"}, words={"alloc_pages"}), crash)
    file = suspicion(Touch({"mm/mempolicy.c": "x"}), crash)
    nothing = suspicion(Touch({"fs/x.c": "x"}), crash)
    assert inside[0] > names[0] > nothing[0] == 0
    assert inside[0] > file[0] > 0
    assert inside[1] == ("changes policy_zonelist()", "touches mm/mempolicy.c")


def test_a_patch_to_what_is_not_compiled_is_hardly_suspected():
    touch = Touch({"arch/arm/mm/fault.c": "x"}, lines=10)
    assert likelihood(touch, Crash(), {"mm/slub.c": 1}) < 0.1 * likelihood(touch, Crash(), None)
    assert likelihood(Touch({"mm/Kconfig": "x"}), Crash(), {"mm/slub.c": 1}) >= 1


def test_knowing_what_would_be_compiled_is_cheaper_than_halving():
    chance = random.Random(4)
    plain = clever = 0.0
    for _ in range(12):
        job: Job = made_up_series(chance, 19)
        culprit = chance.randint(1, 19)
        sight = line_sight(culprit, 1.0, chance)
        halving = simulate(line_graph(19), sight, Rules(), lambda _built: Outlook(cost=same_cost))
        chosen = simulate(line_graph(19), sight, Rules(), job.outlook)
        assert halving.answer.candidates == chosen.answer.candidates == (culprit,)
        plain += spent(job, halving.builds)
        clever += spent(job, chosen.builds)
    assert clever < plain


def test_a_search_that_knows_the_prices_goes_round_a_header_that_everything_hangs_on():
    """Point 6 of 12 changes the header, so halving steps over it and back; where the bug is in 7 to 12, as the crash
    suggests, the search stays above it."""
    files = [{"h": str(point >= 6), "c": str(point)} for point in range(13)]
    job = Job(Prices(files, {frozenset({"h"}): 800, frozenset({"c"}): 1}, PACE))
    weight = (1.0, *(9.0 if point > 6 else 1.0 for point in range(1, 13)))
    outlook = replace(job.outlook((12,)), weight=weight)
    assert choose(line_graph(12), line_graph(12).suspects, list(range(1, 12)), outlook)[0] > 6
    halving = choose(line_graph(12), line_graph(12).suspects, list(range(1, 12)), Outlook())[0]
    assert halving == 6


HUNK_OF_TWO = "\n".join(
    (
        "{a}",
        "diff --git a/mm/mempolicy.c b/mm/mempolicy.c",
        "index {one}..{two} 100644",
        "--- a/mm/mempolicy.c",
        "+++ b/mm/mempolicy.c",
        "@@ -10,7 +10,14 @@ static void before(struct page *page)",
        " \tlast();",
        " }}",
        " ",
        " retry_cpuset:",
        "+static int added(int nid)",
        "+{{",
        "+\treturn nid;",
        "+}}",
        "+",
        "+int declared(int nid);",
        "+",
        " struct page *alloc_pages_current(gfp_t gfp, unsigned order)",
        " {{",
        "-\tstruct mempolicy *pol = current->mempolicy;",
        "+\tstruct mempolicy *pol = get_task_policy(current);",
        "@@ -60,3 +62,3 @@ out:",
        "-\treturn 1;",
        "+\treturn 2;",
        "",
    )
)


def test_a_change_belongs_to_the_function_around_it_and_not_to_the_one_that_the_hunk_begins_in():
    a, one, two = "1" * 40, "2" * 40, "3" * 40
    touch = parse(HUNK_OF_TWO.format(a=a, one=one, two=two), [a])[a]
    assert touch.functions == {"added", "alloc_pages_current"}
    assert touch.lines == 11


def test_who_changes_the_crash_s_own_function_is_looked_at_first():
    crash = Crash(("policy_zonelist", "alloc_pages_current", "start_kernel"), "mm/mempolicy.c")
    own, caller, far, file, none = (
        likelihood(touch, crash, None)
        for touch in (
            Touch({"mm/mempolicy.c": "x"}, functions={"policy_zonelist"}),
            Touch({"mm/mempolicy.c": "x"}, functions={"alloc_pages_current"}),
            Touch({"init/main.c": "x"}, functions={"start_kernel"}),
            Touch({"mm/mempolicy.c": "x"}),
            Touch({"fs/x.c": "x"}),
        )
    )
    assert own > caller > far > file > none > 0
    assert own > 10 * file
