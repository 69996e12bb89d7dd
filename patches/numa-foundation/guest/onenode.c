/*
 * A machine with one node: CONFIG_BALANCE_NUMA=y changes nothing a program can
 * see. On more nodes, the part of it that holds there too: the policy that
 * tasks are given in secret is not shown to them.
 */
#include "ktap.h"

static void test_policy(void)
{
	unsigned long mask = ~0UL;
	int mode = -1;
	char *start = map_small(16 * PAGE);
	const char *map;
	char head[32];

	touch(start, 16 * PAGE);
	ok(get_mempolicy(&mode, &mask, NULL, 0) == 0 && mode == MPOL_DEFAULT && mask == 0,
	   "a task without a policy has the default policy");
	mode = -1;
	mask = ~0UL;
	ok(get_mempolicy(&mode, &mask, start, MPOL_F_ADDR) == 0 && mode == MPOL_DEFAULT && mask == 0,
	   "and so has its memory");
	snprintf(head, sizeof(head), "%08lx ", (unsigned long)start);
	map = strstr(slurp("/proc/self/numa_maps"), head);
	if (!map)
		skip("numa_maps shows it as default", "no such mapping in numa_maps");
	else
		ok(!strncmp(map + strlen(head), "default ", 8), "numa_maps shows it as default");
	munmap(start, 16 * PAGE);
}

static void test_faults(void)
{
	long updates = vmstat("numa_pte_updates"), hints = vmstat("numa_hint_faults");
	char *start = map_small(8 * MIB);

	if (nodes() > 1) {
		skip("nothing is marked on one node", "the machine has more");
		skip("memory stays in place, and does not fault", "the machine has more");
		return;
	}
	if (has_sysctl("balance_numa_scan_delay_ms")) {
		set_sysctl("balance_numa_scan_delay_ms", 0);
		set_sysctl("balance_numa_scan_period_min_ms", 50);
	}
	touch(start, 8 * MIB);
	for (double until = seconds(CLOCK_PROCESS_CPUTIME_ID) + 1; seconds(CLOCK_PROCESS_CPUTIME_ID) < until;)
		touch(start, 8 * MIB);
	updates = vmstat("numa_pte_updates") - updates;
	hints = vmstat("numa_hint_faults") - hints;
	note("marks +%ld, hinting faults +%ld", updates, hints);
	ok(updates == 0, "nothing is marked on one node");
	ok(hints == 0 && pages_on(start, 8 * MIB, 0) == 8 * MIB / PAGE, "memory stays in place, and does not fault");
	munmap(start, 8 * MIB);
}

int main(void)
{
	plan(5);
	test_policy();
	test_faults();
	return finish();
}
