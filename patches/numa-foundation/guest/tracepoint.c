/*
 * Patch 2: the trace event mm_migrate_pages tells of every call of
 * migrate_pages() how many pages moved, how hard it was tried, and why.
 */
#include "ktap.h"

#define TRACING "/sys/kernel/debug/tracing/"
#define EVENT TRACING "events/migrate/mm_migrate_pages/enable"

/* How often a line of the trace has both texts; the pages it tells of are added up. */
static int events(const char *reason, const char *mode, unsigned long *succeeded)
{
	const char *line = slurp(TRACING "trace");
	int count = 0;

	*succeeded = 0;
	while (line && *line) {
		const char *end = strchrnul(line, '\n');
		char copy[512];
		unsigned long moved, failed;
		char *event;

		snprintf(copy, sizeof(copy), "%.*s", (int)(end - line), line);
		event = strstr(copy, "mm_migrate_pages: ");
		if (event && strstr(copy, reason) && strstr(copy, mode) &&
		    sscanf(event, "mm_migrate_pages: nr_succeeded=%lu nr_failed=%lu", &moved, &failed) == 2) {
			count++;
			*succeeded += moved;
		}
		line = *end ? end + 1 : end;
	}
	return count;
}

static void clear_trace(void)
{
	spew(TRACING "trace", "");
}

static void expect(const char *reason, const char *mode, unsigned long least, const char *name)
{
	unsigned long moved;
	int count = events(reason, mode, &moved);

	note("%s %s: %d events, %lu pages", reason, mode, count, moved);
	ok(count > 0 && moved >= least, name);
}

int main(void)
{
	size_t size = 8 * PAGE;
	void *addrs[8];
	int where[8], status[8];
	char *start;

	need_two_nodes(5);
	plan(5);
	debugfs();
	if (!spew(EVENT, "1")) {
		note("needs CONFIG_FTRACE, CONFIG_ENABLE_DEFAULT_TRACERS and CONFIG_DEBUG_FS");
		for (int i = 0; i < 5; i++)
			skip("mm_migrate_pages", "no trace events in this kernel");
		return 0;
	}

	start = pages_from(size, 0);
	clear_trace();
	for (int i = 0; i < 8; i++) {
		addrs[i] = start + i * PAGE;
		where[i] = 1;
	}
	if (syscall(SYS_move_pages, 0, 8UL, addrs, where, status, MPOL_MF_MOVE))
		bail("move_pages");
	expect("reason=syscall", "nr_succeeded=8 nr_failed=0 mode=sync ", 8,
	       "move_pages() is one event with its pages, mode and reason");

	clear_trace();
	if (mbind(start, size, MPOL_BIND, 1, MPOL_MF_MOVE))
		bail("mbind");
	expect("reason=mbind", "mode=sync ", 8, "mbind() moves with the reason mbind");

	clear_trace();
	if (access("/proc/sys/vm/compact_memory", F_OK)) {
		skip("compaction moves with the reason compaction", "no CONFIG_COMPACTION");
	} else {
		char *spread = map_small(32 * MIB);

		touch(spread, 32 * MIB);
		for (size_t at = 0; at < 32 * MIB; at += 2 * PAGE)
			madvise(spread + at, PAGE, MADV_DONTNEED);
		clear_trace();
		compact();
		expect("reason=compaction", "mode=sync", 1, "compaction moves with the reason compaction");
		munmap(spread, 32 * MIB);
	}

	clear_trace();
	if (mbind(start, size, MPOL_BIND, 2, MPOL_MF_LAZY)) {
		skip("a page touched late moves as numa_misplaced", "no MPOL_MF_LAZY");
	} else {
		touch(start, size);
		expect("reason=numa_misplaced", "nr_succeeded=1 nr_failed=0 mode=async ", 8,
		       "a page touched late moves as numa_misplaced, one by one");
	}

	spew(EVENT, "0");
	clear_trace();
	move_to(start, size, 0);
	ok(!strstr(slurp(TRACING "trace"), "mm_migrate_pages:"), "switched off, the event is silent");
	return finish();
}
