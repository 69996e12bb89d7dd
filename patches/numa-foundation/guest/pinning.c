/*
 * Patch 6, and the part of 8 that goes with it: get_user_pages() and its
 * lockless variant on marked pages take the hint, and get the right page;
 * with force, they do neither harm to PROT_NONE nor count as a use.
 */
#include "ktap.h"

/* Pin pages with get_user_pages_fast(), by way of a pipe, and read them from there. */
static bool through_pipe(char *start, size_t size, char expected)
{
	struct iovec vector = {.iov_base = start, .iov_len = size};
	char copy[16 * PAGE];
	int ends[2];
	bool good;

	if (size > sizeof(copy) || pipe(ends))
		bail("pipe");
	good = vmsplice(ends[1], &vector, 1, 0) == (ssize_t)size && read(ends[0], copy, size) == (ssize_t)size;
	for (size_t at = 0; good && at < size; at++)
		good = copy[at] == expected;
	close(ends[0]);
	close(ends[1]);
	return good;
}

/*
 * process_vm_readv(2) uses get_user_pages(), without force. So does get_mempolicy(2) for the node of an address; it does
 * without CONFIG_CROSS_MEMORY_ATTACH, but shows nothing of what is in the page.
 */
static bool by_peer(char *start, size_t size, char expected)
{
	char copy[16 * PAGE];
	struct iovec to = {.iov_base = copy, .iov_len = size}, from = {.iov_base = start, .iov_len = size};
	bool good = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)size;

	if (!good && errno == ENOSYS) {
		for (size_t at = 0; at < size; at += PAGE) {
			int node;

			if (get_mempolicy(&node, NULL, start + at, MPOL_F_NODE | MPOL_F_ADDR))
				return false;
		}
		return true;
	}

	for (size_t at = 0; good && at < size; at++)
		good = copy[at] == expected;
	return good;
}

/* A debugger's way in, with force. */
static bool by_file(char *start, size_t size, char expected)
{
	int file = open("/proc/self/mem", O_RDONLY);
	char copy[16 * PAGE];
	bool good = pread(file, copy, size, (off_t)(uintptr_t)start) == (ssize_t)size;

	for (size_t at = 0; good && at < size; at++)
		good = copy[at] == expected;
	close(file);
	return good;
}

static long faults(void)
{
	return vmstat("numa_hint_faults");
}

static void mark(char *start, size_t size)
{
	if (mbind(start, size, MPOL_LOCAL, 0, MPOL_MF_LAZY))
		bail("mbind");
}

/*
 * Mark a range, get at a part of it, and see whether that took so many hinting faults and found what is there. Memory of
 * this program's own can still be marked from before the scans were stopped: then there is one more, and the next try has
 * none of those.
 */
static bool takes(bool (*way)(char *, size_t, char), char *start, size_t size, char *part, size_t part_size, long expected)
{
	long taken = -1;

	for (int tries = 0; tries < 5 && taken != expected; tries++) {
		char letter = *part;

		mark(start, size);
		taken = faults();
		if (!way(part, part_size, letter)) {
			note("not what was written there");
			return false;
		}
		taken = faults() - taken;
		note("%ld faults", taken);
	}
	return taken == expected;
}

static void test_small(void)
{
	size_t size = 8 * PAGE;
	char *start = pages_from(size, 0);
	long before;

	memset(start, 'g', size);
	ok(takes(through_pipe, start, size, start, size, 8), "get_user_pages_fast() takes the hint of small pages");
	ok(takes(by_peer, start, size, start, size, 8), "get_user_pages() takes the hint of small pages");
	mark(start, size);
	before = faults();
	ok(by_file(start, size, 'g') && faults() == before, "with force, the hint is left alone");
	before = faults();
	look(start, size);
	ok(faults() - before == 8, "and is still there");

	mark(start, size);
	run_on(1);
	ok(by_peer(start, size, 'g') && pages_on(start, size, 1) == 8, "a page follows to where it is pinned from");
	munmap(start, size);
}

static void test_table(void)
{
	char *start = pages_from(TABLE, 0);

	memset(start, 't', TABLE);
	ok(takes(through_pipe, start, TABLE, start + 5 * PAGE, PAGE, TABLE / PAGE),
	   "get_user_pages_fast() does not walk past a marked page table");
	ok(takes(by_peer, start, TABLE, start + 7 * PAGE, PAGE, TABLE / PAGE), "nor does get_user_pages()");
	munmap(start, TABLE);
}

static void test_huge(void)
{
	char *start = map_small(TABLE);
	long before;

	run_on(0);
	/* Off by default with less than 512 MiB (mm/huge_memory.c, hugepage_init()) */
	spew("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	before = vmstat("thp_fault_alloc");
	madvise(start, TABLE, MADV_HUGEPAGE);
	memset(start, 'u', TABLE);
	if (vmstat("thp_fault_alloc") <= before) {
		skip("get_user_pages_fast() takes the hint of a huge page", "no huge page to be had");
		return;
	}
	ok(takes(through_pipe, start, TABLE, start + 9 * PAGE, PAGE, 1),
	   "get_user_pages_fast() takes the hint of a huge page");
	munmap(start, TABLE);
}

static void test_none(void)
{
	size_t size = 4 * PAGE;
	char *start = pages_from(size, 0);
	pid_t child;
	int status;

	memset(start, 'n', size);
	mark(start, size);
	mprotect(start, size, PROT_NONE);
	ok(by_file(start, size, 'n'), "a debugger sees what is in PROT_NONE memory");
	ok(!by_peer(start, PAGE, 'n') && !through_pipe(start, PAGE, 'n'), "others do not");
	child = fork();
	if (!child) {
		int file = open("/proc/self/mem", O_WRONLY);

		signal(SIGSEGV, SIG_DFL);
		if (pwrite(file, "w", 1, (off_t)(uintptr_t)start) != 1)
			_exit(1);
		(void)*(volatile char *)start;
		_exit(2);
	}
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "to write there with force does not make it accessible");
	munmap(start, size);
}

int main(void)
{
	char *probe;

	need_two_nodes(11);
	plan(11);
	probe = pages_from(PAGE, 0);
	if (mbind(probe, PAGE, MPOL_LOCAL, 0, MPOL_MF_LAZY)) {
		for (int i = 0; i < 11; i++)
			skip("pinning marked pages", "no MPOL_MF_LAZY in this kernel");
		return 0;
	}
	stop_scans();
	test_small();
	test_table();
	test_huge();
	test_none();
	return finish();
}
