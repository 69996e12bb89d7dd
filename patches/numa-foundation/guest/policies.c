/*
 * Patches 9, 10 and 14: MPOL_LOCAL, MPOL_NOOP and MPOL_MF_LAZY do what they
 * say, and refuse what makes no sense with them.
 */
#include "ktap.h"

#define SIZE (16 * PAGE)

static bool refused(long result, int error, const char *what)
{
	bool good = result == -1 && errno == error;

	if (!good)
		note("%s: result %ld, errno %s", what, result, result ? strerror(errno) : "none");
	return good;
}

static void test_local(void)
{
	unsigned long mask = ~0UL;
	int mode = -1;
	char *start;

	ok(set_mempolicy(MPOL_LOCAL, 0) == 0 && get_mempolicy(&mode, &mask, NULL, 0) == 0 &&
		   mode == MPOL_PREFERRED && mask == 0,
	   "set_mempolicy(MPOL_LOCAL) shows as preferred, with no node");
	set_mempolicy(MPOL_DEFAULT, 0);

	ok(refused(set_mempolicy(MPOL_LOCAL, 1), EINVAL, "nodes") &&
		   refused(set_mempolicy(MPOL_LOCAL | MPOL_F_STATIC_NODES, 0), EINVAL, "static") &&
		   refused(set_mempolicy(MPOL_LOCAL | MPOL_F_RELATIVE_NODES, 0), EINVAL, "relative"),
	   "MPOL_LOCAL refuses nodes, and flags about nodes");

	start = map_small(SIZE);
	run_on(1);
	if (set_mempolicy(MPOL_BIND, 1))
		bail("set_mempolicy");
	if (mbind(start, SIZE, MPOL_LOCAL, 0, 0))
		note("mbind: %s", strerror(errno));
	touch(start, SIZE);
	ok(pages_on(start, SIZE, 1) == SIZE / PAGE, "mbind(MPOL_LOCAL) wins over the task's policy");
	set_mempolicy(MPOL_DEFAULT, 0);
	munmap(start, SIZE);
}

static bool mounts(const char *option)
{
	bool good = mount("none", "/tmp/policy", "tmpfs", 0, option) == 0;

	if (good)
		umount("/tmp/policy");
	return good;
}

static void test_noop(void)
{
	char *start = pages_from(SIZE, 0);
	unsigned long mask = 0;
	int mode = -1;

	ok(refused(set_mempolicy(MPOL_NOOP, 0), EINVAL, "set_mempolicy"), "set_mempolicy() refuses MPOL_NOOP");
	ok(refused(set_mempolicy(MPOL_MAX, 0), EINVAL, "set_mempolicy") &&
		   refused(mbind(start, SIZE, MPOL_MAX, 0, 0), EINVAL, "mbind"),
	   "there is no mode after MPOL_NOOP");
	ok(refused(mbind(start, SIZE, MPOL_NOOP, 1, 0), EINVAL, "nodes") &&
		   refused(mbind(start, SIZE, MPOL_NOOP | MPOL_F_STATIC_NODES, 0, 0), EINVAL, "static"),
	   "MPOL_NOOP refuses nodes, and flags about nodes");

	if (mbind(start, SIZE, MPOL_BIND, 2, 0))
		bail("mbind");
	ok(mbind(start, SIZE, MPOL_NOOP, 0, MPOL_MF_STRICT) == 0 &&
		   get_mempolicy(&mode, &mask, start, MPOL_F_ADDR) == 0 && mode == MPOL_BIND && mask == 2 &&
		   pages_on(start, SIZE, 0) == SIZE / PAGE,
	   "MPOL_NOOP alone changes neither policy nor pages");
	ok(mbind(start, SIZE, MPOL_NOOP, 0, MPOL_MF_MOVE | MPOL_MF_STRICT) == 0 &&
		   get_mempolicy(&mode, &mask, start, MPOL_F_ADDR) == 0 && mode == MPOL_BIND && mask == 2 &&
		   pages_on(start, SIZE, 1) == SIZE / PAGE,
	   "MPOL_NOOP with MPOL_MF_MOVE brings the pages to where the policy wants them");

	munmap(start + SIZE / 2, PAGE);
	ok(refused(mbind(start, SIZE, MPOL_NOOP, 0, MPOL_MF_MOVE), EFAULT, "hole inside") &&
		   refused(mbind(start + SIZE / 2, SIZE / 2, MPOL_NOOP, 0, 0), EFAULT, "hole in front"),
	   "MPOL_NOOP refuses a range with a hole");
	munmap(start, SIZE);

	mkdir("/tmp", 0755);
	mkdir("/tmp/policy", 0755);
	ok(mounts("mpol=local") && !mounts("mpol=noop") && !mounts("mpol=noop:0"),
	   "a mount option can name local, but not noop");
}

