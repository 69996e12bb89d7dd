/*
 * What the guest's test programs share: KTAP on standard output, and small
 * wrappers around the files and system calls that they test. Static, without
 * libnuma: the guest has nothing but busybox.
 *
 * KTAP: Documentation/dev-tools/ktap.rst. Nodes, modes and flags:
 * include/uapi/linux/mempolicy.h at the end of the series.
 */
#ifndef KTAP_H
#define KTAP_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB 1024UL
#define MIB (1024 * KIB)
#define PAGE 4096UL
#define TABLE (2 * MIB) /* what one page table, or one huge page, maps */

#define MPOL_DEFAULT 0
#define MPOL_PREFERRED 1
#define MPOL_BIND 2
#define MPOL_INTERLEAVE 3
#define MPOL_LOCAL 4
#define MPOL_NOOP 5
#define MPOL_MAX 6
#define MPOL_F_STATIC_NODES (1 << 15)
#define MPOL_F_RELATIVE_NODES (1 << 14)
#define MPOL_F_NODE 1
#define MPOL_F_ADDR 2
#define MPOL_MF_STRICT 1
#define MPOL_MF_MOVE 2
#define MPOL_MF_MOVE_ALL 4
#define MPOL_MF_LAZY 8

#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#define MADV_NOHUGEPAGE 15
#endif

/* ---- KTAP ---- */

static int ktap_count, ktap_failed;

static void plan(int tests)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%d\n", tests);
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("# ");
	vprintf(format, list);
	printf("\n");
	va_end(list);
}

/* One result. Whatever explains a failure is to be told with note() before. */
static bool ok(bool good, const char *name)
{
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++ktap_count, name);
	ktap_failed += !good;
	return good;
}

static void skip(const char *name, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++ktap_count, name, why);
}

/* What the test stands on is broken: no result can be trusted any more. */
__attribute__((noreturn)) static void bail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(2);
}

static int finish(void)
{
	return ktap_failed ? 1 : 0;
}

/* ---- files ---- */

/* The contents of a small file, or "" where there is none. */
static const char *slurp(const char *path)
{
	static char text[1 << 18];
	size_t size = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY);

	if (fd >= 0) {
		while (size < sizeof(text) - 1 &&
		       (got = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
			size += got;
		close(fd);
	}
	text[size] = 0;
	return text;
}

static bool spew(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	ssize_t size = strlen(text);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, text, size) == size;
	return close(fd) == 0 && good;
}

/* A counter in the text of /proc/vmstat, or -1 where it has none of that name. */
static long counter(const char *text, const char *name)
{
	const char *line = text;
	size_t size = strlen(name);

	while (*line) {
		if (!strncmp(line, name, size) && line[size] == ' ')
			return atol(line + size);
		line = strchr(line, '\n');
		if (!line)
			break;
		line++;
	}
	return -1;
}

static long vmstat(const char *name)
{
	return counter(slurp("/proc/vmstat"), name);
}

static char *sysctl_path(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
	return path;
}

static long get_sysctl(const char *name)
{
	const char *text = slurp(sysctl_path(name));

	return *text ? atol(text) : -1;
}

static struct {
	const char *name;
	long value;
} sysctls_before[16];

static int sysctls_changed;
static pid_t sysctls_owner;

static void restore_sysctls(void)
{
	char text[32];

	/* Not in a child, which leaves by the same door */
	while (getpid() == sysctls_owner && sysctls_changed > 0) {
		sysctls_changed--;
		snprintf(text, sizeof(text), "%ld\n", sysctls_before[sysctls_changed].value);
		spew(sysctl_path(sysctls_before[sysctls_changed].name), text);
	}
}

/* Set a sysctl until this program ends: the next one is to find what the kernel came with. */
static bool set_sysctl(const char *name, long value)
{
	char text[32];
	int known = 0;

	while (known < sysctls_changed && strcmp(sysctls_before[known].name, name))
		known++;
	if (known == sysctls_changed && known < 16) {
		if (!sysctls_owner) {
			sysctls_owner = getpid();
			atexit(restore_sysctls);
		}
		sysctls_before[known].name = name;
		sysctls_before[known].value = get_sysctl(name);
		sysctls_changed++;
	}
	snprintf(text, sizeof(text), "%ld\n", value);
	return spew(sysctl_path(name), text);
}

/* The kernel has CONFIG_BALANCE_NUMA, and the patch that brings the sysctl. */
static bool has_sysctl(const char *name)
{
	return access(sysctl_path(name), F_OK) == 0;
}

static bool debugfs(void);

static void numa_feature_on(void)
{
	spew("/sys/kernel/debug/sched_features", "NUMA");
}

/*
 * Have nobody's memory scanned until this program ends, as far as the kernel has the scheduler feature, and wait until
 * whoever reads this program's output has taken the faults of what is marked already.
 */
static void stop_scans(void)
{
	debugfs();
	if (!spew("/sys/kernel/debug/sched_features", "NO_NUMA"))
		return;
	atexit(numa_feature_on);
	for (int tries = 0, quiet = 0; tries < 50 && quiet < 3; tries++) {
		long before = vmstat("numa_hint_faults");

		note("scans are stopped");
		usleep(50000);
		quiet = vmstat("numa_hint_faults") == before ? quiet + 1 : 0;
	}
}

static bool debugfs(void)
{
	if (access("/sys/kernel/debug/sched_features", F_OK) == 0 ||
	    access("/sys/kernel/debug/tracing", F_OK) == 0)
		return true;
	return mount("debug", "/sys/kernel/debug", "debugfs", 0, NULL) == 0;
}

