/*
 * Patches 15, 18 and 19: which memory is marked, how much at a time, how often
 * and from when on is up to the sysctls.
 *
 * Times are run times of the task under test, as the kernel counts them, so
 * that a slow host or a guest with other things to do changes nothing.
 */
#include "ktap.h"

#define SIZE (32 * MIB)

static const struct {
	const char *name;
	long value;
} defaults[] = {
	{"balance_numa_scan_period_min_ms", 2000}, {"balance_numa_scan_period_max_ms", 32000},
	{"balance_numa_scan_size_mb", 256},	   {"balance_numa_scan_delay_ms", 1000},
	{"balance_numa_settle_count", 3},
};

#define DEFAULTS (sizeof(defaults) / sizeof(*defaults))

static void set(long delay, long least, long most, long size)
{
	set_sysctl("balance_numa_scan_delay_ms", delay);
	set_sysctl("balance_numa_scan_period_min_ms", least);
	set_sysctl("balance_numa_scan_period_max_ms", most);
	set_sysctl("balance_numa_scan_size_mb", size);
}

/*
 * Marks made while a new task runs for some time and uses its memory all the
 * while; -1 if it could not. From the task's own start on, or from "after"
 * seconds of its run time on.
 */
static long marks(size_t size, double after, double until)
{
	int ends[2];
	long result = -1;
	pid_t child;

	if (pipe(ends))
		bail("pipe");
	child = fork();
	if (!child) {
		char *start;
		long before = 0;

		if (!run_on(0))
			_exit(1);
		start = map_small(size);
		if (after == 0)
			before = vmstat("numa_pte_updates");
		while (seconds(CLOCK_PROCESS_CPUTIME_ID) < after)
			touch(start, size);
		if (after > 0)
			before = vmstat("numa_pte_updates");
		while (seconds(CLOCK_PROCESS_CPUTIME_ID) < until)
			touch(start, size);
		before = vmstat("numa_pte_updates") - before;
		if (write(ends[1], &before, sizeof(before)) != sizeof(before))
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	if (read(ends[0], &result, sizeof(result)) != sizeof(result) || !reap(child))
		result = -1;
	close(ends[0]);
	return result;
}

static void test_sysctls(void)
{
	bool good = true;

	for (size_t i = 0; i < DEFAULTS; i++) {
		long value = get_sysctl(defaults[i].name);

		if (value == defaults[i].value)
			continue;
		note("%s is %ld", defaults[i].name, value);
		good = false;
	}
	ok(good, "the sysctls are there, and 256 MB each 2 to 32 s after 1 s the default");
	ok(!set_sysctl("balance_numa_scan_size_mb", 0) && !set_sysctl("balance_numa_scan_period_min_ms", 0) &&
		   !set_sysctl("balance_numa_scan_delay_ms", -1) && get_sysctl("balance_numa_scan_size_mb") == 256,
	   "a period or a window of nothing is refused");
}

static void test_delay(void)
{
	long early, late;

	set(1500, 100, 100, 256);
	early = marks(SIZE, 0, 1.2);
	late = marks(SIZE, 0, 2.5);
	note("delay 1.5 s: %ld marks in 1.2 s, %ld in 2.5 s", early, late);
	ok(early >= 0 && early < 64, "a new task is left alone until it has run for the delay");
	ok(late > (long)(SIZE / PAGE), "and is scanned from then on");
	set(0, 100, 100, 256);
	early = marks(SIZE, 0, 1.2);
	note("no delay: %ld marks in 1.2 s", early);
	ok(early > (long)(SIZE / PAGE), "with no delay it is scanned at once");
}

static void test_window(void)
{
	long small, large;

	/* A window ends with a page table: 2 MiB is the least there is */
	set(0, 200, 200, 2);
	small = marks(SIZE, 1, 3);
	set(0, 200, 200, 16);
	large = marks(SIZE, 1, 3);
	note("windows of 2 MB: %ld marks in 2 s, of 16 MB: %ld", small, large);
	/* At most 11 scans in 2 s; each of up to 2 or 16 MB, and what else is mapped fits in those */
	ok(small > 0 && small <= 11 * (long)(2 * TABLE / PAGE), "no scan marks more than its window");
	ok(large > 3 * small && large <= 11 * (long)(18 * MIB / PAGE), "a larger window marks more");
}

static void test_period(void)
{
	long often, seldom;

	set(0, 100, 100, 64);
	often = marks(SIZE, 0.5, 3);
	set(0, 1000, 1000, 64);
	seldom = marks(SIZE, 0.5, 3);
	note("period 0.1 s: %ld marks in 2.5 s, 1 s: %ld", often, seldom);
	ok(seldom > 0 && seldom <= 3 * (long)((SIZE + TABLE) / PAGE), "no two scans are closer than the period");
	ok(often > 4 * seldom, "a shorter period marks more often");

	set(0, 100, 1600, 64);
	set_sysctl("balance_numa_settle_count", 1);
	seldom = marks(SIZE, 0.5, 6);
	set_sysctl("balance_numa_settle_count", 1000000);
	often = marks(SIZE, 0.5, 6);
	note("memory that is local: %ld marks in 5.5 s, %ld if that counts for nothing", seldom, often);
	ok(seldom > 0 && often > 2 * seldom, "the period grows when memory has settled, as the count allows");
	set_sysctl("balance_numa_settle_count", 3);
}

static void test_feature(void)
{
	long none;

	debugfs();
	if (!spew("/sys/kernel/debug/sched_features", "NO_NUMA")) {
		skip("the scheduler feature NUMA switches it off", "needs CONFIG_SCHED_DEBUG");
		return;
	}
	set(0, 100, 100, 256);
	none = marks(SIZE, 0, 1.5);
	spew("/sys/kernel/debug/sched_features", "NUMA");
	note("with NO_NUMA: %ld marks", none);
	ok(none == 0, "the scheduler feature NUMA switches it off");
}

int main(void)
{
	need_two_nodes(11);
	plan(11);
	if (!has_sysctl("balance_numa_scan_delay_ms")) {
		for (int i = 0; i < 11; i++)
			skip("scans", "no CONFIG_BALANCE_NUMA, or not all of the series");
		return 0;
	}
	test_sysctls();
	test_delay();
	test_window();
	test_period();
	test_feature();
	for (size_t i = 0; i < DEFAULTS; i++)
		set_sysctl(defaults[i].name, defaults[i].value);
	return finish();
}
