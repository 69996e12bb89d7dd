/*
 * Patches 7 and 13: a huge page that is split under a hint keeps it, and one
 * that is misplaced is split and follows.
 */
#include "ktap.h"

#define WHY "no huge page to be had, or no MPOL_MF_LAZY"

static bool have_huge; /* the last huge() was one huge page, and then marked */

/* A huge page on node 0 that is full of a letter, marked for a hinting fault. */
static char *huge(char letter)
{
	char *start = map_small(TABLE);
	long before = vmstat("thp_fault_alloc");

	run_on(0);
	madvise(start, TABLE, MADV_HUGEPAGE);
	memset(start, letter, TABLE);
	have_huge = vmstat("thp_fault_alloc") == before + 1;
	if (have_huge && pages_on(start, TABLE, 0) != TABLE / PAGE)
		have_huge = false;
	if (have_huge && mbind(start, TABLE, MPOL_LOCAL, 0, MPOL_MF_LAZY))
		have_huge = false;
	return start;
}

static long splits(void)
{
	return vmstat("thp_split");
}

static long faults(void)
{
	return vmstat("numa_hint_faults");
}

static bool holds(const char *start, size_t size, char letter)
{
	for (size_t at = 0; at < size; at++) {
		if (start[at] == letter)
			continue;
		note("byte %zu is %d, not %d", at, start[at], letter);
		return false;
	}
	return true;
}

static void test_split(void)
{
	char *start = huge('s');
	long before = faults(), split = splits(), taken;

	if (!have_huge) {
		skip("a huge page splits under a hint without a fault", WHY);
		skip("each of its parts has kept the hint", WHY);
		return;
	}
	/* To unmap a piece splits the rest, which nobody touches by that */
	munmap(start + TABLE - PAGE, PAGE);
	note("thp_split +%ld, numa_hint_faults +%ld", splits() - split, faults() - before);
	ok(splits() - split == 1 && faults() == before, "a huge page splits under a hint without a fault");
	touch(start, TABLE - PAGE);
	taken = faults() - before;
	note("%lu pages touched after the split, %ld hinting faults", TABLE / PAGE - 1, taken);
	ok(taken == (long)(TABLE / PAGE - 1), "each of its parts has kept the hint");
	munmap(start, TABLE);
}

static void test_whole(void)
{
	char *start = huge('w');
	long before = faults(), split = splits();

	if (!have_huge) {
		skip("a huge page in its place takes one fault and stays whole", WHY);
		return;
	}
	touch(start, TABLE);
	note("%ld hinting faults", faults() - before);
	ok(faults() - before == 1 && splits() == split, "a huge page in its place takes one fault and stays whole");
	munmap(start, TABLE);
}

static void test_follow(void)
{
	char *start = huge('f');
	long split = splits();

	if (!have_huge) {
		skip("a misplaced huge page is split", WHY);
		skip("its parts follow whoever touches them", WHY);
		skip("with what was in them", WHY);
		return;
	}
	run_on(1);
	look(start, TABLE / 2);
	note("%lu of %lu pages have followed half as many touches", pages_on(start, TABLE, 1), TABLE / PAGE);
	ok(splits() - split == 1, "a misplaced huge page is split");
	ok(pages_on(start, TABLE / 2, 1) == TABLE / 2 / PAGE &&
		   pages_on(start + TABLE / 2, TABLE / 2, 0) == TABLE / 2 / PAGE,
	   "its parts follow whoever touches them");
	ok(holds(start, TABLE, 'f'), "with what was in them");
	munmap(start, TABLE);
}

static void test_fork(void)
{
	char *start = huge('p');
	pid_t child;

	if (!have_huge) {
		skip("a marked huge page is copied on write", WHY);
		return;
	}
	child = fork();
	if (!child) {
		memset(start, 'c', TABLE);
		_exit(holds(start, TABLE, 'c') ? 0 : 1);
	}
	ok(reap(child) && holds(start, TABLE, 'p'), "a marked huge page is copied on write");
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
	stop_scans();
	test_split();
	test_whole();
	test_follow();
	test_fork();
	return finish();
}
