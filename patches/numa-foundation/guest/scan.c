/*
 * Patches 15, 18 and 19: which memory is marked, how much at a time, how often
 * and from when on is up to the sysctls.
 *
 * The guest can be starved by its host, and then its clock runs on while its
 * tasks get nothing done. So nothing is expected by a certain time. What must
 * hold at any speed is that scans do not come earlier, closer together, or
 * larger than they may, in the run time of the task as the kernel counts it.
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

/* What was seen of the scans of one task. Times are run times, in seconds. */
struct seen {
	int scans;     /* as far as they could be told apart */
	long largest;  /* pages that the largest of them marked */
	double first;  /* when the first was noticed */
	double last;   /* when the last was noticed, or the end of it all */
};

/*
 * A new task uses "size" bytes and looks for scans all the while, until it has
 * seen some or the time is up.
 */
static struct seen watch(size_t size, int scans, double limit)
{
	struct seen seen = {.first = -1};
	int ends[2];
	pid_t child;

	if (pipe(ends))
		bail("pipe");
	child = fork();
	if (!child) {
		double start_time = seconds(CLOCK_MONOTONIC);
		long before = vmstat("numa_pte_updates");
		char *start;

		if (!run_on(0))
			_exit(1);
		start = map_small(size);
		while (seen.scans < scans && seconds(CLOCK_MONOTONIC) < start_time + limit) {
			for (size_t at = 0; at < size; at += MIB) {
				long now, jump;

				touch(start + at, MIB);
				now = vmstat("numa_pte_updates");
				seen.last = seconds(CLOCK_PROCESS_CPUTIME_ID);
				jump = now - before;
				before = now;
				if (!jump)
					continue;
				if (!seen.scans++)
					seen.first = seen.last;
				if (jump > seen.largest)
					seen.largest = jump;
			}
		}
		if (write(ends[1], &seen, sizeof(seen)) != sizeof(seen))
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	if (read(ends[0], &seen, sizeof(seen)) != sizeof(seen) || !reap(child))
		bail("the task to be scanned is gone");
	close(ends[0]);
	note("%d scans of up to %ld pages, from %.2f to %.2f s of run time", seen.scans, seen.largest, seen.first,
	     seen.last);
	return seen;
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
	struct seen late, early;

	set(1500, 100, 100, 256);
	late = watch(SIZE, 1, 300);
	set(0, 100, 100, 256);
	early = watch(SIZE, 1, 300);
	ok(late.scans == 0 || late.first >= 1.5, "a new task is left alone until it has run for the delay");
	ok(late.scans > 0, "and is scanned from then on");
	ok(early.scans > 0 && early.first < late.first, "with no delay it is scanned earlier");
}

static void test_window(void)
{
	const long table = TABLE / PAGE, other = 256; /* other: what else is mapped, program and stack */
	struct seen small, large;

	/* A window ends with a page table: 2 MiB is the least there is */
	set(0, 200, 200, 2);
	small = watch(SIZE, 6, 300);
	set(0, 200, 200, 16);
	large = watch(SIZE, 6, 300);
	ok(small.scans > 0 && small.largest <= 2 * table + other, "no scan marks more than its window");
	ok(large.largest > small.largest && large.largest <= 9 * table + other, "a larger window marks more at once");
}

/* Seconds of run time from one scan to the next; a slow guest can see more of them than it waited for. */
static double interval(struct seen seen)
{
	return seen.scans > 1 ? (seen.last - seen.first) / (seen.scans - 1) : 1e9;
}

static void test_period(void)
{
	struct seen often, seldom;

	set(0, 100, 100, 64);
	often = watch(SIZE, 6, 300);
	set(0, 1000, 1000, 64);
	seldom = watch(SIZE, 6, 300);
	ok(seldom.scans >= 2 && seldom.last - seldom.first >= 0.9 * (seldom.scans - 2),
	   "scans are not closer together than the period");
	ok(often.scans >= 6 && interval(often) < interval(seldom), "with a shorter period they are");

	set(0, 100, 1600, 64);
	set_sysctl("balance_numa_settle_count", 1);
	seldom = watch(SIZE, 8, 300);
	set_sysctl("balance_numa_settle_count", 1000000);
	often = watch(SIZE, 8, 300);
	ok(often.scans >= 8 && interval(often) < interval(seldom),
	   "the period grows when memory has settled, as the count allows");
}

static void test_feature(void)
{
	struct seen none, some;

	debugfs();
	if (!spew("/sys/kernel/debug/sched_features", "NO_NUMA")) {
		skip("the scheduler feature NUMA switches it off", "needs CONFIG_SCHED_DEBUG");
		skip("and on again", "needs CONFIG_SCHED_DEBUG");
		return;
	}
	set(0, 100, 100, 256);
	none = watch(SIZE, 1, 5);
	spew("/sys/kernel/debug/sched_features", "NUMA");
	some = watch(SIZE, 1, 300);
	ok(none.scans == 0, "the scheduler feature NUMA switches it off");
	ok(some.scans > 0, "and on again");
}

int main(void)
{
	need_two_nodes(12);
	plan(12);
	if (!has_sysctl("balance_numa_scan_delay_ms")) {
		for (int i = 0; i < 12; i++)
			skip("scans", "no CONFIG_BALANCE_NUMA, or not all of the series");
		return 0;
	}
	test_sysctls();
	test_delay();
	test_window();
	test_period();
	test_feature();
	return finish();
}
