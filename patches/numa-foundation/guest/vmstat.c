/*
 * The counters that the series brings, and what they count, in such a way that
 * Linux 3.8 can be asked as well: it has neither MPOL_MF_LAZY nor the sysctls'
 * names, so memory is marked by the scans alone here.
 */
#include "ktap.h"

#define PAGES 64
#define SIZE (8 * MIB)
#define ROUNDS 240

static const char *const names[] = {
	"pgmigrate_success",  "pgmigrate_fail",   "compact_migrate_scanned", "compact_free_scanned",   "compact_isolated",
	"numa_pte_updates",   "numa_hint_faults", "numa_hint_faults_local",  "numa_pages_migrated",
};
static const char *const gone[] = {"compact_blocks_moved", "compact_pages_moved", "compact_pagemigrate_failed"};

#define COUNT(list) (sizeof(list) / sizeof(*(list)))
#define TESTS (COUNT(names) + 14)

static void test_names(void)
{
	const char *text = slurp("/proc/vmstat"), *line = text;
	char order[512] = "";
	bool good = true;

	while (line && *line) {
		size_t size = strcspn(line, " ");

		for (size_t i = 0; i < COUNT(names); i++) {
			if (strlen(names[i]) != size || strncmp(line, names[i], size))
				continue;
			strcat(order, " ");
			strcat(order, names[i]);
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	note("order:%s", order);
	for (size_t i = 0; i < COUNT(names); i++) {
		char what[80];

		snprintf(what, sizeof(what), "there is %s", names[i]);
		ok(vmstat(names[i]) >= 0, what);
	}
	for (size_t i = 0; i < COUNT(gone); i++)
		good = good && vmstat(gone[i]) < 0;
	ok(good, "what compaction counted itself is gone");
}

static void test_success(void)
{
	char *start = pages_from(PAGES * PAGE, 0);
	long before = vmstat("pgmigrate_success"), rise;

	/* Others can migrate as well; not that much in so short a time */
	move_to(start, PAGES * PAGE, 1);
	rise = vmstat("pgmigrate_success") - before;
	ok(before >= 0 && rise >= PAGES && rise < 2 * PAGES, "pgmigrate_success counts pages, by move_pages()");
	before = vmstat("pgmigrate_success");
	if (mbind(start, PAGES * PAGE, MPOL_BIND, 1, MPOL_MF_MOVE))
		bail("mbind");
	rise = vmstat("pgmigrate_success") - before;
	ok(pages_on(start, PAGES * PAGE, 0) == PAGES && rise >= PAGES && rise < 2 * PAGES,
	   "pgmigrate_success counts pages, by mbind()");
	munmap(start, PAGES * PAGE);
}

static void test_fail(void)
{
	static const char name[] = "/lab/page";
	char *start = pages_from(PAGE, 0);
	struct iovec vector = {.iov_base = start, .iov_len = PAGE};
	int ends[2], file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (pipe(ends) || vmsplice(ends[1], &vector, 1, 0) != (ssize_t)PAGE)
		bail("vmsplice");
	ok(failures(start, "busy") == 0, "pgmigrate_fail leaves out a page that is only busy");
	close(ends[0]);
	close(ends[1]);

	/* A dirty page of the root's ramfs has no way to be moved (mm/migrate.c, writeout()) */
	if (file < 0 || write(file, start, PAGE) != (ssize_t)PAGE)
		bail(name);
	start = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (start == MAP_FAILED)
		bail("mmap");
	touch(start, PAGE);
	settle(start);
	ok(failures(start, "ramfs") == 1, "pgmigrate_fail counts a page that can not be moved");
	close(file);
	unlink(name);
}

static void test_compaction(void)
{
	size_t size = 64 * MIB;
	long before[4], rise[4];
	char *start = map_small(size);

	run_on(0);
	touch(start, size);
	for (size_t at = 0; at < size; at += 2 * PAGE)
		madvise(start + at, PAGE, MADV_DONTNEED);
	for (int i = 0; i < 4; i++)
		before[i] = vmstat(names[i ? i + 1 : 0]);
	if (!compact())
		bail("compact_memory");
	for (int i = 0; i < 4; i++)
		rise[i] = vmstat(names[i ? i + 1 : 0]) - before[i];
	note("moved %ld, scanned for migration %ld, for free pages %ld, isolated %ld", rise[0], rise[1], rise[2], rise[3]);
	ok(before[1] >= 0 && rise[1] > 0 && rise[2] > 0, "compaction counts what it scans, in both directions");
	ok(before[3] >= 0 && rise[3] > rise[0] && rise[0] > 0, "compact_isolated counts pages to move and pages to move to");
	munmap(start, size);
}

static void set(const char *name, long value)
{
	char full[64];

	snprintf(full, sizeof(full), "balance_numa_%s", name);
	if (!has_sysctl(full))
		snprintf(full, sizeof(full), "numa_balancing_%s", name);
	/* The name is kept to restore it by */
	if (!set_sysctl(strdup(full), value))
		bail(full);
}

static void use(char *start, double length)
{
	double until = seconds(CLOCK_MONOTONIC) + length;

	while (seconds(CLOCK_MONOTONIC) < until)
		touch(start, SIZE);
}

enum { SUCCESS, UPDATES, FAULTS, LOCAL, MOVED, ALL };

/* All at one time: to read a file page by page can move one. */
static void snapshot(long values[ALL])
{
	static const int which[ALL] = {0, 5, 6, 7, 8};
	const char *text = slurp("/proc/vmstat");

	for (int i = 0; i < ALL; i++)
		values[i] = counter(text, names[which[i]]);
}

static void rises(const long before[ALL], long rise[ALL])
{
	snapshot(rise);
	for (int i = 0; i < ALL; i++)
		rise[i] -= before[i];
}

static void test_numa(void)
{
	long before[ALL], rise[ALL], total[ALL];
	char *start;
	int round;

	snapshot(before);
	run_on(0);
	start = pages_from(SIZE, 0);
	use(start, 1); /* 3.8 marks nothing before a task has been on a second node */
	run_on(1);
	for (round = 0; round < ROUNDS && pages_on(start, SIZE, 1) < SIZE / PAGE; round++)
		use(start, 0.25);
	rises(before, rise);
	note("on the way: marks %ld, faults %ld, local %ld, moved %ld of %lu, pgmigrate_success %ld", rise[UPDATES],
	     rise[FAULTS], rise[LOCAL], rise[MOVED], SIZE / PAGE, rise[SUCCESS]);
	ok(pages_on(start, SIZE, 1) == SIZE / PAGE, "memory follows the task to the other node");
	ok(rise[MOVED] >= (long)(SIZE / PAGE), "numa_pages_migrated counts pages");
	ok(rise[SUCCESS] >= rise[MOVED], "each of them counts in pgmigrate_success as well");
	ok(rise[FAULTS] >= rise[MOVED], "numa_hint_faults counts at least one fault for each page that moved");
	snapshot(total);
	ok(total[UPDATES] > 0 && total[UPDATES] >= total[FAULTS], "there is no more in numa_hint_faults than in numa_pte_updates");
	ok(rise[LOCAL] < rise[FAULTS], "numa_hint_faults_local leaves out the faults on memory that is elsewhere");

	snapshot(before);
	for (round = 0; round < ROUNDS && vmstat("numa_hint_faults") < before[FAULTS] + (long)(2 * SIZE / PAGE); round++)
		use(start, 0.25);
	rises(before, rise);
	note("settled: marks %ld, faults %ld, local %ld, moved %ld", rise[UPDATES], rise[FAULTS], rise[LOCAL], rise[MOVED]);
	ok(rise[FAULTS] > 0 && rise[LOCAL] > 0.95 * rise[FAULTS],
	   "numa_hint_faults_local and numa_hint_faults rise alike once it is near");
}

int main(void)
{
	need_two_nodes(TESTS);
	plan(TESTS);
	stop_scans(); /* first the counts that they would disturb */
	test_names();
	test_success();
	test_fail();
	test_compaction();
	numa_feature_on();
	set("scan_delay_ms", 50);
	set("scan_period_min_ms", 100);
	set("scan_period_max_ms", 400);
	test_numa();
	return finish();
}
