/*
 * Patches 1 and 3: pgmigrate_success and pgmigrate_fail count every migration,
 * and compaction counts what it scans and isolates.
 */
#include "ktap.h"

#define PAGES 64

static void test_success(void)
{
	char *start = pages_from(PAGES * PAGE, 0);
	long before = vmstat("pgmigrate_success");
	unsigned long moved = move_to(start, PAGES * PAGE, 1);
	long rise = vmstat("pgmigrate_success") - before;

	note("move_pages moved %lu of %d, pgmigrate_success rose by %ld", moved, PAGES, rise);
	/* Others can migrate as well, by compaction; not that much in so short a time */
	ok(before >= 0 && moved == PAGES && rise >= PAGES && rise < 2 * PAGES,
	   "pgmigrate_success rises by the number of pages moved");
	munmap(start, PAGES * PAGE);
}

static void test_fail(void)
{
	char *start = pages_from(PAGE, 0);
	struct iovec vector = {.iov_base = start, .iov_len = PAGE};
	long success = vmstat("pgmigrate_success"), fail = vmstat("pgmigrate_fail");
	int ends[2];

	/* A page in a pipe has one user more than its mapping accounts for */
	if (pipe(ends) || vmsplice(ends[1], &vector, 1, 0) != (ssize_t)PAGE)
		bail("vmsplice");
	move_to(start, PAGE, 1);
	success = vmstat("pgmigrate_success") - success;
	fail = vmstat("pgmigrate_fail") - fail;
	note("page in a pipe: pgmigrate_fail +%ld, pgmigrate_success +%ld, on node %d", fail, success,
	     node_of(start));
	ok(fail == 1 && node_of(start) == 0, "pgmigrate_fail counts a page that is pinned");
	close(ends[0]);
	close(ends[1]);
	munmap(start, PAGE);
}

static void test_names(void)
{
	static const char *const gone[] = {"compact_blocks_moved", "compact_pages_moved",
					   "compact_pagemigrate_failed"};
	bool good = true;

	for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++) {
		if (vmstat(gone[i]) < 0)
			continue;
		note("/proc/vmstat still has %s", gone[i]);
		good = false;
	}
	ok(good, "compaction's own counters of migration are gone");
}

static void test_compaction(void)
{
	static const char *const names[] = {"compact_migrate_scanned", "compact_free_scanned",
					    "compact_isolated", "pgmigrate_success"};
	size_t size = 64 * MIB;
	long before[4], rise;
	char *start;
	bool good = true;

	if (access("/proc/sys/vm/compact_memory", F_OK)) {
		for (int i = 0; i < 4; i++)
			skip(names[i], "no CONFIG_COMPACTION");
		return;
	}
	/* Every other page free: work for the scanner at the bottom of the zone */
	run_on(0);
	start = map_small(size);
	touch(start, size);
	for (size_t at = 0; at < size; at += 2 * PAGE)
		madvise(start + at, PAGE, MADV_DONTNEED);
	for (int i = 0; i < 4; i++)
		before[i] = vmstat(names[i]);
	if (!compact())
		bail("compact_memory");
	for (int i = 0; i < 4; i++) {
		char name[64];

		rise = vmstat(names[i]) - before[i];
		note("compact_memory: %s +%ld", names[i], rise);
		snprintf(name, sizeof(name), "compaction makes %s rise", names[i]);
		good = before[i] >= 0 && rise > 0;
		ok(good, name);
	}
	munmap(start, size);
}

int main(void)
{
	need_two_nodes(7);
	plan(7);
	test_success();
	test_fail();
	test_names();
	test_compaction();
	return finish();
}
