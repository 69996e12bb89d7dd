/*
 * Patches 13, 16 and 17: the memory of a task that knows nothing of nodes goes
 * to the node that uses it, and the share of local hinting faults rises to 1.
 */
#include "ktap.h"

#define SIZE (16 * MIB)
#define ROUNDS 120

struct share {
	long faults, local;
};

static struct share counters(void)
{
	return (struct share){vmstat("numa_hint_faults"), vmstat("numa_hint_faults_local")};
}

static double since(struct share before)
{
	struct share now = counters();
	long faults = now.faults - before.faults;

	return faults ? (double)(now.local - before.local) / faults : -1;
}

/* Use memory from node 0 on node 1 until it is there, and then on. */
static int follow(void)
{
	long updates = vmstat("numa_pte_updates"), migrated = vmstat("numa_pages_migrated");
	struct share before, settled;
	char *start = pages_from(SIZE, 0);
	unsigned long near = 0;
	double first, last;
	int round;

	run_on(1);
	before = counters();
	for (round = 0; round < ROUNDS && near < SIZE / PAGE; round++) {
		double until = seconds(CLOCK_MONOTONIC) + 0.25;

		while (seconds(CLOCK_MONOTONIC) < until)
			touch(start, SIZE);
		near = pages_on(start, SIZE, 1);
	}
	first = since(before);
	note("after %d rounds of 0.25 s %lu of %lu pages are near; local share of faults %.3f", round, near,
	     SIZE / PAGE, first);
	ok(near == SIZE / PAGE, "memory touched from the other node moves there");
	migrated = vmstat("numa_pages_migrated") - migrated;
	updates = vmstat("numa_pte_updates") - updates;
	note("numa_pages_migrated +%ld, numa_pte_updates +%ld", migrated, updates);
	ok(migrated >= (long)(SIZE / PAGE) && updates >= migrated, "each move was counted, and each mark");

	settled = counters();
	for (round = 0; round < ROUNDS && counters().faults < settled.faults + (long)(2 * SIZE / PAGE); round++) {
		double until = seconds(CLOCK_MONOTONIC) + 0.25;

		while (seconds(CLOCK_MONOTONIC) < until)
			touch(start, SIZE);
	}
	last = since(settled);
	note("then %ld faults, local share %.3f", counters().faults - settled.faults, last);
	ok(first >= 0 && first < last, "the share of local hinting faults rises");
	ok(last > 0.99, "and rises to 1");
	ok(pages_on(start, SIZE, 1) == SIZE / PAGE, "pages that are near stay");

	/* A policy of one's own ends it */
	if (mbind(start, SIZE, MPOL_PREFERRED, 2, 0) || !run_on(0))
		bail("mbind");
	for (double until = seconds(CLOCK_MONOTONIC) + 2; seconds(CLOCK_MONOTONIC) < until;)
		touch(start, SIZE);
	ok(pages_on(start, SIZE, 1) == SIZE / PAGE, "memory with a policy of its own stays where that was obeyed");
	exit(finish());
}

int main(void)
{
	need_two_nodes(6);
	plan(6);
	if (!has_sysctl("balance_numa_scan_period_min_ms")) {
		for (int i = 0; i < 6; i++)
			skip("migrate on reference", "no CONFIG_BALANCE_NUMA in this kernel");
		return 0;
	}
	set_sysctl("balance_numa_scan_delay_ms", 50);
	set_sysctl("balance_numa_scan_period_min_ms", 100);
	set_sysctl("balance_numa_scan_period_max_ms", 400);
	follow(); /* from its first run on: nothing here has run for longer than that */
}
