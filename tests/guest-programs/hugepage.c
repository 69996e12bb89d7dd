/*
 * Patches 7 and 13: a huge page that is split under a hint keeps it, and one
 * that is misplaced is split and follows.
 */
#include "ktap.h"

static char *huge(size_t size)
{
	char *start = map_small(size);

	madvise(start, size, MADV_HUGEPAGE);
	return start;
}

/* The kernel's word for it that a range is huge pages throughout. */
static bool is_huge(char *start, size_t size)
{
	const char *line = slurp("/proc/self/smaps");
	char head[32];
	unsigned long kib = 0;

	snprintf(head, sizeof(head), "%lx-%lx ", (unsigned long)start, (unsigned long)(start + size));
	line = strstr(line, head);
	if (!line)
		return false;
	line = strstr(line, "AnonHugePages:");
	return line && sscanf(line, "AnonHugePages: %lu", &kib) == 1 && kib * KIB == size;
}

static void test_split(void)
{
	char *start = huge(TABLE);
	long before, faults, splits;

	run_on(0);
	touch(start, TABLE);
	if (!is_huge(start, TABLE) || mbind(start, TABLE, MPOL_LOCAL, 0, MPOL_MF_LAZY)) {
		skip("a huge page split under a hint keeps it", "no huge page, or no MPOL_MF_LAZY");
		skip("and so do its parts", "no huge page, or no MPOL_MF_LAZY");
		return;
	}
	/* To unmap a piece splits the rest, which nobody touches by that */
	before = vmstat("numa_hint_faults");
	splits = vmstat("thp_split");
	munmap(start + TABLE - PAGE, PAGE);
	splits = vmstat("thp_split") - splits;
	faults = vmstat("numa_hint_faults") - before;
	note("thp_split +%ld, numa_hint_faults +%ld", splits, faults);
	ok(splits == 1 && faults == 0, "a huge page splits under a hint without a fault");
	touch(start, TABLE - PAGE);
	faults = vmstat("numa_hint_faults") - before;
	note("%lu pages touched after the split, %ld hinting faults", TABLE / PAGE - 1, faults);
	ok(faults == (long)(TABLE / PAGE - 1), "each of its parts has kept the hint");
	munmap(start, TABLE);
}

static void test_whole(void)
{
	char *start = huge(TABLE);
	long before, faults;

	run_on(0);
	touch(start, TABLE);
	if (!is_huge(start, TABLE) || mbind(start, TABLE, MPOL_LOCAL, 0, MPOL_MF_LAZY)) {
		skip("a huge page in its place takes one fault and stays whole", "no huge page, or no MPOL_MF_LAZY");
		return;
	}
	before = vmstat("numa_hint_faults");
	touch(start, TABLE);
	faults = vmstat("numa_hint_faults") - before;
	note("%ld hinting faults", faults);
	ok(faults == 1 && is_huge(start, TABLE), "a huge page in its place takes one fault and stays whole");
	munmap(start, TABLE);
}

static void test_follow(void)
{
	char *start = huge(TABLE);

	run_on(0);
	memset(start, 'h', TABLE);
	if (!is_huge(start, TABLE) || mbind(start, TABLE, MPOL_LOCAL, 0, MPOL_MF_LAZY)) {
		skip("a misplaced huge page is split", "no huge page, or no MPOL_MF_LAZY");
		skip("its parts follow whoever touches them", "no huge page, or no MPOL_MF_LAZY");
		skip("with what was in them", "no huge page, or no MPOL_MF_LAZY");
		return;
	}
	run_on(1);
	look(start, TABLE / 2);
	note("%lu of %lu pages have followed half as many touches", pages_on(start, TABLE, 1), TABLE / PAGE);
	ok(!is_huge(start, TABLE), "a misplaced huge page is split");
	ok(pages_on(start, TABLE / 2, 1) == TABLE / 2 / PAGE && pages_on(start + TABLE / 2, TABLE / 2, 0) == TABLE / 2 / PAGE,
	   "its parts follow whoever touches them");
	for (size_t at = 0; at < TABLE; at++) {
		if (start[at] != 'h') {
			note("byte %zu is %d", at, start[at]);
			ok(false, "with what was in them");
			return;
		}
	}
	ok(true, "with what was in them");
	munmap(start, TABLE);
}

static void test_fork(void)
{
	char *start = huge(TABLE);
	pid_t child;

	run_on(0);
	memset(start, 'p', TABLE);
	if (!is_huge(start, TABLE) || mbind(start, TABLE, MPOL_LOCAL, 0, MPOL_MF_LAZY)) {
		skip("a marked huge page is copied on write", "no huge page, or no MPOL_MF_LAZY");
		return;
	}
	child = fork();
	if (!child) {
		memset(start, 'c', TABLE);
		for (size_t at = 0; at < TABLE; at++)
			if (start[at] != 'c')
				_exit(1);
		_exit(0);
	}
	ok(reap(child) && start[0] == 'p' && !memcmp(start, start + 1, TABLE - 1),
	   "a marked huge page is copied on write");
	munmap(start, TABLE);
}

int main(void)
{
	need_two_nodes(7);
	plan(7);
	if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK)) {
		for (int i = 0; i < 7; i++)
			skip("huge pages", "no CONFIG_TRANSPARENT_HUGEPAGE");
		return 0;
	}
	spew("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	test_split();
	test_whole();
	test_follow();
	test_fork();
	return finish();
}
