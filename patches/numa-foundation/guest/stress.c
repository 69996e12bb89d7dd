/*
 * All of it at once, for some time: tasks on all CPUs that mark, touch, protect,
 * unmap, move, fork over and swap the same memory, and check what is in it.
 *
 *     stress [SECONDS]
 *
 * Each page holds a stamp made of its address and of the worker, wherever the
 * worker has write access; a page with a wrong stamp is corruption. The kernel
 * is to be built with all the checks it has: what it finds is on the console.
 */
#include "ktap.h"

#include <pthread.h>

#define WORKERS 4
#define THREADS 2
#define SIZE (12 * MIB)
#define SWAP_DEVICE "/dev/ram0"

/* What rises, and is told at the end. The first two are tested. */
static const char *const counters[] = {
	"numa_hint_faults", "pgmigrate_success", "numa_hint_faults_local", "numa_pages_migrated", "numa_pte_updates",
	"pgmigrate_fail",   "pswpout",		 "pswpin",		   "thp_fault_alloc",	  "thp_split",
};

#define COUNTERS (sizeof(counters) / sizeof(*counters))

struct worker {
	char *start;
	uint64_t seed;
	int number;
	double until;
	volatile bool stop;
	unsigned long rounds;
};

static uint64_t next(uint64_t *seed)
{
	/* xorshift64 */
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint64_t stamp(const char *page, int number)
{
	return ((uintptr_t)page * 0x9e3779b97f4a7c15ULL) ^ (uint64_t)number;
}

/* A page is stamped, or still empty, or was made so by MADV_DONTNEED; all else is wrong. */
static bool page_good(char *page, int number)
{
	volatile uint64_t *word = (volatile uint64_t *)page, *last = word + PAGE / 8 - 1;
	uint64_t first = *word, end = *last;

	return (first == 0 || first == stamp(page, number)) && (end == 0 || end == stamp(page, number));
}

static void fill(char *start, size_t size, int number)
{
	for (size_t at = 0; at < size; at += PAGE) {
		uint64_t *word = (uint64_t *)(start + at);

		word[0] = stamp(start + at, number);
		word[PAGE / 8 - 1] = word[0];
	}
}

static bool check(char *start, size_t size, int number)
{
	for (size_t at = 0; at < size; at += PAGE) {
		if (page_good(start + at, number))
			continue;
		printf("# worker %d: page %p holds %lx and %lx\n", number, start + at, *(unsigned long *)(start + at),
		       *(unsigned long *)(start + at + PAGE - 8));
		return false;
	}
	return true;
}

/* A range in whole pages; one in four times in whole tables. */
static char *range(struct worker *self, size_t *size)
{
	size_t unit = next(&self->seed) % 4 ? PAGE : TABLE, units = SIZE / unit;
	size_t first = next(&self->seed) % units, count = 1 + next(&self->seed) % (units - first);

	*size = count * unit;
	return self->start + first * unit;
}

/* A thread of the worker, on another CPU: touches and marks, changes nothing that must not be. */
static void *companion(void *argument)
{
	struct worker copy = *(struct worker *)argument, *self = argument;
	long nodes_here = nodes();

	copy.seed ^= 0x5851f42d4c957f2dULL;
	while (!self->stop) {
		size_t size;
		char *start = range(&copy, &size);

		run_on(next(&copy.seed) % nodes_here);
		switch (next(&copy.seed) % 4) {
		case 0:
			mbind(start, size, MPOL_NOOP, 0, MPOL_MF_LAZY);
			break;
		case 1:
			mbind(start, size, MPOL_LOCAL, 0, MPOL_MF_LAZY);
			break;
		case 2: { /* gup, which also works where the owner has just made the range PROT_NONE */
			char byte;
			struct iovec to = {&byte, 1}, from = {start, 1};

			(void)!process_vm_readv(getpid(), &to, 1, &from, 1, 0);
			break;
		}
		case 3:
			madvise(start, size, next(&copy.seed) % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
			break;
		}
	}
	return NULL;
}

/* A child inherits the marks: it must see, and may change, what is its own. */
static bool storm_fork(struct worker *self, char *start, size_t size)
{
	pid_t child = fork();

	if (!child) {
		bool good = check(start, size, self->number);

		fill(start, size, self->number);
		mbind(start, size, MPOL_LOCAL, 0, MPOL_MF_LAZY);
		good = good && check(start, size, self->number);
		memset(start, 0xff, PAGE); /* and this must not show in the parent */
		_exit(good ? 0 : 1);
	}
	return child < 0 || reap(child); /* no memory for a child is no error here */
}

static bool storm(struct worker *self)
{
	size_t size, other_size;
	char *start = range(self, &size), *other;
	int node = next(&self->seed) % nodes();

	if (next(&self->seed) % 3 == 0)
		run_on(node);
	switch (next(&self->seed) % 10) {
	case 0:
		mbind(start, size, MPOL_BIND, 1UL << node, MPOL_MF_LAZY);
		return check(start, size, self->number);
	case 1:
		mbind(start, size, MPOL_INTERLEAVE, (1UL << nodes()) - 1, MPOL_MF_LAZY);
		fill(start, size, self->number);
		return check(start, size, self->number);
	case 2: /* PROT_NONE and back, over marks that are there and that come meanwhile */
		mbind(start, size, MPOL_DEFAULT, 0, MPOL_MF_LAZY);
		mprotect(start, size, PROT_NONE);
		mprotect(start, size, PROT_READ);
		if (!check(start, size, self->number))
			return false;
		mprotect(start, size, PROT_READ | PROT_WRITE);
		fill(start, size, self->number);
		return true;
	case 3:
		madvise(start, size, MADV_DONTNEED);
		return check(start, size, self->number);
	case 4:
		mbind(start, size, MPOL_LOCAL, 0, MPOL_MF_LAZY);
		return storm_fork(self, start, size);
	case 5: /* away and back: entries move with their marks */
		other_size = size;
		other = mremap(start, size, other_size, MREMAP_MAYMOVE | MREMAP_FIXED, self->start + 2 * SIZE);
		if (other == MAP_FAILED)
			return true;
		if (mremap(other, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start) == MAP_FAILED)
			bail("mremap back");
		return check(start, size, self->number);
	case 6:
		mbind(start, size, MPOL_BIND, 1UL << node, MPOL_MF_MOVE);
		return check(start, size, self->number);
	case 7:
		munmap(start, size);
		while (mmap(start, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != start) {
			if (errno != ENOMEM)
				bail("mmap");
			usleep(10000); /* the kernel is to be short of memory */
		}
		fill(start, size, self->number);
		return true;
	case 8: {
		struct iovec vector = {start, size > 16 * PAGE ? 16 * PAGE : size};
		int ends[2];

		if (pipe(ends))
			return true;
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		mbind(start, size, MPOL_LOCAL, 0, MPOL_MF_LAZY);
		(void)!vmsplice(ends[1], &vector, 1, SPLICE_F_NONBLOCK);
		fill(start, size, self->number); /* pinned pages must not move away under the pipe */
		close(ends[0]);
		close(ends[1]);
		return check(start, size, self->number);
	}
	default:
		fill(start, size, self->number);
		return check(start, size, self->number);
	}
}

static int work(int number, double until)
{
	struct worker self = {.number = number, .seed = 88172645463325252ULL * (number + 1), .until = until};
	pthread_t threads[THREADS];
	bool good = true;
	char *room = mmap(NULL, 4 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		bail("mmap");
	self.start = (char *)(((uintptr_t)room + TABLE - 1) & ~(TABLE - 1));
	if (mprotect(self.start, SIZE, PROT_READ | PROT_WRITE))
		bail("mprotect");
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, companion, &self))
			bail("pthread_create");
	while (good && seconds(CLOCK_MONOTONIC) < until) {
		good = storm(&self);
		self.rounds++;
	}
	self.stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("# worker %d: %lu rounds, %s\n", number, self.rounds, good ? "all as it should be" : "CORRUPTION");
	return good ? 0 : 1;
}

/* A number of /proc/meminfo, in KiB. */
static long meminfo(const char *name)
{
	const char *text = strstr(slurp("/proc/meminfo"), name);

	return text ? atol(text + strlen(name)) : 0;
}

/*
 * Takes most of what is free, and more where there is swap until a quarter of that is full, lets go, and starts over.
 * Memory is to be short; it is not to run out: the rest of the swap is for what the others take while this one waits
 * for its turn.
 */
static int press(double until, bool swap)
{
	long room = meminfo("SwapTotal:") / 4 * 3;

	run_anywhere();
	spew("/proc/self/oom_score_adj", "1000"); /* if somebody has to go, let it be this one */
	while (seconds(CLOCK_MONOTONIC) < until) {
		size_t kib = meminfo("MemFree:"), size;
		char *start;

		size = (swap ? kib + 16 * KIB : kib / 2) * KIB & ~(PAGE - 1);
		start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (start == MAP_FAILED)
			continue;
		for (size_t at = 0; at < size && seconds(CLOCK_MONOTONIC) < until; at += PAGE) {
			if (swap && at % (64 * PAGE) == 0 && meminfo("SwapFree:") < room)
				break;
			start[at] = 1;
		}
		munmap(start, size);
		usleep(200000);
	}
	return 0;
}

/* Make the RAM disk a swap device, as mkswap(8) does: linux/swap.h, union swap_header. */
static bool swap_on(void)
{
	union {
		struct {
			char boot[1024];
			uint32_t version, last_page, bad_pages;
		};
		char page[PAGE];
	} header;
	int device = open(SWAP_DEVICE, O_RDWR);
	off_t size = device < 0 ? 0 : lseek(device, 0, SEEK_END);
	bool good;

	if (size < (off_t)(16 * PAGE))
		return false;
	memset(&header, 0, sizeof(header));
	header.version = 1;
	header.last_page = size / PAGE - 1;
	memcpy(header.page + PAGE - 10, "SWAPSPACE2", 10);
	good = pwrite(device, &header, PAGE, 0) == (ssize_t)PAGE && fsync(device) == 0;
	close(device);
	return good && syscall(SYS_swapon, SWAP_DEVICE, 0) == 0;
}

int main(int count, char **words)
{
	double length = count > 1 ? atof(words[1]) : 20, until;
	pid_t workers[WORKERS], presser;
	const char *text;
	long before[COUNTERS];
	bool swap, good = true;

	plan(4);
	swap = swap_on();
	note("%g seconds, %d workers of %d threads, %d nodes, %s", length, WORKERS, THREADS + 1, nodes(),
	     swap ? "swap on a RAM disk" : "no swap (needs CONFIG_BLK_DEV_RAM)");
	/*
	 * The kernel's watchdogs mean seconds of a machine that runs. A guest can get a tenth of a core from its host, and its
	 * clock runs on meanwhile: seen, a lock that took more than 120 s. A deadlock is for ever.
	 */
	spew("/proc/sys/kernel/hung_task_timeout_secs", "900");
	spew("/proc/sys/kernel/watchdog_thresh", "60");
	spew("/sys/module/rcutree/parameters/rcu_cpu_stall_timeout", "300");
	spew("/sys/kernel/mm/transparent_hugepage/enabled", "always");
	if (has_sysctl("balance_numa_scan_delay_ms")) {
		set_sysctl("balance_numa_scan_delay_ms", 10);
		set_sysctl("balance_numa_scan_period_min_ms", 50);
		set_sysctl("balance_numa_scan_period_max_ms", 200);
		set_sysctl("balance_numa_scan_size_mb", 8);
	}
	for (size_t i = 0; i < COUNTERS; i++)
		before[i] = vmstat(counters[i]);
	until = seconds(CLOCK_MONOTONIC) + length;
	fflush(stdout);

	for (int i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		if (!workers[i])
			exit(work(i, until));
	}
	presser = fork();
	if (!presser)
		exit(press(until, swap));
	for (int i = 0; i < WORKERS; i++)
		good = reap(workers[i]) && good;
	reap(presser);

	ok(good, "every page holds what was written to it");
	for (size_t i = 0; i < COUNTERS; i++) {
		before[i] = vmstat(counters[i]) - before[i];
		note("%s +%ld", counters[i], before[i]);
	}
	if (!has_sysctl("balance_numa_scan_period_min_ms"))
		skip("hinting faults were taken", "no CONFIG_BALANCE_NUMA");
	else
		ok(before[0] > length, "hinting faults were taken"); /* one a second at the very least */
	if (nodes() < 2)
		skip("pages were moved", "one node");
	else
		ok(before[1] > 0, "pages were moved");
	text = strstr(slurp("/proc/lockdep_stats"), "debug_locks:");
	if (!text)
		skip("lockdep has not switched itself off", "no CONFIG_PROVE_LOCKING");
	else
		ok(atoi(text + strlen("debug_locks:")) == 1, "lockdep has not switched itself off");
	if (swap)
		syscall(SYS_swapoff, SWAP_DEVICE);
	return finish();
}