/* Compact all zones. 3.7 returns a positive number that is not the one of bytes written. */
static bool compact(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);
	bool good = fd >= 0 && write(fd, "1", 1) > 0;

	if (fd >= 0)
		close(fd);
	return good;
}

/* ---- nodes and CPUs ---- */

/* Run on one CPU of a node from here on; false where the node has none. */
static bool run_on(int node)
{
	for (int cpu = 0; cpu < 64; cpu++) {
		unsigned int on_cpu, on_node;
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			continue;
		if (!syscall(SYS_getcpu, &on_cpu, &on_node, NULL) &&
		    on_node == (unsigned int)node)
			return true;
	}
	return false;
}

static void run_anywhere(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

static int nodes(void)
{
	char path[64];
	int count = 0;

	do
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", count);
	while (access(path, F_OK) == 0 && ++count < 64);
	return count;
}

/* Most tests need a second node: without one, skip them all. */
static void need_two_nodes(int tests)
{
	if (nodes() >= 2)
		return;
	printf("KTAP version 1\n1..0 # SKIP the machine has one node (%d tests)\n", tests);
	exit(0);
}

/* ---- memory and policies ---- */

static long mbind(void *start, size_t size, int mode, unsigned long mask, unsigned int flags)
{
	return syscall(SYS_mbind, start, size, mode, mask ? &mask : NULL, 64UL, flags);
}

static long set_mempolicy(int mode, unsigned long mask)
{
	return syscall(SYS_set_mempolicy, mode, mask ? &mask : NULL, 64UL);
}

static long get_mempolicy(int *mode, unsigned long *mask, void *addr, unsigned long flags)
{
	unsigned long space[16] = {0}; /* the kernel writes MAX_NUMNODES bits */
	long result = syscall(SYS_get_mempolicy, mode, mask ? space : NULL, 1024UL, addr, flags);

	if (mask)
		*mask = space[0];
	return result;
}

/* The node a page is on, without touching it; negative: an errno of move_pages(2). */
static int node_of(void *page)
{
	int status = -EIO;

	if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0))
		return -errno;
	return status;
}

/* How many pages of a range are on a node. */
static unsigned long pages_on(char *start, size_t size, int node)
{
	unsigned long count = 0;

	for (size_t at = 0; at < size; at += PAGE)
		count += node_of(start + at) == node;
	return count;
}

/* Move pages with move_pages(2); how many are there afterwards, by its own account. */
static unsigned long move_to(char *start, size_t size, int node)
{
	unsigned long moved = 0;

	for (size_t at = 0; at < size; at += PAGE) {
		void *page = start + at;
		int status = -EIO;

		if (!syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, MPOL_MF_MOVE))
			moved += status == node;
	}
	return moved;
}

/*
 * Try to move a page to node 1, which is not to work: how much pgmigrate_fail rises, or -1 where the page has moved.
 * Other tasks' pages can be on the move; it is tried until none was.
 */
static long failures(char *page, const char *what)
{
	long success, fail;

	for (int tries = 0; tries < 20; tries++) {
		const char *text = slurp("/proc/vmstat");

		success = counter(text, "pgmigrate_success");
		fail = counter(text, "pgmigrate_fail");
		if (fail < 0)
			return -1;
		move_to(page, PAGE, 1);
		text = slurp("/proc/vmstat");
		success = counter(text, "pgmigrate_success") - success;
		fail = counter(text, "pgmigrate_fail") - fail;
		if (!success && node_of(page) == 0)
			break;
	}
	note("%s: pgmigrate_fail +%ld, pgmigrate_success +%ld, on node %d", what, fail, success, node_of(page));
	return node_of(page) == 0 ? fail : -1;
}

/* A mapping that starts at a page table's boundary and consists of small pages. */
static char *map_small(size_t size)
{
	size_t room = size + TABLE;
	char *start = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned;

	if (start == MAP_FAILED)
		bail("mmap");
	aligned = (char *)(((uintptr_t)start + TABLE - 1) & ~(TABLE - 1));
	if (aligned > start)
		munmap(start, aligned - start);
	munmap(aligned + size, start + room - aligned - size);
	madvise(aligned, size, MADV_NOHUGEPAGE);
	return aligned;
}

/* Touch every page. Volatile, or else the compiler knows better. */
static void touch(char *start, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		(*(volatile char *)(start + at))++;
}

static void look(const char *start, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		(void)*(const volatile char *)(start + at);
}

/*
 * A page that was just allocated waits in a CPU's pagevec (mm/swap.c), and cannot be migrated, until that CPU has a few
 * more of them. Every move_pages(2) that is to move empties the pagevecs of all CPUs first, needed or not.
 */
static void settle(char *page)
{
	int node = node_of(page);

	if (node >= 0)
		move_to(page, PAGE, node);
}

/* Small pages that were first touched on a node, and are there. */
static char *pages_from(size_t size, int node)
{
	char *start = map_small(size);

	if (!run_on(node))
		bail("no CPU on the node");
	touch(start, size);
	settle(start);
	if (pages_on(start, size, node) != size / PAGE)
		move_to(start, size, node);
	if (pages_on(start, size, node) != size / PAGE)
		bail("pages do not get to where they belong");
	return start;
}

/* ---- time ---- */

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Did the child succeed, whose exit status tells? */
static bool reap(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
