/*
 * A machine with one node: CONFIG_BALANCE_NUMA=y changes nothing a program can
 * see. On more nodes, the part of it that holds there too: the policy that
 * tasks are given in secret is not shown to them.
 *
 * Lines "fact ..." are what a program sees of memory, faults and policies. They
 * are to be the same with CONFIG_BALANCE_NUMA=y and =n: whoever has both kernels
 * compares them. Lines "name ..." are files and counters that are there.
 */
#include "ktap.h"

#include <dirent.h>
#include <setjmp.h>
#include <sys/resource.h>

static void test_policy(void)
{
	unsigned long mask = ~0UL;
	int mode = -1;
	char *start = map_small(16 * PAGE);
	const char *map;
	char head[32];

	touch(start, 16 * PAGE);
	ok(get_mempolicy(&mode, &mask, NULL, 0) == 0 && mode == MPOL_DEFAULT && mask == 0,
	   "a task without a policy has the default policy");
	mode = -1;
	mask = ~0UL;
	ok(get_mempolicy(&mode, &mask, start, MPOL_F_ADDR) == 0 && mode == MPOL_DEFAULT && mask == 0,
	   "and so has its memory");
	snprintf(head, sizeof(head), "%08lx ", (unsigned long)start);
	map = strstr(slurp("/proc/self/numa_maps"), head);
	if (!map)
		skip("numa_maps shows it as default", "no such mapping in numa_maps");
	else
		ok(!strncmp(map + strlen(head), "default ", 8), "numa_maps shows it as default");
	munmap(start, 16 * PAGE);
}

static void test_faults(void)
{
	long updates = vmstat("numa_pte_updates"), hints = vmstat("numa_hint_faults");
	char *start = map_small(8 * MIB);

	if (nodes() > 1) {
		skip("nothing is marked on one node", "the machine has more");
		skip("memory stays in place, and does not fault", "the machine has more");
		return;
	}
	if (has_sysctl("balance_numa_scan_delay_ms")) {
		set_sysctl("balance_numa_scan_delay_ms", 0);
		set_sysctl("balance_numa_scan_period_min_ms", 50);
	}
	touch(start, 8 * MIB);
	for (double until = seconds(CLOCK_PROCESS_CPUTIME_ID) + 1; seconds(CLOCK_PROCESS_CPUTIME_ID) < until;)
		touch(start, 8 * MIB);
	updates = vmstat("numa_pte_updates") - updates;
	hints = vmstat("numa_hint_faults") - hints;
	note("marks +%ld, hinting faults +%ld", updates, hints);
	ok(updates == 0, "nothing is marked on one node");
	ok(hints == 0 && pages_on(start, 8 * MIB, 0) == 8 * MIB / PAGE, "memory stays in place, and does not fault");
	munmap(start, 8 * MIB);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static sigjmp_buf after_fault;
static int fault_code;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	fault_code = info->si_code;
	siglongjmp(after_fault, 1);
}

/* The si_code of the SIGSEGV that an access brings, 0 where it brings none. */
static int code_of(char *where, bool write)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	fault_code = 0;
	sigaction(SIGSEGV, &action, NULL);
	if (!sigsetjmp(after_fault, 1)) {
		if (write)
			*(volatile char *)where = 1;
		else
			(void)*(volatile char *)where;
	}
	signal(SIGSEGV, SIG_DFL);
	return fault_code;
}

/* Lines of the mapping that starts at an address, of a file of /proc/self, without the address. */
static void mapping(const char *file, const char *start)
{
	char head[32], path[64];
	const char *line;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	snprintf(head, sizeof(head), strcmp(file, "numa_maps") ? "%08lx-" : "%08lx ", (unsigned long)start);
	line = strstr(slurp(path), head);
	for (int i = 0; line && i < (strcmp(file, "smaps") ? 1 : 14); i++) {
		size_t size = strcspn(line, "\n"), skip = i ? 0 : strcspn(line, " ");

		note("fact %s %.*s", file, (int)(size - skip), line + skip);
		line = line[size] ? line + size + 1 : NULL;
	}
}

static void fact_policies(char *start, size_t size)
{
	for (int mode = 0; mode <= MPOL_MAX; mode++) {
		for (unsigned long mask = 0; mask < 4; mask++) {
			long task, range[3];

			errno = 0;
			task = set_mempolicy(mode, mask) ? errno : 0;
			set_mempolicy(MPOL_DEFAULT, 0);
			for (unsigned int flags = 0; flags < 3; flags++)
				range[flags] = mbind(start, size, mode, mask, flags) ? errno : 0;
			mbind(start, size, MPOL_DEFAULT, 0, 0);
			note("fact mode %d nodes %lx: set_mempolicy %ld, mbind %ld, strict %ld, move %ld", mode, mask, task,
			     range[0], range[1], range[2]);
		}
	}
}

static void facts(void)
{
	size_t size = 4 * MIB;
	char *start = map_small(size), copy[PAGE];
	struct iovec to = {copy, PAGE}, from = {start, PAGE};
	long faults, moved = vmstat("pgmigrate_success");
	pid_t child;

	faults = minor_faults(); /* after vmstat(), whose buffers may be touched for the first time */
	touch(start, size);
	note("fact %ld faults to touch %lu pages", minor_faults() - faults, size / PAGE);
	mapping("numa_maps", start);
	mapping("smaps", start);
	faults = minor_faults();
	for (double until = seconds(CLOCK_PROCESS_CPUTIME_ID) + 2; seconds(CLOCK_PROCESS_CPUTIME_ID) < until;)
		touch(start, size);
	note("fact %ld faults to touch them for two seconds", minor_faults() - faults);
	child = fork();
	if (!child) {
		faults = minor_faults();
		look(start, size);
		note("fact %ld faults of a child that reads them", minor_faults() - faults);
		faults = minor_faults();
		touch(start, size);
		note("fact %ld faults of a child that writes them", minor_faults() - faults);
		exit(0);
	}
	reap(child);
	faults = minor_faults();
	touch(start, size);
	note("fact %ld faults to write them after that", minor_faults() - faults);

	mprotect(start, size, PROT_NONE);
	note("fact PROT_NONE: read %d, write %d, peer %zd", code_of(start, false), code_of(start, true),
	     process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	mprotect(start, size, PROT_READ);
	note("fact PROT_READ: read %d, write %d, peer %zd", code_of(start, false), code_of(start, true),
	     process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	mprotect(start, size, PROT_READ | PROT_WRITE);
	faults = minor_faults();
	touch(start, size);
	note("fact %ld faults to write them again", minor_faults() - faults);
	fact_policies(start, size);
	note("fact %ld pages migrated", vmstat("pgmigrate_success") - moved);
	mapping("numa_maps", start);
	munmap(start, size);
}

static void file_names(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		note("name %s/%s", path, entry->d_name);
	if (folder)
		closedir(folder);
}

static void visible_names(void)
{
	const char *line = slurp("/proc/vmstat");
	char *probe = map_small(PAGE);

	while (line && *line) {
		note("name /proc/vmstat:%.*s", (int)strcspn(line, " "), line);
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	file_names("/proc/sys/kernel");
	file_names("/proc/sys/vm");
	file_names("/proc/self");
	if (!mbind(probe, PAGE, MPOL_NOOP, 0, MPOL_MF_LAZY))
		note("name MPOL_MF_LAZY");
	munmap(probe, PAGE);
}

int main(void)
{
	plan(5);
	test_policy();
	test_faults();
	if (nodes() == 1) {
		facts();
		visible_names();
	}
	return finish();
}
