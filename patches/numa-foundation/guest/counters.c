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
	static const char name[] = "/lab/page";
	char *start = pages_from(PAGE, 0);
	struct iovec vector = {.iov_base = start, .iov_len = PAGE};
	int ends[2], file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	/* A dirty page of the root's ramfs, which has neither a migratepage nor a writepage (mm/migrate.c, writeout()) */
	if (file < 0 || write(file, start, PAGE) != (ssize_t)PAGE)
		bail(name);
	start = mmap(start, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
	if (start == MAP_FAILED)
		bail("mmap");
	touch(start, PAGE);
	settle(start);
	ok(failures(start, "page of a ramfs") == 1, "pgmigrate_fail counts a page that can not be moved");
	munmap(start, PAGE);
	close(file);
	unlink(name);

	/* A page in a pipe has one user more than its mapping accounts for: it could be moved another time */
	start = vector.iov_base = pages_from(PAGE, 0);
	if (pipe(ends) || vmsplice(ends[1], &vector, 1, 0) != (ssize_t)PAGE)
		bail("vmsplice");
	ok(failures(start, "page in a pipe") == 0, "pgmigrate_fail does not count a page that was only busy");
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
	need_two_nodes(8);
	plan(8);
	stop_scans();
	test_success();
	test_fail();
	test_names();
	test_compaction();
	return finish();
}