static void test_lazy(void)
{
	char *start = pages_from(SIZE, 0);
	unsigned long moved;
	pid_t child;

	ok(refused(mbind(start, SIZE, MPOL_BIND, 2, MPOL_MF_LAZY | MPOL_MF_STRICT), EINVAL, "strict") &&
		   refused(mbind(start, SIZE, MPOL_BIND, 2, MPOL_MF_LAZY | MPOL_MF_MOVE_ALL), EINVAL, "all") &&
		   refused(mbind(start, SIZE, MPOL_BIND, 2, MPOL_MF_LAZY << 1), EINVAL, "internal flag"),
	   "MPOL_MF_LAZY refuses MPOL_MF_STRICT and MPOL_MF_MOVE_ALL");

	if (mbind(start, SIZE, MPOL_BIND, 2, MPOL_MF_LAZY))
		note("mbind: %s", strerror(errno));
	ok(pages_on(start, SIZE, 0) == SIZE / PAGE, "MPOL_MF_LAZY moves nothing by itself");
	touch(start, SIZE / 2);
	moved = pages_on(start, SIZE, 1);
	note("touched %lu pages, %lu moved", SIZE / 2 / PAGE, moved);
	ok(moved == SIZE / 2 / PAGE && pages_on(start, SIZE / 2, 1) == moved,
	   "pages move when they are touched, and only those");
	munmap(start, SIZE);

	start = pages_from(SIZE, 0);
	mbind(start, SIZE, MPOL_LOCAL, 0, MPOL_MF_LAZY | MPOL_MF_MOVE);
	run_on(1);
	look(start, SIZE);
	ok(pages_on(start, SIZE, 1) == SIZE / PAGE, "with MPOL_LOCAL they go to the node that reads them");
	run_on(0);
	look(start, SIZE);
	ok(pages_on(start, SIZE, 1) == SIZE / PAGE, "a page moves once for each time it is marked");
	mbind(start, SIZE, MPOL_NOOP, 0, MPOL_MF_LAZY);
	look(start, SIZE);
	ok(pages_on(start, SIZE, 0) == SIZE / PAGE, "MPOL_NOOP with MPOL_MF_LAZY marks them again");
	munmap(start, SIZE);

	/* One mapping more, and nobody can say where the page should be */
	start = pages_from(SIZE, 0);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	mbind(start, SIZE, MPOL_BIND, 2, MPOL_MF_LAZY);
	look(start, SIZE);
	ok(child > 0 && pages_on(start, SIZE, 0) == SIZE / PAGE, "pages that a child maps as well stay");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	munmap(start, SIZE);

	/* A table that is marked as a whole takes one fault and moves as a whole */
	start = pages_from(TABLE, 0);
	mbind(start, TABLE, MPOL_BIND, 2, MPOL_MF_LAZY);
	moved = pages_on(start, TABLE, 1);
	touch(start + TABLE / 2, 1);
	note("marked table: %lu pages moved before a touch, %lu after", moved, pages_on(start, TABLE, 1));
	ok(moved == 0 && pages_on(start, TABLE, 1) == TABLE / PAGE, "a page table marked as a whole follows one touch");
	munmap(start, TABLE);
}

static void test_protection(void)
{
	char *start = pages_from(SIZE, 0);
	long faults;
	pid_t child;
	int status;

	/* PROT_NONE must stay PROT_NONE, and a read-only page read-only, mark or no mark */
	memset(start, 'x', SIZE);
	mbind(start, SIZE, MPOL_LOCAL, 0, MPOL_MF_LAZY);
	mprotect(start, SIZE, PROT_NONE);
	child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		(void)*(volatile char *)start;
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "a marked page that becomes PROT_NONE is out of reach");
	mprotect(start, SIZE, PROT_READ);
	mbind(start, SIZE, MPOL_NOOP, 0, MPOL_MF_LAZY);
	child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		if (*(volatile char *)start != 'x')
			_exit(0);
		*(volatile char *)start = 'y';
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && *start == 'x',
	   "a marked page that is read-only stays so");
	faults = vmstat("numa_hint_faults");
	mprotect(start, SIZE, PROT_NONE);
	ok(mbind(start, SIZE, MPOL_NOOP, 0, MPOL_MF_LAZY) == 0 && vmstat("numa_hint_faults") == faults,
	   "PROT_NONE memory is not marked");
	mprotect(start, SIZE, PROT_READ | PROT_WRITE);
	ok(start[SIZE - 1] == 'x' && vmstat("numa_hint_faults") == faults, "and its pages come back as they were");
	munmap(start, SIZE);
}

int main(void)
{
	char *probe;

	need_two_nodes(22);
	plan(22);
	stop_scans();
	test_local();
	test_noop();
	probe = pages_from(PAGE, 0);
	if (mbind(probe, PAGE, MPOL_NOOP, 0, MPOL_MF_LAZY)) {
		for (int i = 0; i < 12; i++)
			skip("MPOL_MF_LAZY", "not in this kernel");
		return finish();
	}
	test_lazy();
	test_protection();
	return finish();
}
